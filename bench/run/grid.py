"""The runs of a comparison: which, in what order, each in a fresh process.

A run is one variant (script, rung, feed) at one batch size, seed and repeat.
What is done is known from the records alone, so a comparison that was
stopped goes on where it was, and one that is complete starts no process.
"""

import contextlib
import os
import random
import shutil
import time

import data
from bench.kit import files, network
from bench.kit.cli import ENVIRONMENT, STORAGE, Fault, warn
from bench.kit.weights import read_weights, sha256_weights
from bench.run import environment, launch, plan, record, turns
from bench.run.comparison import Comparison

WARM = 2                # processes that start at a time where caches are full
ENOUGH = 3              # runs of a variant that fail alike before it is given up
FILLED = 0.8            # of the free memory, by runs that are alive together
LOOK_TIMEOUT = 300      # seconds; a framework on a cold disk is slow


class Grid(Comparison):
    """A comparison whose runs are made."""

    # ------------------------------------------------------------- weights

    def find_weights(self, variants, seeds):
        """The initial weights of every seed, the same for all contenders but
        those that draw their own: made once, by the first variant that can;
        why others cannot stays in `lacking`. Fault 4 when none can."""
        known, reasons = network.of(self.settings), self.lacking
        layers, called = known.layers, "-".join(filter(None, (
            self.settings.get("network"), *map(str, known.sizes[1:-1]))))
        for variant in sorted(variants, key=lambda variant: self.asks(
                variant.contender, "init", "own")):
            code = files.digest(self.code(variant.contender))
            stem = f"{variant.contender}_{called}_{code}"
            paths = {seed: self.init / f"{stem}_s{seed}.npz" for seed in seeds}
            for seed, path in paths.items():
                with contextlib.suppress(Fault):
                    read_weights(path, layers)
                    continue
                reasons[variant] = self._make(variant, seed, path)
                if reasons[variant]:
                    break
            else:
                self.weights = {
                    seed: (path, sha256_weights(read_weights(path, layers)))
                    for seed, path in paths.items()}
                return
        raise Fault(ENVIRONMENT, "no variant can run: " + "; ".join(
            f"{variant}: {reason}" for variant, reason in reasons.items()))

    def here(self, variants):
        """The frameworks of the pair that some of the variants can use."""
        names = {v.contender for v in variants if not self.lacking.get(v)}
        return [name for name in plan.SCRIPTS if name in names]

    def look(self, variants):
        """{variant: why it cannot run here, or None}. One short process each,
        and one for two names of one program: a missing framework is found
        once, not at every job."""
        with files.temporary(self.out) as target:
            def command(variant):
                return str(self._command(plan.Job(variant, 1, 0, 0)))
            known = {command(variant): reason
                     for variant, reason in self.lacking.items()}
            for variant in variants:
                if command(variant) not in known:
                    known[command(variant)] = self._make(variant, 0, target)
            return {variant: known[command(variant)] for variant in variants}

    def _make(self, variant, seed, target):
        """Have the script write its initial weights -> None or the reason."""
        with contextlib.suppress(OSError):  # what lies there does not count
            target.unlink()
        status, ending, _ = self.launch(
            *self._command(plan.Job(variant, 1, seed, 0), epochs=0, save=target),
            min(self.timeout, LOOK_TIMEOUT))
        if status == "ok" and target.is_file():
            return None
        tail = ending["tail"][-1] if ending["tail"] else "no output"
        how = "no answer in time" if status == "timeout" else (
            ending["signal"] or f"exit {ending['code']}")
        return f"{tail} ({how})"

    # ---------------------------------------------------------------- runs

    def at_once(self, variants, batch_size, dry):
        """How many runs of this batch size are alive at the same time: as many as
        the memory admits, three at least, and one where a GPU admits no second
        process. What memory decided is kept in the output folder, or a comparison
        that goes on would be another. dry: nothing is run and nothing decided."""
        if not dry and self.settings["device"] != "cpu" and environment.exclusive():
            return 1
        path, names = self.out / "together.json", sorted(map(str, variants))
        kept = files.read_json(path)
        if kept.get("variants") == names and kept.get("most") in range(3, len(names)):
            return kept["most"]
        asked = self.settings
        free = environment.free_bytes(asked["device"] != "cpu")
        if dry or free is None:
            return len(names)
        images = sum(data.split_sizes(asked["dataset"], asked["split"]))
        most = max(3, int(FILLED * free // network.run_bytes(
            asked, images, batch_size)))
        if most < len(names):
            files.write_atomic(path, files.dumps({"variants": names, "most": most}))
        return most

    def done(self, job, block):
        """The record of this job, or None; block: its number now, because the
        comparison may have grown. What cannot be believed is moved aside, said,
        and run again."""
        path = self.path(job)
        if not path.exists():
            return None
        try:
            found = record.read(path)
            self.agree(found, job, contender=job.variant.contender,
                       repeat=job.repeat)
            return {**found, "block": block}
        except record.NewerRecord as error:
            raise Fault(STORAGE, f"{str(path)!r}: {error}. Update this "
                        "program, or choose another --out") from error
        except files.BadFile as error:
            warn("compare.py", f"warning: {path.name}: {error}; set aside as "
                               "*.bad and run again")
            aside, number = path.with_name(f"{path.name}.bad"), 1
            while os.path.lexists(aside):  # a damaged one before: kept, too
                number += 1
                aside = path.with_name(f"{path.name}.{number}.bad")
            os.replace(path, aside)
            return None

    def run(self, jobs, block, reasons, told, probes=(), measurements=None):
        """Have the jobs of a block take turns and publish their records ->
        {job: record}. reasons: {variant: why it is unavailable}: no process is
        started for it; told(words, job or None): what goes on; probes: what
        is measured in turns with them, kept by `measurements`."""
        started, found = time.time(), {}
        with contextlib.ExitStack() as stack:
            written = {one: stack.enter_context(files.temporary(self.out))
                       for one in [*jobs, *probes]}
            for job in jobs:
                if reason := reasons.get(job.variant) or self._given_up(job):
                    found[job] = self.lost(job, "unavailable", {
                        "code": None, "signal": None, "tail": [reason]})
            trained = [job for job in jobs if job not in found]

            def starts():
                """{job: what Child is made of}, how many start at a time; compile
                caches are empty in the first blocks, and where one is not filled."""
                cold = block == 0 or not all(map(self._filled, trained))
                # On a GPU starts try kernels, and are to find it idle.
                alone = cold or environment.accelerators()
                return {**{job: self._start(job, cold, written[job])
                           for job in trained},
                        **{probe: measurements.start(probe, written[probe])
                           for probe in probes}}, 1 if alone else WARM
            first = [*jobs, *probes][0]
            epochs = self.config(first)["epochs"]
            order = random.Random(f"{plan.ORDER_SEED} {block} {first}")
            for job, (status, ending, seen) in turns.play(
                    self.out, starts, epochs, order.shuffle, told).items():
                if job in probes:
                    measurements.take(job, block, written[job], status,
                                      ending, started)
                    continue
                seen["block_started_unix_s"] = started
                found[job] = self._judge(job, written[job], status, ending,
                                         seen)
                self._count(job, found[job])
        self._publish(found, block, started)
        return found

    def _publish(self, found, block, started):
        """{job: record} of a block to where they lie from now on."""
        for job, one in found.items():
            one.update(contender=job.variant.contender, repeat=job.repeat,
                       block=block, block_started_unix_s=started,
                       order_seed=plan.ORDER_SEED,
                       script=job.variant.script(self.scripts).name)
            one["sha256"] = record.digest(one)
            files.write_atomic(self.path(job), files.dumps(one))

    def _given_up(self, job):
        """Why no more runs of its variant are made, or None."""
        alike = self.alike.get(job.variant, [])
        return (f"{len(alike)} runs failed alike: {alike[0]}"
                if len(alike) >= ENOUGH else None)

    def _start(self, job, cold, written):
        """What Child is made of for a run that writes its record there."""
        alone = self.asks(job.variant.contender, "init", "own")
        return (*self._command(
            job, json=written, init=None if alone else self.weights[job.seed][0]),
            self.cpus, self.timeout, self._cache(job, cold))

    def _judge(self, job, written, status, ending, seen):
        """How a run ended and what it wrote -> the whole record, or one
        without metrics."""
        try:
            if status not in record.FINAL:
                return self.lost(job, status, ending)
            found = record.complete(
                files.parse_json(files.read_bytes(written)), seen)
            if status != "ok":
                found["exit"] = ending
            record.check(found)
            if found["status"] != status:
                raise files.BadFile("status: not that of its ending")
            self.agree(found, job)
            self._fill(job)
            return found
        except files.BadFile as error:
            ending["tail"].append(str(error))
            return self.lost(job, "bad_record" if written.exists()
                              else "no_record", ending)

    def _count(self, job, found):
        """Keep the reasons of runs of a variant that fail alike."""
        alike = self.alike.setdefault(job.variant, [])
        last = "".join(found.get("exit", {}).get("tail", [])[-1:])
        if found["status"] != "failed" or last not in (alike or [last]):
            alike.clear()
        if found["status"] == "failed":
            alike.append(last)

    def lost(self, job, status, ending):
        """The record of a run without metrics."""
        return {"schema": files.SCHEMA, "status": status,
                "framework": job.variant.contender,
                "config": self.config(job), "exit": ending}

    def _command(self, job, **more):
        """The script of a job, and its flags with more of them."""
        return job.variant.script(self.scripts), plan.flags(
            {**self.config(job), "data_dir": self.data_dir, **more})

    def launch(self, script, arguments, timeout=None, cache=None):
        """A child on the cores of this comparison -> (status, ending, what
        was seen of it)."""
        return launch.run(script, arguments, self.cpus,
                          timeout or self.timeout, cache, self.out)

    def _kept(self, job):
        """The folder of the compile cache of a run, whatever its seed; None
        where the user has chosen one."""
        if "TORCHINDUCTOR_CACHE_DIR" in os.environ and not self._warm(job):
            return None
        return self.out / "cache" / files.digest(
            [{**self.config(job), "seed": None}, job.variant,
             self.code(job.variant.contender)])

    def _warm(self, job):
        return self.asks(job.variant.contender, "cache", "warm")

    def _filled(self, job):
        """Does it find a full cache, or one that is not of this comparison?"""
        kept = self._kept(job)
        return self._warm(job) or not kept or (kept / "filled").exists()

    def _cache(self, job, cold):
        """That folder, emptied if it is to be cold; else it has what an
        earlier block has left. A contender that asks for a warm one gets it
        filled by a run of one epoch."""
        kept = self._kept(job)
        if kept and (not (kept / "filled").exists() if self._warm(job)
                     else cold):
            shutil.rmtree(kept, ignore_errors=True)
            files.make_folder(kept)
            if self._warm(job) and self.launch(
                    *self._command(job, epochs=1), cache=kept)[0] == "ok":
                self._fill(job)  # else the run itself will say what is wrong
        return kept

    def _fill(self, job):
        if kept := self._kept(job):
            files.write_atomic(kept / "filled", "")
