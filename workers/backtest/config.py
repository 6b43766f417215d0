"""What a backtest is told: strategy, capital, fees, latency, limits. All of it goes into the digest of its inputs."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any, Final

import msgspec

from workers.engine.config import DAY_NS, SECOND_NS
from workers.engine.execution.matching_latency import LatencyModel

MS: Final = 1_000_000
UNLIMITED: Final = "10000000000"


class BacktestError(ValueError):
    """A backtest that cannot be run as asked; the message says what is wrong and what to do."""


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """One way of one message: a constant, and a lognormal part with ``median_ns`` and ``sigma`` (0 leaves it out)."""

    constant_ns: int = 0
    median_ns: int = 0
    sigma: float = 0.0

    @property
    def zero(self) -> bool:
        """True when messages arrive at once."""
        return not self.constant_ns and not self.median_ns

    def model(self, seed: int) -> LatencyModel:
        """The delays in their order, the same for the same seed."""
        return LatencyModel(seed=seed, constant_ns=self.constant_ns, median_ns=self.median_ns, sigma=self.sigma)


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Of the feed (venue to us), of order entry (us to venue), and of the response (venue to us)."""

    feed: Delay = Delay()
    entry: Delay = Delay()
    response: Delay = Delay()


class BacktestConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One backtest. Fees are fractions of notional; ``capital`` is in the quote asset.

    ``half_spread_bps`` moves the price of takers in bars and ``participation`` bounds what we trade in a bar, as a
    fraction of its volume, a quarter of which trades at each price of its path (None: unbounded); both are for bars,
    where no book was recorded. ``warm`` bars at the start fill indicators and order nothing. ``limits`` are risk limits
    as published, None for limits that bind nothing.
    """

    strategy: str
    params: dict[str, Any] = {}
    capital: Decimal = Decimal(100_000)
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")
    latency: Latency = Latency()
    seed: int = 0
    half_spread_bps: float = 0.0
    participation: float | None = None
    warm: int = 0
    limits: dict[str, Any] | None = None
    interval_ns: int = 0
    """Length of the bars that are built from recorded trades, 0 for one second; bars bring their own."""
    sample_ns: int = SECOND_NS
    """Time between two samples of the valuation where quotes or books are replayed."""
    model: str = ""
    """Digest of the model that forecasts; forecasts of another one are not taken."""

    def digest(self, data: str) -> str:
        """SHA-256 over this and over ``data``, the digest of the market data."""
        body = msgspec.json.encode({"config": msgspec.to_builtins(self), "data": data}, order="sorted")
        return hashlib.sha256(body).hexdigest()


def wide_limits() -> dict[str, Any]:
    """Risk limits that bind nothing but the cash: what a backtest runs under when none are given."""
    return {
        "max_order_qty": {},
        "max_order_notional": UNLIMITED,
        "max_position": {},
        "max_gross_notional": UNLIMITED,
        "max_open_orders": 1000,
        "collar_bps": 1000,
        "reference_max_age_ms": DAY_NS * 7 // MS,
        "forecast_max_age_bars": 2,
        "min_order_interval_ms": 0,
        "max_orders_per_second": 100_000,
        "burst": 1000,
        "duplicate_window_ms": 0,
        "max_daily_loss": UNLIMITED,
        "max_drawdown": UNLIMITED,
        "restricted": [],
        "snapshot_max_age_s": 10**10,
        "target_gross_fraction": "1",
    }
