"""Small records of the books: the run that is on, anomalies, and what an event reports about an order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from workers.engine import events as e
from workers.engine.accounting.line import Line
from workers.engine.execution.orders import ENDED, Order, Report

WHOLE: Final = Decimal(1)
"""Share of a run that has the account to itself."""


class BooksError(ValueError):
    """An event that cannot belong to the books, such as an instrument in a second quote asset; says what to do."""


class Anomaly(msgspec.Struct, frozen=True):
    """Something that should not happen and is kept in sight: an overfill, a fill after the end, a foreign fill."""

    ts: int
    kind: str
    client_id: str
    detail: str


class Run(msgspec.Struct, frozen=True):
    """The run that is trading, as it was started."""

    run_id: str
    release: str
    strategy: str
    params: dict[str, Any]
    model_digest: str
    limits_version: int
    instruments: tuple[str, ...]
    interval_ns: int
    capital_share: Decimal = WHOLE
    """Part of the account's equity that it sizes by."""


class Cancels(msgspec.Struct):
    """Which of the control plane's orders to cancel were acted upon."""

    version: int = -1
    """Of the newest order to cancel everything; -1 while the journal says nothing of any."""
    numbers: dict[int, None] = {}
    """Of orders to cancel a part, each on its own: they may become visible in another order than they were numbered."""

    def take(self, event: e.CancelsTaken) -> None:
        """Remember what the event says."""
        self.version = max(self.version, event.version)
        self.numbers.update(dict.fromkeys(event.numbers))


_REPORTS: Final[dict[type, Report]] = {
    e.OrderSent: Report.SENT,
    e.OrderAccepted: Report.ACCEPTED,
    e.OrderRejected: Report.REJECTED,
    e.OrderUnknown: Report.UNKNOWN,
}


def report_of(event: e.JournalEvent) -> Report:
    """What the event reports about its order; KeyError for one that reports nothing."""
    if type(event) is e.OrderEnded:
        return ENDED[event.status]
    return _REPORTS[type(event)]


def line_snapshot(line: Line) -> dict[str, Any]:
    """All of a line that the journal determines, in plain types."""
    valuation = {"mark", "value", "worst", "extreme", "watched", "venue", "instrument", "open"}
    plain = {name: getattr(line, name) for name in line.__slots__ if name not in valuation}
    return {**plain, "open": list(line.open), "instrument": msgspec.to_builtins(line.instrument)}


def order_of(event: e.OrderIntended) -> Order:
    """The order that begins with ``event``."""
    return Order(
        client_id=event.client_id,
        run_id=event.run_id,
        symbol=event.symbol,
        side=event.side,
        order_type=event.order_type,
        tif=event.tif,
        lots=event.lots,
        price=event.price,
        reduce_only=event.reduce_only,
        reference=event.reference,
        created=event.ts,
        updated=event.ts,
        parent_id=event.parent_id,
        conditional_id=event.conditional_id,
        expires_at=event.expires_at,
        replaces=event.replaces,
        route=event.route,
        min_lots=event.min_lots,
        trigger=event.trigger,
    )
