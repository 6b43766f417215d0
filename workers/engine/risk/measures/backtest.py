"""Was the value at risk right? Coverage tests over a series of results and of the values at risk foreseen for them.

PerformanceAnalytics' ``VaR.backtest`` is named after Kupiec and returns R's ``prop.test`` with a continuity correction,
whose p-value differs (1.0 in its own example): it is no reference for the tests here.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, chdtrc, xlogy

from workers.engine.risk.measures.conventions import MeasureError, series, tail_share


class Coverage(NamedTuple):
    """A likelihood ratio and the probability of one as large when the model is right."""

    statistic: float
    p_value: float


class Transitions(NamedTuple):
    """Pairs of neighbours: ``n01`` counts a result within the value at risk that is followed by one beyond it."""

    n00: int
    n01: int
    n10: int
    n11: int


class Exceedance(NamedTuple):
    """A loss beyond the value at risk: its place in the series, the result, and the value at risk foreseen."""

    place: int
    result: float
    var: float


class Zone(StrEnum):
    """Basel's traffic light."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


class TrafficLight(NamedTuple):
    """``probability`` of at most that many exceedances; ``multiplier`` only where the accord defines one."""

    zone: Zone
    probability: float
    multiplier: float | None


YELLOW_FROM: Final = 0.95
RED_FROM: Final = 0.9999
ACCORD_RESULTS: Final = 250
ACCORD_CONFIDENCE: Final = 0.99
MULTIPLIERS: Final = (3.0, 3.0, 3.0, 3.0, 3.0, 3.4, 3.5, 3.65, 3.75, 3.85, 4.0)
"""By exceedances in 250 days at 99 % (Basel Committee, 1996, Supervisory framework for backtesting, table 2)."""


def exceedances(results: npt.ArrayLike, var: npt.ArrayLike) -> list[Exceedance]:
    """Results that lost more than the value at risk foreseen for them (a number for all, or one for each)."""
    values = series(results, least=1)
    foreseen = np.broadcast_to(np.asarray(var, np.float64), values.shape)
    if not np.isfinite(foreseen).all():
        raise MeasureError("expected a finite value at risk for every result")
    places = np.flatnonzero(-values > foreseen)
    return [Exceedance(int(i), float(values[i]), float(foreseen[i])) for i in places]


def kupiec(count: int, failures: int, confidence: float) -> Coverage:
    """Proportion of failures: are there as many exceedances as the confidence promises? Chi-square, 1 degree.

    Kupiec (1995), Techniques for verifying the accuracy of risk measurement models.
    """
    share = tail_share(confidence)
    if not 0 <= failures <= count or count == 0:
        raise MeasureError(f"expected 0 to {count} failures of at least one result, was {failures}")
    ratio = 2.0 * (_log_likelihood(count, failures, failures / count) - _log_likelihood(count, failures, share))
    return _chi_square(ratio, 1)


def transitions(failed: npt.ArrayLike) -> Transitions:
    """Count the pairs of neighbours in a series of flags, True beyond the value at risk."""
    flags = np.asarray(failed, np.bool_)
    before, after = flags[:-1], flags[1:]
    n11, n01 = int((before & after).sum()), int((~before & after).sum())
    n10 = int((before & ~after).sum())
    return Transitions(int(before.size) - n11 - n01 - n10, n01, n10, n11)


def christoffersen(pairs: Transitions) -> Coverage:
    """Independence: is an exceedance as likely after another one as after none? Chi-square, 1 degree.

    Christoffersen (1998), Evaluating interval forecasts, section 3.2.
    """
    if min(pairs) < 0 or sum(pairs) == 0:
        raise MeasureError(f"expected counts of pairs, at least one, was {tuple(pairs)}")
    calm, hit = pairs.n00 + pairs.n01, pairs.n10 + pairs.n11
    failures = pairs.n01 + pairs.n11
    joint = _log_likelihood(calm + hit, failures, failures / (calm + hit))
    apart = _log_likelihood(calm, pairs.n01, pairs.n01 / calm if calm else 0.0)
    apart += _log_likelihood(hit, pairs.n11, pairs.n11 / hit if hit else 0.0)
    return _chi_square(2.0 * (apart - joint), 1)


def conditional_coverage(count: int, failures: int, pairs: Transitions, confidence: float) -> Coverage:
    """Coverage and independence together: the sum of both ratios. Chi-square, 2 degrees."""
    return _chi_square(kupiec(count, failures, confidence).statistic + christoffersen(pairs).statistic, 2)


def traffic_light(count: int, failures: int, confidence: float = ACCORD_CONFIDENCE) -> TrafficLight:
    """Basel's zone by the binomial probability of so few exceedances: yellow from 95 %, red from 99.99 %.

    None at all is green: of a short series that alone has a probability above 95 %, and is no evidence of a fault.
    """
    share = tail_share(confidence)
    if not 0 <= failures <= count or count == 0:
        raise MeasureError(f"expected 0 to {count} failures of at least one result, was {failures}")
    probability = float(bdtr(failures, count, share))
    zone = Zone.RED if probability >= RED_FROM else Zone.YELLOW if probability >= YELLOW_FROM else Zone.GREEN
    zone = zone if failures else Zone.GREEN
    of_accord = count == ACCORD_RESULTS and math.isclose(confidence, ACCORD_CONFIDENCE)
    return TrafficLight(zone, probability, MULTIPLIERS[min(failures, 10)] if of_accord else None)


def _log_likelihood(count: int, failures: int, share: float) -> float:
    """Of so many failures when each has probability ``share``; 0 log 0 is 0."""
    return float(xlogy(failures, share) + xlogy(count - failures, 1.0 - share))


def _chi_square(ratio: float, degrees: int) -> Coverage:
    # Rounding may leave a ratio of two equal likelihoods a hair below zero.
    statistic = max(ratio, 0.0)
    return Coverage(statistic, float(chdtrc(degrees, statistic)))
