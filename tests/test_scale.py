"""The second chapter: proved, told apart from what it is not, and what is made of its
measurements."""

import json
import re

import pytest
from common import DATASET, FOLDER, ROOT, call

from bench.tools import scale

PAIR = [ROOT / "scale" / f"parallel_{name}.py" for name in ("jax", "torch")]
FLAGS = ["--dataset", DATASET, "--data-dir", FOLDER, "--device", "cpu"]
# What `make scale` proves, of few steps.
PROVE = """
from pathlib import Path
from bench.kit import cli
from scale import measure
measure.PROCESSES, measure.LIMIT_S = {processes}, 100
measure.RUNGS = {{name: measure.RUNGS[name] for name in {frameworks}}}
flags = {flags} + ["--examples", "2560"]
cli.guard(lambda: measure.certify(flags, Path({path!r})) and 0,
          "measure.py")
"""


def prove(path, cwd=ROOT, processes=(2,), frameworks=("jax", "torch")):
    return call("-c", PROVE.format(processes=processes, frameworks=frameworks,
                                   flags=FLAGS, path=str(path / "r.json")), cwd=cwd)


def test_the_two_have_the_lessons_sections_and_are_short():
    ruler = re.compile(r"^# -+ (\d\. .*)$", re.M)
    titles = [ruler.findall(path.read_text("utf-8")) for path in PAIR]
    lesson = (ROOT / "mlp_jax.py").read_text("utf-8")
    assert titles[0] == titles[1] == ruler.findall(lesson)
    for path in PAIR:
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) <= 150 and max(map(len, lines)) <= 79


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_two_processes_compute_what_one_does(tmp_path, framework):
    done = prove(tmp_path, frameworks=(framework,))
    assert done.returncode == 0, done.stderr
    assert re.search(rf"{framework}, 2 processes: fp64 \S+e-1\d, fp32 \S+e-0\d",
                     done.stdout), done.stdout


@pytest.mark.slow
def test_one_and_four_processes_do_so_too(tmp_path):
    done = prove(tmp_path, processes=(1, 4))
    assert done.returncode == 0 and done.stdout.count("processes: fp64") == 4


def test_torchrun_starts_the_same(tmp_path):
    records = []
    for n, module in enumerate((
            ("mlp_torch",), ("torch.distributed.run", "--standalone",
                             "--nproc-per-node", "2", "-m", "scale.parallel_torch"))):
        path = tmp_path / f"{n}.json"
        done = call("-m", *module, *FLAGS, "--precision", "fp64", "--examples", 640,
                    "--epochs", 1, "--json", path)
        assert done.returncode == 0, done.stderr
        records.append(json.loads(path.read_text("utf-8"))["steps"]["loss"])
    assert records[1] == pytest.approx(records[0], rel=1e-10)


# (program, text, what stands in its place, what is said)
FAULTS = {
    "gradients summed, not averaged": (
        "torch", "        state = DistributedDataParallel(state[0]), *state[1:]\n",
        "        model = DistributedDataParallel(state[0])\n"
        "        model.register_comm_hook(None, lambda state, bucket: (\n"
        "            distributed.all_reduce(bucket.buffer(), async_op=True)\n"
        "            .get_future().then(lambda done: done.value()[0])))\n"
        "        state = model, *state[1:]\n", "fp64: a loss is"),
    "nothing averaged": (
        "torch", "DistributedDataParallel(state[0])", "state[0]", "fp64: a loss is"),
    "another's share": (
        "torch", "order[:, RANK * size:(RANK + 1) * size]", "order[:, :size]",
        "fp64: a loss is"),
    "another's share in JAX": (
        "jax", "lambda part: array[part]", "lambda part: array[tuple(slice(\n"
        "            0, s.stop and s.stop - s.start) for s in part)]",
        "fp64: a loss is"),
    "the last batch dropped on one": (
        "torch", "    return order[:, RANK * size:(RANK + 1) * size]",
        "    return order[:len(order) - RANK, RANK * size:(RANK + 1) * size]",
        "scale.parallel_torch, process"),
    "the last batch dropped in JAX": (
        "jax", 'for idx in order]', 'for idx in order[:-1]]', "a loss is inf"),
    "no record, beside that of the lesson": (
        "jax", "for function in (setup", "mlp_jax.write_record = lambda *_: None\n"
        "for function in (setup", "have left no record"),
    "a loss times the devices": (
        "jax", "for function in (setup", "mlp_jax.loss_fn = lambda logits, y: (\n"
        "    jax.device_count() * lesson.loss_fn(logits, y))\nfor function in (setup",
        "fp64: a loss is")}
QUICK = ("another's share",)


@pytest.mark.parametrize("fault", [
    pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK))
    for name in FAULTS])
def test_a_fault_is_named(copied, tmp_path, fault):
    framework, old, new, words = FAULTS[fault]
    path = copied / "scale" / f"parallel_{framework}.py"
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")
    done = prove(tmp_path, copied, frameworks=(framework,))
    assert done.returncode == 1 and words in done.stderr, done.stdout + done.stderr


@pytest.mark.parametrize("name, flags, words", [
    ("jax", ["--feed", "host"], "argument --feed: host: here only device"),
    ("torch", ["--rung", "step"], "argument --rung: step: here only eager")])
def test_what_it_cannot_do_is_one_line(name, flags, words):
    done = call("-m", f"scale.parallel_{name}", *FLAGS, *flags)
    assert done.returncode == 2 and words in done.stderr
    assert len(done.stderr.splitlines()) == 1


# ------------------------------------------------------------ what is made of it

def made_up(model, count=2, slower=1.0):
    """Runs as a machine of this model has them."""
    rows = []
    for framework in ("jax", "torch"):
        for processes, sizes in ((1, (32, 64, 512, 1024)), (count, (64, 1024))):
            for size in sizes:
                rows += [{
                    "framework": framework, "processes": processes, "repeat": repeat,
                    "batch_size": size, "step_s": model.step(processes, size) * (
                        slower if processes > 1 else 1), "all_reduce": {
                        str(n): model.reduce(count, n) for n in (1, 235_146, 4_000_000)
                    } if processes > 1 else {}} for repeat in range(3)]
    return rows


MODEL = scale.Model(3e-4, 1e-5, 2e-4, 5e-9, 235_146)


def test_the_model_is_found_again_and_says_when_devices_pay():
    found = scale.models(made_up(MODEL))["jax"]
    assert found == pytest.approx(MODEL, rel=1e-6)
    batch = MODEL.pays(8, 256)
    assert MODEL.step(8, batch) <= MODEL.step(1, batch)
    assert MODEL.step(8, batch - 1) > MODEL.step(1, batch - 1)
    # A wider network computes more for each number that travels.
    assert MODEL.pays(8, 4096) < batch


def test_the_tables_say_what_was_measured(tmp_path):
    proof = [["jax", 2, {"fp64": 4e-16, "fp32": 2e-7}]]
    for name, slower in (("as the model", 1.0), ("slower", 2.0)):
        rows = {row[:3]: row for row in scale.measured(made_up(MODEL, slower=slower))}
        *_, step, ratio, share, wait, rest, said = rows["torch", 1024, 2]
        assert step[0] == pytest.approx(1e3 * slower * MODEL.step(2, 1024))
        assert ratio[0] == pytest.approx(
            MODEL.step(1, 1024) / MODEL.step(2, 1024) / slower), name
        assert share + wait + rest == pytest.approx(step[0])
        assert said == pytest.approx(1e3 * MODEL.step(2, 1024))
    (tmp_path / "scale.json").write_text(json.dumps({
        "schema": 2, "cores": 2, "proof": proof, "runs": made_up(MODEL)}))
    done = call("-m", "bench.tools.scale", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "4.0e-16" in done.stdout and "1,024 devices" in done.stdout
    assert {"scale.md", "scale.tex", "scale.png"} <= {
        path.name for path in tmp_path.iterdir()}
    (tmp_path / "scale.json").unlink()
    done = call("-m", "bench.tools.scale", tmp_path)
    assert done.returncode == 4 and "Run make scale" in done.stderr
