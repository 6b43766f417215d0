"""What the order adapters speak of: orders, trades and balances as a venue tells them, and what can go wrong.

Quantities are lots, prices ticks, balances atoms, as in the engine.
"""

from __future__ import annotations

import msgspec

from workers.engine.vocabulary import OrderStatus, Side


class VenueError(Exception):
    """Base of what a venue's answer, or its absence, can mean."""


class VenueRejected(VenueError):
    """The venue has refused and nothing happened. ``code`` is the venue's own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class VenueBusy(VenueError):
    """Nothing happened; the venue wants to be left alone for ``retry_after`` seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class VenueUnreachable(VenueError):
    """No connection could be made: nothing left this machine."""


class VenueUnknown(VenueError):
    """It left, and nobody knows what became of it: timeout, cut connection, 5xx, or a duplicate client id."""


class OrderNotFound(VenueError):
    """The venue does not know the order."""


class VenueOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order as the venue has it."""

    client_id: str
    venue_order_id: str
    symbol: str
    side: Side
    status: OrderStatus
    lots: int
    filled: int


class VenueTrade(msgspec.Struct, frozen=True, kw_only=True):
    """One execution as the venue has it; ``fee`` in atoms of ``fee_asset``."""

    trade_id: int
    venue_order_id: str
    symbol: str
    side: Side
    lots: int
    price: int
    fee: int
    fee_asset: str
    maker: bool
    ts_event: int
