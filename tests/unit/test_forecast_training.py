"""Training: naive at the start, the same for the same seed, honest about skill, calibrated, bounded in time."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from tests.support.forecasting import (
    SHORT,
    SMALL,
    mean_reverting,
    packed,
    random_walk,
    small_dataset,
    trained_on,
    untrained,
)
from workers.engine.forecast.config import ConfigError, NHitsConfig, TrainConfig
from workers.engine.forecast.evaluate import evaluate
from workers.engine.forecast.train import Progress, calibrated, train
from workers.engine.forecast.windows import DataError, build_dataset, minimum_bars


def test_an_untrained_model_is_the_last_value_with_a_random_walk_around_it() -> None:
    closes = random_walk(16)[None]
    quantiles = untrained().predict(closes).quantiles[0]
    assert (quantiles[2] == 0).all()
    volatility = np.sqrt(np.mean(np.diff(np.log(closes)) ** 2))
    assert quantiles[4] == pytest.approx(1.6448536 * volatility * np.sqrt([1, 2, 3, 4]), rel=1e-5)
    assert quantiles[0] == pytest.approx(-quantiles[4], rel=1e-5)


def test_the_same_seed_gives_the_same_model_to_the_byte_and_another_does_not() -> None:
    dataset = small_dataset(mean_reverting(900))
    first, second = (packed(dataset, trained_on(dataset))[0].digest for _ in range(2))
    other = msgspec.structs.replace(SHORT, seed=2)
    assert first == second
    assert packed(dataset, trained_on(dataset, other))[0].digest != first


def test_training_leaves_the_global_generator_and_thread_count_alone() -> None:
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    trained_on(small_dataset(random_walk(900)))
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads


def test_what_can_be_forecast_is_forecast() -> None:
    dataset = small_dataset(mean_reverting(2000))
    longer = msgspec.structs.replace(SHORT, steps=300, rate=3e-3)
    metrics = evaluate(trained_on(dataset, longer).forecaster, dataset)
    assert metrics.skill_mse > 0.7
    assert metrics.skill_pinball > 0.4
    assert metrics.sign_hits > 0.8


def test_a_random_walk_gives_no_skill_and_the_naive_weights_are_kept_when_none_is_better() -> None:
    dataset = small_dataset(random_walk(3000))
    trained = trained_on(dataset)
    metrics = evaluate(trained.forecaster, dataset)
    assert abs(metrics.skill_mse) < 0.05
    assert trained.best_loss <= trained.naive_loss


def test_split_conformal_intervals_cover_what_they_claim() -> None:
    dataset = small_dataset(random_walk(12_000, seed=5))
    metrics = evaluate(calibrated(untrained().model, dataset), dataset)
    for claimed, covered in zip(metrics.claimed, metrics.coverage, strict=True):
        assert covered == pytest.approx(claimed, abs=0.04)


def test_calibration_repairs_intervals_that_are_too_narrow() -> None:
    """Returns with fat tails: the Gaussian start covers too little, the calibrated one does not."""
    generator = np.random.Generator(np.random.PCG64(3))
    closes = 100 * np.exp(np.cumsum(generator.standard_t(2.2, 12_000) * 0.001))
    dataset = small_dataset(closes)
    raw = evaluate(untrained(), dataset).coverage[0]
    repaired = evaluate(calibrated(untrained().model, dataset), dataset).coverage[0]
    assert abs(repaired - 0.9) < abs(raw - 0.9) or abs(raw - 0.9) < 0.005
    assert repaired == pytest.approx(0.9, abs=0.03)


def test_the_budget_ends_training_and_progress_is_told() -> None:
    told: list[Progress] = []
    seconds = iter(range(1000))
    training = TrainConfig(steps=500, every=10, batch=16, budget_s=3.0, patience=50)
    trained = train(
        small_dataset(mean_reverting(900)), SMALL, training, elapsed=lambda: float(next(seconds)), report=told.append
    )
    assert trained.ended == "budget"
    assert trained.steps < 500
    assert [progress.step for progress in told] == list(range(10, trained.steps + 1, 10))


def test_parts_share_no_target_bar_and_follow_in_time() -> None:
    dataset = small_dataset(random_walk(900))
    parts = (dataset.train, dataset.validation, dataset.calibration, dataset.test)
    targets = [{int(s) + 16 + h for s in starts for h in range(4)} for starts in parts]
    for earlier, later in itertools.pairwise(targets):
        assert max(earlier) < min(later)


def test_the_least_bars_are_enough_and_one_part_less_is_refused_by_name() -> None:
    least = minimum_bars(SMALL, SHORT)
    assert small_dataset(random_walk(least)).test.size
    with pytest.raises(DataError, match=f"at least {least} closes in one series, was 20"):
        small_dataset(random_walk(20))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_bad_close_is_named_with_its_place(bad: float) -> None:
    closes = random_walk(900)
    closes[17] = bad
    with pytest.raises(DataError, match=rf"was {bad} \(BTC, bar 17\)"):
        build_dataset({"BTC": closes}, SMALL, SHORT)


def test_prices_that_stand_still_cannot_be_learned_from() -> None:
    with pytest.raises(DataError, match="stand still"):
        trained_on(small_dataset(np.full(900, 5.0)))


def test_a_window_that_stands_still_forecasts_no_move_without_confidence() -> None:
    prediction = untrained().predict(np.full((1, 16), 5.0))
    assert prediction.confidence[0] == 0.5
    assert np.abs(prediction.quantiles).max() < 1e-6


@pytest.mark.parametrize("shape", [(0, 16), (2, 15), (16,)])
def test_input_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"shape \(n, 16\)"):
        untrained().predict(np.ones(shape))


@pytest.mark.parametrize(
    "changes",
    [
        {"input_size": 1},
        {"pool": (2,)},
        {"pool": (65, 4, 1)},
        {"levels": (0.1, 0.5, 0.8)},
        {"levels": (0.1, 0.9)},
        {"levels": (0.5, 0.1, 0.9)},
        {"levels": (0.0, 0.5, 1.0)},
    ],
)
def test_a_model_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        NHitsConfig(**changes)
