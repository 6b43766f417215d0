"""What if: past crises, shocks of a factor, thin books, correlations of one, a venue that is gone. By position.

``values`` are what the holdings are worth, signed, by symbol. Every result names the profit (negative: the loss) of
each position; they sum to the total. Where the data for a scenario are missing, the result says so and has no number:
a window that only some of the holdings lived through is not estimated for the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np
from scipy.special import ndtri

from workers.engine.risk.measures.conventions import Floats, MeasureError, finite
from workers.engine.risk.measures.portfolio import component_var

SECOND_NS: Final = 1_000_000_000
SLACK_NS: Final = 4 * 86_400 * SECOND_NS
"""Markets that close have no prices for a long weekend."""


class Kind(StrEnum):
    HISTORICAL = "historical"
    FACTOR = "factor"
    LIQUIDITY = "liquidity"
    CORRELATION = "correlation"
    OUTAGE = "outage"


class Outcome(StrEnum):
    """NO_DATA: the scenario could not be computed and has no number. PARTIAL: it is a lower bound; see the detail."""

    DONE = "done"
    PARTIAL = "partial"
    NO_DATA = "no data"


class StressResult(msgspec.Struct, frozen=True, kw_only=True):
    """``positions`` sum to ``total``; both None and empty without data."""

    name: str
    kind: Kind
    outcome: Outcome
    detail: str
    total: float | None = None
    positions: dict[str, float] = {}


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of history, both ends included, ns since 1970."""

    name: str
    start: int
    end: int


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Closes of one instrument, oldest first, with the end of each bar in ns."""

    times: Sequence[int]
    closes: Sequence[float]


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """One side's and the other's price and quantity per level, best first."""

    bids: Sequence[tuple[float, float]]
    asks: Sequence[tuple[float, float]]


def _window(name: str, first: str, last: str) -> Window:
    start, end = (int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) for day in (first, last))
    return Window(name=name, start=start * SECOND_NS, end=end * SECOND_NS)


WINDOWS: Final = (
    _window("October 2008, banking crisis", "2008-10-01", "2008-10-31"),
    _window("March 2020, pandemic", "2020-03-02", "2020-03-31"),
    _window("May 2022, Terra", "2022-05-05", "2022-05-31"),
    _window("November 2022, FTX", "2022-11-01", "2022-11-30"),
)


def done(name: str, kind: Kind, positions: Mapping[str, float], detail: str = "") -> StressResult:
    """A result whose total is the sum of its positions."""
    total = math.fsum(positions.values())
    return StressResult(
        name=name, kind=kind, outcome=Outcome.DONE, detail=detail, total=total, positions=dict(positions)
    )


def no_data(name: str, kind: Kind, detail: str) -> StressResult:
    """A result without a number, and why."""
    return StressResult(name=name, kind=kind, outcome=Outcome.NO_DATA, detail=detail)


def historical_window(window: Window, values: Mapping[str, float], history: Mapping[str, Prices]) -> StressResult:
    """The holdings of now through ``window``, held from its first close: at the close where they lost most.

    No data unless each holding has closes from the window's first days to its last, a long weekend apart at most, and
    all share at least two times.
    """
    held = {symbol: value for symbol, value in values.items() if value}
    paths: dict[str, dict[int, float]] = {}
    for symbol in held:
        prices = history.get(symbol, Prices(times=(), closes=()))
        path = {at: close for at, close in zip(prices.times, prices.closes, strict=True) if _inside(at, window)}
        if not path or min(path) - window.start > SLACK_NS or window.end - max(path) > SLACK_NS:
            span = f"{_day(min(path))} to {_day(max(path))}" if path else "none"
            detail = f"no prices of {symbol} for the whole window; there are: {span}"
            return no_data(window.name, Kind.HISTORICAL, detail)
        paths[symbol] = path
    if not held:
        return done(window.name, Kind.HISTORICAL, {}, "nothing is held")
    shared = sorted(set.intersection(*(set(path) for path in paths.values())))
    if len(shared) < 2:
        return no_data(window.name, Kind.HISTORICAL, "the holdings' prices share fewer than two times in the window")
    symbols = list(held)
    closes = np.array([[paths[symbol][at] for symbol in symbols] for at in shared])
    gains = (closes / closes[0] - 1.0) * np.array([held[symbol] for symbol in symbols])
    worst = int(gains.sum(axis=1).argmin())
    positions = dict(zip(symbols, gains[worst].tolist(), strict=True))
    return done(window.name, Kind.HISTORICAL, positions, f"worst at {_day(shared[worst])}")


def worst_stretch(name: str, values: Mapping[str, float], returns: Floats, bars: int) -> StressResult:
    """The ``bars`` in a row, of all those at hand, in which the holdings of now would have lost most.

    ``returns`` in shape (periods, holdings), in the order of ``values``; they compound within the stretch.
    """
    symbols, worth = list(values), np.array(list(values.values()), np.float64)
    if returns.shape[0] < bars or not symbols:
        return no_data(name, Kind.HISTORICAL, f"{returns.shape[0]} periods are at hand, {bars} are needed")
    growth = np.vstack((np.zeros(len(symbols)), np.cumsum(np.log1p(finite(returns, "returns")), axis=0)))
    gains = np.expm1(growth[bars:] - growth[:-bars]) * worth
    worst = int(gains.sum(axis=1).argmin())
    positions = dict(zip(symbols, gains[worst].tolist(), strict=True))
    return done(name, Kind.HISTORICAL, positions, f"periods {worst + 1} to {worst + bars} of {returns.shape[0]}")


def factor_shock(name: str, values: Mapping[str, float], moves: Mapping[str, float]) -> StressResult:
    """Each instrument moves by its fraction of price; MeasureError for one without a move or below -1."""
    for symbol in values:
        if not moves.get(symbol, math.nan) >= -1.0:
            raise MeasureError(f"expected a move of at least -1 for {symbol}, was {moves.get(symbol)}")
    return done(name, Kind.FACTOR, {symbol: value * moves[symbol] for symbol, value in values.items()})


def market_betas(returns: Floats) -> Floats:
    """Slope of each column on the mean of all columns; 1 for all where that mean never moves."""
    market = finite(returns, "returns").mean(axis=1)
    centred = market - market.mean()
    spread = float(centred @ centred)
    if spread == 0.0:
        return np.ones(returns.shape[1])
    found: Floats = (returns - returns.mean(axis=0)).T @ centred / spread
    return found


def correlation_one(values: Mapping[str, float], sigmas: Mapping[str, float], confidence: float) -> StressResult:
    """Every holding loses its own value at risk at once: nothing diversifies and no hedge holds."""
    z = float(ndtri(confidence))
    lost = {symbol: -z * sigmas[symbol] * abs(value) for symbol, value in values.items()}
    return done("Correlations of one", Kind.CORRELATION, lost, f"each loses its own {confidence:.0%} value at risk")


def venue_outage(
    venue: str,
    values: Mapping[str, float],
    covariance: Floats,
    confidence: float,
    *,
    hours: float,
    day_hours: float = 24,
) -> StressResult:
    """Positions that cannot be left for ``hours``: each one's part of their value at risk over that time.

    ``values`` are those of the venue alone and ``covariance`` theirs, over one day.
    """
    symbols = list(values)
    name = f"{venue} is out for {hours:g} h"
    if not symbols:
        return done(name, Kind.OUTAGE, {}, "nothing is held there")
    scaled = covariance * (hours / day_hours)
    parts = component_var(np.array(list(values.values())), scaled, confidence).parts
    detail = f"{confidence:.0%} value at risk while nothing can be sold; what is held there cannot be moved either"
    return done(name, Kind.OUTAGE, dict(zip(symbols, (-parts).tolist(), strict=True)), detail)


def liquidation_cost(quantity: float, depth: Depth, *, wider: float = 1.0, thinner: float = 1.0) -> tuple[float, float]:
    """(cost, quantity left) of selling ``quantity`` (buying, when negative) into the book, against its middle.

    Every level's distance from the middle is multiplied by ``wider`` and its quantity divided by ``thinner``. What the
    book cannot take is left over and costs what its last level does. MeasureError for a book without both sides.
    """
    if not (depth.bids and depth.asks):
        raise MeasureError("expected a book with bids and asks")
    if wider <= 0 or thinner <= 0:
        raise MeasureError(f"expected factors above 0, were {wider} and {thinner}")
    middle = (depth.bids[0][0] + depth.asks[0][0]) / 2
    left, cost, distance = abs(quantity), 0.0, 0.0
    for price, size in depth.bids if quantity > 0 else depth.asks:
        if left <= 0:
            break
        distance = abs(middle - price) * wider
        taken = min(left, size / thinner)
        cost += taken * distance
        left -= taken
    # Sizes are floats: a rest of rounding is none.
    rest = left if left > 1e-12 * abs(quantity) else 0.0
    return cost + rest * distance, rest


def liquidity(
    name: str, quantities: Mapping[str, float], books: Mapping[str, Depth], *, wider: float, thinner: float
) -> StressResult:
    """What it costs to close everything at once in books of ``wider`` spreads and ``thinner`` depth."""
    positions, short = dict[str, float](), list[str]()
    for symbol, quantity in quantities.items():
        book = books.get(symbol)
        if book is None or not (book.bids and book.asks):
            return no_data(name, Kind.LIQUIDITY, f"no order book of {symbol} is at hand")
        cost, rest = liquidation_cost(quantity, book, wider=wider, thinner=thinner)
        positions[symbol] = -cost
        if rest:
            short.append(f"{rest / abs(quantity):.0%} of {symbol}")
    found = done(name, Kind.LIQUIDITY, positions)
    if short:
        detail = f"at least this: the visible book cannot take {', '.join(short)}, valued at its last level"
        return msgspec.structs.replace(found, outcome=Outcome.PARTIAL, detail=detail)
    return found


def _inside(at: int, window: Window) -> bool:
    return window.start <= at <= window.end


def _day(at: int) -> str:
    return datetime.fromtimestamp(at / SECOND_NS, UTC).date().isoformat()
