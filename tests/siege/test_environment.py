"""E: frameworks that are missing or broken, and odd surroundings."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from common import DATASET, FOLDER, ROOT, STUB, call, train
from siege.tools import TINY, compare, error_of, fault, fetcher, rows, stubs

from bench.run import launch, record

PAIR = {"jax": "mlp_jax.py", "torch": "mlp_torch.py"}
COUNT = "import os; open(os.environ['COUNT'], 'a').write('x')\n"
BROKEN = {  # how an import ends: (text of the module, words of the reason)
    "missing": ("raise ModuleNotFoundError('planted')", "planted"),
    "library": ("raise OSError('libcudart.so.12: cannot open shared object')",
                "libcudart.so.12"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    "abort": ("import os; os.abort()", "SIGABRT"),
    "leaves": ("import os; os._exit(0)", "exit 0"),
    "exits": ("raise SystemExit(0)", "SystemExit"),
    "hangs": ("import time; time.sleep(600)", "no answer in time"),
    "wild": ("raise RuntimeError('\\x1b]0;x\\x07=1+1\\n' * 9)", "=1+1")}


@pytest.mark.parametrize("kind, package", [
    fault("E1", "missing", "jax"), fault("E2", "missing", "torch"),
    fault("E4", "library", "jax"), fault("E4", "library", "torch"),
    fault("E6", "exits", "jax")])
def test_a_script_without_its_framework_ends_with_one_line(
        tmp_path, kind, package):
    text, words = BROKEN[kind]
    done = call(ROOT / PAIR[package], env=stubs(tmp_path, **{package: text}))
    line = error_of(done, 4, PAIR[package])
    assert words in line and f"-m pip install {package}" in line
    assert len(done.stderr.splitlines()) == 1 and done.stdout == ""


@pytest.mark.parametrize("kind, package", [
    fault("E1", "missing", "jax"),
    fault("E2", "missing", "torch", slow=True),
    fault("E4", "library", "jax", slow=True), fault("E5", "segfault", "jax", slow=True),
    fault("E5", "abort", "torch", slow=True),
    fault("E6", "leaves", "jax", slow=True),
    fault("E6", "exits", "torch", slow=True),
    fault("E7", "hangs", "jax", slow=True),
    fault("E1", "wild", "torch", slow=True)])
def test_one_probe_finds_a_broken_framework_and_the_rest_runs(
        tmp_path, kind, package):
    text, words = BROKEN[kind]
    env = stubs(tmp_path / "stubs", **{package: COUNT + text})
    out = tmp_path / "out"
    done = compare(out, "--variants", f"{package}:eager", "stub:eager",
                   "--batch-sizes", "64", "50", "--timeout", "10",
                   env={**env, "COUNT": str(tmp_path / "count")})
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "count").read_text() == "x"  # four runs, one attempt
    for row in rows(out):
        wanted = ("ok" if row["contender"].startswith("stub")
                  else "unavailable")
        assert row["status"] == wanted, row
        assert wanted == "ok" or words in row["reason"]
        assert wanted == "ok" or not row["test_accuracy"]
        assert not row["reason"] or row["reason"][0] == '"'
    assert not set("\x1b\x07") & set((out / "results.csv").read_text())


@pytest.mark.fault("E3")
def test_without_any_framework_there_is_no_grid(tmp_path):
    env = stubs(tmp_path, jax="raise ImportError('no jax')",
                torch="raise ImportError('no torch')")
    done = compare(tmp_path / "out", "--variants", "jax:step", "torch:eager",
                   env=env)
    line = error_of(done, 4, "compare.py")
    assert "no jax" in line and "no torch" in line
    assert not list((tmp_path / "out" / "runs").iterdir())


# ------------------------------------------------------------------- devices

@pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="there is a GPU")
@pytest.mark.fault("E8")
@pytest.mark.parametrize("package", [
    "jax", pytest.param("torch", marks=pytest.mark.slow)])
def test_a_device_that_is_not_there_is_never_replaced(tmp_path, package):
    done = call(ROOT / PAIR[package], "--device", "cuda", "--dataset", DATASET,
                "--json", tmp_path / "r.json")
    assert "--device" in error_of(done, 4, PAIR[package])
    done = compare(tmp_path / "out", "--variants", f"{package}:step",
                   "--device", "cuda")
    assert "--device" in error_of(done, 4, "compare.py")
    assert not list(tmp_path.rglob("*.json"))


ELSEWHERE = f"""
import sys
sys.path.insert(0, {str(STUB.parent)!r})
import stub
from bench.kit import program
def train(args, run):
    describe = run.describe
    run.describe = lambda versions, platform, device, *rest, **more: describe(
        versions, "cuda", "NVIDIA of another machine", *rest, **more)
    return stub.train(args, run)
program.main(train, __file__, "stub", default_rung="eager")
"""


@pytest.mark.slow
@pytest.mark.fault("E9")
def test_runs_on_two_devices_are_not_compared(tmp_path):
    (tmp_path / "other.py").write_text(ELSEWHERE)
    done = compare(tmp_path / "out", "--variants", "stub:eager", "other:eager",
                   "--contender", f"other={tmp_path / 'other.py'}")
    assert done.returncode == 1 and "NOT FAIR: device" in done.stderr
    assert {row["status"] for row in rows(tmp_path / "out")} == {"ok"}
    summary = (tmp_path / "out" / "summary.md").read_text()
    assert "NOT FAIR" in summary and "## Ratios" not in summary
    assert not list((tmp_path / "out" / "figures").glob("c*"))


@pytest.mark.slow
@pytest.mark.fault("E10")
@pytest.mark.parametrize("variables, words", [
    ({"JAX_PLATFORMS": "cuda"}, "cuda"),
    ({"XLA_FLAGS": "--xla_no_such_flag=1"}, "xla_no_such_flag")])
def test_what_the_framework_said_before_it_died_is_kept(
        tmp_path, variables, words):
    done = compare(tmp_path, "--variants", "jax:step", "stub:eager",
                   env=variables)
    assert done.returncode == 1, done.stderr
    found = {row["contender"]: row for row in rows(tmp_path)}
    assert found["stub"]["status"] == "ok"
    assert found["jax"]["status"] in ("unavailable", "failed")
    text = next((tmp_path / "runs").glob("jax*")).read_text()
    assert words in text and words in found["jax"]["reason"]


@pytest.mark.parametrize("name, value", [
    fault("E11", "CUDA_VISIBLE_DEVICES", "99"),
    fault("E11", "CUDA_VISIBLE_DEVICES", ""),
    fault("E19", "XLA_PYTHON_CLIENT_MEM_FRACTION", "0.5"),
    fault("E19", "OMP_NUM_THREADS", "1"),
    fault("E19", "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")])
def test_variables_of_the_user_are_kept_and_recorded(tmp_path, name, value):
    path = tmp_path / "r.json"
    got = train(STUB, path, "--examples", "200", "--epochs", "1",
                env={name: value, "PYTHONPATH": str(ROOT)})
    assert got["environment"]["variables"][name] == value
    assert got["environment"]["device_kind"] == "cpu"


@pytest.mark.fault("E19")
def test_a_run_sees_the_variables_of_the_user(tmp_path):
    script = tmp_path / "look.py"
    script.write_text("import json, os, sys\nprint(json.dumps(dict("
                      "os.environ)))\nsys.exit(3)\n")
    mine = {"XLA_FLAGS": "--xla_dump_to=x", "OMP_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2", "PATH": os.environ["PATH"] + ":/odd"}
    done = subprocess.run(
        [sys.executable, launch.CHILD, str(os.getpid()), "all", "-", str(script)],
        capture_output=True, text=True, env={**os.environ, **mine})
    assert done.returncode == 3
    assert json.loads(done.stdout).items() >= mine.items()


@pytest.mark.slow
@pytest.mark.fault("E11")
@pytest.mark.parametrize("package", PAIR)
def test_with_no_visible_gpu_auto_says_cpu(tmp_path, package):
    got = train(PAIR[package], tmp_path / "r.json", "--examples", "128",
                "--epochs", "1", env={"CUDA_VISIBLE_DEVICES": ""})
    assert got["environment"]["device_kind"] == "cpu"


@pytest.mark.slow
@pytest.mark.fault("E20")
def test_without_a_compiler_only_that_rung_is_missing(tmp_path):
    done = compare(tmp_path, "--variants", "torch:step", "torch:eager",
                   env={"PATH": str(tmp_path), "CXX": ""})
    assert done.returncode == 1, done.stderr
    found = {row["rung"]: row for row in rows(tmp_path)}
    assert found["step"]["status"] == "unavailable"
    assert "compiler is missing" in found["step"]["reason"]
    assert found["eager"]["status"] == "ok"


@pytest.mark.fault("E21")
def test_a_compile_cache_of_the_user_is_said_to_be_warm(tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    for variable, package in (("JAX_COMPILATION_CACHE_DIR", "jax"),
                              ("TORCHINDUCTOR_CACHE_DIR", "torch")):
        code = ("import os; from bench.run import environment; print("
                f"environment.cache_states(os.environ)[{package!r}])")
        for wanted in ("cold", "warm"):
            said = call("-c", code, env={variable: str(cache)}).stdout.strip()
            assert said == wanted, package
            (cache / "entry").touch()
        (cache / "entry").unlink()


@pytest.mark.slow
@pytest.mark.fault("E21")
def test_a_second_run_with_a_cache_is_recorded_as_warm(tmp_path):
    env = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"),
           "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
           "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    found = [train("mlp_jax.py", tmp_path / "r.json", "--examples", "128",
                   "--epochs", "1", env=env)["cache"] for _ in range(2)]
    assert found == ["cold", "warm"]


# ------------------------------------------------------------- surroundings

@pytest.mark.slow
@pytest.mark.fault("E12")
def test_without_matplotlib_the_tables_are_made(tmp_path):
    env = stubs(tmp_path / "stubs", matplotlib="raise ImportError('planted')")
    out = tmp_path / "out"
    done = compare(out, env=env)
    assert done.returncode == 1
    assert "no figures: planted" in done.stderr
    assert rows(out)[0]["status"] == "ok" and (out / "summary.md").exists()
    assert compare(out).returncode == 0
    # Of two kinds each; one variant has no ratios and no parity.
    assert len(list((out / "figures").glob("*g"))) == 8


ODD = {
    "E13 window": {"MPLBACKEND": "TkAgg", "DISPLAY": "", "WAYLAND_DISPLAY": ""},
    "E13 nonsense": {"MPLBACKEND": "no-such-backend"},
    "E13 config": {"MPLCONFIGDIR": "/proc/nowhere"},
    "E14 ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING":
                  "ascii", "PYTHONCOERCECLOCALE": "0"},
    "E14 latin": {"PYTHONIOENCODING": "latin-1", "LC_ALL": "POSIX"},
    "E15": {"PYTHONOPTIMIZE": "1"}, "E16": {"PYTHONWARNINGS": "error"}}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Two runs in plain surroundings."""
    out = tmp_path_factory.mktemp("plain")
    done = compare(out, "--seeds", "0", "1")
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.parametrize("kind", [
    fault(name.split()[0], name, slow=True) for name in ODD])
def test_odd_surroundings_change_nothing(plain, tmp_path, kind):
    out = tmp_path / "ü"
    done = compare(out, "--seeds", "0", "1", env=ODD[kind], errors="replace")
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    assert "±" in (out / "summary.md").read_text("utf-8")
    keys = ("status", "train_loss", "val_loss", "test_accuracy")
    first, second = ([[row[key] for key in keys] for row in rows(folder)]
                     for folder in (plain, out))
    assert first == second
    for path in (out / "runs").iterdir():
        record.read(path)


@pytest.mark.slow
@pytest.mark.fault("E15")
@pytest.mark.parametrize("level", ["1", "2"])
def test_without_asserts_damage_is_refused_all_the_same(tmp_path, level):
    optimised = {"PYTHONOPTIMIZE": level}
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for name in os.listdir(Path(FOLDER, "mnist")) if DATASET == "mnist" else ():
        (folder / name).symlink_to(Path(FOLDER, "mnist", name).resolve())
    (folder / "t10k-labels-idx1-ubyte.gz").unlink(missing_ok=True)
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"<html>")
    error_of(fetcher(tmp_path / "data", "http://127.0.0.1:9", deadline=1,
                     env=optimised), 3)
    out = tmp_path / "out"
    assert compare(out).returncode == 0
    path = next((out / "runs").iterdir())
    for bad in ("", "{", "[]", "NaN", path.read_text().replace(
            '"test_accuracy":', '"test_accuracy":1')):
        path.write_text(bad)
        done = compare(out, env=optimised)
        assert done.returncode == 0 and "set aside" in done.stderr, bad
    error_of(compare(tmp_path / "new", "--lr", "nan", env=optimised), 2)


@pytest.mark.slow
@pytest.mark.fault("E15")
def test_the_tests_of_damage_pass_without_asserts():
    """The same tests, all their programs and the tests under python -O."""
    files = [path for path in sorted(Path(__file__).parent.glob("test_*.py"))
             if path.name == "test_data_files.py" or '"C11"' in
             path.read_text("utf-8") and path.name != Path(__file__).name]
    done = call("-O", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W",
                "ignore", "-m", "not slow", *files, timeout=1500,
                env={"PYTHONOPTIMIZE": "1"})
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


@pytest.mark.slow
@pytest.mark.fault("E16")
@pytest.mark.parametrize("package", PAIR)
def test_the_pair_causes_no_warning(tmp_path, package):
    """Warnings are errors where they arise in the project's own files."""
    code = ("import runpy, sys, warnings\n"
            "sys.argv = sys.argv[1:]\n"
            "for module in ('__main__', 'data', 'bench'):\n"
            "    warnings.filterwarnings('error', module=module)\n"
            "runpy.run_path(sys.argv[0], run_name='__main__')")
    done = call("-c", code, PAIR[package], "--dataset", DATASET, "--examples",
                "256", "--epochs", "2", "--json", tmp_path / "r.json")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


@pytest.mark.slow
@pytest.mark.fault("E17")
def test_any_folder_and_a_link_to_the_program_will_do(tmp_path):
    link = tmp_path / "link.py"
    link.symlink_to(ROOT / "compare.py")
    done = call(link, *TINY, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path / "out")[0]["status"] == "ok"
    link = tmp_path / "data-link.py"
    link.symlink_to(ROOT / "data.py")
    if DATASET == "mnist":
        assert call(link, "--data-dir", FOLDER, cwd="/").returncode == 0


@pytest.mark.fault("E18")
@pytest.mark.parametrize("closed", [
    "<&- >&- 2>&-", *(pytest.param(text, marks=pytest.mark.slow)
                      for text in ("<&-", ">&-", "2>&-"))])
def test_closed_descriptors_do_no_harm(tmp_path, closed):
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable,
         ROOT / "compare.py", *TINY, "--out", tmp_path],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert rows(tmp_path)[0]["status"] == "ok"
    assert (tmp_path / ".lock").read_text().isdecimal()
