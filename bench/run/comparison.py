"""What a comparison asks for: the settings of each run, and by what its record
is known."""

import contextlib
import functools
import hashlib
import os
import platform
import re
from pathlib import Path

import data
from bench.kit import files, network
from bench.kit.cli import ENVIRONMENT, Fault
from bench.kit.rungs import RUNGS
from bench.run import environment
from bench.run.plan import FRAMEWORKS, SCRIPTS

PACKAGES = {"jax": ("numpy", "jax", "jaxlib", "jax-cuda12-plugin",
                    "jax-cuda13-plugin"), "torch": ("numpy", "torch")}


class Comparison:
    """One comparison in one output folder; it starts no process."""

    def __init__(self, out, settings, scripts, cpus, timeout, data_dir, own,
                 steps=None):
        """settings: the flags of a script that all runs share, {name: value};
        scripts: {contender: path}; cpus: list of cores for the children or
        None for all; timeout: seconds of wall clock a run; own: {contender:
        settings of its own}; steps: in place of epochs, rounded to whole
        ones."""
        self.out, self.settings, self.scripts = Path(out), settings, scripts
        self.own, self.steps = own, steps
        self.cpus, self.timeout, self.data_dir = cpus, timeout, data_dir
        self.runs, self.init = self.out / "runs", self.out / "init"
        self.weights = {}  # seed: (path, hash); filled by find_weights
        self.members = []  # the variants that take turns in a block
        self.shared = None  # folder of certificates that other nodes use, too
        self.lacking = {}  # variant: why it cannot run here
        self.alike = {}  # variant: reasons of its latest runs, if all failed
        self.codes = {}

    def chosen(self, contender):
        """The settings of a contender: the comparison's, and its own."""
        return {name: value for name, value in {
            **self.settings, **self.own.get(contender, {})}.items()
            if name not in ("init", "cache", "adam")}  # no flags

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

    def asks(self, contender, switch, value):
        """Does a contender's table ask for this? init = "own": it draws its
        own initial weights; cache = "warm": its compile cache is filled before.
        """
        return self.own.get(contender, {}).get(switch) == value

    def code(self, name):
        """What else decides a result: the code and the versions. A record
        made by other code or versions is not reused: it is run again."""
        if name not in self.codes:
            own = FRAMEWORKS.get(self.scripts[name])
            # Of a contender's own script: what it may have imported, too.
            pair = [own] if own else SCRIPTS
            paths = [self.scripts[name], *beside(self.scripts[name]),
                     files.ROOT / "data.py", *sorted({
                path for rung in RUNGS.values()
                for framework, path in rung.scripts.items()
                if framework in pair})]
            for room in ("kit", "run"):
                paths += sorted((files.ROOT / "bench" / room).glob("*.py"))
            try:
                texts = [path.read_bytes() for path in paths]
            except OSError as error:
                raise Fault(ENVIRONMENT, f"cannot read: {error.filename!r}: "
                            f"{error.strerror}. Restore it") from error
            self.codes[name] = {
                "files": [hashlib.sha256(text).hexdigest() for text in texts],
                "versions": [environment.version(package) for framework in pair
                             for package in PACKAGES[framework]],
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
        return {name: self.code(name)["files"][0] for name in self.scripts}

    def path(self, job):
        """Where the record of this job lies: the settings are in its name."""
        contender = job.variant.contender
        alone = self.asks(contender, "init", "own")
        identity = files.digest([
            self.config(job), contender, self.code(contender),
            "own" if alone else self.weights[job.seed][1],
            sorted(map(str, self.members)),
            *["warm"] * self.asks(contender, "cache", "warm")])
        return self.runs / f"{self.stem(job)}_{identity}.json"

    def stem(self, job):
        """How the name of its record begins, wherever it is made."""
        contender, rung, feed = job.variant
        return f"{contender}_{rung}_{feed}_b{job.batch_size}_s{job.seed}_r{job.repeat}"

    def agree(self, found, job, **more):
        """Raise BadFile unless the record answers this very request, with
        `more` that it must hold."""
        held = [("config.", found["config"], self.config(job)),
                ("", found, more)]
        if found["status"] == "ok":
            held.append(("", found, self.facts(job)))
        for prefix, values, wanted in held:
            for key, value in wanted.items():
                if values.get(key) != value:
                    raise files.BadFile(
                        f"{prefix}{key}: {values.get(key)!r} is not the "
                        f"{value!r} that was asked for")

    def facts(self, job):
        """What is the same for all contenders, or it is no comparison."""
        n = self.size()
        own = RUNGS[job.variant.rung].own  # it draws an order of its own
        facts = {"order_sha256": None if own else sha256_orders(
                     n, job.batch_size, job.seed, self.config(job)["epochs"]),
                 "steps_per_epoch": n // job.batch_size,
                 "samples_per_epoch": n - n % job.batch_size,
                 "parameters": network.of(self.settings).parameters}
        if job.seed in self.weights and not self.asks(
                job.variant.contender, "init", "own"):
            facts["init_sha256"] = self.weights[job.seed][1]
        return facts


def beside(script):
    """The modules beside a script that it imports, itself or by another of them."""
    found, new = set(), {script}
    while new:
        one = new.pop()
        with contextlib.suppress(OSError, ValueError):
            names = re.findall(r"^ *(?:import|from) (\w+)", one.read_text("utf-8"),
                               re.M)
            new |= {path for name in names if (
                path := one.with_name(f"{name}.py")).is_file()} - found
            found |= new
    return sorted(found)


@functools.cache
def sha256_orders(n, batch_size, seed, epochs):
    """Hex digest of the batch orders of all epochs."""
    digest = hashlib.sha256()
    for epoch in range(epochs):
        digest.update(data.batch_order(n, batch_size, seed, epoch).tobytes())
    return digest.hexdigest()
