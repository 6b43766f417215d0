"""What goes into the matching engine and what comes out of it. Units as in ``workers.engine.instruments``."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce


class SelfTrade(StrEnum):
    """What happens when an order would meet another one of the same account."""

    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"


class Refusal(StrEnum):
    """Why the engine did not take a command."""

    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    MARKET_CLOSED = "MARKET_CLOSED"
    PRICE_FILTER = "PRICE_FILTER"
    LOT_SIZE = "LOT_SIZE"
    NOTIONAL = "NOTIONAL"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    WOULD_TAKE = "WOULD_TAKE"
    DUPLICATE_CLIENT_ID = "DUPLICATE_CLIENT_ID"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    ORDER_TYPE = "ORDER_TYPE"
    TIME_IN_FORCE = "TIME_IN_FORCE"
    MIN_QUANTITY = "MIN_QUANTITY"
    TRIGGER_REACHED = "TRIGGER_REACHED"


class EndReason(StrEnum):
    """Why an order ended with lots left."""

    CANCELED = "CANCELED"
    UNFILLED = "UNFILLED"
    SELF_TRADE = "SELF_TRADE"
    SESSION_BREAK = "SESSION_BREAK"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    """A stop was triggered, and the money for it was not there."""


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A command to place an order; ``price`` is 0 for MARKET.

    ``min_lots`` is how much must fill at once or else nothing, 0 for any; only a dark venue takes it.
    ``trigger``: a stop, which waits for a trade at or beyond this price; 0 for none. It is of type MARKET or LIMIT.
    """

    client_id: str
    symbol: str
    side: Side
    order_type: OrderType
    tif: TimeInForce
    lots: int
    price: int = 0
    self_trade: SelfTrade = SelfTrade.EXPIRE_MAKER
    min_lots: int = 0
    trigger: int = 0


UNQUEUED = -1
"""``VenueOrder.ahead`` of an order whose queue position is taken from the next book snapshot."""


class VenueOrder(msgspec.Struct, kw_only=True):
    """An order as the venue knows it. ``money`` is the cumulative notional in money units; times are ns."""

    order_id: int
    client_id: str
    symbol: str
    side: Side
    order_type: OrderType
    tif: TimeInForce
    lots: int
    price: int
    self_trade: SelfTrade
    created: int
    updated: int
    min_lots: int = 0
    trigger: int = 0
    """A stop waits for a trade at or beyond this price; 0 for none."""
    triggered: int = 0
    """When a stop was triggered, ns; 0 while it waits."""
    filled: int = 0
    money: int = 0
    ahead: int = 0
    """Displayed lots of others that are served before this order at its price."""
    status: OrderStatus = OrderStatus.WORKING
    end_reason: EndReason | None = None

    @property
    def leaves(self) -> int:
        """Lots not yet filled."""
        return self.lots - self.filled

    @property
    def waits(self) -> bool:
        """True for a stop that no trade has triggered yet."""
        return self.trigger > 0 and not self.triggered

    @property
    def locks(self) -> bool:
        """True when balances are set aside for it: a market order takes what is there, a stop that sells keeps it."""
        return self.price > 0 or (self.trigger > 0 and self.side is Side.SELL)


class Report(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Base of what the engine says; ``ts`` is the time that was passed in, ns."""

    ts: int


class Accepted(Report, frozen=True, tag=True, kw_only=True):
    order: VenueOrder


class Triggered(Report, frozen=True, tag=True, kw_only=True):
    """A stop's price traded: from here on it is an ordinary order."""

    order: VenueOrder


class Refused(Report, frozen=True, tag=True, kw_only=True):
    client_id: str
    refusal: Refusal
    detail: str


class Filled(Report, frozen=True, tag=True, kw_only=True):
    """One execution; ``filled`` and ``money`` are the order's totals after it."""

    order: VenueOrder
    trade_id: int
    lots: int
    price: int
    maker: bool
    fee: int
    fee_asset: str
    filled: int
    money: int


class Ended(Report, frozen=True, tag=True, kw_only=True):
    """The order is over with lots left."""

    order: VenueOrder
    status: OrderStatus
    reason: EndReason


Reports = Accepted | Triggered | Refused | Filled | Ended
