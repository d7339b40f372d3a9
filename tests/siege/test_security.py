"""X: files and texts that want to be more than data."""

import json
import os
import pickle
import re

import numpy as np
import pytest
from common import ROOT, call
from siege import runs
from siege.tools import (
    NAMES,
    compare,
    error_of,
    fault,
    fetcher,
    fill,
    hashes,
    needs_mnist,
    peak_kib,
    rows,
)

import data
from bench.kit import files, network, weights
from bench.kit.cli import Fault
from bench.run import record


class Gadget:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@needs_mnist
@pytest.mark.slow
@pytest.mark.fault("X1")
def test_a_pickle_in_the_place_of_any_file_is_never_run(
        server, finished, tmp_path):
    mark, out = tmp_path / "executed", finished
    bad = pickle.dumps(Gadget(mark))
    pickle.loads(bad)
    assert mark.exists()  # the gadget works
    mark.unlink()
    folder = fill(tmp_path / "data")
    for name in NAMES:
        (folder / name).write_bytes(bad)
    error_of(fetcher(tmp_path / "data", f"{server.url}/404"), 3)
    array = np.empty(1, object)
    array[0] = Gadget(mark)
    for path in [path for path in out.rglob("*") if path.is_file()]:
        path.write_bytes(bad)
        if path.suffix == ".npz":
            np.savez(path, w1=array, b1=array)
            with pytest.raises(Fault):
                weights.read_weights(path, network.dense([784, 256, 128, 10]))
    done = compare(out)
    assert done.returncode == 0 and "set aside" in done.stderr, done.stderr
    init = tmp_path / "init.npz"
    np.savez(init, w1=array)
    assert "--init" in error_of(call(
        ROOT / "tests" / "stub.py", "--init", init,
        env={"PYTHONPATH": str(ROOT)}), 2)
    assert not mark.exists()


@pytest.mark.slow
@pytest.mark.fault("X2")
def test_no_shell_sees_a_path_or_a_value(tmp_path):
    evil = "$(touch PWNED);`touch PWNED`|touch PWNED&'\"\\"
    done = compare(evil, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for flags in (("--variants", evil), ("--device", evil), ("--lr", evil),
                  ("--contender", f"a={evil}"), ("--contender", evil)):
        assert compare("x", *flags, cwd=tmp_path).returncode in (2, 4)
    script = tmp_path / f"{evil}.py"
    script.write_text((ROOT / "tests" / "stub.py").read_text())
    done = compare("y", "--contender", f"evil={script}", "--variants",
                   "evil:eager", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path)) == sorted([evil, script.name, "y"])


@pytest.mark.fault("X3")
def test_no_name_leads_out_of_the_folder(tmp_path):
    for flags in (("--variants", "stub:../../x"), ("--variants", "../../x:eager"),
                  ("--variants", "stub:eager:../x"), ("--precision", "../../x"),
                  ("--contender", "../x=/etc/passwd"), ("--split", "../x"),
                  ("--contender", "a/b=x"), ("--dataset", "../../etc"),
                  ("--optimizer", "/etc"), ("--seeds", "../1")):
        done = compare(tmp_path / "out", *flags)
        assert flags[0] in error_of(done, 2, "compare.py")
    done = call(ROOT / "tests" / "stub.py", "--rung", "../../x",
                env={"PYTHONPATH": str(ROOT)})
    assert "--rung" in error_of(done, 2)
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
@pytest.mark.fault("X4")
def test_a_path_in_a_record_is_never_followed(finished, tmp_path):
    out, secret = finished, tmp_path / "secret"
    secret.write_text("canary-4711")
    path = next((out / "runs").iterdir())
    found = json.loads(path.read_text())
    for field in ("log", "path", "file", "out", "init", "json", "script",
                  "framework", "tail"):
        found[field] = "../../secret"
        found["config"].setdefault(field, str(secret))
    runs.seal(path, found)
    done = compare(out)
    assert done.returncode == 0 and "0 to run" in done.stdout
    for path in out.rglob("*"):
        assert path.is_dir() or b"canary-4711" not in path.read_bytes()
    assert secret.read_text() == "canary-4711"


@pytest.mark.fault("X5")
def test_what_a_planted_link_points_to_is_untouched(finished, tmp_path):
    out, victim = finished, tmp_path / "victim"
    names = [path for path in out.rglob("*") if path.is_file()]
    assert len(names) > 10
    victim.write_text("mine")
    for path in names:
        if path.name != ".lock":
            path.unlink()
            path.symlink_to(victim)
    done = compare(out)
    assert done.returncode == 0, done.stderr
    assert victim.read_text() == "mine"
    assert not (out / "results.csv").is_symlink()
    (out / ".lock").unlink()
    (out / ".lock").symlink_to(victim)
    error_of(compare(out), 5, "compare.py")
    assert victim.read_text() == "mine"


@pytest.mark.fault("X5")
def test_no_temporary_name_can_be_guessed_or_followed(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    names = set()

    def spy(path, mode, *more):
        if ".tmp-" in str(path):
            names.add(str(path))
            assert "x" in mode  # fails where something has that name
        return open(path, mode, *more)

    monkeypatch.setattr(data, "open", spy, raising=False)
    for _ in range(20):
        files.write_atomic(tmp_path / "file", "x")
    assert len(names) == 20
    # Were it guessed all the same, the link would not be followed.
    monkeypatch.setattr(data.time, "time_ns", lambda: 0)
    (tmp_path / f".tmp-{os.getpid()}-0").symlink_to(victim)
    with pytest.raises(Fault):
        files.write_atomic(tmp_path / "file", "y")
    assert victim.read_text() == "mine"


# ------------------------------------------------------------- big and deep

DEEP = b"[" * 100_000


@pytest.mark.parametrize("words, text", [
    fault("X9", "not valid JSON", DEEP),
    fault("X9", "not valid", b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    fault("X9", "not valid", b'{"schema": ' + b"9" * 10_000 + b"}"),
    fault("X9", "schema", b'{"schema": ' + b"9" * 4_000 + b"}")])
def test_a_deep_record_is_a_bad_record(words, text):
    with pytest.raises(files.BadFile, match=words):
        record.parse(text)


@pytest.mark.fault("X9")
def test_a_huge_record_is_not_read(tmp_path):
    path = tmp_path / "huge.json"
    with open(path, "wb") as file:
        file.truncate(2**30)
    code = ("import sys; from bench.run import record\n"
            "try: record.read(sys.argv[1])\n"
            "except record.BadFile: sys.exit(7)")
    exit_code, peak = peak_kib(code, path)
    assert exit_code == 7 and peak < 300 * 1024


@pytest.mark.slow
@pytest.mark.fault("X9")
def test_a_comparison_sets_a_deep_record_aside(finished):
    path = next((finished / "runs").iterdir())
    path.write_bytes(DEEP)
    done = compare(finished)
    assert done.returncode == 0 and "set aside" in done.stderr
    assert rows(finished)[0]["status"] == "ok"


# ------------------------------------------------------------ text and words

@pytest.mark.fault("X10")
def test_a_server_cannot_write_on_the_terminal(server, tmp_path):
    for mode in ("html", "page", "garbage"):
        done = fetcher(tmp_path, f"{server.url}/{mode}", deadline=2)
        assert done.returncode == 3
        assert not set(map(chr, range(32))) & set(done.stderr) - {"\n"}
        assert "\x9b" not in done.stderr


@pytest.mark.parametrize("first", [
    fault("X11", c, slow=c in "@-") for c in "=+-@"])
def test_what_a_run_says_is_text_wherever_it_is_shown(tmp_path, first):
    script = tmp_path / "shout.py"
    formula = f'{first}1+cmd|/C calc!A0,"x\ty"'
    # It makes weights, so that the runs are tried, and then only shouts.
    script.write_text(
        (ROOT / "tests" / "stub.py").read_text().replace(
            "    misbehave(args)\n", "    sys.stderr.write('\\x1b]0;owned\\x07"
            f"\\x9b2J\\r\\b\\0\\n')\n    print({formula!r})\n"
            "    sys.stdout.flush()\n    os._exit(1)\n"))
    done = compare(tmp_path / "out", "--contender", f"shout={script}",
                   "--variants", "shout:eager")
    assert done.returncode == 1
    control = {chr(n) for n in (*range(32), *range(127, 160))} - {"\n"}
    assert not control & set(done.stdout + done.stderr)
    for path in (tmp_path / "out").rglob("*.*"):
        if path.suffix in (".csv", ".md", ".json"):
            assert not control & set(path.read_text("utf-8")), path.name
    reason = rows(tmp_path / "out")[0]["reason"]
    assert reason.startswith('"') and "1+cmd" in json.loads(reason)
    for path in (tmp_path / "out").glob("*.csv"):
        for line in path.read_text("utf-8").splitlines():
            assert not re.search(r'(^|,)"?[=+@]|(^|,)"?-[^0-9]', line)


@pytest.mark.slow
@pytest.mark.fault("X12")
def test_no_secret_and_no_name_stands_in_the_results(tmp_path):
    secrets = {"https_proxy": "http://me:canary-1@127.0.0.1:9",
               "AWS_SECRET_ACCESS_KEY": "canary-2", "HF_TOKEN": "canary-3",
               "USER": "canary-4", "LOGNAME": "canary-5",
               "HOSTNAME": "canary-6", "HOME": str(tmp_path / "canary-7"),
               "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "canary-8")}
    out = tmp_path / "out"
    flags = ("--batch-sizes", "64", "50")
    done = compare(out, *flags, env={**secrets, "MLP_STUB": "50:crash"})
    assert done.returncode == 1
    host = os.uname().nodename
    for path in out.rglob("*"):
        if path.is_file() and path.suffix in (
                ".json", ".csv", ".md", ".svg", ".html", ".tex"):
            text = path.read_text("utf-8")
            assert "canary" not in text, path
            assert len(host) < 4 or host not in text, path


@needs_mnist
@pytest.mark.fault("X13")
def test_importing_does_nothing_else(tmp_path):
    """No network, no file written, no thread, no process, no signal."""
    modules = ["data", "compare", *(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "bench").rglob("*.py"))
        if path.stem not in ("__init__", "child", "book")  # book: Pygments
        # matplotlib makes its cache
        and (path.parent.name != "figures" or path.stem == "registry"))]
    code = ("import sys, json, threading\n"
            "import numpy, concurrent.futures\n"
            "bad = []\n"
            "def look(event, found):\n"
            "    if event.startswith(('socket.', 'subprocess.', 'os.system',\n"
            "            'os.fork', 'os.mkdir', 'os.rename', 'os.remove',\n"
            "            '_thread.start', 'os.posix_spawn')):\n"
            "        bad.append(event)\n"
            "    if event == 'open' and isinstance(found[2], int) and (\n"
            "            found[2] & 3):\n"
            "        bad.append(str(found[:1]))\n"
            "sys.addaudithook(look)\n"
            "for name in sys.argv[1:]: __import__(name)\n"
            "bad += [n for n in ('jax', 'torch') if n in sys.modules]\n"
            "print(json.dumps(bad + [threading.active_count()]))")
    before = hashes(ROOT / "bench")
    done = call("-B", "-c", code, *modules)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1] and done.stderr == ""
    assert hashes(ROOT / "bench") == before


@pytest.mark.fault("X14")
def test_the_programs_need_five_packages_and_no_others():
    named, wanted = set(), ("requirements-test.txt", "requirements-cluster.txt")
    for path in ROOT.glob("requirements*.txt"):
        if path.name not in wanted:  # by those who test, or have a cluster
            named |= {re.split(r"[\[=<>~! ]", line)[0] for line in
                      path.read_text().splitlines()
                      if line.strip() and not line.startswith(("#", "--"))}
    assert named == {"jax", "jaxlib", "torch", "numpy", "matplotlib"}


@needs_mnist
@pytest.mark.fault("X6", "X7")
def test_no_variable_or_option_switches_verification_off(tmp_path):
    """A damaged file stays refused whatever one might try to set."""
    folder = fill(tmp_path)
    (folder / NAMES[3]).write_bytes(b"\x1f\x8b damaged")
    words = ("MLP_NO_VERIFY", "MLP_SKIP_VERIFY", "MLP_TRUST", "NO_VERIFY",
             "PYTHONHTTPSVERIFY", "MLP_DEBUG", "CURL_INSECURE")
    done = fetcher(tmp_path, "http://127.0.0.1:9", deadline=1, env={
        **{word: "0" if word == "PYTHONHTTPSVERIFY" else "1"
           for word in words}, "MLP_DEBUG": ""})
    error_of(done, 3)
    for option in ("--no-verify", "--insecure", "--skip-verify", "--trust",
                   "--no-check-certificate", "--offline", "--force"):
        done = call(ROOT / "data.py", "--data-dir", tmp_path, option)
        assert option in error_of(done, 2)
