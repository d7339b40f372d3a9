"""G: signals to one script or program, without a comparison around it."""

import json
import random
import signal
import subprocess
import time

import pytest
from common import DIGITS, ROOT
from siege import runs

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.mark.fault("G12")
@pytest.mark.parametrize("script", [
    runs.TWIG, pytest.param(ROOT / "mlp_jax.py", marks=pytest.mark.slow),
    pytest.param(ROOT / "mlp_torch.py", marks=pytest.mark.slow)])
@pytest.mark.parametrize("signum", [
    signal.SIGTERM, *(pytest.param(signum, marks=pytest.mark.slow)
                      for signum in (signal.SIGINT, signal.SIGHUP))])
def test_a_signal_to_a_script_alone(tmp_path, script, signum):
    """At moments from the first line to the last; in the import, too."""
    path = tmp_path / "record.json"
    random_, seen = random.Random(12), set()
    for _ in range(4):
        process = runs.start(
            None, *DIGITS, "--examples", 640, "--epochs", 400,
            "--json", path, program=script, base=(),
            env={"PYTHONPATH": str(ROOT)})
        time.sleep(random_.uniform(0.3, 4 if script != runs.TWIG else 1))
        process.send_signal(signum)
        _, said = process.communicate(timeout=30)
        seen.add(process.returncode)
        assert process.returncode in (SIGNALS[signum], -signum), said
        if signum == signal.SIGINT:  # at the other two the kernel ends it
            assert said.count("stopped") == 1
        assert "Traceback" not in said
        if path.exists():  # it came when all was done
            assert len(json.loads(path.read_text("utf-8"))["epochs"]) == 400
            path.unlink()
        assert list(tmp_path.iterdir()) == []
    assert SIGNALS[signum] in seen or (
        script != runs.TWIG and signum != signal.SIGINT)


@pytest.mark.fault("G12")
@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_during_the_import_of_a_framework(tmp_path, signum):
    (tmp_path / "jax.py").write_text("""
import time
print("importing", flush=True)
time.sleep(60)
""")
    process = runs.start(None, program=ROOT / "mlp_jax.py", base=(),
                         stdout=subprocess.PIPE,
                         env={"PYTHONPATH": str(tmp_path)})
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signum)
    _, said = process.communicate(timeout=5)
    if signum == signal.SIGINT:
        assert process.returncode == 130
        assert said == "mlp_jax.py: error: stopped\n"
    else:
        assert process.returncode == -signum and said == ""


@pytest.mark.fault("G9", "G12")
def test_native_code_that_makes_an_error_of_its_own_of_the_signal(tmp_path):
    """As pybind11 does while it loads a module."""
    program = tmp_path / "program.py"
    program.write_text("""
import time
from bench.kit import cli
def main():
    try:
        print("ready", flush=True)
        time.sleep(60)
    except BaseException as error:
        raise ImportError("initialization failed") from error
cli.guard(main, "program.py")
""")
    process = runs.start(None, program=program, base=(),
                         stdout=subprocess.PIPE,
                         env={"PYTHONPATH": str(ROOT)})
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=5)
    assert process.returncode == 143
    assert said == "program.py: stopped by SIGTERM\n"
