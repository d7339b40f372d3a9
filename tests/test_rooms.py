"""The house: which file may import what, and how long it may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from common import ROOT

# What each file outside the lab may import, beside the standard library.
PAIR = {"data.py": {"numpy"}, "mlp_jax.py": {"numpy", "data", "jax", "jaxlib"},
        "mlp_torch.py": {"numpy", "data", "torch"},
        "test_mlp.py": {"numpy", "data", "jax", "torch", "mlp_jax",
                        "mlp_torch", "pytest"}}
LAB = sorted([ROOT / "compare.py", *(ROOT / "bench").rglob("*.py")])


def imported(path):
    """(line, first name of what is imported) of a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(
            node, ast.Import) else [node.module] if isinstance(
            node, ast.ImportFrom) else []
        yield from ((node.lineno, name.partition(".")[0]) for name in names)


@pytest.mark.parametrize("name", PAIR)
def test_the_lesson_imports_nothing_of_the_lab(name):
    found = [f"{name}:{line} imports {top}"
             for line, top in imported(ROOT / name)
             if top not in sys.stdlib_module_names | PAIR[name]]
    assert not found


def test_what_uses_the_lab_imports_the_kit_and_data():
    allowed = sys.stdlib_module_names | {
        "numpy", "data", "jax", "torch", "mlp_jax", "mlp_torch"}
    for path in (*(ROOT / "recipes").glob("*.py"), *(ROOT / "scale").glob("*.py")):
        more = {"scale", "bench"} if path.stem == "measure" else set()
        assert not {top for _, top in imported(path)} - allowed - more, path


def linted(folder):
    """import-linter on a copy of the project -> (is it green?, its words)"""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def test_imports_between_the_rooms_point_one_way():
    green, words = linted(ROOT)
    assert green, words


@pytest.mark.parametrize("where, line, words", [
    ("bench/kit/files.py", "from bench.run import plan", "bench.kit"),
    ("bench/run/sweep.py", "import bench.report.words", "bench.run"),
    ("bench/measure/peak.py", "import bench.proof.audit", "bench.measure"),
    ("bench/analyse/stats.py", "import jax", "jax")])
def test_an_import_against_the_direction_is_found(
        copied, where, line, words):
    path = copied / where
    path.write_text(path.read_text("utf-8") + f"\n{line}\n", "utf-8")
    green, said = linted(copied)
    assert not green and words in said


def test_no_file_is_long_and_no_function():
    long = []
    for path in LAB:
        tree = ast.parse(text := path.read_text("utf-8"))
        if len(text.splitlines()) > 300:
            long.append(f"{path.name}: {len(text.splitlines())} lines")
        long += [f"{path.name}: {node.name}: {lines} lines"
                 for node in ast.walk(tree) if isinstance(
                     node, ast.FunctionDef | ast.AsyncFunctionDef)
                 if (lines := node.end_lineno - node.lineno + 1) > 40]
    assert not long, "\n".join(long)


def test_every_room_says_what_comes_in_and_goes_out():
    for path in (ROOT / "bench").rglob("__init__.py"):
        words = ast.get_docstring(ast.parse(path.read_text("utf-8")))
        assert words and (path.parent.name == "bench" or path.parent.name
                          == "tools" or "In: " in words and "Out: " in words)
