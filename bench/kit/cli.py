"""Exit codes, one-line messages, signals and argument types of every program.

Imported first by everything of the lab that has a `main`.
"""

import argparse
import math
import os
import re
import signal
import sys
import traceback
from functools import partial

from data import Fault

# One code per kind of ending; docs/using.md repeats this table for users.
OK, FAILED, USAGE, DATA, ENVIRONMENT, STORAGE, DIVERGED = range(7)


class Stopped(BaseException):
    """A signal asked the program to stop; not an Exception, so that no
    `except Exception` on the way up can swallow it."""


def clean(text, limit=2000):
    """`text` without control characters: what servers and children say must
    not move the cursor, ring the bell or break a line of the terminal."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", str(text))  # colours
    return "".join(c if c.isprintable() else " " for c in text)[:limit].strip()


def told(lines):
    """Lines of a program without what JAX writes below every traceback."""
    return [line for line in lines if not line.startswith((
        "-" * 20, "For simplicity, JAX has removed its internal frames"))]


def warn(prog, text):
    """One line for people, on stderr. Python writes there with backslashes
    what the terminal cannot encode."""
    tell(f"{prog}: {clean(text)}\n")


def tell(line, stream=None):
    """Write on stderr, or on another stream. Where that cannot be (its disk is
    full, its reader is gone) the rest is dropped: the work and the exit code
    matter more."""
    stream = stream or sys.stderr
    try:
        stream.write(line)
        stream.flush()
    except OSError:  # at the end Python would try again, and exit with 120
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def listen(handler):
    """Have `handler` called at the signals that end a program, but for those
    that are ignored: nohup stays so."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) not in (signal.SIG_IGN, None):
            signal.signal(signum, handler)


_asked = []  # the signals that came


def _stop(signum, frame):
    _asked.append(signum)
    raise Stopped


def guard(main, prog):
    """Call `main()` and end the process with its exit code.

    A Fault becomes one line and its code, a signal 128 + its number, anything
    unforeseen one line and 1. MLP_DEBUG=1 adds the traceback.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed: a file must not take its place
            setattr(sys, name, open(
                os.devnull, "r+", errors="backslashreplace"))
    sys.stdout.reconfigure(errors="backslashreplace")  # as stderr has it
    listen(_stop)
    try:
        code = _outcome(main, prog)
    except Stopped:  # a second Ctrl-C while the last line prints
        code = FAILED
    if _asked:  # also where the program swallowed Stopped
        code = 128 + _asked[0]
    listen(signal.SIG_DFL)  # nothing is left to clean up: the next one kills
    for stream in (sys.stdout, sys.stderr):
        tell("", stream)
    if (code or 0) > 128:  # jax stopped as it compiles crashes at shutdown
        os._exit(code)
    sys.exit(code)


def _outcome(main, prog):
    """Exit code of `main()`; says in one line what was not as it should."""
    try:
        code = main()
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `program | head`: the reader went away
        return FAILED
    except (Stopped, Exception) as error:
        if _asked:  # also where native code made its own error of it
            warn(prog, f"stopped by {signal.Signals(_asked[0]).name}")
            return FAILED
        if os.environ.get("MLP_DEBUG") == "1":
            traceback.print_exc()
        if isinstance(error, Fault):
            warn(prog, f"error: {error}")
            return error.code
        warn(prog, f"error: unexpected {type(error).__name__}: {error}. "
                   "Set MLP_DEBUG=1 for the traceback")
        return FAILED


# --------------------------------------------------------------- arguments

class Help(argparse.ArgumentDefaultsHelpFormatter,
           argparse.RawDescriptionHelpFormatter):
    """Names a default once: not where there is none, or the text says it."""

    def _get_help_string(self, action):
        if action.default in (None, []) or action.default is False or (
                "default" in action.help):
            return action.help
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """argparse with whole option names, defaults in the help, and one line
    in place of the usage text when something is wrong."""

    def __init__(self, **kwargs):
        super().__init__(allow_abbrev=False, formatter_class=Help, **kwargs)

    def parse_args(self, args=None, namespace=None):
        for text in sys.argv[1:] if args is None else args:
            if text.endswith("=--"):  # argparse would take it for no value
                self.error(f"argument {text[:-3]}: '--' is not a value")
        return super().parse_args(args, namespace)

    def error(self, message):
        raise Fault(USAGE, f"{message}. See {self.prog} --help")


def whole(low, high=10**9):
    """Argument type: a whole number in plain digits, low <= n <= high.
    `int()` alone would take '1_000', ' 5 ', '+5' and Arabic-Indic digits."""

    def parse(text):
        if not re.fullmatch(r"[0-9]{1,18}", text) or not (
                low <= int(text) <= high):
            raise argparse.ArgumentTypeError(
                f"{clean(text)!r} is not a whole number from {low} to {high}")
        return int(text)

    return parse


def positive(text, high=math.inf):
    """Argument type: a finite number above zero, `high` at most. `float()`
    alone would take nan, inf, blanks, '1_000' and Arabic-Indic digits."""
    number = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
    value = float(text) if re.fullmatch(number, text) else 0
    if 0 < value < math.inf and value <= high:
        return value
    limit = f", at most {high:g}" if high < math.inf else ""
    raise argparse.ArgumentTypeError(
        f"{clean(text)!r} is not a finite number above 0{limit}")


# A time limit: beyond about 9e9 s Python cannot wait.
seconds = partial(positive, high=1e9)


def path(text):
    """Argument type: a path that a file system can hold. Which of them exist
    and can be written is found out later: that is exit 5, not a typo."""
    names = os.fsencode(text).split(b"/")
    if not text or "\0" in text or max(map(len, names)) > 255 or (
            len(os.fsencode(text)) > 4095):
        raise argparse.ArgumentTypeError(
            f"{clean(text, 80)!r} is no path: it is empty, holds a zero byte "
            "or is longer than 4095 bytes, a name in it than 255")
    return text


def word(text):
    """Argument type: a name or an option of Slurm, without spaces."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.,:=+-]{0,99}", text):
        raise argparse.ArgumentTypeError(
            f"{clean(text, 80)!r} is not a word of letters, digits and _.,:=+-")
    return text


def line(text):
    """Argument type: a text to print, on one line."""
    if not text.strip() or not text.isprintable() or len(text) > 200:
        raise argparse.ArgumentTypeError(
            f"{clean(text, 80)!r} is no text of a line: it is empty, longer than 200 "
            "characters, or has one that is not printed")
    return text


seed = whole(0, 2**32 - 1)  # jax.random.key(2**32) is key(0): refuse it
