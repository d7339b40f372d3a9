"""What one training step consists of: counted, not timed.

Of JAX: the primitives of the traced step, and the instructions that are left
in the program that XLA made of it. Of PyTorch: the operators that the profiler
sees in an eager step, and the kernels that Inductor generated for the compiled
one.
"""

import re
from functools import partial

import numpy as np

from bench.measure.subject import read_sets, ready

# Instructions of an HLO program that compute nothing.
NOTHING = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast",
           "after-all", "partition-id", "replica-id", "opt-barrier"}


def count_primitives(jaxpr):
    """Equations of a jaxpr, those of inner functions in place of the call."""
    total = 0
    for equation in jaxpr.eqns:
        values = [getattr(value, "jaxpr", value)
                  for value in equation.params.values()]
        inner = [count_primitives(value) for value in values
                 if hasattr(value, "eqns")]
        total += sum(inner) if inner else 1
    return total


def count_program(text):
    """Text of an optimised HLO module -> {"run", "fused", "products"}:
    instructions that it runs per step (of a loop, those of its body), how
    many of them do several operations, and matrix products wherever they
    are."""
    bodies, current, entry = {}, [], None
    for line in text.splitlines():
        if head := re.match(r"(ENTRY )?%?([\w.-]+) .*\{\s*$", line):
            current = bodies.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        # The type of a result may hold spaces and parentheses: what counts
        # is the first word that is followed by one.
        elif found := re.search(r" = .*?[\]\}\)] ([a-z][\w-]*)\(", line):
            current.append((found[1], line))

    def walk(name):
        total = np.zeros(3, int)
        for opcode, line in bodies.get(name, []):
            inner = re.search(r"(body|to_apply|calls)=%?([\w.-]+)", line)
            if opcode in ("while", "call"):
                total += walk(inner[2])
            elif opcode == "fusion":
                run, _, products = walk(inner[2])
                total += 1, run > 1, products
            else:
                product = opcode == "dot" or opcode == "custom-call" and (
                    re.search("gemm|matmul|dot", line, re.I))
                total += opcode not in NOTHING, 0, bool(product)
        return total
    return dict(zip(("run", "fused", "products"), walk(entry).tolist()))


def jax_counts(module, args, build, step):
    """Counts of the rung that args.rung asks for; build() gives its program,
    step is what a step takes, but for its rate."""
    counts = {} if args.rung == "eager" else count_program(build().as_text())
    args.rung = "eager"  # the step alone, as it is written
    traced = module.jax.make_jaxpr(build())(*step, args.dtype(args.lr))
    return {"written": count_primitives(traced.jaxpr), **counts}


def torch_counts(module, args, build, step):
    """The same."""
    torch, program = module.torch, build()
    if args.rung != "eager":
        products = torch._dynamo.utils.counters["inductor"]["extern_calls"]
        fused = torch._inductor.metrics.generated_kernel_count
        if not fused:
            raise ValueError("Inductor does not tell what it has generated")
        return {"run": fused + products, "fused": fused,
                "products": products, **torch_stages(torch)}
    for _ in range(2):  # the first step also sets things up
        with torch.profiler.profile(
                activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
            program(*step, args.lr)
    ours = [event for event in seen.events()
            if event.name.startswith("aten::")]
    outer = [event for event in ours if not (
        event.cpu_parent and event.cpu_parent.name.startswith("aten::"))]
    return {"written": len(outer), "products": sum(
        event.name in ("aten::mm", "aten::addmm") for event in ours)}


def torch_stages(torch):
    """Seconds of the parts of the compilation that has just been done, by
    torch.compile's own clock; empty where this version names them otherwise.
    """
    clock = torch._dynamo.utils.compilation_time_metrics
    whole, backend, inductor, load = (
        sum(clock.get(name, ())) for name in (
            "_compile.compile_inner", "OutputGraph.call_user_compiler",
            "compile_fx_inner", "PyCodeCache.load_by_key_path"))
    if not 0 < load < inductor < backend < whole:
        return {}
    return {"tracing": whole - backend, "autograd": backend - inductor,
            "inductor": inductor - load, "compiler": load}


def operations(subjects):
    """What a step consists of, and the seconds of compiling it."""
    (module, args, _), = subjects
    state, *epoch, lrs = ready(subjects[0], read_sets(args))
    build = partial(module.build, args, state, *epoch, lrs, {})
    step = state, *next(module.batches(args, *epoch))
    count = jax_counts if hasattr(module, "jax") else torch_counts
    counts = count(module, args, build, step)
    return {name: (value, "s", 1, "by its own clock")
            if isinstance(value, float) else (value, "per step", 1, "counted")
            for name, value in counts.items()}
