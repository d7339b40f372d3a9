"""The network in plain PyTorch: modules and a loop, nothing compiled, with the
dropout that the pair has not.

    python compare.py --contender pytorch=peers/mlp_pytorch.py \\
        --variants pytorch:step torch:eager

As https://docs.pytorch.org/tutorials/beginner/basics/quickstart_tutorial.html
trains, with the batches of all in place of a DataLoader.
"""

from bench.kit import program

with program.importing("torch"):
    import numpy as np
    import torch
    from torch import nn


def make_model(sizes, dropout):
    """Linear layers with ReLU, and dropout if asked for, between them."""
    layers = []
    for i, o in zip(sizes, sizes[1:]):
        layers += [nn.Linear(i, o), nn.ReLU(), nn.Dropout(dropout or 0)]
    return nn.Sequential(*layers[:-2])


def score(logits, y):
    """-> loss, accuracy"""
    right = (logits.argmax(1) == y.argmax(1)).to(logits.dtype).mean()
    return nn.functional.cross_entropy(logits, y), right


@torch.no_grad()
def evaluate(state, x, y):
    model, _ = state
    model.eval()
    found = score(model(x), y)
    model.train()
    return torch.stack(found)


def train_epoch(state, images, labels, order, lrs):
    model, optimizer = state
    metrics, host = [], isinstance(images, np.ndarray)
    for idx, lr in zip(order if host else torch.from_numpy(order).long(),
                       lrs.tolist()):
        x, y = images[idx], labels[idx]
        if host:
            x, y = torch.from_numpy(x), torch.from_numpy(y)
        optimizer.param_groups[0]["lr"] = lr
        loss, right = score(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        metrics.append(torch.stack([loss.detach(), right]))
    return state, torch.stack(metrics)


def train(args, run):
    torch.set_flush_denormal(True)  # as in the pair, and as XLA does
    torch.manual_seed(args.seed)
    torch.set_default_dtype(torch.float64 if args.precision == "fp64"
                            else torch.float32)
    run.describe({"torch": torch.__version__}, "cpu", "cpu",
                 torch.get_num_threads(), fence=lambda x: None,
                 to_host=np.asarray, compiled=lambda: 0, memory=lambda: None)
    model = make_model(run.sizes, args.dropout)
    weights = run.initial(lambda: pairs(model))
    with torch.no_grad():
        for layer, (w, b) in zip(model[::3], weights):
            layer.weight.copy_(torch.from_numpy(w.T.copy()))
            layer.bias.copy_(torch.from_numpy(b))
    run.load(lambda arrays: [torch.from_numpy(a) for a in arrays])
    make = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[args.optimizer]
    state = model, make(model.parameters(), args.lr)
    run.compile(lambda *arguments: None, state)
    run.train(train_epoch, evaluate, state)
    return pairs(model)


def pairs(model):
    """-> [(w (in, out), b), …] in NumPy"""
    return [(layer.weight.detach().numpy().T, layer.bias.detach().numpy())
            for layer in model[::3]]


if __name__ == "__main__":
    program.main(train, __file__, "pytorch", "step", rungs=("step",), dropout=True)
