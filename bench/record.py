"""The record of one run: its states, how it is written, how it is read.

Records are the only state of a comparison; tables and pictures are rebuilt
from them. So a record under its final name is always whole (written beside
the target, flushed to the disk, then renamed) and nothing is believed when it
is read back: size, syntax, types and ranges are checked.
"""

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
from pathlib import Path
from statistics import median

import data
from bench.cli import STORAGE, Fault

SCHEMA = 2
STATES = ("ok", "diverged", "oom", "failed", "killed", "timeout", "no_record",
          "bad_record", "unavailable")
FINAL = ("ok", "diverged")      # the other states are tried again next time
MAX_BYTES = 64 * 2**20          # a record of 60,000 steps is about 3 MiB
TEMPORARY = ".tmp-"
# Names in OUT/runs that this program gives to records and to what it sets aside.
OURS = re.compile(r"[a-z0-9-]+_[a-z]+_[a-z]+_b\d+_s\d+_r\d+_[0-9a-f]{12}\.json"
                  r"((\.\d+)?\.bad)?|\.tmp-.*")


# ----------------------------------------------------------------- writing

def write_atomic(path, content):
    """As data.write_atomic, of text or bytes; the name is flushed, too."""
    data.write_atomic(path, content.encode("utf-8") if isinstance(
        content, str) else content)
    with contextlib.suppress(OSError):
        folder = os.open(Path(path).parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def make_folder(path):
    """Create the folder `path` if needed; Fault 5 when that cannot be."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Fault(STORAGE, f"cannot use the folder: {str(path)!r}: "
                             f"{error.strerror}. Choose another") from error


def remove_leftovers(folder):
    """Delete temporaries (files, compile caches) whose process is gone."""
    for path in Path(folder).glob(f"{TEMPORARY}*"):
        owner = re.match(rf"{re.escape(TEMPORARY)}(\d+)-", path.name)
        if owner and not _alive(int(owner[1])):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
                continue
            try:
                path.unlink()
            except OSError:
                pass  # a read-only folder keeps its leftovers; harmless


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    try:  # killed, but not waited for yet: a zombie owns nothing
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
        return state.split()[0] not in "ZX"
    except (OSError, IndexError):
        return True


def dumps(record):
    """JSON text of a record; NaN and infinity are refused, not written."""
    return json.dumps(record, allow_nan=False, sort_keys=True,
                      separators=(",", ":")) + "\n"


def complete(found, seen):
    """A script's own record and what was seen from outside (see launch.run)
    -> the whole record of a finished run. Raises BadRecord.

    A script states what only it knows. Sums and medians of that are made
    here, once for all programs.
    """
    if not isinstance(found, dict):
        _fail("record", type(found).__name__, "an object")
    try:
        timing, config = found["timing"], found["config"]
        found["environment"].update(seen["environment"])
        found["affinity"] = seen["affinity"]
        found["cache"] = seen["cache"].get(found["framework"], "cold")
        found["memory"]["host_peak_bytes"] = seen["host_peak_bytes"]
        # One hash for a data set: that of the hashes of its files.
        found["dataset"]["sha256"] = hashlib.sha256("".join(
            found["dataset"]["sha256"]).encode()).hexdigest()
        steps = found["dataset"]["sizes"]["train"] // config["batch_size"]
        found.update(steps_per_epoch=steps,
                     samples_per_epoch=steps * config["batch_size"])
        if found["status"] == "ok":
            last, seconds = found["epochs"][-1], timing["epoch_s"]
            found["final"] = {name: last[name]
                              for name in ("test_loss", "test_accuracy")}
            timing["first_epoch_s"] = (timing["compile_s"] or 0) + seconds[0]
            timing["steady_epoch_s"] = (median(seconds[1:]) if seconds[1:]
                                        else None)
        return found
    except (KeyError, TypeError, IndexError, AttributeError, ValueError,
            ArithmeticError) as error:
        raise BadRecord(f"incomplete: {error!r}") from error


# ----------------------------------------------------------------- reading

# What the tables and figures read, beside the numbers checked one by one.
REQUIRED = {
    "environment": ("device_kind", "device_name", "cpu_model", "cores"),
    "dataset": ("name", "sizes"), "timing": ("compile_s", "steady_epoch_s"),
    "steps": (), "final": (),
    "memory": ("host_peak_bytes", "device_peak_bytes")}


class BadRecord(ValueError):
    """A record that cannot be believed; the text names the field."""


class NewerRecord(BadRecord):
    """A record of a later version of this program: to be left alone."""


def read(path):
    """The record at `path` as a dict. Raises BadRecord, whatever is there."""
    return parse(read_bytes(path))


def read_bytes(path):
    """Content of `path`, whatever is there. Raises BadRecord."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadRecord(f"cannot be read: {error.strerror}") from error
    if len(text) > MAX_BYTES:
        raise BadRecord(f"longer than {MAX_BYTES} bytes")
    return text


def parse(text):
    """Strict JSON (bytes) -> checked record (dict). Raises BadRecord."""
    record = parse_json(text)
    check(record)
    return record


def parse_json(text):
    """Strict JSON (bytes) -> what it holds. Raises BadRecord."""
    try:
        content = json.loads(text.decode("utf-8"), parse_constant=_no_constant,
                             object_pairs_hook=_no_duplicates)
        dumps(content)  # 1e999 is read as infinity; it must not come back
    except BadRecord:
        raise
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"not valid JSON: {error}"[:200]) from error
    return content


def read_json(path):
    """A file beside the records as a dict, empty where there is none that
    can be believed: such a file can be made again."""
    try:
        content = parse_json(read_bytes(path))
        return content if isinstance(content, dict) else {}
    except BadRecord:
        return {}


def _no_constant(name):
    raise BadRecord(f"contains {name}")


def _no_duplicates(pairs):
    if len({key for key, _ in pairs}) != len(pairs):
        raise BadRecord("a key stands twice")
    return dict(pairs)


def _fail(field, value, wanted):
    raise BadRecord(f"{field}: {str(value)[:60]!r} is not {wanted}")


def _number(field, value, low=0.0, high=math.inf, optional=False):
    if value is None and optional:
        return
    # The bounds first: isfinite raises on an integer beyond all floats, and
    # NumPy has no number type for one beyond 64 bits.
    if (isinstance(value, bool) or not isinstance(value, (int, float))
            or not (low <= value <= min(high, 1e300) and math.isfinite(value)
                    and (isinstance(value, float) or value < 2**63))):
        _fail(field, value, f"a number from {low:g} " + (
            f"to {high:g}" if high < math.inf else "up"))


def check(record):
    """Raise BadRecord unless `record` keeps schema 2: fields, types, ranges,
    one entry per epoch, one loss and one accuracy per step."""
    if not isinstance(record, dict):
        _fail("record", type(record).__name__, "an object")
    schema = record.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise NewerRecord(f"schema: {schema} is later than {SCHEMA}")
    if schema != SCHEMA:
        _fail("schema", schema, f"{SCHEMA}")
    if record.get("status") not in STATES:
        _fail("status", record.get("status"), "a known state")
    if not isinstance(record.get("framework"), str):
        _fail("framework", record.get("framework"), "a string")
    if not isinstance(record.get("config"), dict):
        _fail("config", record.get("config"), "an object")
    if record["status"] != "ok":  # a reason and no metrics
        ending = record.get("exit")
        if not isinstance(ending, dict) or not {
                "code", "signal", "tail"} <= ending.keys() or not isinstance(
                ending["tail"], list) or not all(
                isinstance(line, str) for line in ending["tail"]):
            _fail("exit", ending, "an object with code, signal and tail, a "
                                  "list of lines")
        return
    for field, keys in REQUIRED.items():
        if not isinstance(record.get(field), dict):
            _fail(field, record.get(field), "an object")
        for key in keys:
            if key not in record[field]:
                _fail(field, sorted(record[field]), f"complete: no {key}")
    config, timing = record["config"], record["timing"]
    sizes = record["dataset"]["sizes"]
    for part in ("train", "val", "test"):
        _number(f"dataset.sizes.{part}", sizes.get(part) if isinstance(
            sizes, dict) else None, 1)
    for field, entries in (("compilations", record.get("compilations")),
                           ("timing.order_s", timing.get("order_s", [])),
                           ("timing.read_s", timing.get("read_s"))):
        if not isinstance(entries, list):
            _fail(field, entries, "a list")
        for value in entries:
            _number(field, value)
    for field in ("evaluate_s", "to_device_s"):
        _number(f"timing.{field}", timing.get(field))
    if not isinstance(config.get("hidden"), list):
        _fail("config.hidden", config.get("hidden"), "a list")
    for key in ("device_kind", "device_name", "cpu_model"):
        if not isinstance(value := record["environment"][key], str):
            _fail(f"environment.{key}", value, "a string")
    if record["dataset"]["name"] != config.get("dataset"):
        _fail("dataset.name", record["dataset"]["name"], "that of config")
    for field in ("host_peak_bytes", "device_peak_bytes"):
        _number(f"memory.{field}", record["memory"][field], optional=True)
    for field in ("batch_size", "epochs"):
        _number(f"config.{field}", config.get(field), 1)
    for field in ("parameters", "steps_per_epoch", "samples_per_epoch"):
        _number(field, record.get(field), 1)
    epochs, seconds = record.get("epochs"), timing.get("epoch_s")
    for field, value in (("epochs", epochs), ("timing.epoch_s", seconds)):
        if not isinstance(value, list) or len(value) != config["epochs"]:
            _fail(field, value, f"a list of {config['epochs']} entries")
    for value in seconds:
        _number("timing.epoch_s", value, 1e-9)
    for field in ("compile_s", "trace_s", "lower_s", "started_unix_s"):
        _number(f"timing.{field}", timing.get(field), optional=True)
    _number("timing.steady_epoch_s", timing["steady_epoch_s"], 1e-9,
            optional=True)
    _number("timing.first_epoch_s", timing.get("first_epoch_s"), 1e-9)
    for field in ("import_s", "data_s", "total_s"):
        _number(f"timing.{field}", timing.get(field))
    for entry in epochs:
        if not isinstance(entry, dict):
            _fail("epochs", entry, "a list of objects")
        for field in ("epoch", "start_s", "end_s"):
            _number(f"epochs.{field}", entry.get(field))
        for field in ("train_loss", "val_loss"):
            _number(f"epochs.{field}", entry.get(field))
        for field in ("train_accuracy", "val_accuracy", "test_accuracy"):
            _number(f"epochs.{field}", entry.get(field), 0, 1)
    steps = record["steps_per_epoch"] * config["epochs"]
    for field, high in (("loss", math.inf), ("accuracy", 1)):
        values = record["steps"].get(field)
        if not isinstance(values, list) or len(values) != steps:
            _fail(f"steps.{field}", type(values), f"a list of {steps} numbers")
        for value in values:
            _number(f"steps.{field}", value, 0, high)
    _number("final.test_loss", record["final"].get("test_loss"))
    _number("final.test_accuracy", record["final"].get("test_accuracy"), 0, 1)


def digest(value):
    """12 hex digits that stand for `value` (anything JSON can hold)."""
    text = json.dumps(value, allow_nan=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
