"""How many images a second can be read? Never hidden in "training", but a row of its
own, because the images of every other measurement lie decoded on the device.

    python -m vision.input_pipeline
    python -m vision.input_pipeline --dataset cifar10 --images 2048 --workers 8

Pictures of a data set, enlarged to 256 x 256, are JPEG files in memory: no disk is
measured. Each way decodes them (Pillow), cuts out 224 x 224, mirrors every other one
and stacks batches of float32, the same in all: by NumPy in one thread or in several
(Pillow lets them run side by side), by PyTorch's DataLoader in this process or in
several. Ways take turns, in another order every round.
"""

import io
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

import data
from bench.kit import cli
from bench.kit import program as kit
from bench.kit.flags import add_data

with kit.importing("torch"):
    import torch

WIDE, SIZE, ROUNDS = 256, 224, 7


class Pictures:
    """JPEG files in memory; [n] -> image n, decoded and cut (3, 224, 224), and its
    label. A data set as PyTorch's DataLoader wants it."""

    def __init__(self, images, labels, shape):
        """images (N, pixels) in 0..1, labels (N, classes) one-hot"""
        side = shape[1]
        self.files, self.labels = [], labels.argmax(1)
        for row in images:
            planes = (255 * row).astype(np.uint8).reshape(-1, side, side)
            if len(planes) == 1:  # grey
                planes = np.repeat(planes, 3, axis=0)
            file = io.BytesIO()
            Image.fromarray(planes.transpose(1, 2, 0)).resize((WIDE, WIDE)).save(
                file, "JPEG", quality=90)
            self.files.append(file.getvalue())

    def __len__(self):
        return len(self.files)

    def __getitem__(self, n):
        pixels = np.asarray(Image.open(io.BytesIO(self.files[n])).convert("RGB"))
        # By the picture's number: every way has the same.
        top, left = (n * step % (WIDE - SIZE + 1) for step in (7, 11))
        pixels = pixels[top:top + SIZE, left:left + SIZE]
        pixels = pixels[:, ::-1] if n % 2 else pixels
        pixels = (pixels.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)
        return pixels, self.labels[n]


def by_numpy(pictures, batch_size, pool=None):
    """-> function that yields batches (B, 3, 224, 224), (B,)"""
    def batches():
        for start in range(0, len(pictures), batch_size):
            found = (pool.map if pool else map)(
                pictures.__getitem__, range(start, min(start + batch_size,
                                                       len(pictures))))
            images, labels = zip(*found)
            yield np.stack(images), np.array(labels)
    return batches


def by_loader(pictures, batch_size, workers):
    """The same by PyTorch, whose workers, once started, stay."""
    loader = torch.utils.data.DataLoader(
        pictures, batch_size, num_workers=workers, persistent_workers=workers > 0)
    return lambda: iter(loader)


def seconds(batches):
    """Of one pass over all pictures."""
    start = kit.clock()
    for _ in batches():
        pass
    return kit.clock() - start


def same(ways):
    """Fault 1 unless all ways make the same batches."""
    for made in zip(*(batches() for batches in ways.values()), strict=True):
        for name, batch in zip(ways, made):
            for one, two in zip(batch, made[0]):
                if not np.array_equal(np.asarray(one), np.asarray(two)):
                    raise cli.Fault(cli.FAILED, f"{name} makes another batch than "
                                                f"{next(iter(ways))}")


def arguments():
    parser = cli.Parser(description=__doc__.partition("\n\n")[0])
    add_data(parser.add_argument)
    parser.add_argument("--images", type=int, default=1024, help="of the data set")
    parser.add_argument("--batch-size", type=int, default=32, help="images in a batch")
    parser.add_argument("--workers", type=int, default=kit.cores(),
                        help="threads of NumPy, processes of the DataLoader")
    args = parser.parse_args()
    if not 1 <= args.batch_size <= args.images <= 50_000 or not (
            1 <= args.workers <= 1024):
        parser.error("--batch-size from 1 to --images, those to 50000, --workers from "
                     "1 to 1024")
    return args


def main():
    args = arguments()
    images, labels = data.split(*data.load(args.dataset, args.data_dir), "standard")[
        "train"]
    pictures = Pictures(images[:args.images], labels[:args.images],
                        data.DATASETS[args.dataset].shape)
    n, size = args.workers, args.batch_size
    with ThreadPoolExecutor(n) as pool:
        ways = {"NumPy, one thread": by_numpy(pictures, size),
                f"NumPy, {n} threads": by_numpy(pictures, size, pool),
                "DataLoader, in this process": by_loader(pictures, size, 0),
                f"DataLoader, {n} processes": by_loader(pictures, size, n)}
        same(ways)  # and all have started
        order, found = random.Random(0), {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name in order.sample(list(ways), len(ways)):
                found[name].append(len(pictures) / seconds(ways[name]))
    print(f"{args.dataset}, {len(pictures)} JPEG files of {WIDE} x {WIDE}, on average "
          f"{sum(map(len, pictures.files)) / len(pictures) / 1000:.1f} kB, batches of "
          f"{size}\nimages a second: median of {ROUNDS} rounds, lowest and highest")
    for name, speeds in found.items():
        print(f"{name:28} {np.median(speeds):7.0f} ({min(speeds):.0f} to "
              f"{max(speeds):.0f})")
    return cli.OK


if __name__ == "__main__":
    cli.guard(main, "input_pipeline.py")
