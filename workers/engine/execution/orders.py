"""The life of an order as a table, pure.

A pair of state and report that is not in the table is a late or repeated report: it leaves the state as it is. That is
how an acknowledgement after a fill, or a cancel after the last fill, is absorbed. Fills always count, whatever the
state: money that moved is booked.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce


class Report(StrEnum):
    """What can be heard about an order after its intent."""

    SENT = "SENT"
    NOT_SENT = "NOT_SENT"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
    PART_FILLED = "PART_FILLED"
    ALL_FILLED = "ALL_FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


_ENDINGS: Final = {
    Report.ACCEPTED: OrderStatus.WORKING,
    Report.REJECTED: OrderStatus.REJECTED,
    Report.PART_FILLED: OrderStatus.PARTIALLY_FILLED,
    Report.ALL_FILLED: OrderStatus.FILLED,
    Report.CANCELED: OrderStatus.CANCELED,
    Report.EXPIRED: OrderStatus.EXPIRED,
}

TRANSITIONS: Final[dict[OrderStatus, dict[Report, OrderStatus]]] = {
    OrderStatus.DENIED: {},
    # A crash between wire and journal leaves an intent whose order the venue knows: every answer is possible.
    OrderStatus.INTENT: {
        **_ENDINGS,
        Report.SENT: OrderStatus.SENT,
        Report.NOT_SENT: OrderStatus.CANCELED,
        Report.UNKNOWN: OrderStatus.UNKNOWN,
    },
    OrderStatus.SENT: {
        **_ENDINGS,
        Report.NOT_SENT: OrderStatus.CANCELED,
        Report.UNKNOWN: OrderStatus.UNKNOWN,
    },
    OrderStatus.UNKNOWN: {**_ENDINGS, Report.NOT_SENT: OrderStatus.CANCELED},
    OrderStatus.WORKING: {
        Report.REJECTED: OrderStatus.REJECTED,
        Report.PART_FILLED: OrderStatus.PARTIALLY_FILLED,
        Report.ALL_FILLED: OrderStatus.FILLED,
        Report.CANCELED: OrderStatus.CANCELED,
        Report.EXPIRED: OrderStatus.EXPIRED,
    },
    OrderStatus.PARTIALLY_FILLED: {
        Report.REJECTED: OrderStatus.CANCELED,
        Report.ALL_FILLED: OrderStatus.FILLED,
        Report.CANCELED: OrderStatus.CANCELED,
        Report.EXPIRED: OrderStatus.EXPIRED,
    },
    OrderStatus.FILLED: {},
    # The fill happened before the cancel, and its report came after: only completeness changes the state.
    OrderStatus.CANCELED: {Report.ALL_FILLED: OrderStatus.FILLED},
    OrderStatus.EXPIRED: {Report.ALL_FILLED: OrderStatus.FILLED},
    # A rejection that was wrong: the venue works the order, so its risk must count again.
    OrderStatus.REJECTED: {
        Report.ACCEPTED: OrderStatus.WORKING,
        Report.PART_FILLED: OrderStatus.PARTIALLY_FILLED,
        Report.ALL_FILLED: OrderStatus.FILLED,
    },
}

ENDED: Final = {
    OrderStatus.CANCELED: Report.CANCELED,
    OrderStatus.EXPIRED: Report.EXPIRED,
    OrderStatus.REJECTED: Report.REJECTED,
}
"""The report that an ``OrderEnded`` with this status makes."""


def next_status(status: OrderStatus, report: Report) -> OrderStatus:
    """State after ``report``; unchanged when the report is late or repeated."""
    return TRANSITIONS[status].get(report, status)


class Order(msgspec.Struct, kw_only=True, gc=False):
    """One order in the books. Lots, ticks and money units; times in ns by our clock."""

    client_id: str
    run_id: str
    symbol: str
    side: Side
    order_type: OrderType
    tif: TimeInForce
    lots: int
    price: int
    reduce_only: bool
    reference: int
    created: int
    updated: int
    parent_id: str = ""
    conditional_id: str = ""
    expires_at: int = 0
    replaces: str = ""
    replaced_by: str = ""
    route: int = 0
    """Number of the routing decision whose leg it is; 0 for none."""
    min_lots: int = 0
    trigger: int = 0
    """A stop that the venue holds waits for a trade at or beyond this price; 0 for none."""
    status: OrderStatus = OrderStatus.INTENT
    open: bool = True
    filled: int = 0
    notional: int = 0
    """Sum over fills of ticks x lots, in money units."""
    venue_order_id: str = ""
    detail: str = ""
    cancel_requested: bool = False
    never_sent: bool = False
    counted: int = 0
    """Lots of this order inside the open totals of its line."""
    reserved: int = 0
    """Money units of buying power held for it."""

    @property
    def protects(self) -> bool:
        """True for a stop at the venue that can only close a position: it stays when nobody watches the market."""
        return self.trigger > 0 and self.reduce_only

    @property
    def remaining(self) -> int:
        """Lots that may still fill; never negative, even after an overfill."""
        return max(self.lots - self.filled, 0)
