"""The runs of a comparison: which, in what order, each in a fresh process.

A run is one variant (script, rung, feed) at one batch size, seed and repeat.
What is done is known from the records alone, so a comparison that was
stopped goes on where it was, and one that is complete starts no process.
"""

import contextlib
import os
import shutil
import time

from bench.kit import files, network
from bench.kit.cli import ENVIRONMENT, STORAGE, Fault, warn
from bench.kit.weights import read_weights, sha256_weights
from bench.run import launch, plan, record
from bench.run.comparison import Comparison

ENOUGH = 3              # runs of a variant that fail alike before it is given up
LOOK_TIMEOUT = 300     # seconds; a framework on a cold disk is slow


class Grid(Comparison):
    """A comparison whose runs are made."""

    def __init__(self, *args):
        super().__init__(*args)
        self.lacking = {}  # variant: why it cannot run here
        self.alike = {}  # variant: reasons of its latest runs, if all failed

    # ------------------------------------------------------------- weights

    def find_weights(self, variants, seeds):
        """The initial weights of every seed, the same for all contenders:
        made once, by the first variant that can. Fault 4 when none can."""
        sizes, reasons = network.of(self.settings).sizes, self.lacking
        for variant in sorted(variants, key=lambda variant: self.asks(
                variant.contender, "init", "own")):
            stem = (f"{variant.contender}_{'-'.join(map(str, sizes[1:-1]))}_"
                    f"{files.digest(self.code(variant.contender))}")
            paths = {seed: self.init / f"{stem}_s{seed}.npz" for seed in seeds}
            for seed, path in paths.items():
                with contextlib.suppress(Fault):
                    read_weights(path, sizes)
                    continue
                reasons[variant] = self._make(variant, seed, path)
                if reasons[variant]:
                    break
            else:
                self.weights = {
                    seed: (path, sha256_weights(read_weights(path, sizes)))
                    for seed, path in paths.items()}
                return
        raise Fault(ENVIRONMENT, "no variant can run: " + "; ".join(
            f"{variant}: {reason}" for variant, reason in reasons.items()))

    def here(self, variants):
        """The frameworks of the pair that some of the variants can use."""
        names = {v.contender for v in variants if not self.lacking.get(v)}
        return [name for name in plan.SCRIPTS if name in names]

    def look(self, variants):
        """{variant: why it cannot run here, or None}. One short process each: a
        missing framework is found once, not at every job."""
        with files.temporary(self.out) as target:
            return {variant: self.lacking.get(variant)
                    or self._make(variant, 0, target) for variant in variants}

    def _make(self, variant, seed, target):
        """Have the script write its initial weights -> None or the reason."""
        with contextlib.suppress(OSError):  # what lies there does not count
            target.unlink()
        status, ending, _ = self._train(
            plan.Job(variant, 1, seed, 0), min(self.timeout, LOOK_TIMEOUT),
            epochs=0, save=target)
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
            self.agree(found, job)
            if (found.get("contender"), found.get("repeat")) != (
                    job.variant.contender, job.repeat):
                raise files.BadFile("contender, repeat: not as in its name")
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
        return found

    def run(self, job, block, reason=None):
        """Run one job and publish its record -> the record. With a reason,
        the variant is unavailable and no process is started."""
        alike = self.alike.setdefault(job.variant, [])
        if len(alike) >= ENOUGH:
            reason = reason or f"{len(alike)} runs failed alike: {alike[0]}"
        if reason:
            found = self._lost(job, "unavailable", {
                "code": None, "signal": None, "tail": [reason]})
        else:
            with files.temporary(self.out) as written:
                found = self._attempt(job, written)
            last = "".join(found.get("exit", {}).get("tail", [])[-1:])
            if found["status"] != "failed" or last not in (alike or [last]):
                alike.clear()
            if found["status"] == "failed":
                alike.append(last)
        found.update(contender=job.variant.contender, repeat=job.repeat,
                     block=block, order_seed=plan.ORDER_SEED,
                     script=job.variant.script(self.scripts).name)
        files.write_atomic(self.path(job), files.dumps(found))
        return found

    def _attempt(self, job, written):
        """Have the script train and write its record at the path `written` ->
        the whole record, or one without metrics."""
        alone = self.asks(job.variant.contender, "init", "own")
        cache = self._warm_cache(job)
        started = time.time()
        status, ending, seen = self._train(
            job, cache=cache, json=written,
            init=None if alone else self.weights[job.seed][0])
        try:
            if status not in record.FINAL:
                return self._lost(job, status, ending)
            found = files.parse_json(files.read_bytes(written))
            record.complete(found, seen)
            if status == "ok":
                found["timing"]["started_unix_s"] = started
            else:
                found["exit"] = ending
            record.check(found)
            if found["status"] != status:
                raise files.BadFile("status: not that of its ending")
            self.agree(found, job)
            return found
        except files.BadFile as error:
            ending["tail"].append(str(error))
            return self._lost(job, "bad_record" if written.exists()
                              else "no_record", ending)

    def _lost(self, job, status, ending):
        """The record of a run without metrics."""
        return {"schema": files.SCHEMA, "status": status,
                "framework": job.variant.contender,
                "config": self.config(job), "exit": ending}

    def _train(self, job, timeout=None, cache=None, **more):
        """Start the script of a job with its flags and more of them -> what
        launch says."""
        flags = plan.flags({**self.config(job), "data_dir": self.data_dir,
                            **more})
        return self.launch(job.variant.script(self.scripts), flags, timeout,
                           cache)

    def launch(self, script, arguments, timeout=None, cache=None):
        """A child on the cores of this comparison -> (status, ending, what
        was seen of it)."""
        status, ending, seen = launch.run(script, arguments, self.cpus,
                                          timeout or self.timeout, self.out,
                                          cache)
        if ending["code"] == STORAGE:  # it would fail all that follow, too
            raise Fault(STORAGE, (ending["tail"] or [
                f"cannot write in: {str(self.out)!r}, not even the reason: "
                "the disk is full, or a limit on files"])[-1])
        return status, ending, seen

    def _warm_cache(self, job):
        """The folder of a compile cache that holds what this job compiles,
        for a contender that asks for one; a run of one epoch fills it."""
        if not self.asks(job.variant.contender, "cache", "warm"):
            return None
        kept = self.out / "cache" / files.digest(
            [{**self.config(job), "seed": None},
             self.code(job.variant.contender)])
        if not (kept / "filled").exists():
            shutil.rmtree(kept, ignore_errors=True)
            files.make_folder(kept)
            status, *_ = self._train(job, cache=kept, epochs=1)
            if status == "ok":  # else the run itself will say what is wrong
                files.write_atomic(kept / "filled", "")
        return kept
