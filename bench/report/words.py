"""Numbers and names as people read them."""

import tomllib

import data
from bench.kit.network import SIZE
from bench.report.document import read
from bench.run.environment import versions as versions_of

TEXTS = tomllib.loads(read("texts.toml"))
FRAMEWORKS = {"jax": "JAX", "torch": "PyTorch"}


def three(value):
    """A number with three significant figures, never in powers of ten."""
    if not value:
        return "" if value is None else "0"
    # The exponent of the rounded number: 9.6 is 9.60, 9.996 is 10.0.
    exponent = int(f"{value:.2e}".partition("e")[2])
    return f"{value:.{max(0, 2 - exponent)}f}"


def many(value):
    """A number of things: '12,345', with three figures below 100"""
    return f"{value:,.0f}" if value >= 100 else three(value)


def with_span(value, *more, form=three):
    """'1.23 (1.20 to 1.26)' with an interval, '1.23 ± 0.02' with a standard
    deviation, '1.23' with None."""
    return "-" if value is None else form(value) + "".join(
        f" ({form(part[0])} to {form(part[1])})" if isinstance(part, tuple)
        else f" ± {form(part)}" for part in more if part is not None)


def between(values):
    """'0.5', or '0.5 to 0.7' of several that do not look the same"""
    return " to ".join(dict.fromkeys(map(three, (min(values), max(values)))))


def name(key):
    """(contender, rung, feed, …) -> 'jax step', the feed if not resident on
    the device."""
    return f"{key[0]} {key[1]}" + " (host feed)" * (key[2] == "host")


def verdict(two, kind, label=name):
    """A ratios.Compared in words."""
    return TEXTS["verdicts"][kind][two.verdict].format(
        label(two.order[0]) if two.order else "")


# `done`, below, are finished records.

def called(done):
    """What a title calls those that ran: by framework, not by name."""
    return listed([FRAMEWORKS.get(f, f)
                   for f in sorted({r["framework"] for r in done})])


def titled(done):
    """'resnet50 in JAX and PyTorch on MNIST'"""
    network = done[0]["config"].get("network")
    return (f"{network} in " * bool(network) + f"{called(done)} on "
            + where(done).split(",")[0])


def where(done):
    """'MNIST, a processor, 2 cores, fp32, adam lr 0.001', for captions."""
    return ", ".join(" and ".join(dict.fromkeys(part)) for part in zip(
        *map(_place, done))) or "no finished run"


def _place(r):
    """Data, device, precision and training of a run."""
    c, place = r["config"], r["environment"]
    device = ("{cpu_model}, {cores} cores" if place["device_kind"] == "cpu"
              else "{device_name}").format(**place)
    what = ""
    if c.get("network"):
        size = c.get("size") or SIZE
        what = (f", {c['network']} at {size} x {size} pixels"
                + ", answering" * (c.get("work") == "answer"))
    return (data.DATASETS[r["dataset"]["name"]].label + what, device, c["precision"],
            f"{c['optimizer']} lr {c['lr']:g}"
            + " cosine" * (c.get("schedule") == "cosine"))


def versions(done):
    """'commit 0123abcdef, jax 0.10.2, …'"""
    return ", ".join(sorted({
        f"{key} {value}" for r in done for key, value in {
            **versions_of(r["environment"]), **{
                key: r["environment"].get(key) for key in (
                    "numpy", "python", "commit")}}.items() if value}))


def environment(done):
    """{what they say of where they ran: [values]}, without what is empty and
    the modes, of which the audit says whether one is unusual."""
    seen = {}
    for r in done:
        for key, value in {**r["environment"], "modes": None,
                           "affinity": r.get("affinity"),
                           "dataset": r["dataset"].get("sha256")}.items():
            if value not in [None, "", {}, *seen.get(key, ())]:
                seen.setdefault(key, []).append(value)
    return dict(sorted(seen.items()))


def chosen(sizes, most=3):
    """Batch sizes that a figure has room for: all, or of more than `most` the
    smallest, the largest and those in the middle."""
    last = len(sizes) - 1
    return sizes if last < most else [
        sizes[round(n * last / (most - 1))] for n in range(most)]


def capital(text):
    return text[:1].upper() + text[1:]


def listed(parts):
    """'a', 'a and b', 'a, b and c'"""
    *head, last = map(str, parts)
    return f"{', '.join(head)} and {last}" if head else last


def at_sizes(sizes):
    """' at batch size 64', ' at batch sizes 64 and 256'"""
    sizes = [*sizes]
    return f" at batch size{'s' * (len(sizes) > 1)} {listed(sizes)}"


def plural(count, word):
    return f"{count} {word}{'s' * (count != 1)}"
