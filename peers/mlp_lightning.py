"""The network in Lightning: PyTorch with the loop in a Trainer.

    python compare.py --contender lightning=peers/mlp_lightning.py \\
        --variants lightning:fit lightning:step torch:eager

As https://lightning.ai/docs/pytorch/stable/starter/introduction.html trains.
fit: a DataLoader that shuffles. step: the same Trainer, and a DataLoader that is
given the batches of all.
"""

import logging
import warnings

from bench.kit import program

with program.importing("lightning"):
    import lightning
    import numpy as np
    import torch
    from torch.nn.functional import cross_entropy
    from torch.utils.data import DataLoader, TensorDataset


class MLP(lightning.LightningModule):
    """Dense layers with ReLU between them, and how they are trained."""

    def __init__(self, args, sizes):
        super().__init__()
        self.args, self.metrics, layers = args, [], []
        for i, o in zip(sizes, sizes[1:]):
            layers += [torch.nn.Linear(i, o), torch.nn.ReLU(),
                       torch.nn.Dropout(args.dropout or 0)]
        self.layers = torch.nn.Sequential(*layers[:-2])

    def forward(self, x):
        return self.layers(x)

    def training_step(self, batch, batch_idx):
        loss, right = score(self(batch[0]), batch[1])
        self.metrics.append(torch.stack([loss.detach(), right]))
        return loss

    def configure_optimizers(self):
        make = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
        optimizer = make[self.args.optimizer](self.parameters(), self.args.lr)
        if self.args.schedule == "constant":
            return optimizer
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, self.trainer.estimated_stepping_batches)
        return [optimizer], [{"scheduler": cosine, "interval": "step"}]


def score(logits, y):
    """-> loss, accuracy"""
    right = (logits.argmax(1) == y.argmax(1)).to(logits.dtype).mean()
    return cross_entropy(logits, y), right


@torch.no_grad()
def evaluate(model, x, y):
    model.eval()
    found = score(model(torch.from_numpy(x)), torch.from_numpy(y))
    model.train()
    return torch.stack(found)


class Turns(lightning.Callback):
    """Tells the clock when an epoch of Trainer.fit begins and ends."""

    def __init__(self, run):
        self.run = run

    def on_train_epoch_start(self, trainer, model):
        model.metrics.clear()
        self.run.begin()

    def on_train_epoch_end(self, trainer, model):
        metrics = torch.stack(model.metrics)
        if self.run.args.rung == "fit":
            metrics = metrics.mean(axis=0, keepdims=True)
        self.run.end(evaluate, model, metrics)


class Batches:
    """The batches of the epoch that has begun, in the order of all."""

    def __init__(self, run):
        self.run = run

    def __iter__(self):
        yield from self.run.batches.tolist()  # asked when the first is wanted

    def __len__(self):
        return self.run.n // self.run.args.batch_size


def quiet():
    """It writes of sponsors, devices and workers to both streams."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")


def train(args, run):
    quiet()
    torch.set_flush_denormal(True)  # as in the pair, and as XLA does
    torch.manual_seed(args.seed)
    run.describe({"lightning": lightning.__version__,
                  "torch": torch.__version__}, "cpu", "cpu",
                 torch.get_num_threads(), fence=lambda x: None,
                 to_host=np.asarray, compiled=lambda: 0, memory=lambda: None)
    model = MLP(args, run.sizes)
    weights = run.initial(lambda: pairs(model))
    with torch.no_grad():
        for layer, (w, b) in zip(model.layers[::3], weights):
            layer.weight.data = torch.from_numpy(w.T.copy())
            layer.bias.data = torch.from_numpy(b)
    run.load(lambda arrays: arrays)
    dataset = TensorDataset(*map(torch.from_numpy, run.sets["train"]))
    loader = (DataLoader(dataset, args.batch_size, shuffle=True, drop_last=True)
              if args.rung == "fit" else
              DataLoader(dataset, batch_sampler=Batches(run)))
    run.compile(lambda *arguments: None, model)
    trainer = lightning.Trainer(
        max_epochs=args.epochs, accelerator="cpu", devices=1, logger=False,
        precision="64-true" if args.precision == "fp64" else "32-true",
        enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False,
        callbacks=[Turns(run)])
    trainer.fit(model, loader)
    return pairs(model)


def pairs(model):
    """-> [(w (in, out), b), …] in NumPy"""
    return [(layer.weight.detach().numpy().T, layer.bias.detach().numpy())
            for layer in model.layers[::3]]


if __name__ == "__main__":
    program.main(train, __file__, "lightning", "fit", rungs=("fit", "step"),
                 dropout=True)
