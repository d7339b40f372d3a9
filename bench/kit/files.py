"""Files that can be believed: written whole or not at all, read strictly.

A file under its final name is always whole: written beside the target,
flushed to the disk, then renamed. Nothing is believed when it is read back:
size and syntax are checked here, what a record says in bench/run/record.py.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from pathlib import Path

import data
from bench.kit.cli import STORAGE, Fault

ROOT = Path(__file__).resolve().parent.parent.parent
SCHEMA = 2                # of records: the version of their fields
MAX_BYTES = 64 * 2**20    # a record of 60,000 steps is about 3 MiB
TEMPORARY = ".tmp-"


class BadFile(ValueError):
    """A file that cannot be believed; the text names what is wrong in it."""


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
            _remove(path)


@contextlib.contextmanager
def temporary(folder):
    """A name in `folder` that is never read back. What lies there is removed
    at the end."""
    path = Path(folder, f"{TEMPORARY}{os.getpid()}-{uuid.uuid4().hex}")
    try:
        yield path
    finally:
        _remove(path)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)  # refuses a link
    with contextlib.suppress(OSError):
        path.unlink()  # a read-only folder keeps it; harmless


def _alive(pid):
    try:
        os.kill(pid, 0)
        # Killed, but not waited for yet: a zombie owns nothing.
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
        return state.split()[0] not in "ZX"
    except ProcessLookupError:
        return False
    except (OSError, OverflowError, IndexError):  # of others, or no /proc
        return True


def dumps(content):
    """JSON text; NaN and infinity are refused, not written."""
    return json.dumps(content, allow_nan=False, sort_keys=True,
                      separators=(",", ":")) + "\n"


def digest(value):
    """12 hex digits that stand for `value` (anything JSON can hold)."""
    text = json.dumps(value, allow_nan=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


# ----------------------------------------------------------------- reading

def read_bytes(path):
    """Content of `path`, whatever is there. Raises BadFile."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            text = file.read(MAX_BYTES + 1) or b""  # None: a silent pipe
    except OSError as error:
        raise BadFile(f"cannot be read: {error.strerror}") from error
    if len(text) > MAX_BYTES:
        raise BadFile(f"longer than {MAX_BYTES} bytes")
    return text


def parse_json(text):
    """Strict JSON (bytes) -> the object that it holds, a dict. Raises
    BadFile."""
    try:
        content = json.loads(text.decode("utf-8"),
                             object_pairs_hook=_no_duplicates)
        dumps(content)  # refuses NaN, infinity and 1e999, read as infinity
    except (ValueError, RecursionError) as error:
        raise BadFile(f"not valid JSON: {error}"[:200]) from error
    if not isinstance(content, dict):
        raise BadFile(f"{type(content).__name__!r} is not an object")
    return content


def read_json(path):
    """A file beside the records as a dict, empty where there is none that
    can be believed: such a file can be made again."""
    with contextlib.suppress(BadFile):
        return parse_json(read_bytes(path))
    return {}


def _no_duplicates(pairs):
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)
