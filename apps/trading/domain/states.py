"""Rows of the projection as plain values: what the journal's events make, before anything knows of a database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from workers.engine.accounting.line import Line
from workers.engine.execution.orders import Report, next_status
from workers.engine.vocabulary import OrderStatus

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
ZERO: Final = Decimal(0)
TEXT_LIMIT: Final = 500


def at(ts: int) -> datetime:
    """Nanoseconds since 1970 as an aware time, cut to the microseconds that the database keeps."""
    return _EPOCH + timedelta(microseconds=ts // 1000)


def short(text: str) -> str:
    """``text`` as it fits into a column."""
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"


@dataclass(slots=True)
class OrderState:
    """One order; field for field the order's row."""

    client_id: str
    symbol: str
    side: str
    order_type: str
    status: str
    quantity: Decimal
    created_at: datetime
    updated_at: datetime
    last_seq: int
    run_id: str = ""
    tif: str = ""
    price: Decimal | None = None
    filled_quantity: Decimal = ZERO
    filled_notional: Decimal = ZERO
    reference_price: Decimal | None = None
    reduce_only: bool = False
    never_sent: bool = False
    venue_order_id: str = ""
    forecast_id: str = ""
    model_digest: str = ""
    limits_version: int = 0
    epoch: int = 0
    reasons: list[str] = field(default_factory=list)
    detail: str = ""
    decision: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, int] = field(default_factory=dict)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    ended_at: datetime | None = None
    trigger_price: Decimal | None = None
    expires_at: datetime | None = None
    emulated: str = ""
    origin: str = ""
    group: str = ""
    replaces: str = ""
    parent_id: str = ""
    version: int = 0

    def note(self, seq: int, ts: int, *, report: Report | None = None, detail: str = "", what: str = "") -> None:
        """Add one line to the timeline and, with ``report``, move as the engine's own table of states says."""
        when = at(ts)
        if report is not None:
            status = next_status(OrderStatus(self.status), report)
            if status.value != self.status:
                self.ended_at = None if status.is_open else when
            self.status = status.value
        self.timeline.append(
            {"seq": seq, "at": when.isoformat(), "status": self.status, "what": what, "detail": short(detail)}
        )
        self.updated_at = when
        self.last_seq = seq
        self.version += 1


@dataclass(slots=True)
class FillState:
    """One execution."""

    symbol: str
    trade_id: int
    client_id: str
    run_id: str
    side: str
    quantity: Decimal
    price: Decimal
    notional: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    executed_at: datetime
    recorded_at: datetime
    seq: int


@dataclass(slots=True)
class PositionState:
    """Holding of one instrument: the engine's own line of the books, so that both count alike to the last unit."""

    line: Line
    updated_at: datetime
    marked_at: datetime | None = None
    version: int = 0

    def touch(self, ts: int) -> None:
        self.updated_at = at(ts)
        self.version += 1


@dataclass(slots=True)
class EquityState:
    """One valuation, in the quote asset."""

    at: datetime
    seq: int
    equity: Decimal
    realised: Decimal
    unrealised: Decimal
    fees: Decimal
    cash: Decimal
    gross: Decimal
    drawdown: Decimal


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that the incidents app should hear: raised, or cleared, under one fingerprint."""

    fingerprint: str
    raised: bool
    kind: str = ""
    severity: str = ""
    title: str = ""
    detail: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
