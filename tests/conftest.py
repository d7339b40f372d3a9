import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent.parent),
                str(Path(__file__).resolve().parent)]

from common import copy_project  # noqa: E402

# One compile cache for the whole run, empty at its start: what an earlier run
# compiled must not make a test pass, and headers are precompiled once.
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR",
                      tempfile.mkdtemp(prefix="mlp-tests-"))

# Helpers that assert must do so under `python -O`, too.
pytest.register_assert_rewrite("common", "siege.tools")


@pytest.fixture(scope="session", autouse=True)
def digits():
    """The generated digits, drawn once (some 10 seconds)."""
    root = Path(__file__).resolve().parent.parent
    subprocess.run([sys.executable, "-m", "bench.tools.digits",
                    root / ".cache"], check=True, stdout=subprocess.DEVNULL,
                   cwd=root)


@pytest.fixture
def copied(tmp_path):
    """A copy of the project's programs, to plant something in."""
    return copy_project(tmp_path)


def pytest_collection_modifyitems(items):
    """The longest files first (`--no-loadscope-reorder`): each goes to one worker."""
    items.sort(key=lambda item: item.path.name not in
               ("test_recipe.py", "test_vision.py", "test_parity.py"))


# Marks, the option --siege and the table of faults.
pytest_plugins = ["siege.ledger"]
