"""What a comparison asks for: the settings of each run, and by what its record
is known."""

import hashlib
import os
import platform
from pathlib import Path

import data
from bench.kit import files, network
from bench.kit.cli import ENVIRONMENT, Fault
from bench.kit.rungs import RUNGS
from bench.run import environment
from bench.run.plan import SCRIPTS

PACKAGES = {"jax": ("numpy", "jax", "jaxlib", "jax-cuda12-plugin",
                    "jax-cuda13-plugin"), "torch": ("numpy", "torch")}


class Comparison:
    """One comparison in one output folder; it starts no process."""

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

    def chosen(self, contender):
        """The settings of a contender: the comparison's, and its own."""
        return {name: value for name, value in {
            **self.settings, **self.own.get(contender, {})}.items()
            if name not in ("init", "cache")}  # no flags of a script

    def config(self, job):
        """The configuration that a record of this job must state."""
        config = {**self.chosen(job.variant.contender),
                  "rung": job.variant.rung, "feed": job.variant.feed,
                  "batch_size": job.batch_size, "seed": job.seed}
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

    def is_warm(self, contender):
        """Does it start with a compile cache that is filled already?"""
        return self.own.get(contender, {}).get("cache") == "warm"

    def code(self, name):
        """What else decides a result: the code and the versions. A record
        made by other code or versions is not reused: it is run again."""
        if name not in self.codes:
            # Of a contender's own script: what it may have imported, too.
            pair = [framework for framework, path in SCRIPTS.items()
                    if path == self.scripts[name]] or SCRIPTS
            paths = [self.scripts[name], files.ROOT / "data.py", *sorted({
                rung.scripts[framework] for rung in RUNGS.values()
                for framework in pair if framework in rung.scripts}), *(
                path for room in ("kit", "run") for path in sorted(
                    (files.ROOT / "bench" / room).glob("*.py")))]
            packages = PACKAGES.get(name, sum(PACKAGES.values(), ()))
            try:
                texts = [path.read_bytes() for path in paths]
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
        variant = job.variant
        identity = files.digest([
            self.config(job), variant.contender, self.code(variant.contender),
            self.weights[job.seed][1] if self.shares_weights(variant.contender)
            else "own", *(["warm"] if self.is_warm(variant.contender) else [])])
        return self.runs / (f"{variant.contender}_{variant.rung}_{variant.feed}_b"
                            f"{job.batch_size}_s{job.seed}_r{job.repeat}_"
                            f"{identity}.json")

    def sizes(self):
        """Widths of all layers."""
        return network.of(self.settings).sizes

    def agree(self, found, job):
        """Raise BadFile unless the record answers this very request."""
        for key, wanted in self.config(job).items():
            if found["config"].get(key) != wanted:
                raise files.BadFile(
                    f"config.{key}: {found['config'].get(key)!r} is not the "
                    f"{wanted!r} that was asked for")
        if found["status"] != "ok":
            return
        for key, wanted in self.facts(job).items():
            if found.get(key) != wanted:
                raise files.BadFile(f"{key}: {found.get(key)!r} is not "
                                    f"{wanted!r}, as in all other runs")

    def facts(self, job):
        """What is the same for all contenders, or it is no comparison."""
        n = self.size()
        key = job.batch_size, job.seed
        if key not in self.orders:
            orders = hashlib.sha256()
            for epoch in range(self.config(job)["epochs"]):
                orders.update(data.batch_order(n, *key, epoch).tobytes())
            self.orders[key] = orders.hexdigest()
        shared = {"init_sha256": self.weights[job.seed][1]} if (
            self.shares_weights(job.variant.contender)) else {}
        return {**shared, "order_sha256": self.orders[key],
                "steps_per_epoch": n // job.batch_size,
                "samples_per_epoch": n - n % job.batch_size,
                "parameters": network.of(self.settings).parameters}
