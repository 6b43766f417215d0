"""What holds for every forecast: order of quantiles, indifference to level, scale and company."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.forecasting import SMALL, mean_reverting, small_dataset, trained_on
from workers.engine.forecast import calibration
from workers.engine.forecast.calibration import Calibration
from workers.engine.forecast.forecaster import Forecaster
from workers.engine.forecast.quantiles import assemble, random_walk_steps, sign_confidence
from workers.engine.forecast.windows import Floats

LEVELS = SMALL.levels
raw_values = st.floats(-50, 50, allow_nan=False, width=32)
returns = st.lists(st.floats(-0.05, 0.05), min_size=16, max_size=16)


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    return trained_on(small_dataset(mean_reverting(900))).forecaster


def closes_of(moves: list[float], start: float = 100.0) -> Floats:
    closes: Floats = start * np.exp(np.cumsum(np.asarray(moves)))
    return closes[None]


@given(raw=st.lists(raw_values, min_size=20, max_size=20))
def test_assembled_quantiles_never_cross(raw: list[float]) -> None:
    quantiles = assemble(torch.tensor(raw).view(1, 5, 4), random_walk_steps(LEVELS, 4), 2)
    assert bool((quantiles.diff(dim=1) >= 0).all())


@given(
    widths=st.lists(st.floats(0, 10), min_size=16, max_size=16),
    factors=st.lists(st.floats(0, 10), min_size=8, max_size=8),
    centre=st.floats(-5, 5),
)
def test_calibrated_quantiles_never_cross(widths: list[float], factors: list[float], centre: float) -> None:
    w = np.asarray(widths).reshape(1, 4, 4)
    quantiles = centre + np.stack([-w[:, 0] - w[:, 1], -w[:, 1], 0 * w[:, 0], w[:, 2], w[:, 2] + w[:, 3]], axis=1)
    found = calibration.apply(Calibration(factors=(tuple(factors[:4]), tuple(factors[4:])), windows=1), quantiles)
    assert (np.diff(found, axis=1) >= 0).all()
    assert (found[:, 2] == quantiles[:, 2]).all()


@settings(max_examples=40, deadline=None)
@given(moves=returns, level=st.floats(1e-3, 1e6))
def test_the_price_level_does_not_matter(forecaster: Forecaster, moves: list[float], level: float) -> None:
    here = forecaster.predict(closes_of(moves)).quantiles
    there = forecaster.predict(closes_of(moves) * level).quantiles
    scale = max(float(np.abs(here).max()), 1e-6)
    assert np.allclose(here / scale, there / scale, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(moves=returns.filter(lambda moves: np.std(moves[1:]) > 1e-3), factor=st.floats(0.1, 10))
def test_the_forecast_scales_with_volatility(forecaster: Forecaster, moves: list[float], factor: float) -> None:
    here = forecaster.predict(closes_of(moves)).quantiles
    there = forecaster.predict(closes_of([factor * move for move in moves])).quantiles
    assert np.allclose(here * factor, there, atol=1e-4 * float(np.abs(there).max()))


@settings(max_examples=30, deadline=None)
@given(others=st.lists(returns, min_size=0, max_size=40), moves=returns)
def test_company_in_the_batch_changes_nothing(
    forecaster: Forecaster, others: list[list[float]], moves: list[float]
) -> None:
    alone = forecaster.predict(closes_of(moves))
    batch = forecaster.predict(np.concatenate([closes_of(moves), *(closes_of(other) for other in others)]))
    assert np.allclose(alone.quantiles[0], batch.quantiles[0], rtol=0, atol=1e-6)
    assert abs(alone.confidence[0] - batch.confidence[0]) < 1e-3


@given(row=st.lists(st.floats(-1, 1), min_size=5, max_size=5))
def test_confidence_is_a_probability_that_the_levels_support(row: list[float]) -> None:
    confidence = sign_confidence(np.asarray([sorted(row)]), LEVELS)[0]
    assert 0.05 <= confidence <= 0.95
    if sorted(row)[2] != 0:
        assert confidence >= 0.5 - 1e-9


@given(row=st.lists(st.floats(-1, 1), min_size=5, max_size=5))
def test_confidence_is_the_same_for_the_mirrored_move(row: list[float]) -> None:
    here = np.asarray([sorted(row)])
    there = -here[:, ::-1]
    assert sign_confidence(here, LEVELS)[0] == pytest.approx(sign_confidence(there, LEVELS)[0])
