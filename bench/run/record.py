"""The record of one run: its fields, its states, what makes it believable.

Records are the only state of a comparison; tables and pictures are rebuilt
from them. FIELDS declares every field; the check and docs/record.md are made
from it.
"""

import hashlib
import math
from statistics import median
from typing import NamedTuple

import data
from bench.kit.files import SCHEMA, BadFile, dumps, parse_json, read_bytes
from bench.kit.rungs import RUNGS

STATES = ("ok", "diverged", "oom", "failed", "killed", "timeout", "no_record",
          "bad_record", "unavailable")
FINAL = ("ok", "diverged")      # the other states are tried again next time
KINDS = {"object": (dict, "an object"), "list": (list, "a list"),
         "text": (str, "a text")}

# Types that say the unit of a number.
UNITS = {"s": "number", "bytes": "whole", "images": "whole"}
# A line a field: its name (a.b is b of the object a, a[] each entry of the
# list a), its type (? it may be null, ?? it may be missing), the range of a
# number, who writes it, what it means.
DECLARED = """
of every run
  schema                   whole    2..2   script version of these fields
  status                   text     -      script how the run ended
  framework                text     -      script jax, torch or another
  config                   object   -      script every flag that decides
  sha256                   text??   -      lab    of all the rest, as JSON
of a run that is not ok
  exit                     object   -      lab    how the process ended
  exit.code                whole?   -      lab    its exit code
  exit.signal              text?    -      lab    the signal that ended it
  exit.tail                list     -      lab    its last lines of output
  exit.tail[]              text     -      lab    a line
of a run that is ok
  environment              object   -      script versions, device, threads
  environment.device_kind  text     -      script cpu or cuda
  environment.device_name  text     -      script its own name
  environment.cpu_model    text     -      lab    the processor
  environment.threads      whole??  1..    script that it says work on the host
  environment.cores        whole    1..    lab    cores of the run
  environment.variables    object?? -      lab    that change results or speed
  environment.modes        object?? -      lab    that change speed, at its end
  environment.priority     text??   -      lab    nice value and class
  environment.commit       text??   -      lab    of this program; + is changed
  dataset                  object   -      script what was learned
  dataset.name             text     -      script as in config
  dataset.sizes            object   -      script images of each part
  dataset.sizes.train      images   1..    script for training
  dataset.sizes.val        images   1..    script for validation
  dataset.sizes.test       images   1..    script for the test
  config.hidden            list     -      script widths of the hidden layers
  config.batch_size        images   1..    script B
  config.epochs            whole    1..    script epochs
  parameters               whole    1..    script trained numbers
  steps_per_epoch          whole    1..    lab    floor(N / B)
  samples_per_epoch        images   1..    lab    images of an epoch
  compilations             list     -      script ahead, then in each epoch
  compilations[]           whole    0..    script programs that were compiled
  timing                   object   -      script seconds
  timing.import_s          s        0..    script importing
  timing.data_s            s        0..    script reading, verifying the data
  timing.to_device_s       s        0..    script data to the device
  timing.compile_s         s?       0..    script all before the first step
  timing.trace_s           s??      0..    script of it: tracing
  timing.lower_s           s??      0..    script of it: lowering
  timing.epoch_s           list     -      script an entry an epoch
  timing.epoch_s[]         s        1e-9.. script batch order to fence
  timing.order_s           list??   -      script an entry an epoch
  timing.order_s[]         s        0..    script making the batch order
  timing.answer_s          list??   -      script of every answer, where one waits
  timing.answer_s[]        s        1e-9.. script from a question to its answer
  timing.read_s            list     -      script an entry an epoch
  timing.read_s[]          s        0..    script reading the losses, after it
  timing.evaluate_s        s        0..    script all evaluations
  timing.total_s           s        0..    lab    of work, without waiting for turns
  timing.first_epoch_s     s        1e-9.. lab    compile_s and the first epoch
  timing.steady_epoch_s    s?       1e-9.. lab    median of the other epochs
  block_started_unix_s     s        0..    lab    when its block was started
  turns                    object   -      lab    by the clock of the parent
  turns.ready_s            s        0..    lab    from its process to its first turn
  turns.position           list     -      lab    of its turns in their rounds
  turns.position[]         whole    0..    lab    0 is the first of a round
  turns.go_to_epoch_s      list     -      lab    from its turn to its fence
  turns.go_to_epoch_s[]    s        0..    lab    an entry an epoch
  turns.epoch_to_done_s    list     -      lab    from its fence to its end
  turns.epoch_to_done_s[]  s        0..    lab    an entry an epoch
  turns.waiting_cpu_s      list     -      lab    before its turn, of a processor
  turns.waiting_cpu_s[]    s?       0..    lab    null: before the first
  turns.cpu_s              list     -      lab    of its threads, in its epoch
  turns.cpu_s[]            s?       0..    lab    null: the kernel does not tell
  turns.busiest_cpu_s      list     -      lab    of the one that worked most
  turns.busiest_cpu_s[]    s?       0..    lab    null: the kernel does not tell
  epochs                   list     -      script an entry an epoch
  epochs[]                 object   -      script an epoch
  epochs[].epoch           whole    0..    script its number, from 1
  epochs[].start_s         s        0..    script begin, since process start
  epochs[].end_s           s        0..    script end, since process start
  epochs[].worked_s        s        0..    lab    end, without waiting for turns
  epochs[].train_loss      number   0..    script mean over its steps
  epochs[].train_accuracy  number?  0..1   script mean over its steps
  epochs[].val_loss        number   0..    script after it
  epochs[].val_accuracy    number   0..1   script after it
  epochs[].test_loss       number   0..    script after it
  epochs[].test_accuracy   number   0..1   script after it
  steps                    object   -      script of every step
  steps.loss               list     -      script empty: the library tells none
  steps.loss[]             number   0..    script of a batch, before its step
  steps.accuracy           list     -      script the same
  steps.accuracy[]         number   0..1   script of a batch, before its step
  final                    object   -      lab    after the last epoch
  final.test_loss          number   0..    lab    on the test set
  final.test_accuracy      number   0..1   lab    on the test set
  memory                   object   -      script peaks; null: not measured
  memory.device_peak_bytes bytes?   0..    script the device's
  memory.host_peak_bytes   bytes?   0..    lab    resident size of the process
"""


class NewerRecord(BadFile):
    """A record of a later version of this program: to be left alone."""


class Field(NamedTuple):
    """low, high: the range of a number; may: "", "be null" or "be missing"."""

    name: str
    type: str
    low: float
    high: float
    unit: str
    writer: str
    meaning: str
    may: str


def declared(text):
    """{which records have them: [Field, …]} of a text like DECLARED."""
    found = {}
    for line in text.strip().splitlines():
        if not line.startswith(" "):
            fields = found[line] = []
            continue
        name, kind, span, writer, meaning = line.split(None, 4)
        low, _, high = span.partition("..")
        unit = kind.rstrip("?")
        fields.append(Field(
            name, UNITS.get(unit, unit), float(low.strip("-") or "-inf"),
            float(high or "inf"), unit if unit in UNITS else "", writer,
            meaning, ("", "be null", "be missing")[kind.count("?")]))
    return found


FIELDS = declared(DECLARED)


# --------------------------------------------------------------- completing

def complete(found, seen):
    """A script's own record and what was seen from outside (see launch.Child
    and turns.play) -> the whole record of a finished run. Raises BadFile.

    A script states what only it knows. Sums and medians of that are made
    here, once for all programs.
    """
    try:
        timing, config = found["timing"], found["config"]
        found["environment"].update(seen["environment"])
        found.update({name: seen[name] for name in (
            "affinity", "turns", "block_started_unix_s")})
        found["cache"] = seen["cache"].get(  # what is made with JAX names it
            "jax" if "jax" in found["environment"] else found["framework"], "cold")
        found["memory"]["host_peak_bytes"] = seen["host_peak_bytes"]
        # One hash for a data set: that of the hashes of its files.
        found["dataset"]["sha256"] = hashlib.sha256("".join(
            found["dataset"]["sha256"]).encode()).hexdigest()
        steps = found["dataset"]["sizes"]["train"] // config["batch_size"]
        found.update(steps_per_epoch=steps,
                     samples_per_epoch=steps * config["batch_size"])
        if found["status"] == "ok":
            last, seconds = found["epochs"][-1], timing["epoch_s"]
            found["final"] = {n: last[n] for n in ("test_loss", "test_accuracy")}
            timing["first_epoch_s"] = (timing["compile_s"] or 0) + seconds[0]
            timing["steady_epoch_s"] = median(seconds[1:]) if seconds[1:] else None
            ends = worked(found["turns"])
            timing["total_s"] = ends.pop()
            for entry, end in zip(found["epochs"], ends):
                entry["worked_s"] = end
        return found
    except (KeyError, TypeError, IndexError, AttributeError, ValueError,
            ArithmeticError) as error:
        raise BadFile(f"incomplete: {error!r}") from error


def worked(turns):
    """Seconds for which a run had the machine, at the end of each epoch and of
    all: who waits for a result would not wait for its neighbours' turns."""
    ends, now = [], turns["ready_s"]
    for trained, rest in zip(turns["go_to_epoch_s"], turns["epoch_to_done_s"]):
        ends.append(now + trained)
        now += trained + rest
    return [*ends, now]


# ----------------------------------------------------------------- checking

def read(path):
    """The record at `path` as a dict. Raises BadFile, whatever is there."""
    return parse(read_bytes(path))


def parse(text):
    """Strict JSON (bytes) -> checked record (dict) as published. Raises BadFile."""
    record = parse_json(text)
    check(record)
    if record.get("sha256") != digest(record):
        raise BadFile("sha256: not that of its content: it was changed by hand")
    return record


def digest(record):
    """SHA-256 (hex) of a record but for that itself. Against accidents and
    casual edits: who means to deceive writes a new one."""
    rest = {name: value for name, value in record.items() if name != "sha256"}
    return hashlib.sha256(dumps(rest).encode()).hexdigest()


def check(record):
    """Raise BadFile unless `record` (a dict) keeps to FIELDS, with one entry
    per epoch and one loss and one accuracy per step."""
    schema, status = record.get("schema"), record.get("status")
    if isinstance(schema, int) and schema > SCHEMA:
        raise NewerRecord(f"schema: {schema} is later than {SCHEMA}")
    if status not in STATES:
        _fail("status", status, "a known state")
    always, broken, finished = FIELDS.values()
    for field in always + (finished if status == "ok" else broken):
        for value in _values(record, field.name):
            _value(field, value)
    if status != "ok":  # a reason and no metrics
        return
    epochs = record["config"]["epochs"]
    steps = record["steps_per_epoch"] * epochs
    own = getattr(RUNGS.get(record["config"].get("rung")), "own", False)
    less = own or record["framework"] not in ("jax", "torch") and not (
        record["steps"]["accuracy"])  # some libraries say none of a step
    for name, count in (
            ("epochs", epochs), ("timing.epoch_s", epochs),
            ("timing.read_s", epochs), ("compilations", epochs + 1),
            *[("timing.answer_s", steps)] * ("answer_s" in record["timing"]),
            *((f"turns.{name}", epochs) for name, value
              in record["turns"].items() if isinstance(value, list)),
            ("steps.loss", 0 if own else steps),
            ("steps.accuracy", 0 if less else steps)):
        values, = _values(record, name)
        if len(values) != count:
            raise BadFile(f"{name}: returned {len(values)} of {count}")
    name = record["dataset"]["name"]
    if name != record["config"].get("dataset") or name not in data.DATASETS:
        _fail("dataset.name", name, "a data set and that of config")


def _values(holder, name):
    """The value, ... where it is missing, of each place that a name stands
    for. What lies above it has been checked."""
    key, _, rest = name.partition(".")
    values = [holder.get(key, ...)]
    if key.endswith("[]"):
        values = holder.get(key[:-2]) or []
    for value in values:
        yield from _values(value, rest) if rest else [value]


def _value(field, value):
    if value is ... and field.may != "be missing":
        _fail(field.name, "nothing", "there")
    if value in (None, ...) and field.may:
        return
    if field.type in KINDS:
        kind, words = KINDS[field.type]
        if not isinstance(value, kind):
            _fail(field.name, value, words)
        return
    # No bool, which is an int, too; NumPy has no integer beyond 64 bits.
    if not (type(value) in (int, float) and field.low <= value <= min(field.high, 1e300)
            and (type(value) is float or value < 2**63)
            and (field.type != "whole" or value == int(value))):
        _fail(field.name, value, f"a {field.type.replace('whole', 'whole number')}"
              f" from {field.low:g} "
              + (f"to {field.high:g}" if field.high < math.inf else "up"))


def _fail(field, value, wanted):
    raise BadFile(f"{field}: {str(value)[:60]!r} is not {wanted}")
