#!/usr/bin/env python3
"""Generated digits for a machine without network: 70,000 images, 28 x 28.

    python -m bench.tools.digits [DIR]    put them into DIR/digits (some 10 seconds)

Not MNIST and never called so: every table and figure says which of the two it
shows. They are written as IDX .gz files and come back through data.py, so a
run with `--dataset digits --data-dir DIR` takes every path that one on MNIST
takes.

All arithmetic is on integers and the random numbers are raw bits of PCG64
(a stream that NumPy guarantees), so the bytes are the same on every machine;
data.py has their hashes and checks them at every load.
"""

import hashlib
import re
import struct
import zlib
from pathlib import Path

import numpy as np

import data
from bench.kit import cli
from bench.kit.files import make_folder, remove_leftovers

SIDE = 28  # pixels of an image, across and down

# Pen strokes on a grid of 0..100 across and 0..140 down; each digit in two or
# three hands, a stroke after each /. Straight lines join the points.
HANDS = """
0: 50,8 78,22 88,48 90,75 84,105 70,126 50,134 30,126 16,105 10,75 12,48 22,22
   50,8
0: 60,6 30,24 12,66 16,110 42,134 72,118 88,74 80,28 52,6 40,20
1: 50,6 50,134
1: 28,34 56,6 52,134
1: 26,36 52,8 52,132 / 24,134 80,134
2: 14,38 24,14 52,6 80,18 84,46 66,76 34,104 10,132 90,130
2: 18,30 44,6 76,16 80,50 54,90 22,128 14,112 34,108 64,128 92,122
3: 14,22 44,6 76,16 80,42 62,62 40,66 68,72 88,96 76,124 42,134 10,118
3: 16,10 84,10 46,56 78,70 88,100 66,130 34,132 12,116
4: 62,6 8,92 94,92 / 66,56 66,134
4: 20,8 14,70 82,70 / 80,8 74,134
4: 66,134 66,8 10,96 92,96
5: 84,8 22,8 18,60 52,52 82,68 88,98 70,128 36,134 10,118
5: 26,10 22,62 60,56 84,84 74,122 40,134 12,122 / 26,12 86,6
6: 76,8 40,32 16,76 18,112 46,134 76,122 84,94 64,72 36,78 18,102
6: 50,6 24,60 20,110 50,132 80,108 66,80 26,98
7: 10,10 90,10 56,70 40,134
7: 12,26 16,10 86,12 60,66 46,134 / 34,72 80,68
8: 50,66 24,48 22,22 50,6 78,22 76,48 50,66 20,90 16,116 50,134 84,116 80,90
   50,66
8: 76,18 44,6 24,28 44,58 76,88 78,120 46,134 20,114 30,84 72,46 76,18
9: 84,40 66,62 34,64 16,42 28,14 60,6 84,24 84,70 74,134
9: 80,26 52,6 22,26 24,56 54,66 80,44 82,20 78,92 56,130 24,124
"""


def hands(digit):
    """The hands of a digit: each a list of strokes, int64 (points, 2)."""
    found = re.findall(rf"^{digit}: (.*(?:\n   .*)*)", HANDS, re.M)
    return [[np.array([point.split(",") for point in stroke.split()], np.int64)
             for stroke in hand.split("/")] for hand in found]


GLYPH = 64      # side in cells of a drawn glyph, before it becomes an image
DRAWS = 250     # glyphs per digit: hand, shaken points and pen width differ
FRACTION = 256  # fixed-point scale of the sampling below


class Bits:
    """Uniform whole numbers from the raw 64-bit words of PCG64."""

    def __init__(self, seed):
        self.source = np.random.PCG64(seed)

    def upto(self, low, high, count):
        """int64 (count,): low <= value <= high (the bias of % is < 2**-50)."""
        words = self.source.random_raw(count)
        return (words % np.uint64(high - low + 1)).astype(np.int64) + low


def rounded(points):
    """Points of a stroke with each corner cut off (Chaikin's algorithm)."""
    near = (3 * points[:-1] + points[1:]) // 4
    far = (points[:-1] + 3 * points[1:]) // 4
    cut = np.stack([near, far], axis=1).reshape(-1, 2)
    return np.concatenate([points[:1], cut, points[-1:]])


def draw_glyph(digit, bits):
    """One glyph: digit -> int64 (GLYPH, GLYPH), 0 (paper) to 255 (ink)."""
    known = hands(digit)
    strokes = known[int(bits.upto(0, len(known) - 1, 1)[0])]
    width = int(bits.upto(14, 34, 1)[0])  # half the pen, in sixteenths of a cell
    grid = np.arange(GLYPH, dtype=np.int64) * 16
    across, down = grid[None, :], grid[:, None]
    nearest = np.full((GLYPH, GLYPH), 1 << 40, np.int64)
    for stroke in strokes:
        shake = bits.upto(-12, 12, 2 * len(stroke)).reshape(-1, 2)
        # 100 x 140 pen units -> the middle of 64 x 64 cells of 16 units.
        points = (stroke + shake) * 5 + (262, 162)
        points = rounded(rounded(points))
        for (x0, y0), (x1, y1) in zip(points[:-1], points[1:], strict=True):
            dx, dy = int(x1 - x0), int(y1 - y0)
            length = dx * dx + dy * dy or 1
            # Foot of the perpendicular, clipped to the segment, in 1/256.
            along = ((across - x0) * dx + (down - y0) * dy) * 256 // length
            along = np.clip(along, 0, 256)
            off_x = (across - x0) * 256 - along * dx
            off_y = (down - y0) * 256 - along * dy
            nearest = np.minimum(nearest, off_x * off_x + off_y * off_y)
    # Ink falls off over a band outside the pen: soft edges without a blur.
    # Compared squared, because an integer square root is slow.
    steps = (np.arange(1, 256) * 14) // 10 + width * 16 - 160
    edges = (np.maximum(steps, 0) * 256 // 12) ** 2
    return 255 - np.searchsorted(edges, nearest.ravel()).reshape(GLYPH, GLYPH)


def generate(count, seed=0):
    """(images uint8 (count, 28, 28), labels uint8 (count,)); the first
    images of a longer run are those of a shorter one."""
    glyphs = np.stack([draw_glyph(digit, Bits([seed, digit, n]))
                       for digit in range(10) for n in range(DRAWS)])
    images = np.empty((count, SIDE, SIDE), np.uint8)
    labels = np.empty(count, np.uint8)
    for start in range(0, count, 1000):
        bits = Bits([seed, 10, start])
        batch, digits = _sample(glyphs, bits)
        images[start:start + 1000] = batch[:count - start]
        labels[start:start + 1000] = digits[:count - start]
    return images, labels


def _sample(glyphs, bits, count=1000):
    """1000 images: each takes a glyph through its own slant, size, turn and
    shift, then gets its own darkness and noise."""
    digits = bits.upto(0, 9, count)
    chosen = glyphs[digits * DRAWS + bits.upto(0, DRAWS - 1, count)]
    # Where pixel (row, column) looks in the glyph: a linear map in 1/256 of a
    # glyph cell. 28 pixels look across about 28 * 2.2 of the 64 cells.
    wide, high = bits.upto(440, 720, count), bits.upto(480, 640, count)
    slant, turn = bits.upto(-240, 240, count), bits.upto(-150, 150, count)
    right, below = bits.upto(-7, 7, count), bits.upto(-6, 6, count)
    step = np.arange(SIDE, dtype=np.int64) * 2 - (SIDE - 1)
    column, row = step[None, None, :], step[None, :, None]
    middle = GLYPH * FRACTION // 2

    def cells(value):
        return value[:, None, None]

    x = (column * cells(wide) + row * cells(slant)) // 2 + middle
    y = (row * cells(high) + column * cells(turn)) // 2 + middle
    x, y = x + cells(right) * FRACTION, y + cells(below) * FRACTION
    x = np.clip(x, 0, (GLYPH - 2) * FRACTION)
    y = np.clip(y, 0, (GLYPH - 2) * FRACTION)
    # Bilinear, on whole numbers: cell and fraction of each look-up.
    cx, fx = x >> 8, x & 255
    cy, fy = y >> 8, y & 255
    flat = chosen.reshape(-1)
    at = np.arange(count)[:, None, None] * GLYPH**2 + cy * GLYPH + cx
    top = flat[at] * (256 - fx) + flat[at + 1] * fx
    bottom = flat[at + GLYPH] * (256 - fx) + flat[at + GLYPH + 1] * fx
    ink = (top * (256 - fy) + bottom * fy) >> 16
    noise = bits.upto(-60, 60, count * SIDE * SIDE).reshape(ink.shape)
    ink = ink * cells(bits.upto(170, 255, count)) // 255
    # Paper stays clean, as in scans with the background removed; ink and its
    # edges are grainy.
    ink = np.where(ink > 12, ink + noise, 0)
    # One stray dot, like dust on a scan.
    ink[np.arange(count), bits.upto(0, 27, count),
        bits.upto(0, 27, count)] = 255
    return np.clip(ink, 0, 255).astype(np.uint8), digits.astype(np.uint8)


def idx(array):
    """uint8 array -> the bytes of its IDX file."""
    return (bytes([0, 0, 8, array.ndim])
            + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes())


def write(folder, n_train=60000, n_test=10000):
    """Generate and write the four .gz files -> their data.Dataset."""
    images, labels = generate(n_train + n_test)
    raws = [idx(array[part])
            for part in (slice(None, n_train), slice(n_train, None))
            for array in (images, labels)]
    for name, raw in zip(data.FILES, raws):
        packer = zlib.compressobj(level=1, wbits=31)
        data.write_atomic(Path(folder, f"{name}.gz"),
                          packer.compress(raw) + packer.flush())
    return data.DATASETS["digits"]._replace(
        bytes=tuple(map(len, raws)),
        sha256=tuple(hashlib.sha256(raw).hexdigest() for raw in raws))


def main():
    parser = cli.Parser(prog="digits.py",
                        description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", metavar="DIR", nargs="?", type=cli.path,
                        default=data.default_folder(),
                        help="the files go to DIR/digits")
    folder = Path(parser.parse_args().folder, "digits")
    remove_leftovers(folder)
    try:
        data.load("digits", folder.parent)
    except data.Fault:
        cli.warn("digits.py", f"generating 70,000 digits in {str(folder)!r}")
        make_folder(folder)
        write(folder)
        data.load("digits", folder.parent)
    print(f"70,000 digits: --dataset digits --data-dir {str(folder.parent)!r}")
    return 0


if __name__ == "__main__":
    cli.guard(main, "digits.py")
