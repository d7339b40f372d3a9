#!/usr/bin/env python3
"""Generated digits for a machine without network: 70,000 images, 28 x 28.

    python -m bench.tools.digits [DIR]    put them into DIR/digits (some 10 seconds)

Not MNIST and never called so: every table and figure says which of the two it
shows. They are written as IDX .gz files and come back through data.py, so a
run with `--dataset digits --data-dir DIR` takes every path that one on MNIST
takes.

All arithmetic is on integers and the random numbers are raw bits of PCG64
(a stream that NumPy guarantees), so the bytes are the same on every machine;
the hashes lie beside them, and data.py checks them at every load.
"""

import itertools
import re
from pathlib import Path

import numpy as np

import data
from bench.kit import cli
from bench.kit.files import remove_leftovers
from bench.tools import idx

SIDE = 28  # pixels of an image, across and down
HANDS = Path(__file__).with_name("hands.txt").read_text("utf-8")


def hands(digit):
    """The hands of a digit: each a list of strokes, int64 (points, 2)."""
    found = re.findall(rf"^{digit}: (.*(?:\n   .*)*)", HANDS, re.M)
    return [[np.array([point.split(",") for point in stroke.split()], np.int64)
             for stroke in hand.split("/")] for hand in found]


GLYPH = 64      # side in cells of a drawn glyph, before it becomes an image
DRAWS = 250     # glyphs per digit: hand, shaken points and pen width differ
FRACTION = 256  # fixed-point scale of the sampling below


def upto(source, low, high, *shape):
    """Uniform whole numbers from the raw 64-bit words of PCG64: int64 of a
    shape, low <= value <= high (the bias of % is < 2**-50)."""
    words = source.random_raw(shape)
    return (words % np.uint64(high - low + 1)).astype(np.int64) + low


def rounded(points):
    """Points of a stroke with each corner cut off (Chaikin's algorithm)."""
    near = (3 * points[:-1] + points[1:]) // 4
    far = (points[:-1] + 3 * points[1:]) // 4
    cut = np.stack([near, far], axis=1).reshape(-1, 2)
    return np.concatenate([points[:1], cut, points[-1:]])


def draw_glyph(digit, source):
    """One glyph: digit -> int64 (GLYPH, GLYPH), 0 (paper) to 255 (ink)."""
    known = hands(digit)
    strokes = known[upto(source, 0, len(known) - 1)]
    width = upto(source, 14, 34)  # half the pen, in sixteenths of a cell
    grid = np.arange(GLYPH, dtype=np.int64) * 16
    across, down = grid[None, :], grid[:, None]
    nearest = np.full((GLYPH, GLYPH), 1 << 40, np.int64)
    for stroke in strokes:
        shake = upto(source, -12, 12, len(stroke), 2)
        # 100 x 140 pen units -> the middle of 64 x 64 cells of 16 units.
        points = (stroke + shake) * 5 + (262, 162)
        for (x0, y0), (x1, y1) in itertools.pairwise(rounded(rounded(points))):
            dx, dy, right, below = x1 - x0, y1 - y0, across - x0, down - y0
            length = dx * dx + dy * dy or 1
            # Foot of the perpendicular, clipped to the segment, in 1/256.
            along = np.clip((right * dx + below * dy) * 256 // length, 0, 256)
            nearest = np.minimum(nearest, (right * 256 - along * dx) ** 2
                                 + (below * 256 - along * dy) ** 2)
    # Ink falls off over a band outside the pen: soft edges without a blur.
    # Compared squared, because an integer square root is slow.
    steps = (np.arange(1, 256) * 14) // 10 + width * 16 - 160
    edges = (np.maximum(steps, 0) * 256 // 12) ** 2
    return 255 - np.searchsorted(edges, nearest.ravel()).reshape(GLYPH, GLYPH)


def generate(count, seed=0):
    """(images uint8 (count, 28, 28), labels uint8 (count,)); the first
    images of a longer run are those of a shorter one."""
    glyphs = np.stack([draw_glyph(digit, np.random.PCG64([seed, digit, n]))
                       for digit in range(10) for n in range(DRAWS)])
    images, labels = zip(*(_sample(glyphs, np.random.PCG64([seed, 10, start]))
                           for start in range(0, count, 1000)))
    return np.concatenate(images)[:count], np.concatenate(labels)[:count]


def _sample(glyphs, source, count=1000):
    """1000 images: each takes a glyph through its own slant, size, turn and
    shift, then gets its own darkness and noise."""
    digits = upto(source, 0, 9, count)
    chosen = glyphs[digits * DRAWS + upto(source, 0, DRAWS - 1, count)]
    # Where pixel (row, column) looks in the glyph: a linear map in 1/256 of a
    # glyph cell. 28 pixels look across about 28 * 2.2 of the 64 cells.
    wide, high, slant, turn, right, below = (
        upto(source, low, high, count, 1, 1) for low, high in (
            (440, 720), (480, 640), (-240, 240), (-150, 150), (-7, 7),
            (-6, 6)))
    step = np.arange(SIDE, dtype=np.int64) * 2 - (SIDE - 1)
    column, row, middle = step, step[:, None], GLYPH * FRACTION // 2
    x = (column * wide + row * slant) // 2 + middle + right * FRACTION
    y = (row * high + column * turn) // 2 + middle + below * FRACTION
    # Bilinear, on whole numbers: cell and fraction of each look-up.
    (cx, fx), (cy, fy) = (divmod(np.clip(at, 0, (GLYPH - 2) * FRACTION),
                                 FRACTION) for at in (x, y))
    flat = chosen.reshape(-1)
    at = np.arange(count)[:, None, None] * GLYPH**2 + cy * GLYPH + cx
    top = flat[at] * (256 - fx) + flat[at + 1] * fx
    bottom = flat[at + GLYPH] * (256 - fx) + flat[at + GLYPH + 1] * fx
    ink = (top * (256 - fy) + bottom * fy) >> 16
    noise = upto(source, -60, 60, *ink.shape)
    ink = ink * upto(source, 170, 255, count, 1, 1) // 255
    # Paper stays clean, as in scans with the background removed; ink and its
    # edges are grainy.
    ink = np.where(ink > 12, ink + noise, 0)
    # One stray dot, like dust on a scan.
    ink[np.arange(count), upto(source, 0, 27, count),
        upto(source, 0, 27, count)] = 255
    return np.clip(ink, 0, 255).astype(np.uint8), digits.astype(np.uint8)


def write(folder, n_train=60000, n_test=10000):
    """Generate and write the four .gz files -> their data.Dataset."""
    images, labels = generate(n_train + n_test)
    sizes, hashes = idx.write(folder, (images[:n_train], labels[:n_train],
                                       images[n_train:], labels[n_train:]))
    return data.DATASETS["digits"]._replace(bytes=sizes, sha256=hashes)


def main():
    parser = cli.Parser(prog="digits.py",
                        description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", metavar="DIR", nargs="?", type=cli.path,
                        default=data.FOLDER,
                        help="the files go to DIR/digits")
    folder = Path(parser.parse_args().folder, "digits")
    remove_leftovers(folder)
    try:
        data.load("digits", folder.parent)
    except data.Fault:
        cli.warn("digits.py", f"generating 70,000 digits in {str(folder)!r}")
        write(folder)
        data.load("digits", folder.parent)
    print(f"70,000 digits: --dataset digits --data-dir {str(folder.parent)!r}")
    return 0


if __name__ == "__main__":
    cli.guard(main, "digits.py")
