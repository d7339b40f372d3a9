"""What holds the two scripts together, read from their text and syntax trees:
one outline, one length, the same settings, the same training code, and few
functions that the lab may call.
"""

import argparse
import ast
import difflib
import inspect
import io
import re
import sys
import tokenize
from functools import cache

import pytest
from common import ROOT

PAIR = ("mlp_jax.py", "mlp_torch.py")
FILES = (*PAIR, "data.py", "test_mlp.py")

# Lines a file may have, all of them counted.
MOST = {"mlp_jax.py": 576, "mlp_torch.py": 636, "data.py": 300}
# Lines of code a function may have, and those that are lists more than code.
BODY, LISTS = 25, {"parse_flags", "new_record", "log_epoch"}
# Functions without a docstring. Nested ones are named by their place.
SILENT = {"mlp_jax.py": {"body"}, "mlp_torch.py": {"__init__"},
          "data.py": {"__init__", "ask", "main"}}
# Comments and docstrings, of the lines that are not blank.
SHARE = (0.25, 0.45)

IMPORTS = {"mlp_jax.py": {"numpy", "jax", "jaxlib", "data"},
           "mlp_torch.py": {"numpy", "torch", "data"}, "data.py": {"numpy"},
           "test_mlp.py": {"numpy", "jax", "torch", "data", "mlp_jax",
                           "mlp_torch"}}

# What others may call, with the names of its arguments.
LISTED = {
    "parse_flags": "argv", "setup": "args", "init_params": "seed sizes",
    "init_state": "weights args", "loss_fn": "logits y",
    "accuracy": "logits y", "batches": "args images labels order",
    "build": "args state images labels order lrs timing",
    "train_epoch": "program args state images labels order lrs",
    "evaluate": "state x y", "fence": "values", "to_host": "values",
    "load_weights": "args sets record", "main": "argv"}
# And what else of a lesson module the lab and the recipes may read.
OPEN = {*LISTED, "forward", "MLP", "UPDATES", "RUNGS", "RUNG", "jax", "torch",
        "objective", "train", "__file__", "__name__", "__dict__"}

# Lines of sections 2 and 9 that may differ: JAX's, PyTorch's.
ALLOWED = (
    # the rungs of each
    ('RUNGS, RUNG = ("eager", "step", "epoch"), "step"  # see section 7',
     'RUNGS, RUNG = ("eager", "model", "step"), "eager"  # see section 7'),
    # the fence
    ('    """Wait until these are computed"""\n'
     "    jax.block_until_ready(values)",
     '    """Wait until the device has done what it was asked for"""\n'
     "    if torch.cuda.is_initialized():\n"
     "        torch.cuda.synchronize()"),
    # moving from the device
    ('    """Arrays on the device, of one shape -> one NumPy array"""\n'
     "    return np.asarray(jax.device_get(values))",
     '    """Tensors of one shape, in a list or stacked -> one NumPy array"""\n'
     "    values = values if torch.is_tensor(values) else "
     "torch.stack(list(values))\n"
     "    return values.cpu().numpy()"),
    # the name of the framework
    ('    return {"schema": 2, "status": "ok", "framework": "jax",',
     '    return {"schema": 2, "status": "ok", "framework": "torch",'),
    # moving to the device
    ("                      jax.device_put(arrays))",
     "                      [torch.from_numpy(a).to(args.device) "
     "for a in arrays])"),
    # drawing the weights
    ("    weights = jax.device_get(init_params(args.seed, sizes))",
     "    weights = pairs(init_params(args.seed, sizes).parameters())"),
    # peak memory
    ("    peak = (jax.devices()[0].memory_stats() or {})"
     '.get("peak_bytes_in_use")',
     "    peak = (torch.cuda.max_memory_allocated() "
     "if torch.cuda.is_initialized()\n"
     "            else None)"),
    # the final weights
    ("    save_weights(args, jax.device_get(state[0]))",
     "    save_weights(args, pairs(state[1].values()))"))


@cache
def text(name):
    return (ROOT / name).read_text("utf-8")


@cache
def tree(name):
    return ast.parse(text(name))


def functions(name):
    return [node for node in ast.walk(tree(name))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


@cache
def code_lines(name):
    """Numbers of the lines that hold code; docstrings and comments do not."""
    skip = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT,
            tokenize.DEDENT, tokenize.ENDMARKER)
    lines = {n for token in tokenize.generate_tokens(
        io.StringIO(text(name)).readline) if token.type not in skip
        for n in range(token.start[0], token.end[0] + 1)}
    for node in [tree(name), *ast.walk(tree(name))]:
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)
                      ) and ast.get_docstring(node) is not None:
            first = node.body[0]
            lines -= set(range(first.lineno, first.end_lineno + 1))
    return lines


# --------------------------------------------------------- each file alone

@pytest.mark.parametrize("name", FILES)
def test_a_file_imports_only_what_it_may(name):
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: relative import"
            found = [node.module]
        elif isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "__import__", "importlib.import_module", "exec", "eval"):
            pytest.fail(f"{name}:{node.lineno}: {ast.unparse(node)}")
        else:
            continue
        for module in found:
            top = module.partition(".")[0]
            assert top in sys.stdlib_module_names or top in IMPORTS[name], (
                f"{name}:{node.lineno} imports {module}")


@pytest.mark.parametrize("name", FILES)
def test_a_file_does_not_speak_of_the_lab(name):
    found = [line for line in text(name).splitlines()
             if "bench" in line.lower()]
    assert len(found) <= (name == "data.py"), found


@pytest.mark.parametrize("name", FILES)
def test_no_line_is_too_wide_or_untidy(name):
    for n, line in enumerate(text(name).split("\n"), 1):
        assert len(line) <= 79, f"{name}:{n} has {len(line)} columns"
        assert line == line.rstrip() and "\t" not in line, f"{name}:{n}"
    assert text(name).isascii() or name == "data.py", name


@pytest.mark.parametrize("name", MOST)
def test_a_file_is_short(name):
    lines = len(text(name).splitlines())
    assert lines <= MOST[name], f"{name} has {lines} lines"


@pytest.mark.parametrize("name", MOST)
def test_a_function_is_short_and_says_what_it_does(name):
    for node in functions(name):
        size = len(code_lines(name) & set(
            range(node.lineno, node.end_lineno + 1)))
        assert size <= BODY or node.name in LISTS, (
            f"{name}:{node.lineno}: {node.name} has {size} lines of code")
        assert ast.get_docstring(node) or node.name in SILENT[name], (
            f"{name}:{node.lineno}: {node.name} has no docstring")


@pytest.mark.parametrize("name", MOST)
def test_at_most_one_function_is_nested(name):
    nested = [inner.name for outer in functions(name)
              for inner in ast.walk(outer) if inner is not outer
              and isinstance(inner, ast.FunctionDef)]
    assert len(nested) <= 1, nested
    assert name != "mlp_jax.py" or nested == ["body"]


@pytest.mark.parametrize("name", PAIR)
def test_the_share_of_comments(name):
    filled = sum(bool(line.strip()) for line in text(name).splitlines())
    share = 1 - len(code_lines(name)) / filled
    assert SHARE[0] <= share <= SHARE[1], f"{name}: {share:.0%}"


# ------------------------------------------------------------- the outline

def rulers(name):
    """[(number of the line, title)] of the nine sections."""
    return [(n, found[1]) for n, line in enumerate(
        text(name).splitlines()) if (found := re.match(
            r" *# -+ (\d\. [A-Z].*)$", line))]


def test_the_pair_keeps_one_outline():
    first, second = ([title for _, title in rulers(name)] for name in PAIR)
    assert first == second
    assert [title[:3] for title in first] == [f"{n}. " for n in range(1, 10)]


def section(name, number):
    """Lines of a section, its ruler left out."""
    lines, found = text(name).splitlines(), rulers(name)
    start = next(n for n, title in found if title.startswith(f"{number}."))
    ends = [n for n, _ in found if n > start]
    return lines[start + 1:min(ends, default=len(lines))]


def differences(first, second):
    """Where two lists of lines differ: [(lines, lines)], each as one text."""
    matcher = difflib.SequenceMatcher(None, first, second, autojunk=False)
    return [("\n".join(first[a:b]), "\n".join(second[c:d]))
            for what, a, b, c, d in matcher.get_opcodes() if what != "equal"]


def test_settings_and_training_are_the_same_text():
    found = [pair for number in (2, 9) for pair in differences(
        *(section(name, number) for name in PAIR))]
    wrong = [pair for pair in found if pair not in ALLOWED]
    assert not wrong, "not the same in both scripts:\n" + "\n\n".join(
        f"mlp_jax.py:\n{first}\nmlp_torch.py:\n{second}"
        for first, second in wrong)
    unused = [pair[0] for pair in ALLOWED if pair not in found]
    assert not unused, "differences that are no more:\n" + "\n".join(unused)


def test_a_difference_is_seen():
    lines = section("mlp_jax.py", 9)
    changed = [*lines[:5], "    # one line more", *lines[5:]]
    assert differences(lines, changed) == [("", "    # one line more")]


def test_the_pair_shares_its_vocabulary():
    first, second = ({node.name for node in functions(name)}
                     for name in PAIR)
    assert first - second <= {"init_layer", "scan_epoch", "body"}
    assert second - first <= {"find_compiler", "pairs", "__init__",
                              "make_optimizer", "pure_step"}


# ------------------------------------------------ what others may lean upon

@pytest.fixture(scope="module")
def modules():
    import mlp_jax
    import mlp_torch
    return mlp_jax, mlp_torch


def arguments(function):
    return list(inspect.signature(function).parameters)


def test_the_listed_functions_take_the_same_arguments(modules):
    for module in modules:
        for name, wanted in LISTED.items():
            got = arguments(getattr(module, name))
            assert got == wanted.split(), (module.__name__, name, got)
    assert arguments(modules[0].forward) == ["params", "x"]
    assert arguments(modules[1].MLP.forward) == ["self", "x"]


def uses(source):
    """[(line, attribute)] of the lesson's modules that a text reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        lesson = None
        if isinstance(node, ast.Attribute):
            lesson, name = node.value, node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "getattr", "hasattr", "setattr") and isinstance(
                node.args[1], ast.Constant):
            lesson, name = node.args[0], node.args[1].value
        elif isinstance(node, ast.ImportFrom) and node.module in (
                "mlp_jax", "mlp_torch"):
            found += [(node.lineno, alias.name) for alias in node.names
                      if alias.name != "*"]
        if isinstance(lesson, ast.Name) and lesson.id in (
                "module", "mlp_jax", "mlp_torch"):
            found.append((node.lineno, name))
    return found


def test_uses_are_seen():
    found = uses("module.a.b(mlp_jax.c)\nmlp_torch.d = other.e\n"
                 "getattr(module, 'f')\nfrom mlp_jax import g\n"
                 "from mlp_torch import *\nhasattr(other, 'h')\n")
    assert sorted(found) == [(1, "a"), (1, "c"), (2, "d"), (3, "f"), (4, "g")]


def test_the_lab_calls_nothing_else():
    found = [f"{path.relative_to(ROOT)}:{line}: {name}"
             for folder in ("bench", "recipes")
             for path in sorted((ROOT / folder).rglob("*.py"))
             for line, name in uses(path.read_text("utf-8"))
             if name not in OPEN]
    assert not found, "not on the list of test_lesson.py:\n" + "\n".join(found)


# -------------------------------------------------------------- the flags

class Seen(Exception):
    """Carries a parser out of the function that has made it."""


@pytest.fixture
def actions(monkeypatch):
    """A function: one that parses -> {flag: its action, but for --help}."""
    def show(parser, *_, **__):
        raise Seen(parser)

    def find(parse):
        with pytest.raises(Seen) as seen:
            parse([])
        return {action.dest: action for action in seen.value.args[0]._actions
                if action.dest != "help"}

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", show)
    return find


def test_both_scripts_read_the_same_flags(modules, actions):
    first, second = (actions(module.parse_flags) for module in modules)
    assert list(first) == list(second) and len(first) == 19
    for name, ours in first.items():
        theirs = second[name]
        assert ours.option_strings == theirs.option_strings
        assert ours.option_strings == ["--" + name.replace("_", "-")]
        assert (ours.nargs, ours.help) == (theirs.nargs, theirs.help), name
        if name != "rung":
            assert ours.default == theirs.default, name
            assert list(ours.choices or []) == list(theirs.choices or [])
    for module, action in zip(modules, (first["rung"], second["rung"])):
        assert (action.choices, action.default) == (module.RUNGS, module.RUNG)


def test_the_kit_reads_the_flags_of_the_lesson(modules, monkeypatch, actions):
    from bench.kit import cli, flags
    monkeypatch.setattr(cli.Parser, "parse_args",
                        argparse.ArgumentParser.parse_args)  # see `actions`
    for module in modules:
        ours = actions(module.parse_flags)
        theirs = actions(lambda argv, module=module: flags.parse(
            module.__file__, module.RUNGS, module.RUNG, argv))
        assert set(ours) <= set(theirs), set(ours) - set(theirs)
        for name, action in ours.items():
            kit = theirs[name]
            assert kit.option_strings == action.option_strings
            assert (kit.default, kit.nargs) == (action.default, action.nargs)
            assert set(kit.choices or []) == set(action.choices or []), name
