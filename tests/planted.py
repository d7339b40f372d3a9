"""The planted faults: what is changed, and the rule that must name it.

    python tests/planted.py      writes their table into docs/protocol.md

tests/test_proof.py plants each of them.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JAX, TORCH = ROOT / "mlp_jax.py", ROOT / "mlp_torch.py"
PAGE = ROOT / "docs" / "protocol.md"

# ------------------------------------------------- in a script: the certificate

# (fault, script, text, its replacement, optimizer, what is named)
SCRIPT_FAULTS = [
    ("another learning rate written in", JAX, "p - lr * g, params",
     "p - 0.11 * g, params", "sgd", "loss"),
    ("the first learning rate in every step", JAX,
     "program(state, *batch, lr)", "program(state, *batch, lrs[0])", "sgd",
     "loss"),
    ("one square matrix transposed", JAX, "jax.nn.relu(x @ w + b)",
     "jax.nn.relu(x @ (w.T if w.shape[0] == w.shape[1] else w) + b)", "sgd",
     "logits"),
    ("biased initial weights", TORCH, "a.T.copy()",
     "(a + 0.01 * (a.ndim == 1)).T.copy()", "sgd", "logits"),
    ("batch order off by one", JAX, "images[idx], labels[idx], lr)",
     "images[idx - 1], labels[idx - 1], lr)", "sgd", "loss"),
    ("gradient of the biases lost", JAX, "p - lr * g, params",
     "p - lr * g * (p.ndim > 1), params", "sgd", "loss"),
    ("Adam's epsilon inside the root", JAX, "(jnp.sqrt(v / c2) + EPSILON)",
     "jnp.sqrt(v / c2 + EPSILON)", "adam", "loss"),
    ("gradients never cleared", TORCH, "optimizer.zero_grad()", "pass", "sgd",
     "loss"),
    ("float32 called float64", JAX, 'args.precision == "fp64")', "False)",
     "sgd", "logits"),
    ("evaluation inside the clock", JAX,
     "    if args.rung == \"epoch\":\n        return program(state",
     "    evaluate(state, images, labels)\n"
     "    if args.rung == \"epoch\":\n        return program(state", "sgd",
     "not compared: RuntimeError"),
    ("top-2 accuracy", JAX, "hits = jnp.argmax(logits, axis=1) == "
     "jnp.argmax(y, axis=1)", "hits = jnp.sum(logits > jnp.sum(logits * y, "
     "axis=1, keepdims=True), axis=1) < 2", "sgd", "accuracy"),
]

# Mistakes that one epoch, one seed or the evaluation of initial weights hides,
# and what hides or waits inside the clock. SLOW: those that `make siege` plants.
EPOCH = ("        state, metric = program(state, *batch, lr)\n"
         "        metrics.append(metric)\n")
TRAIN = "order, rates(args, epoch, len(order)))"
PROGRAM = "    program = jax.jit(function, donate_argnums=0)\n"


TRAINED = ("        state, metrics = train_epoch(program, args, state, "
           "*sets[\"train\"],\n                                     order, "
           "rates(args, epoch, len(order)))\n")


FENCE = "        fence((state, metrics))\n"
STOPPED = ("        # ---------------------------------------------- the clock "
           "stopped\n        end = clock()\n")


def around(line):
    """Before an epoch with True, after it with False: this line."""
    return TRAINED, (f"        {line.format(True)}\n{TRAINED}"
                     f"        {line.format(False)}\n")


def whole(lines, plant="    metrics = []\n"):
    """Before the steps of train_epoch: these lines."""
    return plant, lines + plant


def inside(line, plant=EPOCH):
    """In each step of train_epoch, after it: this line."""
    return plant, f"{plant}        {line}\n"


SCRIPT_FAULTS += [
    # Baked into what was compiled, or left from the epoch before.
    ("the first epoch's order compiled into the program", JAX, PROGRAM,
     "    if args.rung == 'epoch':\n        fixed = order\n"
     "        function = lambda s, i, y, _, r: scan_epoch(step, s, i, y, fixed, r)"
     f"\n{PROGRAM}", "sgd", "loss", "epoch"),
    ("the first epoch's rates compiled into the program", JAX, PROGRAM,
     "    if args.rung == 'epoch':\n        fixed = lrs\n"
     "        function = lambda s, i, y, o, _: scan_epoch(step, s, i, y, o, fixed)"
     f"\n{PROGRAM}", "sgd", "loss", "epoch"),
    ("a wait for every step", JAX,
     *inside("metric.block_until_ready()"), "sgd", "not compared: RuntimeError"),
    ("float(loss) inside the clock", JAX,
     *inside("best = float(metric[0])"), "sgd", "not compared: RuntimeError"),
    ("float(loss) inside PyTorch's clock", TORCH,
     *inside("best = float(metric[0])"), "sgd", "not compared: RuntimeError"),
    ("loss.item() inside PyTorch's clock", TORCH,
     "    return state, torch.stack([loss.detach(), accuracy(logits, y)])",
     "    loss.item()\n"
     "    return state, torch.stack([loss.detach(), accuracy(logits, y)])",
     "sgd", "not compared: RuntimeError"),
    ("the last batch left out", JAX, "zip(batches(args, images, labels, order)"
     ", lrs)", "zip(batches(args, images, labels, order[:-1]), lrs)", "sgd",
     "returned 38 of 40 losses"),
    ("one thread while it trains", TORCH, "    metrics = []\n",
     "    metrics = []\n    torch.set_num_threads(1)\n", "sgd",
     "not compared: RuntimeError"),
]
SCRIPT_FAULTS += [
    # Not what its rung and its feed say; switched on and off around an epoch.
    ("training data left on the host", JAX, '(part, args.feed) == ("train", '
     '"host")', 'part == "train"', "sgd", "not compared: RuntimeError"),
    ("a scan under the rung step", JAX, *whole("    if args.rung == 'step':\n"
     "        return scan_epoch(partial(train_step, UPDATES[args.optimizer]),\n"
     "                          state, images, labels, order, lrs)\n"), "sgd",
     "not compared: RuntimeError"),
    ("metrics kept in an array of NumPy", JAX,
     *inside("np.empty((1, 2))[0] = metric"), "sgd",
     "not compared: RuntimeError"),
    ("the loss logged every 20 steps", JAX,
     *inside("if len(metrics) % 20 == 0: sys.stderr.write(str(metric))"), "sgd",
     "not compared: RuntimeError"),
    ("anomaly detection around each epoch", TORCH, *around(
     "torch.autograd.set_detect_anomaly({})"), "sgd",
     "not compared: RuntimeError"),
    ("an epoch for warming up", JAX, "    tell(args, \"ready\", wait=True)\n",
     "    order = data.batch_order(len(sets['train'][0]), args.batch_size, 0, 0)\n"
     "    train_epoch(program, args, jax.tree.map(jnp.copy, state),\n"
     "                *sets['train'], order, rates(args, 0, len(order)))\n"
     "    tell(args, \"ready\", wait=True)\n", "sgd",
     "not compared: RuntimeError"),
]
SLOW_FAULTS = [
    ("learning rate halved", JAX, "p - lr * g, params", "p - lr / 2 * g, params",
     "sgd", "loss"),
    ("labels of the next batch", JAX, "images[idx], labels[idx], lr)",
     "images[idx], labels[idx[::-1]], lr)", "sgd", "loss"),
    ("Adam without bias correction", JAX, "c1 = -jnp.expm1(t * math.log(BETA1))",
     "c1 = 1.0", "adam", "loss"),
    ("Adam's second moment with 0.99", JAX, "0.9, 0.999, 1e-8",
     "0.9, 0.99, 1e-8", "adam", "loss"),
    ("Adam's step counted from 0", JAX, "t = t + 1", "t = t + 2", "adam",
     "loss"),
    ("ReLU on the last layer", JAX, "return x @ w + b",
     "return jax.nn.relu(x @ w + b)", "sgd", "logits"),
    ("ReLU left out", JAX, "jax.nn.relu(x @ w + b)", "(x @ w + b)", "sgd",
     "logits"),
    ("sum in place of the mean", TORCH, "F.cross_entropy(logits, y)",
     "F.cross_entropy(logits, y, reduction='sum')", "sgd",
     "gradient"),
    ("label smoothing", TORCH, "F.cross_entropy(logits, y)",
     "F.cross_entropy(logits, y, label_smoothing=0.01)", "sgd",
     "gradient"),
    ("weight decay", TORCH, "args.lr, fused=True)",
     "args.lr, fused=True, weight_decay=1e-4)", "sgd", "loss"),
    ("momentum", TORCH, "args.lr, fused=True)",
     "args.lr, fused=True, momentum=0.1)", "sgd", "loss"),
    ("training accuracy of another batch", JAX,
     "jnp.stack([loss, accuracy(logits, y)])",
     "jnp.stack([loss, accuracy(logits, y[::-1])])", "sgd", "accuracy"),
    ("a median by NumPy", JAX, *inside("np.median(metric)"), "sgd",
     "not compared: RuntimeError"),
    ("a stack by NumPy", JAX, *inside("np.stack([metric])"), "sgd",
     "not compared: RuntimeError"),
    ("a float32 of NumPy", JAX, *inside("np.float32(metric[0])"), "sgd",
     "not compared: RuntimeError"),
    ("a copy by NumPy", JAX, *inside("np.copy(metric)"), "sgd",
     "not compared: RuntimeError"),
    ("a comparison by NumPy", JAX, *inside("np.allclose(metric, 0)"), "sgd",
     "not compared: RuntimeError"),
    ("a view of the memory", JAX, *inside("memoryview(metric)"), "sgd",
     "not compared: RuntimeError"),
    ("an exchange by DLPack", JAX, *inside("np.from_dlpack(metric)"), "sgd",
     "not compared: RuntimeError"),
    ("an exchange of PyTorch's by DLPack", TORCH,
     *inside("np.from_dlpack(metric)"), "sgd", "not compared: RuntimeError"),
    ("PyTorch's comparison of the loss", TORCH,
     *inside("torch.equal(metric, metric)"), "sgd",
     "not compared: RuntimeError"),
    ("a line of progress", TORCH, *inside("sys.stdout.write('.')"), "sgd",
     "not compared: RuntimeError"),
    ("a pause by an event", TORCH, "    metrics = []\n", "    metrics = []\n"
     "    import threading\n    threading.Event().wait(0.01)\n", "sgd",
     "not compared: RuntimeError"),
    ("a profiler around each epoch", TORCH, TRAINED, "        with torch.profiler"
     f".profile():\n    {TRAINED.rstrip()}\n", "sgd",
     "not compared: RuntimeError"),
    ("a search for NaN around each epoch", JAX, *around(
     "jax.config.update('jax_debug_nans', {})"), "sgd",
     "not compared: RuntimeError"),
    ("no garbage collection while it trains", TORCH, TRAINED,
     "        import gc\n        gc.disable()\n"
     f"{TRAINED}        gc.enable()\n", "sgd", "not compared: RuntimeError"),
    ("denormals left to PyTorch", TORCH, "    torch.set_flush_denormal(True)\n",
     "", "sgd", "not compared: RuntimeError"),
    ("the forward pass done twice", TORCH, "    loss = loss_fn(logits, y)\n"
     "    loss.backward()", "    loss = loss_fn(forward(x), y)\n"
     "    loss.backward()", "sgd", "not compared: RuntimeError"),
    ("a gradient for the images, too", TORCH, "    logits = forward(x)\n"
     "    loss =", "    logits = forward(x.requires_grad_())\n    loss =", "sgd",
     "not compared: RuntimeError"),
    ("evaluation before the clock stops", TORCH, FENCE,
     f"        evaluate(state, *sets['val'])\n{FENCE}", "sgd",
     "not compared: RuntimeError"),
    ("the clock stopped before the fence", JAX, FENCE + STOPPED,
     STOPPED + FENCE, "sgd", "not compared: RuntimeError"),
    ("a file of progress", JAX, *inside("open(os.devnull, 'w').close()"), "sgd",
     "not compared: RuntimeError"),
    ("a call of Python by every step", JAX,
     "    state = update(params, grads, opt, lr)\n",
     "    state = update(params, grads, opt, lr)\n"
     "    jax.debug.callback(lambda value: None, loss)\n", "sgd",
     "not compared: RuntimeError"),
    ("data on the device under feed host", JAX, '(part, args.feed) == ("train",'
     ' "host")', 'part == ""', "sgd", "not compared: RuntimeError", "step",
     "host"),
    ("the first order in every epoch", JAX, "args.seed, epoch)",
     "args.seed, 0)", "sgd", "loss"),
    ("the first epoch's rates in every epoch", JAX, TRAIN,
     "order, rates(args, 0, len(order)))", "sgd", "loss"),
    ("the first epoch's rates in PyTorch's every epoch", TORCH, TRAIN,
     "order, rates(args, 0, len(order)))", "sgd", "loss"),
    ("PyTorch's first order in every epoch", TORCH, "args.seed, epoch)",
     "args.seed, 0)", "sgd", "loss"),
    ("Adam begins anew with every epoch", JAX, "    metrics = []\n",
     "    state = init_state(state[0], args)\n    metrics = []\n", "adam",
     "loss"),
    ("Adam's averages forgotten with every epoch", TORCH, "    metrics = []\n",
     "    state[2].state.clear()\n    metrics = []\n", "adam", "loss"),
    ("rates counted from the second step", JAX, "lrs):\n        # Returns",
     "np.roll(lrs, -1)):\n        # Returns", "sgd", "loss"),
    ("rates of the epoch in reverse", TORCH, "lrs):\n        # On a GPU",
     "lrs[::-1]):\n        # On a GPU", "sgd", "loss"),
    ("an array looked at as NumPy", JAX, *inside("np.asarray(metric)"), "sgd",
     "not compared: RuntimeError"),
    ("device_get inside the clock", JAX, *inside("jax.device_get(metric)"),
     "sgd", "not compared: RuntimeError"),
    ("jax.block_until_ready inside the clock", JAX,
     *inside("jax.block_until_ready(state)"), "sgd",
     "not compared: RuntimeError"),
    ("the loss printed", JAX, *inside("print(metric[0])"), "sgd",
     "not compared: RuntimeError"),
    ("the loss as a text", JAX, *inside("line = f'{metric[0]:.4f}'"), "sgd",
     "not compared: RuntimeError"),
    ("a look for NaN", JAX, *inside("assert np.isfinite(metric).all()"), "sgd",
     "not compared: RuntimeError"),
    ("a decision by the loss", JAX,
     *inside("if metric[0] > 100: break"), "sgd", "not compared: RuntimeError"),
    ("metrics as a list", JAX, *inside("metric.tolist()"), "sgd",
     "not compared: RuntimeError"),
    ("a pause in every step", JAX, *inside("time.sleep(0)"), "sgd",
     "not compared: RuntimeError"),
    ("a step of Python for debugging", JAX, "    metrics = []\n",
     "    metrics = []\n    jax.config.update('jax_debug_nans', True)\n", "sgd",
     "not compared: RuntimeError"),
    ("metrics copied to the host", TORCH, *inside("metric.cpu()"), "sgd",
     "not compared: RuntimeError"),
    ("a tensor looked at as NumPy", TORCH, *inside("metric.numpy()"), "sgd",
     "not compared: RuntimeError"),
    ("PyTorch's metrics as a list", TORCH, *inside("metric.tolist()"), "sgd",
     "not compared: RuntimeError"),
    ("PyTorch's look for NaN", TORCH,
     *inside("assert torch.isfinite(metric).all()"), "sgd",
     "not compared: RuntimeError"),
    ("PyTorch's loss as a text", TORCH, *inside("line = f'{metric[0]:.4f}'"),
     "sgd", "not compared: RuntimeError"),
    ("a wait for the device in every step", TORCH,
     *inside("torch.cuda.synchronize()"), "sgd", "not compared: RuntimeError"),
    ("anomaly detection while it trains", TORCH, "    metrics = []\n",
     "    metrics = []\n    torch.autograd.set_detect_anomaly(True)\n", "sgd",
     "not compared: RuntimeError"),
    ("evaluation inside PyTorch's clock", TORCH,
     *inside("evaluate(state, images, labels)"), "sgd",
     "not compared: RuntimeError"),
    # Evaluation after training.
    ("validation images evaluated as test", JAX,
     "evaluate(state, *sets[part])", "evaluate(state, *sets['val'])", "sgd",
     "evaluation"),
    ("half of a set evaluated", TORCH, "loss, logits = objective(params, model,"
     " x, y)\n    return loss, accuracy(logits, y)",
     "x, y = x[::2], y[::2]\n    loss, logits = objective(params, model, x, y)\n"
     "    return loss, accuracy(logits, y)", "sgd", "evaluation"),
    ("the initial weights evaluated", TORCH, "    model, params, _ = state\n",
     "    model, params, _ = state\n"
     "    global first\n"
     "    first = globals().get('first') or {\n"
     "        name: p.clone() for name, p in params.items()}\n"
     "    params = first\n", "sgd", "evaluation"),
    # The model, the update.
    ("gradient clipping", TORCH, "    optimizer.step()\n",
     "    nn.utils.clip_grad_norm_(state[1].values(), 1.0)\n"
     "    optimizer.step()\n", "sgd", "loss"),
    ("decoupled weight decay", TORCH, "torch.optim.Adam(", "torch.optim.AdamW(",
     "adam", "loss"),
    ("AMSGrad", TORCH, "EPSILON, fused=True)", "EPSILON, amsgrad=True, "
     "fused=True)", "adam", "loss"),
    ("Adam's epsilon of another library", JAX, "0.9, 0.999, 1e-8",
     "0.9, 0.999, 1e-7", "adam", "loss"),
    ("Adam's absolute in place of square", JAX, "(1 - BETA2) * g * g",
     "(1 - BETA2) * jnp.abs(g)", "adam", "loss"),
    ("a step only every other time", TORCH, "    optimizer.step()\n",
     "    state[0].steps = getattr(state[0], 'steps', 0) + 1\n"
     "    if state[0].steps % 2: optimizer.step()\n", "sgd", "loss"),
    ("loss of the new weights", JAX, "jnp.stack([loss, accuracy(logits, y)])",
     "jnp.stack([objective(state[0], x, y)[0], accuracy(logits, y)])", "sgd",
     "not compared: RuntimeError"),
    ("GELU in place of ReLU", JAX, "jax.nn.relu(x @ w + b)",
     "jax.nn.gelu(x @ w + b)", "sgd", "logits"),
    ("images normalised twice", TORCH, '        """x (B, 784) -> logits '
     '(B, 10)"""\n', '        """x (B, 784) -> logits (B, 10)"""\n'
     "        x = (x - 0.1307) / 0.3081\n", "sgd", "logits"),
    ("half precision in between", JAX, "jax.nn.relu(x @ w + b)",
     "jax.nn.relu(x @ w + b).astype(jnp.bfloat16).astype(x.dtype)", "sgd",
     "logits"),
    ("softmax over the batch", JAX, "jax.nn.log_softmax(logits)",
     "jax.nn.log_softmax(logits, axis=0)", "sgd", "gradient"),
    ("no bias in the last layer", JAX, "return x @ w + b", "return x @ w",
     "sgd", "gradient"),
    ("dropout", TORCH, "x = F.relu(layer(x))",
     "x = F.dropout(F.relu(layer(x)), 0.01)", "sgd", "logits"),
]


# ------------------------------------------------------ in a record: the audit

def put(*path):
    *path, value = path

    def edit(r):
        for key in path[:-1]:
            r = r[key]
        r[path[-1]] = value
    return edit


def steady(r):
    r["timing"]["steady_epoch_s"] = 0.01


def unfenced(r):
    r["timing"]["epoch_s"][2] = r["turns"]["go_to_epoch_s"][2] = 0.01
    r["turns"]["epoch_to_done_s"][2] = 0.6


def slow_clock(r):
    r["turns"]["go_to_epoch_s"] = [
        second / 0.8 for second in r["timing"]["epoch_s"]]


def one_step(r):
    r.update(steps_per_epoch=1, samples_per_epoch=r["config"]["batch_size"])
    for values in r["steps"].values():
        del values[r["config"]["epochs"]:]


def evaluation_counted(r):
    r["timing"]["evaluate_s"] += 2.5


def longer(r):
    r["config"]["epochs"] = 4
    r["timing"]["epoch_s"].append(0.5)
    r["timing"]["read_s"].append(0.001)
    r["compilations"].append(0)
    r["epochs"].append({**r["epochs"][-1], "epoch": 4, "start_s": 9.0,
                        "end_s": 9.5})
    r["timing"]["total_s"] = 10.0


def overlapping(r):
    r["epochs"][1]["start_s"] = r["epochs"][0]["start_s"]


def impossible(r):
    r["timing"].update(epoch_s=[0.0012] * 3, steady_epoch_s=0.0012,
                       first_epoch_s=0.0012 + r["timing"]["compile_s"])
    for row in r["epochs"]:
        row["end_s"] = row["start_s"] + 0.0012


# (fault, what is done to one record of six, rule that names it)
RECORD_FAULTS = [
    ("another device", put("environment", "device_name", "H200"), "device"),
    ("another processor", put("environment", "cpu_model", "other"),
     "processor"),
    ("another precision", put("config", "precision", "fp64"), "precision"),
    ("other data", put("dataset", "sha256", "e" * 64), "data"),
    ("another split", put("dataset", "split", "pooled"), "split"),
    ("other set sizes", put("dataset", "sizes", "train", 50_001), "split"),
    ("an epoch of one step", one_step, "steps are floor(N / B)"),
    ("samples counted wrongly", put("samples_per_epoch", 50_000),
     "steps are floor(N / B)"),
    ("another number of epochs", longer, "epochs"),
    ("wrong parameter count", put("parameters", 235_145),
     "size of the network"),
    ("SGD against Adam", put("config", "optimizer", "sgd"), "optimizer"),
    ("another learning rate", put("config", "lr", 0.01), "learning rate"),
    ("another schedule", put("config", "schedule", "cosine"), "schedule"),
    ("dropout in one of them", put("config", "dropout", 0.3), "dropout"),
    ("other initial weights", put("init_sha256", "f" * 64),
     "initial weights"),
    ("another batch order", put("order_sha256", "f" * 64), "batch order"),
    ("data from the host", put("config", "feed", "host"),
     "residency of the data"),
    ("another thread count", put("environment", "threads", 1), "threads"),
    ("other cores", put("affinity", [0]), "cores"),
    ("a cached compilation called cold", put("timing", "compile_s", 0.05),
     "cold means cold"),
    ("a median that the epochs do not have", steady, "medians and sums"),
    ("an accuracy that no epoch has", put("final", "test_accuracy", 0.999),
     "medians and sums"),
    ("a rung that never says what compiling took", put(
        "timing", "compile_s", None), "medians and sums"),
    ("a clock that runs at 0.8", slow_clock, "the parent's clock agrees"),
    ("a clock that runs too fast", put(
        "turns", "go_to_epoch_s", [0.4] * 3), "the parent's clock agrees"),
    ("a fence that is missing in the last epoch", unfenced,
     "no epoch ends in the evaluation"),
    ("work between turns", put("turns", "waiting_cpu_s", [None, 0.2, 0.2]),
     "who waits sleeps"),
    ("an epoch in 0.0012 s", impossible, "possible speed"),
    ("a clock that does not wait", put("timing", "read_s", [0.4] * 3),
     "the clock waits"),
    ("epochs that overlap", overlapping, "times are in order"),
    ("evaluation counted into the epochs", evaluation_counted,
     "evaluation outside the clock"),
    ("no evaluation time", put("timing", "evaluate_s", 0.0),
     "evaluation outside the clock"),
    ("a recompilation in every epoch", put("compilations", [1, 0, 1, 1]),
     "compilations"),
    ("a step that was never compiled", put("compilations", [0, 23, 0, 0]),
     "compilations"),
    ("0.9 MB where the weights need more", put(
        "memory", "device_peak_bytes", 900_000), "possible memory"),
    ("a run that did not learn", put("final", "test_accuracy", 0.1009),
     "better than chance"),
]

# What was timed is not what was certified; switches, cores, other versions.

def losses_from(first, change, stop=None):
    """From step `first` on every loss is changed, and the means follow."""
    def edit(r):
        values = r["steps"]["loss"]
        values[first:stop] = [change(value) for value in values[first:stop]]
        steps = r["steps_per_epoch"]
        for place, entry in enumerate(r["epochs"]):
            mine = values[place * steps:][:steps]
            entry["train_loss"] = sum(mine) / steps
    return edit


def accuracies(part, value):
    def edit(r):
        for entry in r["epochs"]:
            entry[f"{part}_accuracy"] = value
        if part == "train":
            r["steps"]["accuracy"] = [value] * len(r["steps"]["accuracy"])
        if part == "test":
            r["final"]["test_accuracy"] = value
    return edit


def variable(name, value):
    return put("environment", "variables", {name: value})


def mode(name, value):
    return put("environment", "modes", {name: value})


def turn(name, change):
    def edit(r):
        r["turns"][name] = [change(second) for second in r["timing"]["epoch_s"]]
    return edit


RECORD_FAULTS += [
    ("another version of the framework", put("environment", "jax", "0.9"),
     "versions"),
    ("another version of NumPy", put("environment", "numpy", "1.26"),
     "Python and NumPy"),
    ("another Python", put("environment", "python", "3.13.1"),
     "Python and NumPy"),
    ("XLA told to use one thread", variable(
        "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false"), "variables"),
    ("OpenMP's threads set in one run", variable("OMP_NUM_THREADS", "1"),
     "variables"),
    ("a library loaded before all others", variable("LD_PRELOAD", "x.so"),
     "variables"),
    ("another memory allocator", variable("MALLOC_ARENA_MAX", "1"),
     "variables"),
    ("kernels awaited one by one", variable("CUDA_LAUNCH_BLOCKING", "1"),
     "variables"),
    ("a compile cache of its own", mode("own compile cache", True),
     "modes that change speed"),
    ("JAX's search for NaN left on", mode("jax_debug_nans", True),
     "modes that change speed"),
    ("jit switched off", mode("jax_disable_jit", True),
     "modes that change speed"),
    ("JAX's own checks left on", mode("jax_enable_checks", True),
     "modes that change speed"),
    ("a search for leaked tracers", mode("jax_check_tracer_leaks", True),
     "modes that change speed"),
    ("anomaly detection left on", mode("torch anomaly detection", True),
     "modes that change speed"),
    ("deterministic algorithms", mode("torch deterministic algorithms", True),
     "modes that change speed"),
    ("a profiler that still runs", mode("torch profiler", True),
     "modes that change speed"),
    ("compilation switched off", mode("torch compiles", False),
     "modes that change speed"),
    ("torch.compile with a backend that compiles nothing", mode(
        "torch compiles with inductor", False), "modes that change speed"),
    ("XLA told not to optimise", mode("jax_disable_most_optimizations", True),
     "modes that change speed"),
    ("a debugger's trace function", mode("python tracing", True),
     "modes that change speed"),
    ("a run of another comparison", put("block_started_unix_s", 1.5e9),
     "a block is one block"),
    ("no garbage collection", mode("garbage collection", False),
     "modes that change speed"),
    ("threads that were changed after they were counted", mode("threads", 1),
     "modes that change speed"),
    ("one thread at work where two are stated", turn(
        "busiest_cpu_s", lambda second: 1.8 * second), "as many threads work"),
    ("the first loss of other weights", losses_from(
        0, lambda loss: loss * 1.01, 1), "the first losses agree"),
    ("the second loss of another batch", losses_from(
        1, lambda loss: loss * 1.1, 2), "the first losses agree"),
    ("a loss rounded to TF32", losses_from(
        0, lambda loss: loss * 1.0002, 1), "the first losses agree"),
    ("losses written one step late", losses_from(
        1, lambda loss: loss * 1.02), "the first losses agree"),
    ("another rate from the fourth step on", losses_from(
        4, lambda loss: loss * 0.97), "the first losses agree"),
    ("a step that trains only in the first batches", losses_from(
        40, lambda loss: loss + 0.1), "the mean losses agree"),
    ("half of the batches left out of later epochs", losses_from(
        195, lambda loss: loss * 1.2), "the mean losses agree"),
    ("the second epoch left out", losses_from(
        195, lambda loss: loss * 2, 390), "the mean losses agree"),
    ("test images that were trained on", accuracies("test", 0.9995),
     "the accuracies agree"),
    ("a test set of the easy half", accuracies("test", 0.99),
     "the accuracies agree"),
    ("weights of one epoch before validated", accuracies("val", 0.94),
     "the accuracies agree"),
    ("accuracy of the wrong batches", accuracies("train", 0.1),
     "the accuracies agree"),
    ("a mean loss that the steps do not make", lambda r: r["epochs"][1].update(
        train_loss=0.2), "means of the steps"),
    ("a mean accuracy that the steps do not make", lambda r: r["epochs"][1]
     .update(train_accuracy=0.99), "means of the steps"),
    ("steps of another run", lambda r: r["steps"].update(
        loss=[0.3] * len(r["steps"]["loss"])), "means of the steps"),
    ("processor time called wall clock", turn(
        "go_to_epoch_s", lambda second: second / 1.9),
     "the parent's clock agrees"),
    ("a clock in other units", turn(
        "go_to_epoch_s", lambda second: 1000 * second),
     "the parent's clock agrees"),
    ("the batch order made before the clock", turn(
        "go_to_epoch_s", lambda second: second + 0.1),
     "the parent's clock agrees"),
    ("a sleep before the clock", turn(
        "go_to_epoch_s", lambda second: second + 0.3),
     "the parent's clock agrees"),
    ("a thread that trains on between turns", put(
        "turns", "waiting_cpu_s", [None, 0.5, 0.5]), "who waits sleeps"),
    ("a compilation found in a cache", put("timing", "compile_s", 0.09),
     "cold means cold"),
    ("a test loss in bits", lambda r: [
        entry.update(test_loss=entry["test_loss"] / 0.693)
        for entry in r["epochs"]] and r["final"].update(
            test_loss=r["final"]["test_loss"] / 0.693), "the mean losses agree"),
    ("the name of another data set", lambda r: (
        r["config"].update(dataset="digits"), r["dataset"].update(
            name="digits")), "data set"),
    ("modes that nobody saw", lambda r: r["environment"].pop("modes"),
     "modes that change speed"),
    ("one epoch made shorter", lambda r: (
        r["timing"]["epoch_s"].__setitem__(1, 0.3), r["timing"].update(
            steady_epoch_s=0.405)), "the parent's clock agrees"),
    ("another priority", put("environment", "priority", "10 of class 0"),
     "priority"),
    ("PyTorch's kernels chosen by hand", variable(
        "ATEN_CPU_CAPABILITY", "default"), "variables"),
    ("denormals computed", mode("torch flushes denormals", False),
     "modes that change speed"),
    ("float64 called float32", lambda r: losses_from(
        0, lambda loss: loss * (1 + 1e-9))(r), "precision of the losses"),
    ("TF32 on a processor", put("config", "precision", "tf32"),
     "precision of the losses"),
    ("one program under the rung eager", lambda r: (
        r["config"].update(rung="eager"), r["timing"].update(
            compile_s=None, first_epoch_s=r["timing"]["epoch_s"][0]),
        r.update(compilations=[0, 1, 0, 0])), "compilations"),
    ("batch orders drawn ahead", put("timing", "order_s", [1e-6] * 3),
     "times are in order"),
    ("a batch order longer than its epoch", put("timing", "order_s", [9.0] * 3),
     "times are in order"),
    ("an epoch of another run", lambda r: r["epochs"][1].update(epoch=7),
     "times are in order"),
    ("a compile clock that starts late", lambda r: r["timing"].update(
        trace_s=0.5, lower_s=0.4), "medians and sums"),
    ("a test loss that no epoch has", put("final", "test_loss", 0.1),
     "medians and sums"),
    ("a total of other turns", put("timing", "total_s", 99.0),
     "medians and sums"),
    ("work of other turns", lambda r: r["epochs"][1].update(worked_s=99.0),
     "medians and sums"),
]


# ---------------------------------------------------------------- their table

def table():
    """Lines of Markdown: a row a rule, the faults that it names."""
    named = {}
    for who, faults in (("certificate", SCRIPT_FAULTS + SLOW_FAULTS),
                        ("audit", RECORD_FAULTS)):
        for fault, *rest in faults:
            rule = rest[4] if who == "certificate" else rest[-1]
            named.setdefault(f"{who}: {rule}", []).append(fault)
    return ["| named by | planted faults |", "|---|---|", *(
        f"| {rule} | {'; '.join(faults)} |" for rule, faults in named.items())]


def page(text):
    """docs/protocol.md with their table as its last part."""
    before, head, _ = text.partition("| named by | planted faults |")
    return before + "\n".join(table()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
