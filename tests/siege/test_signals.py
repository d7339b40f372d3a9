"""G: signals to the parent, to the group, to the child, at any moment."""

import os
import pty
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from common import ROOT
from siege import runs
from siege.tools import NAMES, needs_mnist, true

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
TWO = ("--batch-sizes", 64, 65)


@pytest.fixture
def env(tmp_path):
    return {**runs.plain(tmp_path / "stubs"), "MLP_TWIG": "65:hang"}


def hanging(out, env, **options):
    """A sweep with one finished run that hangs in its other run -> Popen."""
    process = runs.start(out, *TWO, env=env, **options)
    runs.until(lambda: list(Path(out).glob("runs/*_b64_*.json"))
               and runs.trainers(out))
    time.sleep(0.3)
    return process


def resumes(out, env):
    """The finished run is kept, the other one made: nothing is left over."""
    assert runs.gone(out), runs.processes(out)
    assert runs.torn(out) == []
    done = runs.compare(out, *TWO, env={**env, "MLP_TWIG": ""})
    assert done.returncode == 0, done.stderr
    assert "1 of them done, 1 to run" in done.stdout
    assert set(runs.states(out).values()) == {"ok"}
    assert not list(Path(out).rglob(".tmp-*"))


@pytest.mark.parametrize("signum, code", [
    pytest.param(signum, code, marks=[
        pytest.mark.fault(name), *[pytest.mark.slow] * (name != "G1")],
        id=signum.name)
    for (signum, code), name in zip(SIGNALS.items(), ("G1", "G3", "G4"))])
def test_a_signal_to_the_parent_alone(tmp_path, env, signum, code):
    process = hanging(tmp_path / "out", env)
    process.send_signal(signum)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code and "Traceback" not in said
    assert f"stopped by {signum.name}" in said
    assert "the same command goes on from there: python" in said
    resumes(tmp_path / "out", env)


@pytest.mark.fault("G5")
def test_the_parent_is_killed(tmp_path, env):
    process = hanging(tmp_path / "out", env)
    process.kill()
    process.communicate(timeout=30)
    resumes(tmp_path / "out", env)


@pytest.mark.fault("G6")
@pytest.mark.parametrize("pause", [
    pytest.param(0, marks=pytest.mark.slow), 0.05,
    pytest.param(1, marks=pytest.mark.slow)])
def test_two_signals_quickly(tmp_path, env, pause):
    env["MLP_TWIG"] = "65:deaf"  # a child that would take five seconds
    process = hanging(tmp_path / "out", env)
    process.send_signal(signal.SIGINT)
    time.sleep(pause)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in said
    resumes(tmp_path / "out", env)


def at_terminal(out, env, act):
    """Run the hanging sweep at a terminal of its own, do act(fd, pid) ->
    (exit code as a shell has it, what the terminal showed)."""
    command = [sys.executable, str(ROOT / "compare.py"), *map(
        str, (*runs.BASE, f"--out={out}", *TWO))]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        runs.heed_signals()
        os.execve(command[0], command, {
            **os.environ, **env, "MARK": str(out)})
    shown = b""
    os.set_blocking(terminal, False)

    def read():
        nonlocal shown
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # nothing there, or all writers gone
            pass

    try:
        def hangs():
            read()
            return list(Path(out).glob("runs/*_b64_*.json")) and (
                runs.trainers(out))
        runs.until(hangs)
        time.sleep(0.3)
        act(terminal, pid)
        ended = []

        def over():
            read()
            ended[:] = os.waitpid(pid, os.WNOHANG)
            return ended[0] == pid
        runs.until(over)
        read()
    finally:
        for left in runs.processes(out):
            os.kill(left, signal.SIGKILL)
        if act is not hang_up:
            os.close(terminal)
    code = os.waitstatus_to_exitcode(ended[1])
    return code if code >= 0 else 128 - code, shown.decode()


def hang_up(terminal, pid):
    os.close(terminal)


@pytest.mark.fault("G2")
@pytest.mark.parametrize("times", [
    1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c_at_a_terminal(tmp_path, env, times):
    code, shown = at_terminal(tmp_path / "out", env, lambda terminal, pid:
                              os.write(terminal, b"\x03" * times))
    assert code == 130 and "Traceback" not in shown
    assert shown.count("stopped by SIGINT") <= 1
    resumes(tmp_path / "out", env)


@pytest.mark.fault("G4")
def test_the_terminal_is_closed(tmp_path, env):
    code, shown = at_terminal(tmp_path / "out", env, hang_up)
    assert code == 129 and "Traceback" not in shown
    resumes(tmp_path / "out", env)


@pytest.mark.fault("G11")
@pytest.mark.parametrize("where", [
    "parent", pytest.param("child", marks=pytest.mark.slow)])
def test_stopped_and_continued_the_run_starts_again(tmp_path, env, where):
    """Ctrl-Z ends the run under way, because its timing is void."""
    out = tmp_path / "out"
    process = hanging(out, env)
    first = runs.trainers(out)
    if where == "parent":
        process.send_signal(signal.SIGTSTP)
        runs.until(lambda: runs.processes(out) == {process.pid: "T"})
        time.sleep(0.5)
        process.send_signal(signal.SIGCONT)
    else:
        os.kill(first[0], signal.SIGSTOP)
        runs.until(lambda: runs.processes(out)[first[0]] == "T")
        os.kill(first[0], signal.SIGCONT)
    second = runs.until(lambda: [
        pid for pid in runs.trainers(out) if pid not in first])
    assert first[0] not in runs.processes(out) and len(second) == 1
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    resumes(out, env)


@pytest.mark.slow
@pytest.mark.fault("G11")
def test_a_run_that_was_stopped_and_continued_ends_well(tmp_path):
    env = {**runs.plain(tmp_path / "stubs"), "MLP_TWIG": "64:stopped"}
    out = tmp_path / "out"
    process = runs.start(out, env=env, stdout=subprocess.PIPE)
    pid = runs.until(lambda: [
        pid for pid in runs.trainers(out)
        if runs.processes(out).get(pid) == "T"])[0]
    process.send_signal(signal.SIGTSTP)
    runs.until(lambda: runs.processes(out) == {process.pid: "T"})
    time.sleep(0.2)
    process.send_signal(signal.SIGCONT)
    pid = runs.until(lambda: [
        other for other in runs.trainers(out) if other != pid
        and runs.processes(out).get(other) == "T"])[0]
    os.kill(pid, signal.SIGCONT)  # seen by the parent: starts a third time
    last = runs.until(lambda: [
        other for other in runs.trainers(out) if other != pid])
    assert last and pid not in runs.processes(out)
    process.terminate()
    process.communicate(timeout=30)
    assert runs.gone(out) and runs.records(out) == {}


@needs_mnist
@pytest.mark.parametrize("signum", [
    pytest.param(signal.SIGINT, marks=pytest.mark.fault("G7"), id="SIGINT"),
    pytest.param(signal.SIGTERM, marks=pytest.mark.fault("G8"),
                 id="SIGTERM")])
def test_a_signal_during_a_download(tmp_path, server, signum):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name in NAMES[1:]:
        (folder / name).write_bytes(true(name))
    (folder / NAMES[0]).write_bytes(b"bad")  # kept until a good one comes
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    process = runs.start(None, "--data-dir", tmp_path, "--mirror",
                         f"{server.url}/drip", program=ROOT / "data.py",
                         base=())
    runs.until(lambda: server.requests)
    time.sleep(0.5)
    process.send_signal(signum)
    _, said = process.communicate(timeout=10)
    # A shell says 143 for a process that SIGTERM has ended.
    if signum == signal.SIGINT:
        assert process.returncode == 130
        assert said.splitlines()[-1] == "data.py: error: stopped"
    else:
        assert process.returncode == -signum
    assert before == {path.name: path.read_bytes()
                      for path in folder.iterdir()}


@pytest.mark.fault("G9")
@pytest.mark.parametrize("cases", [
    1, pytest.param(40, marks=pytest.mark.slow)])
def test_a_signal_while_tables_and_figures_are_written(tmp_path, cases):
    """Everything is done; only the tables and figures are made anew."""
    random_ = random.Random(9)
    out = tmp_path / "out"
    assert runs.compare(out).returncode == 0
    before = {path: path.read_bytes() for path in runs.finals(out)
              if path.suffix == ".csv"}
    inside = 0
    for _ in range(cases):
        (out / "results.csv").write_text("old,table\n1,2\n")
        (out / "figures" / ".drawn").unlink(missing_ok=True)
        process = runs.start(out)
        # From the moment at which the first table is new.
        runs.until(lambda: before[out / "results.csv"] == (
            out / "results.csv").read_bytes(), pause=0.001)
        time.sleep(random_.uniform(0, 1.5))
        inside += process.poll() is None
        signum = random_.choice(list(SIGNALS))
        process.send_signal(signum)
        _, said = process.communicate(timeout=30)
        # In its very last moments the signal's own action ends it.
        assert process.returncode in (0, SIGNALS[signum], -signum), said
        assert runs.torn(out) == [] and not list(out.rglob(".tmp-*"))
    assert inside > cases / 2 or cases == 1
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.fault("G10")
@pytest.mark.parametrize("both", [
    False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_reader_goes_away(tmp_path, both):
    """As compare.py | head -1, with and without 2>&1."""
    env = runs.plain(tmp_path / "stubs")
    process = runs.start(
        tmp_path / "out", *TWO, env=env, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if both else subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    said = "" if both else process.stderr.read()
    assert process.wait(60) == 1 and said == ""
    assert runs.gone(tmp_path / "out")
    done = runs.compare(tmp_path / "out", *TWO, env=env)
    assert done.returncode == 0, done.stderr
    assert set(runs.states(tmp_path / "out").values()) == {"ok"}


@pytest.mark.fault("G10")
@pytest.mark.parametrize("shell, code", [
    ("exec >/dev/full", 1), ("exec >&- 2>&- <&-", 0), *(
        pytest.param(text, 0, marks=pytest.mark.slow) for text in (
            "exec >&-", "exec 2>&-", "exec 2>/dev/full"))])
def test_nobody_listens(tmp_path, shell, code):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    done = subprocess.run(
        ["sh", "-c", f'{shell}; exec "$@"', "sh", sys.executable,
         str(ROOT / "compare.py"), *map(str, runs.BASE),
         f"--out={tmp_path / 'out'}"], cwd=ROOT, text=True, timeout=60,
        capture_output=True, env={**os.environ,
                                  **runs.plain(tmp_path / "stubs")})
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    assert len(runs.records(tmp_path / "out")) == (code == 0)


@pytest.mark.fault("G13")
@pytest.mark.parametrize("signum", [
    signal.SIGINT, *(pytest.param(signum, marks=pytest.mark.slow)
                     for signum in (signal.SIGTERM, signal.SIGHUP))])
def test_a_signal_before_the_first_run(tmp_path, env, signum):
    """Before the imports are done, the signal's own action ends it."""
    for step in range(8):
        out = tmp_path / f"out{step}"
        process = runs.start(out, *TWO, env=env)
        time.sleep(0.05 + 0.08 * step)
        process.send_signal(signum)
        said = process.communicate(timeout=30)
        # Python itself ends with 1 while it initialises.
        assert process.returncode in (SIGNALS[signum], -signum) or (
            "Fatal Python error: init" in str(said)), said
        assert not [*out.glob("runs/*"), *out.glob("*.csv"),
                    *out.rglob(".tmp-*")]
        assert runs.gone(out), runs.processes(out)
