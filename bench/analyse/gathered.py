"""What the jobs of a cluster have left in their folders, as one comparison."""

from bench.kit.rungs import RUNGS
from bench.measure import measures
from bench.proof import certificate
from bench.run import cluster, plan


def gathered(runs, args):
    """-> (records, proof as certificate.verdict gives it, the speed of the device or
    None). Proved is what every node has proved of what it ran: of several certificates
    the first that is not stands for all."""
    records, proofs, peaks = [], [], {}
    for unit in args.units:
        found = cluster.found(runs, unit, args)
        # Where a comparison has grown, its blocks are counted anew.
        number = unit.repeat * len(args.seeds) + args.seeds.index(unit.seed)
        records += [{**r, "block": number} for r in found]
        records += [nothing(runs, unit, variant, number) for variant in args.variants
                    if variant not in map(plan.Variant.of, found)]
        ran = [r for r in found if r["status"] == "ok"]
        if certified := [r for r in ran if r["contender"] != args.control]:
            proofs.append(proof_of(unit.folder(args.place), certified))
        peak = measures.known_peak(unit.folder(args.place))
        if ran and peak:
            peaks.setdefault(peak["device"], []).append(peak["flops"])
    proof = min(proofs, key=lambda one: one[0], default=(
        False, "parity NOT PROVED: no block has finished", None))
    # Of several kinds of device nobody knows one speed.
    speeds = [{"device": device, "flops": max(found)}
              for device, found in peaks.items()]
    return records, proof, speeds[0] if len(speeds) == 1 else None


def proof_of(place, ran):
    """The verdict of a block's certificate on the runs that have finished there."""
    own = certificate.load(place / "certificate.json")
    # That of its kind of node, which may have been completed since.
    shared = own and certificate.load(
        place.parent.parent / "certificates" / f"{own['identity']}.json")
    made = {certificate.key(row) for row in shared["rows"]} if shared else {}
    if own and made >= {certificate.key(row) for row in own["rows"]}:
        own = shared
    several = {plan.Variant.of(r) for r in ran if not RUNGS[r["config"]["rung"]].own}
    return certificate.verdict(own, ran, (
        f"parity NOT PROVED: no certificate lies in {str(place)!r}"
        if own is None and len(several) > 1 else None))


def nothing(runs, unit, variant, number):
    """The record of a run of which its job has left none."""
    return {**runs.lost(plan.Job(variant, *unit), "no_record", {
        "code": None, "signal": None, "tail": ["its job has left no record"]}),
            "contender": variant.contender, "repeat": unit.repeat, "block": number}
