"""Everything that a comparison has found, made once and given to every table,
figure and sentence."""

from bench.analyse.floor import floors
from bench.analyse.groups import group, key, only_timed, summarise
from bench.analyse.ratios import controls, find_width
from bench.analyse.waterfall import waterfalls
from bench.proof import audit
from bench.run.plan import SCRIPTS


class Found:
    """records: all of the comparison; proof: (proved, line, certificate or
    None); verdicts: the audit's; scripts: {contender: hash of its script};
    measured: records of bench/measure; missing: {kind that was asked for: why
    some of it is missing, or None}; control: the contender that is another
    one once more, or None; patience: epochs without a better validation accuracy
    after which training would stop, or None; width: what two runs of one script
    differ by on this machine (natural logarithm), or None."""

    def __init__(self, records, proof, verdicts, scripts, measured=(),
                 missing=None, control=None, patience=None):
        self.records, self.proof, self.verdicts = records, proof, verdicts
        self.patience = patience
        self.scripts = scripts
        self.measured, self.missing = measured, missing or {}
        self.unfair = audit.unfair(verdicts)
        self.done = [r for r in records if r["status"] == "ok"]
        self.controls = controls(group(self.done), scripts)
        self.width = find_width(self.controls)
        shown = [r for r in records if r["contender"] != control]
        self.groups = group([r for r in shown if r["status"] == "ok"])
        self.rows = summarise(shown)
        self.sizes = sorted({r["config"]["batch_size"] for r in self.done})
        self.floors, self.again = (floors(self.done, self.measured, kind)
                                   for kind in ("floor", "floor-again"))
        self.waterfalls = waterfalls(self.groups, self.floors)
        names = {r["contender"] for r in self.done}
        self.pair = [name for name in SCRIPTS if name in names]
        self.only_timed = any(only_timed(r) for r in self.done)
        self.vision = any(r["config"].get("network") for r in self.done)

    def ranked(self, size, contender=None):
        """Keys at a batch size, of one contender or of all, the fastest
        first."""
        rows = [row for row in self.rows if row["batch_size"] == size
                and row["steady_epoch_s"] is not None
                and contender in (None, row["contender"])]
        return list(map(key, sorted(
            rows, key=lambda row: row["steady_epoch_s"])))
