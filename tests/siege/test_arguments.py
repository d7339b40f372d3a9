"""A: every option of every program against values that are not meant.

The options are read from the parsers themselves: a new option without bad
values here makes the first test fail.
"""

import argparse
import sys
import time

import pytest
from common import DIGITS, ROOT, STUB, call
from siege import runs
from siege.tools import error_of, hashes

import compare
import data
import mlp_jax
import mlp_torch
from bench.kit import cli, flags, rungs

# What no whole number is; a leading + or blank, _ and other digits count.
WORDS = ("", " ", "abc", "32.5", "1e3", "0x20", "1_000", " 5 ", "+5", "٣",
         "-1", "nan", "inf", "1,2", "5\n", "９", "0b1", "--", "5.", "1" * 40)
REALS = ("", " ", "abc", "nan", "inf", "-inf", "1e400", "0", "-1", "0.0",
         "1_0", "0x1p3", "1,5", "٣", "--", "1e-400", "infinity", " 1")
CHOICES = ("", " ", "x", "../../x", "nan", "0", "-1", "None", "a b",
           "fp32,tf32", "mnist ", "MNIST", "EPOCH", "cuda:0", "\n", "1.5", "--")
PATHS = ("", "\0", "a\0", "\0a", "a\0b", "x" * 256, "a/" + "x" * 256,
         "x" * 256 + "/a", "ü" * 128, "x" * 4096, "a/" * 2048 + "b",
         "/" + "y/" * 3000, "x" * 100_000)
SWITCH = ("1", "0", "", "yes", "no", "true", "false", "x", " ", "-1", "None",
          "on", "off")
VARIANTS = ("", ":", "jax", "jax:", ":step", "jax:turbo", "none:step",
          "jax:step:gpu", "jax:epoch:host", "jax:step:device:x", "JAX:step",
          "../../x:step", "jax:step ", "jax step", "$(touch PWNED):step")
CONTENDERS = ("", "=", "x", "=x", "x=", "A=x", "1a=x", "a b=x", "../x=y",
              "a_b=x", "é=x", "a" * 32 + "=x", "a\n=x", " a=x", "a;b=x")
WORD = ("", " ", "a b", "-x", "--", "a\n", "ü", "a;b", "$a", "../x", "/x", "a'b", "*",
        "x" * 101)
LINE = ("", " ", "a\n", "\n", "a\tb", "a\rb", "a\x1b[31m", "\x7f", "a\u2028b",
        "\u202ea", "\u200b", "a\x00", "x" * 201)
MIRRORS = ("", " ", "x", "http:", "https:/", "http://", "https://",
           "ftp://h/x", "file:///etc/hostname", "gopher://h", "//h/x",
           "javascript:1", "data:,x", "h/x")
BAD = {
    "--batch-size": ("0", "50001", *WORDS), "--seed": ("4294967296",
                                                       "4294967301", *WORDS),
    "--batch-sizes": ("0", "50001", *WORDS), "--seeds": ("4294967296", *WORDS),
    "--epochs": ("100001", *WORDS), "--examples": ("0", "50001", *WORDS),
    "--hidden": ("0", "65537", *WORDS), "--repeats": ("0", "10001", *WORDS),
    "--schedule": CHOICES, "--measure": CHOICES,
    "--recipe": PATHS, "--only": CHOICES, "--steps": ("0", "1000001", *WORDS),
    "--patience": ("0", "100001", *WORDS), "--network": CHOICES, "--work": CHOICES,
    "--size": ("31", "1025", *WORDS), "--evaluate": ("0", *WORDS),
    "--threads": ("0", "4097", "4096", *WORDS), "--lr": REALS,
    "--timeout": ("1e300", *REALS), "--deadline": ("1e300", *REALS),
    "--dataset": CHOICES, "--split": ("0.5", *CHOICES), "--optimizer": CHOICES,
    "--precision": CHOICES, "--device": CHOICES, "--rung": CHOICES,
    "--feed": CHOICES, "--data-dir": PATHS, "--out": PATHS, "--init": PATHS,
    "--save": PATHS, "--json": PATHS, "--quick": SWITCH, "--turns": SWITCH,
    "--help": SWITCH, "--author": LINE, "--variants": VARIANTS,
    "--contender": CONTENDERS, "--cluster": CHOICES, "--partition": WORD,
    "--gres": WORD, "--time": ("0", "100001", *WORDS), "--jobs": ("0", *WORDS),
    "--block": ("64", "64:0", "64:0:0:0", "65:0:0", "64:5:0", "64:0:1", *CHOICES),
    "--mirror": MIRRORS}


def kit_parser(argv):
    return flags.parse("stub.py", tuple(rungs.RUNGS), "step", argv)


def data_parser(argv):
    sys.argv = ["data.py", *argv]
    return data.main()


PROGRAMS = {"mlp_jax.py": mlp_jax.parse_flags,
            "mlp_torch.py": mlp_torch.parse_flags, "stub.py": kit_parser,
            "compare.py": compare.arguments, "data.py": data_parser}
# Names of files are only looked at when they are needed: see below.
LATER = {(program, option) for program in (
    "mlp_jax.py", "mlp_torch.py", "data.py") for option in (
    "--json", "--save", "--init", "--data-dir")}


class Seen(Exception):
    """Carries a parser out of the program that has made it."""


def options(program):
    """{option: its action} of a program, as its parser knows them."""
    def show(parser, *_):
        raise Seen(parser)

    kinds = argparse.ArgumentParser, cli.Parser
    plain = [kind.parse_args for kind in kinds]
    for kind in kinds:
        kind.parse_args = show
    try:
        PROGRAMS[program]([])
    except Seen as seen:
        return {action.option_strings[-1]: action
                for action in seen.args[0]._actions}
    finally:
        for kind, function in zip(kinds, plain):
            kind.parse_args = function
    raise AssertionError("no parser was made")


ALL = [(program, option) for program in PROGRAMS
       for option in options(program)]


def test_every_option_has_at_least_twelve_bad_values():
    assert len(ALL) > 40
    for program, option in ALL:
        assert option in BAD, f"{program} {option}: no bad values listed"
        assert len(set(BAD[option])) >= 12, option


def refused(program, argv, option, folder, capsys):
    """Parse in this process; the end must be code 2 and name the option."""
    capsys.readouterr()
    try:
        found = PROGRAMS[program](argv)
    except (cli.Fault, SystemExit) as end:
        assert end.code == 2, (argv, end)
        text = (str(end) if isinstance(end, cli.Fault)
                else capsys.readouterr().err)
        assert text.count("\n") <= 1, text
        assert option in text or f"argument -h/{option}" in text, (argv, text)
        assert len(text) < 2500
    else:
        raise AssertionError(f"accepted: {argv}: {found}")
    assert not any(folder.iterdir()), argv


@pytest.mark.fault("A1", "A2", "A3", "A4", "A5", "A6", "A7", "A9", "A10",
                   "A13", "A14")
@pytest.mark.parametrize("program, option", [
    pair for pair in ALL if pair not in LATER])
def test_a_bad_value_is_refused_and_nothing_made(
        tmp_path, monkeypatch, capsys, program, option):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [program])
    for value in BAD[option]:
        if value == "--" and program.startswith(("mlp_", "data")):
            continue  # argparse of Python 3.11 drops it and then stumbles
        refused(program, [f"{option}={value}"], option, tmp_path, capsys)
    if options(program)[option].nargs != 0:  # no value at all
        refused(program, [option], option, tmp_path, capsys)


@pytest.mark.fault("A9")
@pytest.mark.parametrize("parse", [mlp_jax.parse_flags,
                                   mlp_torch.parse_flags])
def test_a_file_that_cannot_be_written_is_said_before_training(
        tmp_path, monkeypatch, capsys, parse):
    monkeypatch.chdir(tmp_path)
    for option in ("--json", "--save"):
        for value in ("", ".", "/", "nowhere/x", "x" * 256 + "/a",
                      "a/" * 2048 + "b", str(tmp_path)):
            with pytest.raises(SystemExit) as end:
                parse([f"{option}={value}"])
            assert end.value.code == 5, value
            assert "cannot write" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


@pytest.mark.fault("A1", "A3", "A5", "A7", "A9", "A10", "A13")
@pytest.mark.parametrize("program, option, value", [
    ("mlp_jax.py", "--batch-size", "0"), ("mlp_jax.py", "--examples", ""),
    pytest.param("mlp_torch.py", "--lr", "nan", marks=pytest.mark.slow),
    pytest.param("mlp_torch.py", "--rung", "turbo", marks=pytest.mark.slow),
    ("compare.py", "--seeds", ""), ("compare.py", "--out", ""),
    ("compare.py", "--seeds", "-1"), ("compare.py", "--timeout", "nan"),
    ("data.py", "--deadline", "0"), ("data.py", "--mirror", "file:///x")])
def test_the_programs_themselves_refuse_and_make_nothing(
        tmp_path, program, option, value):
    before = hashes(tmp_path)
    done = call(ROOT / program, f"{option}={value}", cwd=tmp_path)
    line = error_of(done, 2, program)
    assert option in line and done.stderr.count("\n") == 1
    assert done.stdout == "" and hashes(tmp_path) == before


@pytest.mark.fault("A2", "A6", "A14")
@pytest.mark.parametrize("argv, option", [
    (["--examples", "100", "--batch-size", "101"], "--batch-size"),
    (["--batch-size", "50001"], "--batch-size"),
    (["--split", "pooled", "--batch-size", "56001"], "--batch-size"),
    (["--split", "pooled", "--examples", "56001"], "--examples"),
    (["--rung", "turbo", "--feed", "host"], "--rung")])
def test_values_that_clash(tmp_path, monkeypatch, capsys, argv, option):
    monkeypatch.chdir(tmp_path)
    for program in ("mlp_jax.py", "stub.py"):
        refused(program, argv, option, tmp_path, capsys)


@pytest.mark.fault("A6")
def test_no_epochs_only_with_save_and_never_too_many_steps(tmp_path):
    for parse in (mlp_jax.parse_flags, mlp_torch.parse_flags, kit_parser):
        assert parse(["--epochs", "0", "--save", "x"]).epochs == 0
    done = call(STUB, *DIGITS, "--epochs", 100_000,
                env={"PYTHONPATH": str(ROOT)}, cwd=tmp_path)
    assert "--epochs" in error_of(done, 2)


@pytest.mark.fault("A8")
def test_a_value_given_twice_is_run_once_and_that_is_said(capsys):
    args = compare.arguments(["--seeds", "0", "0", "1", "--variants", "jax:step",
                              "jax:step:device", "--batch-sizes", "8", "08"])
    assert args.seeds == [0, 1] and args.batch_sizes == [8]
    assert [str(variant) for variant in args.variants] == ["jax step"]
    said = capsys.readouterr().err
    assert "--seeds: each value is run once" in said and "--batch-si" in said


@pytest.mark.fault("A11")
@pytest.mark.parametrize("program, option", [
    (program, option) for program, option in ALL if len(option) > 6])
def test_an_abbreviated_option_is_refused(
        tmp_path, monkeypatch, capsys, program, option):
    monkeypatch.chdir(tmp_path)
    refused(program, [option[:-1], "1"], option[:-1], tmp_path, capsys)


@pytest.mark.fault("A12")
def test_of_an_option_given_twice_the_last_one_counts():
    for parse in (mlp_jax.parse_flags, mlp_torch.parse_flags, kit_parser):
        assert parse(["--seed", "1", "--seed", "2"]).seed == 2
    assert compare.arguments(["--seeds", "1", "--seeds", "2"]).seeds == [2]


@pytest.mark.slow
@pytest.mark.fault("A15")
def test_a_rung_that_a_framework_lacks_is_a_row_that_says_so(tmp_path):
    done = runs.compare(tmp_path / "out", "--variants", "jax:model",
                        "twig:eager", env=runs.plain(tmp_path / "stubs"))
    assert done.returncode == 1
    found = {row["contender"]: row for row in runs.rows(tmp_path / "out")}
    assert found["jax"]["status"] == "unavailable"
    assert "--rung" in found["jax"]["reason"]
    assert found["twig"]["status"] == "ok"


@pytest.mark.fault("A17")
@pytest.mark.parametrize("repeats", [
    100, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_huge_grid_is_counted_first_and_can_be_stopped(tmp_path, repeats):
    """10,000 runs in the quick test, a million in the long one."""
    out, began = tmp_path / "out", time.monotonic()
    process = runs.start(
        out, "--batch-sizes", *range(1, 101), "--repeats", repeats,
        env=runs.plain(tmp_path / "stubs"), stdout=-1)
    count = process.stdout.readline()
    seconds = time.monotonic() - began
    with open(f"/proc/{process.pid}/status") as file:
        peak = next(int(line.split()[1]) for line in file
                    if line.startswith("VmHWM"))
    process.terminate()
    process.communicate(timeout=60)
    assert f"{100 * repeats} runs on digits, 0 of them done" in count
    assert process.returncode == 143 and runs.gone(out)
    assert peak < 2**20, f"{peak} KiB"
    assert seconds < 300


@pytest.mark.fault("A18", "C6")
def test_nothing_to_do(tmp_path):
    """No process is started, nothing changes, exit 0."""
    env = runs.plain(tmp_path / "stubs")
    assert runs.compare(tmp_path / "out", env=env).returncode == 0
    before = hashes(tmp_path / "out")
    env = runs.plain(tmp_path / "stubs", f"""
if sys.argv[0].endswith(("child.py", "twig.py")) and "digits.py" not in str(
        sys.argv):
    open({str(tmp_path / 'STARTED')!r}, "w").close()
""")
    done = runs.compare(tmp_path / "out", env=env)
    assert done.returncode == 0 and "1 of them done, 0 to run" in done.stdout
    assert hashes(tmp_path / "out") == before
    assert not (tmp_path / "STARTED").exists()
    assert runs.compare(tmp_path / "out", "--batch-sizes", 65,
                        env=env).returncode == 0
    assert (tmp_path / "STARTED").exists()  # the trap works
