"""What the jobs of a cluster have left in their folders, as one comparison."""

from bench.kit import files
from bench.measure import measures
from bench.proof import certificate
from bench.run import cluster, plan


def gathered(runs, units, variants, control):
    """-> (records, proof as certificate.verdict gives it, what was measured, the speed
    of the device or None). Proved is what every node has proved of what it ran: of
    several certificates the first that is not stands for all."""
    records, proofs, measured, peaks = [], [], [], []
    for unit in units:
        place = unit.folder(runs.out)
        found = cluster.found(runs, unit, variants)
        records += [nothing(runs, unit, variant) for variant in variants
                    if variant not in found]
        mine = list(found.values())
        if not mine:
            continue
        records += mine
        certified = certificate.load(place / "certificate.json")
        if certified:  # that of its kind of node, which may have been completed since
            certified = certificate.load(runs.out / "certificates" / (
                f"{certified['identity']}.json")) or certified
        refused = None
        if certified is None and len({*variants} - {
                v for v in variants if v.contender == control}) > 1:
            refused = f"parity NOT PROVED: no certificate lies in {str(place)!r}"
        proofs.append(certificate.verdict(certified, [
            r for r in mine if r["contender"] != control], refused))
        numbers = {r["block"] for r in mine}
        measured += [{**one, "block": min(numbers)} for path in sorted(
            (place / "measured").glob("*.json")) if measures.valid(
                one := files.read_json(path))]
        peaks.append(measures.known_peak(place))
    proof = min(proofs, key=lambda one: one[0], default=(
        False, "parity NOT PROVED: no block has finished", None))
    same = {str(peak): peak for peak in peaks}
    return records, proof, measured, peaks[0] if len(same) == 1 else None


def nothing(runs, unit, variant):
    """The record of a run of which its job has left none."""
    return {**runs.lost(plan.Job(variant, *unit), "no_record", {
        "code": None, "signal": None, "tail": ["its job has left no record"]}),
            "contender": variant.contender, "repeat": unit.repeat, "block": None}
