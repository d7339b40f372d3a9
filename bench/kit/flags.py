"""The flags of compare.py and of programs that use the kit.

The two scripts of the lesson declare theirs themselves, under the same names:
a test holds them together. Every value is checked before anything is created:
exit 2 and one line naming option, value and range.
"""

import os
from functools import partial

import data
from bench.kit import cli
from bench.kit.cli import USAGE, Fault
from bench.kit.network import SIZE, VISION
from bench.kit.rungs import RUNGS


def add_data(add, datasets=tuple(data.DATASETS)):
    """Which data set, and where it lies; add: a parser's add_argument."""
    add("--dataset", choices=datasets, default="mnist",
        help="digits are generated, never downloaded")
    add("--data-dir", type=cli.path, metavar="DIR", default=data.FOLDER,
        help="holds mnist/*.gz; default: $MLP_DATA_DIR, else data/")


def add_settings(parser, datasets=tuple(data.DATASETS), vision=False):
    """Declare the settings that compare.py passes through unchanged; vision: with
    those of programs of vision/, which the pair does not know."""
    add = parser.add_argument
    add_data(add, datasets)
    add("--split", choices=("standard", "pooled"), default="standard",
        help="50,000/10,000 + official test, or 80/10/10 of all 70,000")
    add("--examples", type=cli.whole(1), metavar="N",
        help="only the first N training examples")
    add("--hidden", type=cli.whole(1, 65536), nargs="+", metavar="W",
        default=[256, 128], help="hidden widths")
    add("--optimizer", choices=("adam", "sgd"), default="adam", help=" ")
    add("--lr", type=cli.positive, metavar="F",
        help="learning rate; default: 1e-3 for adam, 0.1 for sgd")
    add("--schedule", choices=("constant", "cosine"), default="constant",
        help="of the learning rate; cosine: half a wave, from --lr to 0")
    add("--precision", choices=("fp32", "tf32", "fp64", *["bf16"] * vision),
        default="fp32", help="of every matrix product, set explicitly")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto",
        help="never a fallback: cuda without a GPU is an error")
    if vision:
        add_vision(parser)


def add_dropout(parser):
    """Of programs that know it: the pair does not."""
    parser.add_argument("--dropout", type=partial(cli.positive, high=0.95),
                        metavar="F", help="of each hidden layer, that share of its "
                        "outputs is set to 0 in a step; default: none")


def add_vision(parser):
    """What a vision network needs."""
    add = parser.add_argument
    add("--network", choices=VISION, help="one of vision/ in place of the perceptron")
    add("--work", choices=("train", "answer"),
        help="of a vision network: steps of training, or answers that are waited "
             "for; default: train")
    add("--size", type=cli.whole(32, 1024), metavar="N",
        help=f"side of a vision network's images, in pixels; default: {SIZE}")
    add("--evaluate", type=cli.whole(1), metavar="N", help="a vision network is "
        "evaluated on the first N images for validation and test; default: all")


def check_vision(args):
    """Fault 2 where they clash."""
    if args.network is None:
        for name in ("work", "size", "evaluate"):
            if getattr(args, name):
                raise Fault(USAGE, f"argument --{name}: is of vision networks: name "
                                   "one with --network")
        if args.precision == "bf16":
            raise Fault(USAGE, "argument --precision: bf16 is of vision networks")
        return
    if args.optimizer != "sgd":
        raise Fault(USAGE, "argument --optimizer: vision networks train with sgd")
    size = args.size or SIZE
    name = args.dataset if args.dataset in data.DATASETS else "mnist"  # auto
    side = data.DATASETS[name].shape[1]
    if size % side or args.network == "vit_b_16" and size % 16:
        raise Fault(USAGE, f"argument --size: {size} is not a multiple of {side}, "
                           f"the side of an image of {name}"
                           + ", and of 16, of ViT's patches" * (
                               args.network == "vit_b_16"))


def check_settings(args, batch_sizes, option="--batch-size"):
    """Fill in what depends on other flags; Fault 2 where they clash."""
    if args.lr is None:
        args.lr = 1e-3 if args.optimizer == "adam" else 0.1
    name = args.dataset if args.dataset in data.DATASETS else "mnist"  # auto
    size = data.split_sizes(name, args.split)[0]
    if (args.examples or 0) > size:
        raise Fault(USAGE, f"argument --examples: {args.examples} is above the "
                           f"{size} training examples of --split {args.split}")
    size = args.examples or size
    if max(batch_sizes, default=0) > size:
        raise Fault(USAGE, f"argument {option}: {max(batch_sizes)} is not a "
                           f"whole number from 1 to {size} training examples")


def parse(script, rungs, default_rung, argv=None, dropout=False, vision=False):
    """The flags of a program of the kit -> namespace. Fault 2 on nonsense."""
    parser = cli.Parser(prog=os.path.basename(script),
                        description="Train one MLP; the record goes to --json")
    add = parser.add_argument
    add_settings(parser, vision=vision)
    if dropout:
        add_dropout(parser)
    add("--batch-size", type=cli.whole(1), default=64, metavar="N", help=" ")
    add("--epochs", type=cli.whole(0, 100_000), default=10, metavar="N",
        help="0 only with --save: writes the initial weights")
    add("--seed", type=cli.seed, default=0, metavar="N", help=" ")
    add("--rung", choices=rungs, default=default_rung,
        help="how much is compiled as one")
    add("--feed", choices=("device", "host"), default="device",
        help="data resident on the device, or cut on the host every step")
    add("--turns", action="store_true", help="wait on stdin for each epoch")
    add("--init", type=cli.path, metavar="FILE", help="read initial weights (.npz)")
    add("--save", type=cli.path, metavar="FILE", help="write final weights (.npz)")
    add("--json", type=cli.path, metavar="FILE",
        help="write the record; - is stdout")
    args = parser.parse_args(argv)
    check_settings(args, [args.batch_size])
    if vision:
        if args.network is None:
            raise Fault(USAGE, "argument --network: name one of "
                               f"{', '.join(VISION)}")
        check_vision(args)
    if args.epochs == 0 and not args.save:
        raise Fault(USAGE, "argument --epochs: 0 is valid only with --save, "
                           "which then writes the initial weights")
    if args.feed == "host" and not RUNGS[args.rung].host:
        raise Fault(USAGE, "argument --feed: host leaves no step to feed with "
                           f"--rung {args.rung}")
    return args
