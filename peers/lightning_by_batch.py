"""mlp_lightning.py, with batches that are indexed at once: the DataLoader is given
a sampler of whole batches and nothing to collate."""

import mlp_lightning
from torch.utils import data as torch_data

from bench.kit import program


class DataLoader(torch_data.DataLoader):
    """Of a dataset that can be indexed by a list."""

    def __init__(self, dataset, batch_size=1, *, batch_sampler=None, **_):
        super().__init__(dataset, batch_size=None, sampler=batch_sampler or
                         torch_data.BatchSampler(torch_data.RandomSampler(dataset),
                                                 batch_size, drop_last=True))


mlp_lightning.DataLoader = DataLoader

if __name__ == "__main__":
    program.main(mlp_lightning.train, __file__, "lightning", "fit",
                 rungs=("fit", "step"), dropout=True)
