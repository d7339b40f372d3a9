"""Everything that a run writes lies where it may: traced by strace."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from common import FOLDER, HAS_MNIST, ROOT, STUB
from siege.tools import NAMES, TINY, fill

CALLS = ("openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,"
         "unlinkat,rmdir,link,linkat,symlink,symlinkat,truncate,chmod,"
         "fchmodat,chown,fchownat,mknod,mknodat,connect")
PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')


def written(traces, cwd):
    """Paths that the traced processes made, changed or removed, and the
    addresses that they called."""
    paths, calls = set(), set()
    for trace in traces:
        for line in trace.read_text("utf-8", "replace").splitlines():
            name, _, rest = line.partition("(")
            if name == "connect":
                calls |= {rest} if "AF_INET" in rest else set()
            elif " = -1 " in line or " = ? " in line:
                continue
            elif name in ("open", "openat", "creat"):
                if name == "creat" or re.search(
                        r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", rest):
                    found = re.search(r" = \d+<(.*)>", line)
                    if not found:  # the line of a thread that was killed
                        raise AssertionError(line)
                    paths.add(found[1].removesuffix(" (deleted)"))
            else:
                for folder, path in PATH.findall(rest):
                    path = path.encode().decode("unicode_escape")
                    paths.add(os.path.normpath(os.path.join(
                        folder or cwd, path)))
    return {path for path in paths
            if not path.startswith(("/dev/", "/proc/", "pipe:", "socket:"))
            # Python's own cache of compiled modules
            and "__pycache__" not in path}, calls


def trace(tmp_path, *command, **env):
    """Run a program of the project in an empty home -> what it wrote."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    for folder in ("home", "cwd", "traces", "tmp"):
        (tmp_path / folder).mkdir()
    surroundings = {name: value for name, value in os.environ.items()
                    if name != "TORCHINDUCTOR_CACHE_DIR"
                    and not name.startswith(("XDG_", "MPL"))}
    done = subprocess.run(
        ["strace", "-ff", "-qq", "-y", "-s", "4096", "-e", "trace=" + CALLS,
         "-e", "signal=none", "-o", tmp_path / "traces" / "t", sys.executable,
         *map(str, command)], cwd=tmp_path / "cwd", capture_output=True,
        text=True, timeout=900, env={
            **surroundings, "HOME": str(tmp_path / "home"),
            "TMPDIR": str(tmp_path / "tmp"), **env})
    traces = list((tmp_path / "traces").iterdir())
    if "ptrace" in done.stderr or not traces:
        pytest.skip(f"strace does not work here: {done.stderr[:200]}")
    assert done.returncode == 0, done.stderr
    return written(traces, tmp_path / "cwd")


def outside(paths, *allowed):
    return sorted(path for path in paths if not any(
        Path(path).is_relative_to(folder) for folder in allowed))


CACHES = (".cache", ".config", ".triton", ".nv")


@pytest.mark.slow
@pytest.mark.parametrize("variants", [
    ["stub:eager"], ["jax:step", "jax:epoch", "torch:eager", "torch:step"]])
def test_a_comparison_writes_in_its_folder_and_in_caches(tmp_path, variants):
    out = tmp_path / "out"
    paths, calls = trace(tmp_path, ROOT / "compare.py", *TINY, "--variants",
                         *variants, "--out", out)
    assert {f"{out}/results.csv", f"{out}/figures/seconds.png",
            f"{out}/.lock"} <= paths  # the trace sees what is written
    home = [tmp_path / "home" / name for name in CACHES]
    generated = [] if HAS_MNIST else [ROOT / ".cache" / "digits"]
    assert outside(paths, out, *home, *generated) == []
    assert calls == set()  # all data were at hand: nobody was asked
    assert os.listdir(tmp_path / "cwd") == os.listdir(tmp_path / "tmp") == []


@pytest.mark.parametrize("script", [
    pytest.param("mlp_jax.py", marks=pytest.mark.slow),
    pytest.param("mlp_torch.py", marks=pytest.mark.slow)])
def test_a_script_writes_its_record_and_nothing_else(tmp_path, script):
    (tmp_path / "out").mkdir()
    paths, calls = trace(
        tmp_path, ROOT / script, "--data-dir", FOLDER, "--dataset",
        "mnist" if HAS_MNIST else "digits", "--examples", "256", "--epochs", "1",
        "--json", tmp_path / "out" / "r.json", "--save",
        tmp_path / "out" / "w.npz")
    assert f"{tmp_path}/out/r.json" in paths
    # PyTorch's own cache lies in TMPDIR; a comparison gives it one in --out.
    caches = [*(tmp_path / "home" / name for name in CACHES),
              *[tmp_path / "tmp"] * (script == "mlp_torch.py"),
              *[ROOT / ".cache" / "digits"] * (not HAS_MNIST)]
    assert outside(paths, tmp_path / "out", *caches) == []
    assert calls == set()


@pytest.mark.skipif(not HAS_MNIST, reason="needs the true files")
def test_a_fetch_writes_in_the_data_folder_only(tmp_path, server):
    fill(tmp_path / "data", *NAMES[1:])
    paths, calls = trace(
        tmp_path, ROOT / "data.py", "--data-dir", tmp_path / "data",
        "--mirror", f"{server.url}/good")
    assert f"{tmp_path}/data/mnist/{NAMES[0]}" in paths
    assert outside(paths, tmp_path / "data") == []
    assert calls and all("127.0.0.1" in call for call in calls)


@pytest.mark.slow
def test_the_trace_sees_a_run_that_writes_elsewhere(tmp_path):
    script = tmp_path / "astray.py"
    script.write_text(STUB.read_text().replace(
        "    misbehave(args)\n", "    open('astray', 'w').close()\n"
        f"    os.mkdir({str(tmp_path / 'made')!r})\n"))
    paths, _ = trace(tmp_path, ROOT / "compare.py", *TINY, "--contender",
                     f"astray={script}", "--variants", "astray:eager", "--out",
                     tmp_path / "out")
    strays = outside(paths, tmp_path / "out", tmp_path / "home")
    assert strays == [f"{tmp_path}/cwd/astray", f"{tmp_path}/made"]
