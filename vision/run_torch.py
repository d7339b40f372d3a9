"""The networks of vision_torch.py as a program that is timed: steps of training, or
answers that are waited for one by one. run_jax.py is the same in JAX.

    python compare.py --recipe recipes/vision.toml --network resnet50
"""

from functools import partial

from bench.kit import program as kit

with kit.importing("torch"):
    import products as multiplied
    import torch
    import vision_torch
    from torch.nn import functional as F
from batches import CLASSES, SIZE, able, kept, planes

LAYOUT = torch.contiguous_format  # of images and kernels in memory
MODE = None                       # of torch.compile


def setup(args, run):
    """Choose device and precision, of convolutions, too -> the device"""
    cuda = args.device != "cpu" and torch.cuda.is_available()
    if cuda:
        able(args, float("{}.{}".format(*torch.cuda.get_device_capability())))
    tf32 = args.precision == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32  # of convolutions: True unless told
    torch.backends.cudnn.benchmark = True   # it tries kernels, as XLA does,
    torch.backends.cudnn.benchmark_limit = 0  # and all of them
    torch.set_flush_denormal(True)          # as XLA does
    torch.set_num_threads(kit.cores())
    stats = torch._dynamo.utils.counters["stats"]
    run.describe(
        {"torch": torch.__version__, "cuda": torch.version.cuda},
        "cuda" if cuda else "cpu",
        torch.cuda.get_device_name() if cuda else "cpu", torch.get_num_threads(),
        fence=lambda values: torch.cuda.synchronize() if cuda else None,
        to_host=lambda a: torch.stack(list(a)).cpu().numpy(),
        compiled=lambda: stats["unique_graphs"],
        memory=lambda: torch.cuda.max_memory_allocated() if cuda else None)
    return torch.device("cuda" if cuda else "cpu")


def products(args):
    """-> what an answer to a batch multiplies, [(times, m, k, n), …]"""
    return multiplied.products(args.network, args.size or SIZE, args.batch_size)


def pictures(args, images, idx):
    """-> x (B, 3, size, size) around 0: a pixel becomes a square of pixels, a grey
    picture three alike"""
    colours, side, times = planes(args)
    x = images.index_select(0, idx).reshape(-1, colours, side, side)
    x = x.expand(-1, 3, -1, -1).repeat_interleave(times, 2).repeat_interleave(times, 3)
    return (4 * x - 2).contiguous(memory_format=LAYOUT)


def classes(labels, idx):
    """-> one-hot y (B, 1000)"""
    y = labels[idx]
    return F.pad(y, (0, CLASSES - y.shape[-1]))


def train_epoch(args, forward, state, images, labels, order, lrs):
    """order (S, B), lrs (S,) -> state, metrics: S times (loss, accuracy)"""
    model, optimizer = state
    drops, metrics = vision_torch.drops(model), []
    masks = {name: torch.from_numpy(a).to(images.device) for name, a in kept(
        {name: (one.rate, one.shape) for name, one in drops.items()}, order).items()}
    order = torch.from_numpy(order).to(images.device)
    for n, lr in enumerate(lrs.tolist()):
        for name, one in drops.items():  # in place: a CUDA graph reads there
            one.mask.copy_(masks[name][n]).div_(1 - one.rate)
        optimizer.param_groups[0]["lr"] = lr
        metrics.append(vision_torch.train_step(
            forward, optimizer, pictures(args, images, order[n]),
            classes(labels, order[n])))
    return state, metrics


def mixed(args, forward):
    """The same, with products in bfloat16 where the flags ask for it."""
    if args.precision != "bf16":
        return forward

    def cast(x):
        with torch.autocast(x.device.type, torch.bfloat16):
            return forward(x).float()
    return cast


def score(args, logits, labels, idx):
    """-> (loss, accuracy) of the logits of one batch, or of each of several"""
    y = classes(labels, idx)
    if args.work == "answer":  # it has learned nothing: they are all but equal
        logits = logits / logits.abs().mean((-2, -1), keepdim=True)
    loss = -(y * logits.log_softmax(-1)).sum(-1).mean(-1)
    right = (logits.argmax(-1) == y.argmax(-1)).to(logits.dtype).mean(-1)
    return torch.stack([loss, right], -1)


def answer_epoch(args, run, ask, state, images, labels, order, lrs):
    """The same batches, each asked about when the answer to the last is on the host.
    Its picture is made before it is asked about."""
    order, logits = torch.from_numpy(order).to(images.device), []
    for idx in order:
        x = pictures(args, images, idx)
        run.fence(x)
        start = kit.clock()
        logits.append(ask(x).cpu())
        run.timing["answer_s"].append(kit.clock() - start)
    return state, score(args, torch.stack(logits).to(images.device), labels, order)


@torch.no_grad()
def evaluate(args, state, x, y):
    """-> (loss, accuracy) of all of them, as many at once as in a step"""
    model, training = state[0], state[0].training
    model.eval()
    found = sum(len(idx) * score(args, mixed(args, model)(pictures(args, x, idx)), y,
                                 idx)
                for idx in torch.arange(len(x), device=x.device).split(args.batch_size))
    model.train(training)
    return found / len(x)


def build(args, state, images, labels, order, lrs, timing):
    """-> the model, compiled if the rung says so, as an epoch calls it"""
    model, _ = state
    forward = mixed(args, torch.compile(
        model, fullgraph=True, dynamic=False, mode=MODE)
        if args.rung == "model" else model)
    x = pictures(args, images, torch.from_numpy(order[0]).to(images.device))
    times = 1 if MODE is None else 3  # until a CUDA graph is recorded
    if args.work == "answer":
        ask = torch.inference_mode()(forward)
        for _ in range(times if args.rung == "model" else 0):
            ask(x)
        return ask
    for one in vision_torch.drops(model).values():
        one.mask = x.new_ones((len(x), *one.shape))
    if args.rung == "model":
        # The first call compiles both ways and moves BatchNorm's statistics, which
        # are put back: no step counts yet. Logits live as long as in a step, or a
        # CUDA graph would be recorded once more there.
        before = {name: a.clone() for name, a in model.state_dict().items()}
        y = classes(labels, torch.from_numpy(order[0]).to(images.device))
        for _ in range(times):
            logits = forward(x)
            F.cross_entropy(logits, y).backward()
            model.zero_grad()
            del logits
        model.load_state_dict(before)
    return forward


def arrays(model):
    """-> [(array,), …] in NumPy, in the order of their names"""
    return [(a.detach().cpu().numpy(),) for _, a in sorted(model.named_parameters())]


def train(args, run):
    device = setup(args, run)
    vision_torch.SIZE = args.size or vision_torch.SIZE
    model = vision_torch.initial(args.network, args.seed)
    weights = run.initial(lambda: arrays(model))
    if args.precision == "fp64":
        vision_torch.exact(model.double())
    with torch.no_grad():
        for (_, a), (w,) in zip(sorted(model.named_parameters()), weights):
            a.copy_(torch.from_numpy(w))
    model.to(device, memory_format=LAYOUT)
    run.load(lambda sets: [torch.from_numpy(a).to(device) for a in sets])
    state = model, torch.optim.SGD(model.parameters(), args.lr)
    epoch = partial(train_epoch, args)
    if args.work == "answer":
        model.eval()
        run.timing["answer_s"] = []
        epoch = partial(answer_epoch, args, run)
    program = run.compile(partial(build, args), state)
    run.train(partial(epoch, program), partial(evaluate, args), state)
    return arrays(model)


if __name__ == "__main__":
    kit.main(train, __file__, "torch", "eager", rungs=("eager", "model"), vision=True)
