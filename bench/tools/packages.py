"""What an installation of each peer brings, and how long its file is.

    .venv-peers/bin/python -m bench.tools.packages

Of the packages that are installed here, by what they say that they require.
"""

import ast
import importlib.metadata

from packaging.requirements import Requirement

from bench.kit.files import ROOT
from bench.report.render import as_terminal
from bench.report.table import Table

# {program: the packages that somebody who uses it asks for}
ASKED = {
    "mlp_jax.py": ["jax"], "mlp_torch.py": ["torch", "numpy"],
    "peers/mlp_numpy.py": ["numpy"], "peers/mlp_sklearn.py": ["scikit-learn"],
    "peers/mlp_flax.py": ["flax", "optax"],
    "peers/mlp_equinox.py": ["equinox", "optax"],
    "peers/mlp_lightning.py": ["lightning"],
    "peers/keras_tensorflow.py": ["keras", "tensorflow-cpu"],
    "peers/keras_jax.py": ["keras", "jax"],
    "peers/keras_torch.py": ["keras", "torch"]}


def brought(names):
    """Names of packages -> those and all that they require, and so on."""
    found, todo = {}, list(names)
    while todo:
        distribution = importlib.metadata.distribution(todo.pop())
        name = distribution.metadata["Name"].lower()
        if name in found:
            continue
        found[name] = distribution
        for text in distribution.requires or ():
            required = Requirement(text)
            if not required.marker or required.marker.evaluate({"extra": ""}):
                todo.append(required.name)
    return found


def megabytes(distribution):
    return sum(file.locate().stat().st_size for file in distribution.files or ()
               if file.locate().is_file()) / 1e6


def code_lines(path):
    """Lines of a program without blank ones, comments and docstrings."""
    text = path.read_text("utf-8")
    tree, lines = ast.parse(text), text.splitlines()
    prose = {number for node in ast.walk(tree) if isinstance(node, ast.Expr)
             and isinstance(node.value, ast.Constant)
             and isinstance(node.value.value, str)
             for number in range(node.lineno, node.end_lineno + 1)}
    return sum(bool(line.strip()) and not line.lstrip().startswith("#")
               and number not in prose for number, line in enumerate(lines, 1))


def main():
    rows = []
    for script, names in ASKED.items():
        packages = brought(names)
        lines = code_lines(ROOT / script)
        if script.startswith("peers/keras"):
            lines += code_lines(ROOT / "peers" / "mlp_keras.py")
        rows.append((script, ", ".join(names), len(packages),
                     sum(map(megabytes, packages.values())), lines))
    print(as_terminal([Table(
        ["program", "asked for", "packages", "MB", "lines of code"], rows,
        {"MB": "{:.0f}".format})]))


if __name__ == "__main__":
    main()
