"""python -O and python -W error change nothing, in parents and children."""

import json
import os
import subprocess
import sys

import pytest
from common import DIGITS, FOLDER, ROOT
from siege import runs

SWITCHES = {"-O": {"PYTHONOPTIMIZE": "1"}, "-OO": {"PYTHONOPTIMIZE": "2"},
            "-W error": {"PYTHONWARNINGS": "error"}}


def python(switch, *command, env=None):
    return subprocess.run(
        [sys.executable, *switch.split(), *map(str, command)], cwd=ROOT,
        capture_output=True, text=True, timeout=300,
        env={**os.environ, **SWITCHES.get(switch, {}), **(env or {})})


@pytest.mark.fault("E15", "E16")
@pytest.mark.parametrize("switch", [
    "-O", *(pytest.param(switch, marks=pytest.mark.slow)
            for switch in ("-OO", "-W error"))])
def test_a_comparison_is_the_same(tmp_path, switch):
    flags = [*runs.BASE, "--batch-sizes", 64, 65]
    wanted, found = tmp_path / "wanted", tmp_path / "found"
    one = python("", ROOT / "compare.py", *flags, f"--out={wanted}",
                 env=runs.plain(tmp_path / "stubs"))
    two = python(switch, ROOT / "compare.py", *flags, f"--out={found}",
                 env=runs.plain(tmp_path / "stubs") if switch == "-O" else {})
    # Figures and digits, too, but for the quick one.
    assert (one.returncode, two.returncode) == (0, 0), two.stderr
    assert one.stderr == two.stderr == ""
    assert runs.essence(found) == runs.essence(wanted)
    # and what one of them refuses the other refuses
    path = next((found / "runs").glob("*.json"))
    path.write_text(path.read_text().replace('"test_accuracy":0', '"x":0'))
    bad = python(switch, ROOT / "compare.py", *flags, f"--out={found}",
                 env=runs.plain(tmp_path / "stubs"))
    assert bad.returncode == 0 and "set aside" in bad.stderr
    wrong = python(switch, ROOT / "compare.py", "--seeds=-1")
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1


@pytest.mark.fault("E15", "E16")
@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("script", [
    pytest.param("mlp_jax.py", marks=pytest.mark.slow),
    pytest.param("mlp_torch.py", marks=pytest.mark.slow),
    pytest.param("data.py", marks=pytest.mark.slow)])
def test_a_program_is_the_same(tmp_path, script, switch):
    found = []
    for n, flag in enumerate(("", switch)):
        path = tmp_path / f"{n}.json"
        flags = ("--data-dir", FOLDER, "--deadline", 5) if (
            script == "data.py") else (
            *DIGITS, "--examples", 640, "--epochs", 1, "--json", path)
        done = python(flag, ROOT / script, *flags)
        if script == "data.py":  # also where it cannot be fetched
            found.append((done.returncode, done.stdout, done.stderr))
            continue
        assert done.returncode == 0, done.stderr
        assert [line.split()[0] for line in done.stderr.splitlines()] == [
            "epoch", "test"]  # its log, and no warning
        r = json.loads(path.read_text("utf-8"))
        found.append({key: r[key] for key in (
            "steps", "order_sha256", "init_sha256", "dataset", "parameters",
            "config")})
    assert found[0] == found[1]
