"""The intervals keep their promise, by simulation with a known truth."""

import numpy as np
import pytest
from records import comparison, make

from bench import stats, summary, tables

TRUTH, REPETITIONS, EPOCHS = 0.8, 2000, 9
SCENARIOS = {"quiet": (0.0, 0.0), "drift": (0.1, 0.0),
             "outliers": (0.0, 0.1), "both": (0.1, 0.1)}


def medians(rng, blocks, truth, drift, outliers):
    """Steady seconds of two contenders: (2, REPETITIONS, blocks).

    Every process has a level of its own (2 %), its epochs follow each other
    (correlation 0.8); the machine drifts from block to block (a random walk)
    and a little inside one; outliers slow whole processes and single epochs.
    """
    shape = (2, REPETITIONS, blocks)
    logs = 0.02 * rng.standard_normal(shape)
    logs += drift * rng.standard_normal(shape[1:]).cumsum(axis=-1)
    logs += 0.1 * drift * rng.standard_normal(shape)
    logs += (rng.random(shape) < outliers) * rng.uniform(0.1, 0.5, shape)
    epochs = np.empty((*shape, EPOCHS))
    epochs[..., 0] = rng.standard_normal(shape)
    for n in range(1, EPOCHS):
        epochs[..., n] = (0.8 * epochs[..., n - 1]
                          + 0.6 * rng.standard_normal(shape))
    slow = rng.random(epochs.shape) < outliers
    seconds = np.exp(logs[..., None] + 0.02 * epochs + slow)
    seconds[0] *= truth
    return np.median(seconds, axis=-1)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("blocks", [3, 5, 10])
@pytest.mark.parametrize("truth", [TRUTH, 1.0])
def test_the_interval_of_a_ratio_covers_the_truth(scenario, blocks, truth):
    rng = np.random.default_rng([blocks, *map(ord, scenario)])
    seconds = medians(rng, blocks, truth, *SCENARIOS[scenario])
    spans = [stats.ratio(first, second)[1]
             for first, second in zip(*seconds)]
    covered = np.mean([low <= truth <= high for low, high in spans])
    assert covered >= 0.93, covered
    if truth == 1:  # a false alarm of the A/A control
        assert np.mean([stats.decided(span) for span in spans]) <= 0.07


def test_epochs_are_not_taken_for_independent():
    """The mistake that this design avoids: an interval over epochs."""
    rng = np.random.default_rng(0)
    level = 0.02 * rng.standard_normal((1000, 1))
    logs = level + 0.005 * rng.standard_normal((1000, 30))
    spans = [stats.interval(row) for row in logs]
    assert np.mean([low <= 0 <= high for low, high in spans]) < 0.5


def test_t_quantiles_are_those_of_a_table():
    # Abramowitz and Stegun, table 26.10
    for freedom, value in ((1, 12.706), (2, 4.303), (9, 2.262), (30, 2.042),
                           (40, 2.021), (60, 2.000), (120, 1.980)):
        assert abs(stats.t95(freedom) - value) < 6e-4


def test_fewer_than_three_blocks_have_no_interval():
    for blocks in (1, 2):
        groups = summary.group(comparison(blocks=blocks))
        (line,) = [text for text in tables.ratios(groups, None, {})
                   if "jax step" in text]
        assert "too few blocks to say" in line and " to " not in line.split(
            "|")[3]


@pytest.mark.parametrize("jax, torch, words", [
    (0.5, 0.7, "jax step is faster"), (0.7, 0.5, "torch eager is faster"),
    (0.5, 0.5, "no difference shown")])
def test_the_verdict_follows_the_interval(jax, torch, words):
    groups = summary.group(comparison(jax, torch, blocks=5))
    (line,) = [text for text in tables.ratios(groups, None, {})
               if "jax step /" in text]
    assert words in line


def test_nothing_below_the_control_is_named():
    groups = summary.group(comparison(0.5, 0.52, blocks=5))
    key = ("jax step", "torch eager")
    for width, words in ((0.001, "jax step is faster"),
                         (0.2, "smaller than what one script shows")):
        text = "\n".join(tables.ratios(groups, width, {}))
        assert words in text, key


def test_one_script_under_two_names_is_a_control():
    records = comparison(0.5, 0.7, blocks=5)
    hashes = {"jax": "x", "torch": "x"}
    text = "\n".join(tables.ratios(summary.group(records), None, hashes))
    assert "FALSE ALARM" not in text  # two rungs of it are two things
    for r in records:
        r["config"]["rung"] = "eager"
    text = "\n".join(tables.ratios(summary.group(records), None, hashes))
    assert "FALSE ALARM" in text


def test_break_even_is_said_only_when_it_is_reached():
    assert tables.repaid([10, 11, 9], [0.5, 0.5, 0.5])[2] == (
        "repaid in a run of 26 epochs or more")
    assert tables.repaid([10, 11, 9], [-1, -1.1, -0.9])[2].startswith("never")
    assert tables.repaid([10, 11, 9], [-1, 1.1, -0.9])[2].startswith("not sh")
    assert tables.repaid([10], [0.5])[2] == "too few blocks to say"
    assert tables.repaid([9, 9, 9], [0.01, 1, 9])[2] == "too uncertain to say"


def test_a_diverged_run_enters_no_number():
    records = comparison(blocks=3)
    lost = make("jax", "step", seed=9, block=9)
    lost.update(status="diverged", final={"test_loss": None,
                                          "test_accuracy": None})
    rows = summary.summarise([*records, lost])
    (row,) = [row for row in rows if row["contender"] == "jax"]
    assert (row["runs"], row["ok"]) == (4, 3)
    assert row["test_accuracy"] == pytest.approx(0.97)
