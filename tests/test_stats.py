"""The intervals keep their promise, by simulation with a known truth."""

import numpy as np
import pytest
from records import comparison, make

from bench.analyse import groups, ratios, stats
from bench.analyse.found import Found

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


def compared(records, width=None, scripts=()):
    """The only ratio of jax and torch."""
    found = Found(records, (True, "", None), [], dict(scripts))
    found.width = width
    (pair,) = ratios.pairs(found.groups)
    return ratios.ratio(found, *pair)


def test_fewer_than_three_blocks_have_no_interval():
    for blocks in (1, 2):
        two = compared(comparison(blocks=blocks))
        assert (two.verdict, two.span, two.order) == (ratios.FEW, None, None)


@pytest.mark.parametrize("jax, torch, verdict, better", [
    (0.5, 0.7, ratios.FIRST, "jax"), (0.7, 0.5, ratios.SECOND, "torch"),
    (0.5, 0.5, ratios.NONE, None)])
def test_the_verdict_follows_the_interval(jax, torch, verdict, better):
    two = compared(comparison(jax, torch, blocks=5))
    assert two.verdict == verdict
    assert (two.order and two.order[0][0]) == better


def test_nothing_below_the_control_is_named():
    records = comparison(0.5, 0.52, blocks=5)
    for width, verdict in ((0.001, ratios.FIRST), (0.2, ratios.SMALL)):
        assert compared(records, width).verdict == verdict


def test_one_script_under_two_names_is_a_control():
    hashes = {"jax": "x", "torch": "x"}
    records = comparison(0.5, 0.7, blocks=5)
    # Two rungs of it are two things.
    assert compared(records, scripts=hashes).verdict == ratios.FIRST
    assert ratios.controls(groups.group(records), hashes) == {}
    for r in records:
        r["config"]["rung"] = "eager"
    assert compared(records, scripts=hashes).verdict == ratios.ALARM
    assert ratios.find_width(ratios.controls(
        groups.group(records), hashes)) > 0.3
    same = [{**r, "timing": {**r["timing"], "epoch_s": [0.5 + 0.01 * (
        r["block"] % 3 == len(r["contender"]) % 3)] * 3}} for r in records]
    assert compared(same, scripts=hashes).verdict == ratios.HELD


def test_break_even_is_said_only_when_it_is_reached():
    _, span, verdict = ratios.repaid([10, 11, 9], [0.5, 0.5, 0.5])
    assert verdict == ratios.REPAID and 25 < span[1] < 26
    for costs, gains, verdict in (
            ([10, 11, 9], [-1, -1.1, -0.9], ratios.NEVER),
            ([10, 11, 9], [-1, 1.1, -0.9], ratios.UNSHOWN),
            ([10], [0.5], ratios.FEW), ([9, 9, 9], [0.01, 1, 9],
                                        ratios.UNSURE)):
        assert ratios.repaid(costs, gains)[2] == verdict


def test_a_diverged_run_enters_no_number():
    records = comparison(blocks=3)
    lost = make("jax", "step", seed=9, block=9)
    lost.update(status="diverged", final={"test_loss": None,
                                          "test_accuracy": None})
    rows = groups.summarise([*records, lost])
    (row,) = [row for row in rows if row["contender"] == "jax"]
    assert (row["runs"], row["ok"]) == (4, 3)
    assert row["test_accuracy"] == pytest.approx(0.97)


def test_the_interval_of_a_fraction_is_wilsons():
    """Newcombe 1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<857::
    AID-SIM777>3.0.CO;2-E, table I, method 3."""
    assert stats.wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_the_control_is_as_wide_as_its_widest_interval():
    assert ratios.find_width({64: (1.0, (0.9, 1.2), 3), 256: (1.0, (0.99, 1.01), 3)}
                             ) == pytest.approx(np.log(1.2))
