"""A comparison as a file: recipes/*.toml, read with the standard library.

    title = "Does the optimizer decide?"     # printed first; required
    print = ["Accuracy"]                     # sections of summary.md to show
    vary = ["optimizer", "lr"]               # what differs on purpose
    variants = ["jax-sgd:epoch", "jax:epoch"]  # any option of compare.py by
    batch_sizes = [64]                       # its name, - written as _

    [jax-sgd]                                # a contender and what is its own
    script = "../mlp_jax.py"                 # beside the recipe
    adam = "torch-hat:eager"                 # certified against this one's Adam
    optimizer = "sgd"

An option given on the command line replaces the recipe's. An unknown key is
an error, because a misspelt one would otherwise change nothing, quietly.
"""

import tomllib
from pathlib import Path
from typing import NamedTuple

from bench.kit import cli, flags
from bench.kit.cli import USAGE, Fault, clean

MAX_BYTES = 2**20
USUAL = ("Answer", "Speed")                # sections that are printed
FLAGS = ("optimizer", "lr", "dropout")     # of a script
# Keys of its own that are no flags of a script, and their two values.
SWITCHES = {"init": ("shared", "own"), "cache": ("cold", "warm")}
OWN = ("script", "adam", *FLAGS, *SWITCHES)  # keys of a contender's table
# As bench/proof names them; compiler: a script tells its own what not to do.
VARIED = (*FLAGS, *SWITCHES, "compiler")
NOT_HERE = ("help", "recipe", "only", "quick", "contender")


class Recipe(NamedTuple):
    """What a recipe asks for, beside the options that became `argv`."""

    argv: list = []
    title: str = ""
    sections: tuple = USUAL
    vary: tuple = ()
    own: dict = {}      # {contender: {"optimizer": …, "lr": …, "init": …}}
    scripts: dict = {}  # {contender: path}


def parse(text, folder, parser, sections):
    """TOML (bytes) -> Recipe. Raises ValueError naming the key."""
    try:
        content = tomllib.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not valid TOML: {error}") from error
    tables, plain = {}, {}
    for key, value in content.items():
        (tables if isinstance(value, dict) else plain)[key] = value
    title = plain.pop("title", None)
    if not isinstance(title, str):
        raise ValueError("key 'title': a text is required")
    printed = _chosen(plain, "print", sections, USUAL)
    vary = _chosen(plain, "vary", VARIED, ())
    options = {action.dest: action for action in parser._actions
               if action.dest not in NOT_HERE}
    argv = []
    for key, value in plain.items():
        if key not in options:
            raise ValueError(f"unknown key {key!r}; known: title, print, vary,"
                             f" {', '.join(sorted(options))}")
        many = options[key].nargs == "+"
        if isinstance(value, list) != many:
            raise ValueError(f"key {key!r}: "
                             f"{'a list' if many else 'one value'} is wanted")
        argv += [options[key].option_strings[0],
                 *map(_word, value if many else [value])]
    own = {name: _own(name, table) for name, table in tables.items()}
    scripts = {name: str(folder / _word(table["script"]))
               for name, table in tables.items() if "script" in table}
    return Recipe(argv, title, printed, vary, own, scripts)


def _chosen(plain, key, known, default):
    """The list at `key`, taken out of `plain`, each of `known`."""
    values = plain.pop(key, list(default))
    if not isinstance(values, list) or any(v not in known for v in values):
        raise ValueError(f"key {key!r}: {values!r} is not a list of "
                         f"{', '.join(known)}")
    return tuple(values)


def _word(value):
    """One value as it would stand on a command line."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{value!r} is not a number or a text")
    text = str(value)
    if text.startswith("-") or "\0" in text:  # an option; no path, no number
        raise ValueError(f"{text!r} begins with - or holds a zero byte")
    return text


def _own(name, table):
    """A contender's table -> its own settings."""
    for key in table:
        if key not in OWN:
            raise ValueError(f"unknown key {key!r} in [{name}]; known: "
                             f"{', '.join(OWN)}")
    argv = [f"--{key}={_word(table[key])}" for key in FLAGS if key in table]
    parser = cli.Parser(prog="recipe")
    flags.add_settings(parser)
    flags.add_dropout(parser)
    try:
        args = parser.parse_args(argv)
    except Fault as fault:
        raise ValueError(f"[{name}]: {fault}") from fault
    flags.check_settings(args, [])
    # An optimizer of its own brings its usual rate; anything else keeps that of all.
    own = {key: vars(args)[key] for key in FLAGS
           if key in table or key == "lr" and "optimizer" in table}
    for key in SWITCHES.keys() & table.keys():
        if table[key] not in SWITCHES[key]:
            raise ValueError(f"[{name}]: key {key!r}: {table[key]!r} is not "
                             f"{' or '.join(SWITCHES[key])}")
        own[key] = table[key]
    if "adam" in table:  # NAME:RUNG, whose form of Adam it has
        own["adam"] = _word(table["adam"])
    return own


def parsed(parser, argv, sections):
    """parser.parse_args with the options of --recipe before those of the
    command line -> (namespace, Recipe). Fault 2 naming file and key on
    anything that is not as described above. sections: the titles that `print`
    may name."""
    args = parser.parse_args(argv)
    if args.recipe is None:
        return args, Recipe()
    path = args.recipe
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ValueError(f"longer than {MAX_BYTES} bytes")
        found = parse(text, Path(path).resolve().parent, parser, sections)
        # A recipe's lists end where the next option begins.
        return parser.parse_args([*found.argv, *argv]), found
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    # TOML, UTF-8, ours; or an option: the command line alone was right, above.
    except (ValueError, Fault) as error:
        reason = str(error)
    raise Fault(USAGE, f"argument --recipe: {clean(path, 200)!r}: "
                       f"{clean(reason)}")
