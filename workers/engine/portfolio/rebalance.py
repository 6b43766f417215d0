"""Whether to rebalance, and which trades: drift triggers, no-trade bands, smallest trades, and a preview with costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from workers.engine.portfolio.problem import PortfolioError

CLEAN_BELOW: Final = 1e-4
"""Weights below this are what a solver leaves of nought, not a wish to hold something."""


class Bands(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a weight is left alone, and when the book is due. All are fractions of equity.

    A weight within ``absolute`` of its target, or within ``relative`` of it, is left alone. A weight outside moves to
    the target, or only to the edge of its band where ``to_edge``. The book is due when any weight has left its band,
    when the sum of |w - target| / 2 reaches ``drift``, or when ``every_ns`` has gone by since the last time.
    """

    absolute: float = 0.0
    relative: float = 0.0
    drift: float | None = None
    every_ns: int | None = None
    to_edge: bool = False

    def __post_init__(self) -> None:
        numbers = (self.absolute, self.relative, 0.0 if self.drift is None else self.drift)
        if not all(math.isfinite(number) and number >= 0 for number in numbers) or (self.every_ns or 1) <= 0:
            raise PortfolioError(f"expected bands of 0 or more and a positive interval, was {self}")

    def width(self, target: float) -> float:
        """Half the width of the band about ``target``."""
        return max(self.absolute, self.relative * abs(target))


class Due(msgspec.Struct, frozen=True):
    """Why the book is to be rebalanced; ``reasons`` is empty when it is not. ``drift`` is sum |w - target| / 2."""

    reasons: tuple[str, ...]
    drift: float

    def __bool__(self) -> bool:
        return bool(self.reasons)


def due(current: Mapping[str, float], target: Mapping[str, float], bands: Bands, *, now: int, last: int | None) -> Due:
    """Which triggers have been met; weights by symbol, a missing one is 0; times in ns, ``last`` None when never."""
    symbols = sorted({*current, *target})
    off = {symbol: current.get(symbol, 0.0) - target.get(symbol, 0.0) for symbol in symbols}
    drift = sum(abs(change) for change in off.values()) / 2
    reasons = [
        f"{symbol} is {change:+.2%} from its target of {target.get(symbol, 0.0):.2%}"
        for symbol, change in off.items()
        if abs(change) > bands.width(target.get(symbol, 0.0))
    ]
    if bands.drift is not None and drift >= bands.drift:
        reasons.append(f"the book has drifted by {drift:.2%} of equity")
    if bands.every_ns is not None and (last is None or now - last >= bands.every_ns):
        reasons.append("the interval is over")
    return Due(tuple(reasons), drift)


def within_bands(current: Mapping[str, float], target: Mapping[str, float], bands: Bands) -> dict[str, float]:
    """The target of each symbol after its band: what it has, the target, or the edge of the band."""
    found = {}
    for symbol in sorted({*current, *target}):
        have, want = current.get(symbol, 0.0), target.get(symbol, 0.0)
        width = bands.width(want)
        if abs(have - want) <= width:
            found[symbol] = have
        elif bands.to_edge:
            found[symbol] = want + math.copysign(width, have - want)
        else:
            found[symbol] = want
    return found


def clean(weights: Mapping[str, float], below: float = CLEAN_BELOW) -> dict[str, float]:
    """Weights with those smaller than ``below`` set to 0."""
    return {symbol: 0.0 if abs(weight) < below else weight for symbol, weight in weights.items()}


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One proposed trade: signed ``lots``, ``notional`` and fee (``cost``) in money units; ``why`` if not made."""

    symbol: str
    lots: int
    notional: int
    cost: int
    why: str = ""


def trades(
    held: Mapping[str, int],
    wanted: Mapping[str, int],
    *,
    values: Mapping[str, int],
    fee_rates: Mapping[str, int],
    least: Mapping[str, int],
) -> list[Trade]:
    """Trades from ``held`` to ``wanted`` lots, sales first, larger first. ``values`` is money units per lot.

    A trade below ``least`` (money units of notional) is listed with 0 lots and the reason.
    """
    found = []
    for symbol in sorted({*held, *wanted}):
        change = wanted.get(symbol, 0) - held.get(symbol, 0)
        if not change:
            continue
        notional = abs(change) * values[symbol]
        if notional < least.get(symbol, 0):
            why = f"{notional} money units are below the smallest trade of {least[symbol]}"
            found.append(Trade(symbol=symbol, lots=0, notional=0, cost=0, why=why))
            continue
        cost = -(-notional * fee_rates.get(symbol, 0) // 10**8)
        found.append(Trade(symbol=symbol, lots=change, notional=notional, cost=cost))
    return sorted(found, key=lambda trade: (trade.lots > 0, -trade.notional, trade.symbol))
