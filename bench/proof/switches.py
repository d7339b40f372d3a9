"""What was switched on or off in a run, and how many threads worked.

Variables and modes that change speed without changing a result; read again
by the launcher when the program has ended (bench/run/child.py), not believed.
What is on only while it trains is seen when it is certified (guard.py).
"""

from bench.proof.rules import (
    FAIR,
    UNFAIR,
    UNKNOWN,
    WARNING,
    Verdict,
    advised,
    judged,
    name,
)

# Set by the lab or by a library (scikit-learn, Lightning) when it is imported,
# and without a say in how fast a program is.
KNOWN = ("JAX_PERSISTENT_CACHE_MIN_", "JAX_PLATFORMS", "XLA_PYTHON_CLIENT_",
         "CUDA_VISIBLE_DEVICES", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK",
         "PYTORCH_NVML_BASED_CUDA_CHECK")
# Modes that change speed -> their usual value.
USUAL = {"own compile cache": False, "python tracing": False,
         "garbage collection": True, "torch anomaly detection": False,
         "torch deterministic algorithms": False, "torch profiler": False,
         "torch compiles": True, "torch compiles with inductor": True,
         "torch flushes denormals": True, "jax_disable_most_optimizations": False,
         "jax profiler": False, "jax_debug_nans": False,
         "jax_debug_infs": False, "jax_disable_jit": False,
         "jax_enable_checks": False, "jax_check_tracer_leaks": False,
         "jax_log_compiles": False}
# Of these, what a compiler is told: a recipe may vary it on purpose.
COMPILER = "torch compiles with inductor", "jax_disable_most_optimizations"
# Of all processor seconds of the epochs what others than the busiest thread
# must have used where a record says that several work. Seen: 27 to 63 %, beside
# a program that takes a core, too. NumPy's threads do not work on small things,
# and nobody's in epochs that are over in no time.
SHARE, LEAST_S, POOLS = 0.1, 0.5, ("jax", "torch")


def variables(r):
    """{name: value} of those that may change how fast a run was."""
    found = r["environment"].get("variables") or {}
    return {name: value for name, value in found.items()
            if not name.startswith(KNOWN)}


def unusual(found, but=()):
    """What is on or off among some modes and should not be, or None; but: modes
    that may be as they like."""
    for mode, usual in USUAL.items():
        if mode not in but and found.get(mode, usual) != usual:
            return f"{mode} is {found[mode]!r}"


def _modes(r, varied):
    found = r["environment"].get("modes")
    if not found:
        return "nobody has seen its modes"
    if words := unusual(found, COMPILER if varied else ()):
        return f"{words} at its end"
    threads, said = found.get("threads"), r["environment"].get("threads")
    if threads not in (None, said):
        return f"had {threads} threads at its end, and said {said}"


def _working(r, _):
    turns, threads = r["turns"], r["environment"].get("threads")
    every, busiest = (sum(filter(None, turns[name]))
                      for name in ("cpu_s", "busiest_cpu_s"))
    if ((threads or 0) > 1 and r["environment"]["device_kind"] == "cpu"
            and r["framework"] in POOLS and every > LEAST_S
            and every - busiest < SHARE * every):
        return (f"says {threads} threads, but one did "
                f"{100 * busiest / every:.3g} % of the work")


RULES = (
    ("modes that change speed", _modes, UNFAIR, "as they usually are",
     "what the script sets and does not set back"),
    ("as many threads work", _working, UNFAIR, "more than one, where it says so",
     "torch.set_num_threads, XLA_FLAGS and the cores of the process"),
)


def switches(done, varied=False):
    """A Verdict a rule; done: finished records; varied: does the recipe vary on
    purpose what a compiler is told?"""
    found = {text: r for r in done if (text := ", ".join(
        f"{key}={value}" for key, value in variables(r).items()))}
    rule = "speed is left alone"
    yield Verdict(rule, FAIR, "varied on purpose" if found else
                  "no variable changes it") if varied or not found else (
        Verdict(rule, WARNING, advised("; ".join(
            f"{text} ({name(r)})" for text, r in list(found.items())[:2]),
            "whether one of the frameworks is slower by it: unset it")))
    told = [r for r in done if None not in r["turns"]["cpu_s"]]
    for entry in RULES:
        if entry[1] is _working and len(told) < len(done):
            yield Verdict(entry[0], UNKNOWN, "the kernel does not tell")
        else:
            yield judged(entry, [(r, varied) for r in done])
