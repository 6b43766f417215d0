"""Risk limits as the gate uses them: the published decimals, converted once into exact integers.

A limit that is missing or malformed is an error that names its field; nothing is guessed, because a guessed limit is
no limit. An instrument without an entry of its own in ``max_order_qty`` or ``max_position`` is bounded by the venue's
largest order and by the limits on value; to forbid an instrument, publish it as restricted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

import msgspec

from workers.engine.config import SECOND_NS
from workers.engine.instruments import Instrument
from workers.engine.risk.limit_fields import LimitsError, amount, atoms_of, decimal, lots_of, names, raw, table, whole
from workers.engine.risk.optional_limits import OptionalLimits, parse_optional

__all__ = ["COLLAR_SCALE", "UNBOUNDED", "Limits", "LimitsError", "limits_digest", "parse_limits"]

COLLAR_SCALE: Final = 10**8
"""The collar as a fraction is ``collar / COLLAR_SCALE``; one basis point is 10**4."""
MS_NS: Final = 1_000_000
UNBOUNDED: Final = 10**40
"""A position limit that is not published; the limits on value still hold."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """One published version. Money in money units of the quote asset, times in ns."""

    version: int
    digest: str
    max_order_lots: dict[str, int]
    max_order_notional: int
    max_position: dict[str, int]
    """Atoms of the base asset by symbol."""
    max_gross: int
    max_open_orders: int
    collar: int
    reference_max_age_ns: int
    forecast_max_age_bars: int
    min_order_interval_ns: int
    message_interval_ns: int
    """Time per order at the sustained rate."""
    burst: int
    duplicate_window_ns: int
    max_daily_loss: int
    max_drawdown: int
    restricted: frozenset[str]
    snapshot_max_age_ns: int
    target_gross_fraction: Decimal
    optional: OptionalLimits | None = None


def limits_digest(limits: Mapping[str, Any]) -> str:
    """SHA-256 in hex over the limits as JSON with sorted keys and no spaces."""
    text = json.dumps(limits, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def parse_limits(version: int, limits: Mapping[str, Any], instruments: Iterable[Instrument]) -> Limits:
    """Convert published limits for these instruments; LimitsError names the field that is missing or unusable."""
    known = {instrument.symbol: instrument for instrument in instruments}
    quote = next((instrument.quote for instrument in known.values()), "")
    quantities, positions = table(limits, "max_order_qty"), table(limits, "max_position")
    rate = decimal(limits, "max_orders_per_second", positive=True)
    return Limits(
        version=version,
        digest=limits_digest(limits),
        max_order_lots={
            s: lots_of(i, quantities[s], f"max_order_qty.{s}") if s in quantities else i.max_lots
            for s, i in known.items()
        },
        max_order_notional=amount(limits, "max_order_notional", quote),
        max_position={
            s: atoms_of(i, positions[s], f"max_position.{s}") if s in positions else UNBOUNDED for s, i in known.items()
        },
        max_gross=amount(limits, "max_gross_notional", quote),
        max_open_orders=whole(limits, "max_open_orders"),
        collar=_collar(limits),
        reference_max_age_ns=whole(limits, "reference_max_age_ms") * MS_NS,
        forecast_max_age_bars=whole(limits, "forecast_max_age_bars"),
        min_order_interval_ns=whole(limits, "min_order_interval_ms") * MS_NS,
        message_interval_ns=int((SECOND_NS / rate).to_integral_value(ROUND_CEILING)),
        burst=max(whole(limits, "burst"), 1),
        duplicate_window_ns=whole(limits, "duplicate_window_ms") * MS_NS,
        max_daily_loss=amount(limits, "max_daily_loss", quote),
        max_drawdown=amount(limits, "max_drawdown", quote),
        restricted=names(raw(limits, "restricted"), "restricted"),
        snapshot_max_age_ns=whole(limits, "snapshot_max_age_s") * SECOND_NS,
        target_gross_fraction=decimal(limits, "target_gross_fraction"),
        optional=parse_optional(limits, quote),
    )


def _collar(limits: Mapping[str, Any]) -> int:
    scaled = decimal(limits, "collar_bps") * (COLLAR_SCALE // 10_000)
    if scaled != int(scaled):
        raise LimitsError("collar_bps", f"expected at most four decimals, was {limits['collar_bps']}")
    return int(scaled)
