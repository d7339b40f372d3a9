"""The runs of a comparison: which, in what order, each in a fresh process.

A run is one point (script, rung, feed) at one batch size, seed and repeat.
What is done is known from the records alone, so a comparison that was
stopped goes on where it was, and one that is complete starts no process.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import time
import uuid
from pathlib import Path

import data
from bench import environment, launch, record
from bench.cli import ENVIRONMENT, STORAGE, Fault, clean, warn
from bench.plan import GRAPH, ORDER_SEED, SCRIPTS, Job
from bench.weights import layer_sizes, read_weights, sha256_weights

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"jax": ("numpy", "jax", "jaxlib", "jax-cuda12-plugin",
                    "jax-cuda13-plugin"), "torch": ("numpy", "torch")}
# The modules of bench/ that run inside a child and so decide its numbers.
SHARED = ("contender", "environment", "flags", "weights", "record", "launch",
          "child")
ENOUGH = 3              # runs of a point that fail alike before it is given up
PROBE_TIMEOUT = 300     # seconds; a framework on a cold disk is slow


class Grid:
    """One comparison in one output folder."""

    def __init__(self, out, settings, scripts, cpus, timeout, data_dir,
                 own=None, steps=None):
        """settings: the flags of a script that all runs share, {name: value};
        scripts: {contender: path}; cpus: list of cores for the children or
        None for all; timeout: seconds of wall clock a run; own: {contender:
        settings of its own}; steps: in place of epochs, rounded to whole
        ones."""
        self.out, self.settings, self.scripts = Path(out), settings, scripts
        self.own, self.steps = own or {}, steps
        self.cpus, self.timeout, self.data_dir = cpus, timeout, data_dir
        self.runs, self.init = self.out / "runs", self.out / "init"
        self.weights, self.codes, self.orders = {}, {}, {}
        self.lacking = {}  # point: why it cannot run here
        self.alike = {}  # point: the reasons of its latest runs, if all failed

    # ------------------------------------------------------------- folder

    @contextlib.contextmanager
    def locked(self):
        """Hold the output folder; Fault 5 if another comparison has it or it
        cannot be written. The lock dies with the process: none goes stale."""
        for folder in (self.out, self.runs, self.init):
            record.make_folder(folder)
        try:  # O_NOFOLLOW: what a planted link points to is not ours
            lock = os.open(self.out / ".lock",
                           os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise Fault(STORAGE, f"cannot write in: {str(self.out)!r}: "
                        f"{error.strerror}. Choose another --out") from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = clean(os.read(lock, 20).decode("ascii", "replace"))
                raise Fault(STORAGE, f"{str(self.out)!r} is in use by process "
                            f"{holder or 'unknown'}. Wait for it, or choose "
                            "another --out") from error
            with contextlib.suppress(OSError):  # the number is only told
                os.ftruncate(lock, 0)
                os.write(lock, str(os.getpid()).encode())
            for folder in (self.out, self.runs, self.init,
                           self.out / "figures"):
                record.remove_leftovers(folder)
            foreign = sorted(path.name for path in self.runs.iterdir()
                             if not record.OURS.fullmatch(path.name))
            if foreign:
                warn("compare.py", f"warning: {str(self.runs)!r}: no records and "
                     f"ignored: {len(foreign)}, of them {foreign[:3]}")
            yield
        finally:
            os.close(lock)

    # ------------------------------------------------------------ identity

    def config(self, job):
        """The configuration that a record of this job must state."""
        config = {**self.settings, **self.own.get(job.point.contender, {}),
                  "rung": job.point.rung, "feed": job.point.feed,
                  "batch_size": job.batch_size, "seed": job.seed}
        for name in ("init", "cache"):  # no flags of a script
            config.pop(name, None)
        if self.steps:
            config["epochs"] = max(1, round(
                self.steps / (self.size() // job.batch_size)))
        return config

    def size(self):
        """Number of training images."""
        return self.settings["examples"] or data.split_sizes(
            self.settings["dataset"], self.settings["split"])[0]

    def shares_weights(self, contender):
        """False for a contender that draws initial weights of its own."""
        return self.own.get(contender, {}).get("init") != "own"

    def _is_warm(self, contender):
        """Does it start with a compile cache that is filled already?"""
        return self.own.get(contender, {}).get("cache") == "warm"

    def code(self, name):
        """What else decides a result: the code and the versions. A record
        made by other code or versions is not reused: it is run again."""
        if name not in self.codes:
            files = [self.scripts[name], GRAPH, ROOT / "data.py", *(
                ROOT / "bench" / f"{module}.py" for module in SHARED)]
            if self.scripts[name] not in SCRIPTS.values():
                files += SCRIPTS.values()  # what it may have imported
            packages = PACKAGES.get(name, sum(PACKAGES.values(), ()))
            try:
                texts = [path.read_bytes() for path in files]
            except OSError as error:
                raise Fault(ENVIRONMENT, f"cannot read: {error.filename!r}: "
                            f"{error.strerror}. Restore it") from error
            self.codes[name] = {
                "files": [hashlib.sha256(text).hexdigest() for text in texts],
                "versions": [environment.version(package) for package in packages],
                "python": platform.python_version(),
                "variables": environment.describe()["variables"],
                "own cache": "TORCHINDUCTOR_CACHE_DIR" in os.environ,
                "machine": self.machine()}
        return self.codes[name]

    def machine(self):
        """What decides timings and lies outside the code."""
        return [environment.cpu_model(), self.cpus or environment.affinity(),
                self.settings["device"], environment.accelerators()]

    def script_hashes(self):
        """{contender: hash of its script}: two names may be one script."""
        return {name: hashlib.sha256(path.read_bytes()).hexdigest()
                for name, path in self.scripts.items()}

    def path(self, job):
        """Where the record of this job lies: the settings are in its name."""
        point = job.point
        identity = record.digest([
            self.config(job), point.contender, self.code(point.contender),
            self.weights[job.seed][1] if self.shares_weights(point.contender)
            else "own", *(["warm"] if self._is_warm(point.contender) else [])])
        return self.runs / (f"{point.contender}_{point.rung}_{point.feed}_b"
                            f"{job.batch_size}_s{job.seed}_r{job.repeat}_"
                            f"{identity}.json")

    # ------------------------------------------------------------- weights

    def sizes(self):
        """Widths of all layers."""
        return layer_sizes(self.settings["hidden"])

    def find_weights(self, points, seeds):
        """The initial weights of every seed, the same for all contenders:
        made once, by the first point that can. Fault 4 when none can."""
        sizes, reasons = self.sizes(), self.lacking
        for point in sorted(points, key=lambda point: not self.shares_weights(
                point.contender)):
            stem = (f"{point.contender}_{'-'.join(map(str, sizes[1:-1]))}_"
                    f"{record.digest(self.code(point.contender))}")
            paths = {seed: self.init / f"{stem}_s{seed}.npz" for seed in seeds}
            for seed, path in paths.items():
                with contextlib.suppress(Fault):
                    read_weights(path, sizes)
                    continue
                reasons[point] = self._make(point, seed, path)
                if reasons[point]:
                    break
            else:
                self.weights = {
                    seed: (path, sha256_weights(read_weights(path, sizes)))
                    for seed, path in paths.items()}
                return
        raise Fault(ENVIRONMENT, "no point can run: " + "; ".join(
            f"{point}: {reason}" for point, reason in reasons.items()))

    def probe(self, points):
        """{point: why it cannot run here, or None}. One short process each: a
        missing framework is found once, not at every job."""
        target = self.temporary()
        try:
            reasons = {}
            for point in points:
                reasons[point] = (self.lacking.get(point)
                                  or self._make(point, 0, target))
            return reasons
        finally:
            target.unlink(missing_ok=True)

    def _make(self, point, seed, target):
        """Have the script write its initial weights -> None or the reason."""
        with contextlib.suppress(OSError):  # what lies there does not count
            target.unlink()
        arguments = self._arguments(
            Job(point, 1, seed, 0), "--epochs=0", f"--save={target}")
        status, ending, _ = self.launch(
            point.script(self.scripts), arguments,
            min(self.timeout, PROBE_TIMEOUT))
        if status == "ok" and target.is_file():
            return None
        tail = ending["tail"][-1] if ending["tail"] else "no output"
        how = "no answer in time" if status == "timeout" else (
            ending["signal"] or f"exit {ending['code']}")
        return f"{tail} ({how})"

    # ---------------------------------------------------------------- runs

    def done(self, job):
        """The final record of this job, or None. What cannot be believed is
        moved aside, said, and run again."""
        path = self.path(job)
        if not path.exists():
            return None
        try:
            found = record.read(path)
            self._compare(found, job)
            if (found.get("contender"), found.get("repeat")) != (
                    job.point.contender, job.repeat):
                raise record.BadRecord("contender or repeat: not those of "
                                       "the name of the file")
        except record.NewerRecord as error:
            raise Fault(STORAGE, f"{str(path)!r}: {error}. Update this "
                        "program, or choose another --out") from error
        except record.BadRecord as error:
            warn("compare.py", f"warning: {path.name}: {error}; set aside as "
                               "*.bad and run again")
            aside, number = path.with_name(f"{path.name}.bad"), 1
            while os.path.lexists(aside):  # a damaged one before: kept, too
                number += 1
                aside = path.with_name(f"{path.name}.{number}.bad")
            os.replace(path, aside)
            return None
        return found

    def _compare(self, found, job):
        """Raise BadRecord unless the record answers this very request."""
        for key, wanted in self.config(job).items():
            if found["config"].get(key) != wanted:
                raise record.BadRecord(
                    f"config.{key}: {found['config'].get(key)!r} is not the "
                    f"{wanted!r} that was asked for")
        if found["status"] != "ok":
            return
        for key, wanted in self._facts(job).items():
            if found.get(key) != wanted:
                raise record.BadRecord(f"{key}: {found.get(key)!r} is not "
                                       f"{wanted!r}, as in all other runs")

    def _facts(self, job):
        """What is the same for all contenders, or it is no comparison."""
        sizes, n = self.sizes(), self.size()
        key = job.batch_size, job.seed
        if key not in self.orders:
            orders = hashlib.sha256()
            for epoch in range(self.config(job)["epochs"]):
                orders.update(data.batch_order(n, *key, epoch).tobytes())
            self.orders[key] = orders.hexdigest()
        shared = {"init_sha256": self.weights[job.seed][1]} if (
            self.shares_weights(job.point.contender)) else {}
        return {**shared, "order_sha256": self.orders[key],
                "steps_per_epoch": n // job.batch_size,
                "samples_per_epoch": n - n % job.batch_size,
                "parameters": sum((i + 1) * o
                                  for i, o in zip(sizes, sizes[1:]))}

    def run(self, job, block, reason=None):
        """Run one job and publish its record -> the record. With a reason,
        the point is unavailable and no process is started."""
        path, temporary = self.path(job), self.temporary()
        alike = self.alike.setdefault(job.point, [])
        if reason is None and len(alike) >= ENOUGH:
            reason = f"{len(alike)} runs failed alike: {alike[0]}"
        ending = {"code": None, "signal": None, "tail": [reason or ""]}
        status, found = "unavailable", None
        if reason is None:
            arguments = self._arguments(
                job, f"--epochs={self.config(job)['epochs']}",
                f"--json={temporary}",
                *([f"--init={self.weights[job.seed][0]}"]
                  if self.shares_weights(job.point.contender) else []))
            cache = self._warm_cache(job)
            started = time.time()
            status, ending, seen = self.launch(
                job.point.script(self.scripts), arguments, cache=cache)
            last = "".join(ending["tail"][-1:])
            if status != "failed" or last not in (alike or [last]):
                alike.clear()
            if status == "failed":
                alike.append(last)
        if status in ("ok", "diverged"):
            try:
                found = record.parse_json(record.read_bytes(temporary))
                record.complete(found, seen)
                if status != "ok":
                    found["exit"] = ending
                record.check(found)
                if found["status"] != status:
                    raise record.BadRecord("status: not that of its ending")
                self._compare(found, job)
            except record.BadRecord as error:
                status = "bad_record" if temporary.exists() else "no_record"
                ending["tail"].append(str(error))
                found = None
        temporary.unlink(missing_ok=True)
        if found is None:
            found = {"schema": record.SCHEMA, "status": status,
                     "framework": job.point.contender,
                     "config": self.config(job), "exit": ending}
        if found["status"] == "ok":
            found["timing"]["started_unix_s"] = started
        found.update(contender=job.point.contender, repeat=job.repeat,
                     block=block, order_seed=ORDER_SEED,
                     script=job.point.script(self.scripts).name)
        record.write_atomic(path, record.dumps(found))
        return found

    def _arguments(self, job, *more):
        flags = [f"--data-dir={self.data_dir}", *more]
        for name, value in self.config(job).items():
            if name == "epochs" or value is None:
                continue
            values = value if isinstance(value, list) else [value]
            flags += ["--" + name.replace("_", "-"), *values]
        return [str(flag) for flag in flags]

    def launch(self, script, arguments, timeout=None, cache=None):
        """A child on the cores of this comparison -> (status, ending, what
        was seen of it)."""
        status, ending, seen = launch.run(script, arguments, self.cpus,
                                          timeout or self.timeout,
                                          self.temporary, cache)
        if ending["code"] == STORAGE:  # it would fail all that follow, too
            raise Fault(STORAGE, (ending["tail"] or [
                f"cannot write in: {str(self.out)!r}, not even the reason: "
                "the disk is full, or a limit on files"])[-1])
        return status, ending, seen

    def _warm_cache(self, job):
        """The folder of a compile cache that holds what this job compiles,
        for a contender that asks for one; a run of one epoch fills it."""
        if not self._is_warm(job.point.contender):
            return None
        folder = self.out / "cache" / record.digest(
            [{**self.config(job), "seed": None},
             self.code(job.point.contender)])
        if not (folder / "filled").exists():
            shutil.rmtree(folder, ignore_errors=True)
            record.make_folder(folder)
            temporary = self.temporary()
            status, *_ = self.launch(
                job.point.script(self.scripts), self._arguments(
                    job, "--epochs=1", f"--json={temporary}"), cache=folder)
            temporary.unlink(missing_ok=True)
            if status == "ok":  # else the run itself will say what is wrong
                record.write_atomic(folder / "filled", "")
        return folder

    def temporary(self):
        """A name in the output folder that is never read back."""
        return self.out / f"{record.TEMPORARY}{os.getpid()}-{uuid.uuid4().hex}"
