#!/usr/bin/env python3
"""CIFAR-10, binary version -> IDX files, which data.py and both scripts read.

    python -m bench.tools.cifar10 [DIR]    fetch (170 MB), verify, write DIR/cifar10

--source takes an archive or a folder that is there already. Each of the six files
must have the published SHA-256. Pictures that went through JPEG once have others:
with --jpeg-copies six such files are written as another data set,
DIR/cifar10_jpeg, that never carries the name of the first.

The Python version of the archive holds pickles, which can run anything when they
are read: it is refused by its name and hash, and never opened.
"""

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np

import data
from bench.kit import cli
from bench.kit.files import remove_leftovers
from bench.tools import idx

# Bytes and SHA-256 of https://www.cs.toronto.edu/~kriz/cifar.html, whose own
# page gives the archive's MD5 alone (c32a1d4ab5d03f1284b67883e8d87530).
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE = (170052171,
           "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd")
FILES = {
    "data_batch_1.bin":
        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin":
        "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin":
        "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin":
        "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin":
        "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin":
        "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"}
RECORD = 1 + 3 * 32 * 32  # bytes: a label, then red, green and blue, row by row
SIZE = 10000 * RECORD     # bytes of each file
SECONDS = 1200            # for the archive


def verified(name, content, size, sha256):
    """The content of a file that has its size and, unless None, its SHA-256; else
    Fault 3."""
    if len(content) != size:
        least = "more than " * (len(content) > size)
        raise cli.Fault(cli.DATA, f"{name}: {least}{min(len(content), size)} bytes, "
                                  f"expected {size}")
    got = hashlib.sha256(content).hexdigest()
    if sha256 not in (None, got):
        raise cli.Fault(cli.DATA, f"{name}: SHA-256 is {got[:12]}…, expected "
                                  f"{sha256[:12]}…: not the published file")
    return content


def unpacked(content):
    """Bytes of the archive -> {name: content} of its six files."""
    verified("cifar-10-binary.tar.gz", content, *ARCHIVE)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        return {name: archive.extractfile(f"cifar-10-batches-bin/{name}").read()
                for name in FILES}


def read(path, size):
    """At most size + 1 bytes of a file; Fault 3."""
    try:
        with open(path, "rb") as file:
            return file.read(size + 1)
    except OSError as error:
        raise cli.Fault(cli.DATA, f"{str(path)!r}: {error.strerror}. It should be "
                                  "of the binary version of CIFAR-10") from error


def find(source):
    """The six files from the archive's server, an archive or a folder ->
    {name: content}. Raises Fault 3."""
    if source is None:
        cli.warn("cifar10.py", f"fetching {URL}, {ARCHIVE[0] // 10**6} MB")
        try:
            return unpacked(data.download(URL, ARCHIVE[0] + 1, SECONDS))
        except OSError as error:
            raise cli.Fault(cli.DATA, f"cannot fetch {URL}: {error!r}. Put it "
                            "somewhere and name it: --source FILE") from error
    if source.is_dir():
        if (source / "data_batch_1").exists():
            raise cli.Fault(cli.DATA, f"{str(source)!r}: the Python version of "
                            "CIFAR-10, whose pickles are never read. Take "
                            "cifar-10-binary.tar.gz")
        return {name: read(source / name, SIZE) for name in FILES}
    return unpacked(read(source, ARCHIVE[0]))


def arrays(found, hashes):
    """{name: content} -> images uint8 (n, 96, 32), labels (n,), of the training
    set and of the test set. hashes: {name: SHA-256 or None}. Raises Fault 3."""
    sets = []
    for names in (list(FILES)[:5], list(FILES)[5:]):
        records = np.frombuffer(b"".join(
            verified(name, found[name], SIZE, hashes[name]) for name in names),
            np.uint8).reshape(-1, RECORD)
        try:
            data.one_hot(records[:, 0], 10)
        except ValueError as error:
            raise cli.Fault(cli.DATA, f"{names[0]} and on: {error}") from error
        counts = np.bincount(records[:, 0], minlength=10)
        if len(set(counts)) > 1:  # of files that are swapped, too
            raise cli.Fault(cli.DATA, f"{names[0]} and on: {counts.tolist()} images "
                            "of the classes, expected as many of each")
        sets += [records[:, 1:].reshape(-1, 96, 32), records[:, 0]]
    return sets


def main():
    parser = cli.Parser(prog="cifar10.py",
                        description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", metavar="DIR", nargs="?", type=cli.path,
                        default=data.FOLDER, help="where data sets lie")
    parser.add_argument("--source", type=cli.path, metavar="PATH",
                        help="the archive, or a folder with the six .bin files")
    parser.add_argument("--jpeg-copies", action="store_true",
                        help="the six .bin files of --source went through JPEG")
    args = parser.parse_args()
    if args.jpeg_copies and not args.source:
        parser.error("argument --jpeg-copies: needs --source FOLDER")
    name = "cifar10_jpeg" if args.jpeg_copies else "cifar10"
    folder = Path(args.folder, name)
    remove_leftovers(folder)
    found = find(args.source and Path(args.source))
    idx.write(folder, arrays(found, dict.fromkeys(FILES) if args.jpeg_copies
                             else FILES))
    data.load(name, args.folder)
    print(f"60,000 images: --dataset {name} --data-dir {str(args.folder)!r}")
    return 0


if __name__ == "__main__":
    cli.guard(main, "cifar10.py")
