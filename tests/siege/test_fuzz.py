"""Every reader of files takes any bytes: a right answer or its one error."""

import copy
import json
import warnings

import pytest
from common import ROOT, call
from siege import fuzz

from bench.analyse.found import Found
from bench.kit import files
from bench.proof import audit, certificate
from bench.report import output, render
from bench.report.sections import sections

COUNTS = {"idx": (20_000, 1_000_000), "record": (2_000, 200_000),
          "recipe": (2_000, 200_000), "weights": (2_000, 200_000)}
MOST_MIB = 400


@pytest.mark.fault("D9", "D10", "D13", "D14", "X9", "M8")
@pytest.mark.parametrize("name, count", [
    *((name, counts[0]) for name, counts in COUNTS.items()),
    *(pytest.param(name, counts[1], marks=pytest.mark.slow)
      for name, counts in COUNTS.items())])
def test_damaged_inputs_give_a_right_answer_or_the_documented_error(
        two_states, name, count, record_property):
    done = call(ROOT / "tests" / "siege" / "fuzz.py", name, count, 2024,
                two_states, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["right"] + found["refused"] == count
    # Both ends are reached: neither all refused nor all passed.
    assert found["right"] > count / 100 and found["refused"] > count / 10
    assert found["peak_mib"] < MOST_MIB
    if count >= 200_000:
        record_property("siege", (
            f"Fuzzing, reader `{name}`: {count:,} damaged inputs, "
            f"{found['refused']:,} refused with the documented error, "
            f"{found['right']:,} read rightly, 0 other outcomes; peak memory "
            f"of the process {found['peak_mib']} MiB."))


WRONG = (None, True, -1, 0, 1.5, 10**30, 1e308, "", "=x", "\x1b", "ok", [], {},
         [1], {"a": 1}, ...)  # the last: take it away


def places(value, way=()):
    """The way to every value inside a record."""
    inner = (value.items() if isinstance(value, dict) else
             enumerate(value) if isinstance(value, list) else ())
    for key, below in inner:
        yield (*way, key)
        yield from places(below, (*way, key))


def changed(found, way, wrong):
    result = inner = copy.deepcopy(found)
    for key in way[:-1]:
        inner = inner[key]
    if wrong is ...:
        del inner[way[-1]]
    else:
        inner[way[-1]] = wrong
    return result


@pytest.mark.fault("M8", "P4")
def test_every_record_that_is_accepted_can_be_tabulated(two_states):
    """Each value in turn replaced by each wrong one: either the reader names
    it, or the tables can be made, without a warning."""
    seeds = [json.loads(text) for text in fuzz.record_seeds(two_states)]
    assert {found["status"] for found in seeds} == {"ok", "failed"}
    accepted = 0
    for found in seeds:
        for way in places(found):
            # The grid itself compares these with the request.
            if way[0] in ("config", "contender", "repeat", "block"):
                continue
            for wrong in WRONG:
                text = files.dumps(changed(found, way, wrong)).encode()
                try:
                    records = [fuzz.unsealed(text), *seeds]
                except files.BadFile as error:
                    assert str(error)
                    continue
                accepted += 1
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    table = render.as_csv(["x"], output.epoch_rows(records))
                    render.as_csv(["x"], output.step_rows(records))
                    verdicts = audit.audit(records)
                    sections(Found(records, certificate.verdict(
                        None, records), verdicts, {}))
                assert "nan" not in table and "inf" not in table, (way, wrong)
    assert accepted > 50
