"""What must hold of every risk measure, whatever the results are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workers.engine.risk.measures import (
    backtest,
    drawdown,
    entropic,
    filtered,
    montecarlo,
    performance,
    portfolio,
    tail,
    volatility,
)
from workers.engine.risk.measures.conventions import Floats, MeasureError, Quantile, Tail

FEW = settings(max_examples=60, deadline=None)
CONFIDENCE = st.sampled_from([0.8, 0.9, 0.95, 0.975, 0.99])
NUMBERS = st.floats(-0.2, 0.2, allow_nan=False).map(lambda number: round(number, 6))


def results(low: int = 10, high: int = 120) -> st.SearchStrategy[Floats]:
    return st.integers(low, high).flatmap(lambda n: arrays(np.float64, n, elements=NUMBERS))


MATRICES = st.tuples(st.integers(20, 60), st.integers(1, 5)).flatmap(
    lambda shape: st.tuples(
        arrays(np.float64, shape, elements=NUMBERS),
        arrays(np.float64, shape[1], elements=st.floats(-1e5, 1e5).map(lambda number: round(number, 2))),
    )
)


@FEW
@given(values=results(), confidence=CONFIDENCE, quantile=st.sampled_from(list(Quantile)))
def test_the_shortfall_is_at_least_the_value_at_risk(values: Floats, confidence: float, quantile: Quantile) -> None:
    exact = tail.historical(values, confidence, quantile=quantile)
    beyond = tail.historical(values, confidence, quantile=quantile, tail=Tail.BEYOND)
    normal = tail.gaussian(values, confidence)
    assert exact.es >= exact.var - 1e-12
    assert beyond.es >= beyond.var - 1e-12
    assert normal.es >= normal.var - 1e-12


@FEW
@given(values=results(), confidence=CONFIDENCE)
def test_the_fast_tail_is_the_plain_definition(values: Floats, confidence: float) -> None:
    ordered, mass = np.sort(values), values.size * (1 - confidence)
    whole = int(mass)
    plain = -(ordered[:whole].sum() + (mass - whole) * ordered[whole]) / mass
    found = tail.historical(values, confidence)
    assert found.var == pytest.approx(-np.quantile(values, 1 - confidence), abs=1e-12)
    assert found.es == pytest.approx(plain, abs=1e-12)
    order = tail.historical(values, confidence, quantile=Quantile.ORDER)
    assert order.var == -ordered[math.ceil(round(mass, 9)) - 1]


@FEW
@given(values=results(), confidence=CONFIDENCE, shift=st.floats(-0.1, 0.1), scale=st.floats(0.1, 10))
def test_cash_lowers_the_risk_by_itself_and_size_scales_it(
    values: Floats, confidence: float, shift: float, scale: float
) -> None:
    assume(values.std() > 1e-4)
    for measure in (tail.historical, tail.gaussian, tail.modified):
        plain, moved = measure(values, confidence), measure(values + shift, confidence)
        grown = measure(values * scale, confidence)
        assert moved == pytest.approx((plain.var - shift, plain.es - shift), abs=1e-9)
        assert grown == pytest.approx((plain.var * scale, plain.es * scale), abs=1e-9)
    assert entropic.evar(values * scale, confidence) == pytest.approx(
        entropic.evar(values, confidence) * scale, rel=1e-5
    )


@FEW
@given(both=st.integers(10, 80).flatmap(lambda n: arrays(np.float64, (2, n), elements=NUMBERS)), confidence=CONFIDENCE)
def test_two_books_together_never_fall_short_of_more_than_each_alone(both: Floats, confidence: float) -> None:
    one, other = both
    together = tail.historical(one + other, confidence).es
    assert together <= tail.historical(one, confidence).es + tail.historical(other, confidence).es + 1e-12
    assert entropic.evar(one, confidence) >= tail.historical(one, confidence).es - 1e-9
    assert entropic.evar(one, confidence) <= -one.min() + 1e-12


@FEW
@given(given_=MATRICES, confidence=CONFIDENCE)
def test_the_parts_sum_to_the_whole(given_: tuple[Floats, Floats], confidence: float) -> None:
    returns, values = given_
    covariance = portfolio.sample_covariance(returns)
    total = portfolio.parametric(values, covariance, confidence)
    by_holding = portfolio.component_var(values, covariance, confidence)
    assert by_holding.parts.sum() == pytest.approx(total.var, rel=1e-6, abs=1e-6)
    shortfall = portfolio.component_es(values, returns, confidence)
    assert shortfall.parts.sum() == pytest.approx(
        portfolio.historical_portfolio(values, returns, confidence).es, rel=1e-9, abs=1e-6
    )
    change = np.roll(values, 1)
    after = portfolio.parametric(values + change, covariance, confidence).var
    added = portfolio.incremental_var(values, change, covariance, confidence)
    assert total.var + added == pytest.approx(after, abs=1e-6)
    assert portfolio.incremental_var(values, -values, covariance, confidence) == pytest.approx(-total.var, abs=1e-6)


@FEW
@given(values=results(60, 150))
def test_stepwise_and_whole_exponential_weights_agree(values: Floats) -> None:
    start = float((values**2).mean())
    stepwise = portfolio.EwmaCovariance([[start]])
    for one in values:
        stepwise.update(np.array([one]))
    assert stepwise.matrix[0, 0] == pytest.approx(volatility.ewma_variances(values)[-1], abs=1e-15)


@FEW
@given(values=results(), compounded=st.booleans(), confidence=CONFIDENCE)
def test_drawdowns_are_ordered(values: Floats, compounded: bool, confidence: float) -> None:
    deepest = drawdown.max_drawdown(values, compounded=compounded)
    average = drawdown.average_drawdown(values, compounded=compounded)
    in_tail = drawdown.cdar(values, confidence, compounded=compounded)
    assert 0 <= average <= in_tail + 1e-12 <= deepest + 2e-12
    assert average <= drawdown.ulcer_index(values, compounded=compounded) + 1e-12 <= deepest + 2e-12
    assert (drawdown.longest_underwater(values, compounded=compounded) > 0) is (deepest > 0)


@FEW
@given(values=results(), scale=st.floats(0.1, 4))
def test_ratios_do_not_depend_on_leverage_and_share_their_sign(values: Floats, scale: float) -> None:
    assume(values.std() > 1e-4 and values.min() < -1e-4 and abs(values.mean()) > 1e-5)
    grown = values * scale
    assert performance.sharpe(grown) == pytest.approx(performance.sharpe(values), rel=1e-6)
    assert performance.sortino(grown) == pytest.approx(performance.sortino(values), rel=1e-6)
    assert performance.omega(grown) == pytest.approx(performance.omega(values), rel=1e-6)
    assert (performance.omega(values) > 1) is bool(values.mean() > 0)
    assert performance.kelly(grown) == pytest.approx(performance.kelly(values) / scale, rel=1e-6)
    assert performance.sharpe(values, periods=252) == pytest.approx(performance.sharpe(values) * 252**0.5)


def test_a_ratio_without_a_risk_is_refused() -> None:
    assert performance.calmar([0.1, -0.05, 0.1], periods=3) == pytest.approx((1.1 * 0.95 * 1.1 - 1) / 0.05)
    for measure in (performance.sharpe, performance.sortino, performance.omega, performance.kelly):
        with pytest.raises(MeasureError, match="to divide by, was 0"):
            measure([0.01, 0.01, 0.01] if measure is performance.sortino else [0.5, 0.5])


def test_filters_react_to_a_storm_and_history_does_not() -> None:
    calm, storm = np.random.default_rng(7).normal(0, 0.01, 400), np.random.default_rng(8).normal(0, 0.04, 30)
    values = np.concatenate((calm, storm))
    plain = tail.historical(calm, 0.95).var
    assert volatility.ewma(values, 0.95).var > 2.5 * plain
    for by in filtered.Filter:
        assert filtered.filtered_historical(values, 0.95, by=by).var > 2.5 * plain


def test_simulations_repeat_and_find_the_normal_answer() -> None:
    covariance, values = np.array([[4e-4, 1e-4], [1e-4, 9e-4]]), np.array([3e4, -1e4])
    exact = portfolio.parametric(values, covariance, 0.99)
    first = montecarlo.monte_carlo(covariance, values, 0.99, paths=200_000, seed=1)
    assert first == montecarlo.monte_carlo(covariance, values, 0.99, paths=200_000, seed=1)
    assert first == pytest.approx(exact, rel=0.02)
    heavy = montecarlo.monte_carlo(covariance, values, 0.99, paths=200_000, seed=1, degrees=4)
    assert heavy.es > 1.15 * first.es
    draws = montecarlo.simulate(covariance, paths=200_000, seed=2, degrees=6)
    assert np.cov(draws.T) == pytest.approx(covariance, rel=0.06)


@FEW
@given(count=st.integers(50, 1000), data=st.data(), confidence=st.sampled_from([0.95, 0.99]))
def test_coverage_is_accepted_at_what_was_promised_and_refused_far_from_it(
    count: int, data: st.DataObject, confidence: float
) -> None:
    failures = data.draw(st.integers(0, count))
    found = backtest.kupiec(count, failures, confidence)
    assert 0 <= found.p_value <= 1
    expected = count * (1 - confidence)
    if abs(failures - expected) <= 1:
        assert found.p_value > 0.1
    if failures > 5 * expected + 5:
        assert found.p_value < 0.01
    light = backtest.traffic_light(count, failures, confidence)
    if failures:
        assert light.probability >= backtest.traffic_light(count, failures - 1, confidence).probability


def test_the_accord_s_zones_and_multipliers() -> None:
    lights = [backtest.traffic_light(250, failures) for failures in range(11)]
    assert [light.zone for light in lights] == ["green"] * 5 + ["yellow"] * 5 + ["red"]
    assert [light.multiplier for light in lights][4:] == [3.0, 3.4, 3.5, 3.65, 3.75, 3.85, 4.0]
    assert backtest.traffic_light(200, 3).multiplier is None


def test_failures_that_come_together_are_not_independent() -> None:
    apart, together = np.zeros(400, bool), np.zeros(400, bool)
    apart[::20], together[:20] = True, True
    pairs = backtest.transitions(together)
    assert pairs == (379, 0, 1, 19)
    assert backtest.christoffersen(pairs).p_value < 1e-6
    assert backtest.christoffersen(backtest.transitions(apart)).p_value > 0.1
    listed = backtest.exceedances([-3.0, 1.0, -5.0], [2.0, 2.0, 6.0])
    assert listed == [(0, -3.0, 2.0)]


def test_bad_input_is_named() -> None:
    with pytest.raises(MeasureError, match=r"finite returns, was nan at \(1,\)"):
        tail.historical([0.1, math.nan], 0.95)
    with pytest.raises(MeasureError, match="at least 2 returns, was 1"):
        tail.gaussian([0.1], 0.95)
    with pytest.raises(MeasureError, match="confidence between 0 and 1, was 95"):
        tail.historical([0.1, 0.2], 95)
    with pytest.raises(MeasureError, match=r"smallest eigenvalue is -1\."):
        montecarlo.monte_carlo([[0.0, 1.0], [1.0, 0.0]], [1.0, 1.0], 0.99, seed=1)
    with pytest.raises(MeasureError, match="results that vary"):
        volatility.fit_garch([0.01] * 60)
    with pytest.raises(MeasureError, match="symmetric"):
        portfolio.parametric([1.0, 1.0], [[1.0, 0.5], [0.0, 1.0]], 0.99)
