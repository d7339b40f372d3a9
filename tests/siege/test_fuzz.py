"""Every reader of files takes any bytes: a right answer or its one error."""

import json

import pytest
from common import DATASET, ROOT, call

COUNTS = {"idx": (20_000, 1_000_000), "record": (2_000, 200_000)}
MOST_MIB = 400


@pytest.mark.fault("D9", "D10", "D13", "D14", "X9", "M8")
@pytest.mark.parametrize("name, count", [
    *((name, counts[0]) for name, counts in COUNTS.items()),
    *(pytest.param(name, counts[1], marks=pytest.mark.slow)
      for name, counts in COUNTS.items())])
def test_damaged_inputs_give_a_right_answer_or_the_documented_error(
        name, count, record_property):
    done = call(ROOT / "tests" / "siege" / "fuzz.py", name, count, 2024,
                DATASET, timeout=1800)
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
