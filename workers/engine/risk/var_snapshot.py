"""Value at risk of the account with the proposed order, from a covariance that was estimated elsewhere.

The gate needs one number in microseconds, so it uses the parametric form: with values ``v`` of the positions in the
quote asset and covariance ``C`` of their returns over the horizon, ``VaR = z sqrt(v' C v)`` with ``z`` the normal
quantile of the confidence and a mean of zero (J.P. Morgan, RiskMetrics Technical Document, 1996, chapter 1).
Whoever estimates (see ``risk.measures``) hands over a ``VarSnapshot``; ``from_closes`` makes the plainest one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from statistics import NormalDist
from typing import Any, Final

import msgspec
import numpy as np

LEAST_RETURNS: Final = 20
EPSILON: Final = sys.float_info.epsilon


class VarSnapshotError(ValueError):
    """A covariance that cannot be used; the message says why."""


class VarSnapshot(msgspec.Struct, frozen=True, dict=True, kw_only=True):
    """Covariance of returns over ``horizon_ns``, estimated from data up to ``as_of`` (ns). Row and column by symbol."""

    symbols: tuple[str, ...]
    covariance: tuple[tuple[float, ...], ...]
    horizon_ns: int
    confidence: float
    as_of: int

    def __post_init__(self) -> None:
        size = len(self.symbols)
        if len(self.covariance) != size or any(len(row) != size for row in self.covariance):
            raise VarSnapshotError(f"expected a covariance of {size} x {size}, was {len(self.covariance)} rows")
        if not 0.5 < self.confidence < 1 or self.horizon_ns <= 0:
            raise VarSnapshotError(
                f"expected a confidence in (0.5, 1) and a horizon above 0, was {self.confidence} and {self.horizon_ns}"
            )
        for i, row in enumerate(self.covariance):
            for j, value in enumerate(row):
                if not math.isfinite(value) or (i == j and value < 0) or value != self.covariance[j][i]:
                    pair = f"{self.symbols[i]}, {self.symbols[j]}"
                    raise VarSnapshotError(f"expected a finite and symmetric covariance, was {value} ({pair})")

    @cached_property
    def rows(self) -> dict[str, dict[str, float]]:
        """Covariance by symbol and symbol."""
        return {
            s: dict(zip(self.symbols, row, strict=True)) for s, row in zip(self.symbols, self.covariance, strict=True)
        }

    @cached_property
    def widest(self) -> float:
        """The largest standard deviation of a return here: that of a book is at most this times its gross value."""
        return math.sqrt(max((row[i] for i, row in enumerate(self.covariance)), default=0.0))

    @cached_property
    def places(self) -> dict[str, int]:
        """Row and column of each symbol."""
        return {symbol: place for place, symbol in enumerate(self.symbols)}

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.symbols)

    def covers_all(self, symbols: Mapping[str, object]) -> bool:
        """True when every one of ``symbols`` has a covariance here."""
        return symbols.keys() <= self._known

    @cached_property
    def _matrix(self) -> Any:
        """The covariance as an array of shape (symbols, symbols)."""
        return np.array(self.covariance, np.float64).reshape(len(self.symbols), len(self.symbols))

    @cached_property
    def _largest(self) -> float:
        """The largest magnitude in the covariance."""
        return max((abs(value) for row in self.covariance for value in row), default=0.0)

    def most(self, values: Sequence[float]) -> float:
        """An upper bound of ``deviation`` of ``values``, one for each symbol in order, whatever was rounded on the way.

        A sum of n products is exact to n units of rounding of the sum of their magnitudes (Higham, Accuracy and
        Stability of Numerical Algorithms, section 3.1); both ways of summing are within the margin taken here.
        """
        held = np.array(values, np.float64)
        variance = float(held @ self._matrix @ held)
        gross = sum(map(abs, values))
        margin = 16 * (len(values) + 2) * EPSILON * self._largest * gross * gross
        return math.sqrt(max(variance, 0.0) + margin) * (1 + 8 * EPSILON)

    @cached_property
    def z(self) -> float:
        """Normal quantile of the confidence."""
        return NormalDist().inv_cdf(self.confidence)

    def value_at_risk(self, values: Mapping[str, float]) -> float | None:
        """VaR of ``values`` by symbol, in their unit; None when a symbol has no covariance here."""
        deviation = self.deviation(values)
        return None if deviation is None else self.z * deviation

    def deviation(self, values: Mapping[str, float]) -> float | None:
        """Standard deviation of the change of ``values`` over the horizon, in their unit; None as above."""
        rows, variance = self.rows, 0.0
        seen: list[tuple[str, float]] = []
        for symbol, value in values.items():
            row = rows.get(symbol)
            if row is None:
                return None
            variance += value * value * row[symbol]
            for other, worth in seen:
                variance += 2.0 * value * worth * row[other]
            seen.append((symbol, value))
        return math.sqrt(variance) if variance > 0.0 else 0.0


def from_closes(
    closes: Mapping[str, Sequence[int]], *, interval_ns: int, horizon_ns: int, confidence: float, as_of: int
) -> VarSnapshot:
    """Sample covariance of log returns of closes (oldest first, any unit), scaled to the horizon by its length.

    The newest closes that all instruments have are used. VarSnapshotError when they are fewer than 21.
    """
    symbols = tuple(sorted(closes))
    count = min((len(closes[symbol]) for symbol in symbols), default=0)
    if count <= LEAST_RETURNS:
        raise VarSnapshotError(f"expected at least {LEAST_RETURNS + 1} closes of each instrument, was {count}")
    prices = np.array([list(closes[symbol])[-count:] for symbol in symbols], dtype=float)
    if not (prices > 0).all():
        raise VarSnapshotError("expected closes above 0")
    returns = np.diff(np.log(prices), axis=1)
    covariance = np.atleast_2d(np.cov(returns, ddof=1)) * (horizon_ns / interval_ns)
    covariance = (covariance + covariance.T) / 2
    return VarSnapshot(
        symbols=symbols,
        covariance=tuple(tuple(float(value) for value in row) for row in covariance),
        horizon_ns=horizon_ns,
        confidence=confidence,
        as_of=as_of,
    )
