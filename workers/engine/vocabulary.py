"""The words of the trading core: states, sides and reason codes. Pure; ``apps`` may import it."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Side(IntEnum):
    """Direction of an order; the value is the sign of the position change."""

    BUY = 1
    SELL = -1


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class OrderStatus(StrEnum):
    """Life of an order.

    ``INTENT`` is durable and not sent. ``SENT`` left for the venue. ``UNKNOWN`` left, and nobody knows what became
    of it: only an answer of the venue ends that state, never time alone.
    """

    DENIED = "DENIED"
    INTENT = "INTENT"
    SENT = "SENT"
    UNKNOWN = "UNKNOWN"
    WORKING = "WORKING"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"

    @property
    def is_open(self) -> bool:
        """True while the venue may still fill the order."""
        return self in OPEN_STATUSES


OPEN_STATUSES = frozenset(
    {
        OrderStatus.INTENT,
        OrderStatus.SENT,
        OrderStatus.UNKNOWN,
        OrderStatus.WORKING,
        OrderStatus.PARTIALLY_FILLED,
    }
)


class TradingState(StrEnum):
    """ACTIVE trades; REDUCING only lets exposure shrink; HALTED lets nothing out but cancels."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class FeedState(StrEnum):
    """CONNECTING before the first snapshot; LIVE; STALE when silent or resynchronising; BREAK between sessions."""

    CONNECTING = "CONNECTING"
    LIVE = "LIVE"
    STALE = "STALE"
    BREAK = "BREAK"


class Reason(StrEnum):
    """Why the pre-trade gate denied an order. Each is documented in docs/reason-codes.md."""

    TRADING_HALTED = "TRADING_HALTED"
    REDUCING_ONLY = "REDUCING_ONLY"
    NOT_RECONCILED = "NOT_RECONCILED"
    LIMITS_MISSING = "LIMITS_MISSING"
    LIMITS_STALE = "LIMITS_STALE"
    INSTRUMENT_UNKNOWN = "INSTRUMENT_UNKNOWN"
    INSTRUMENT_RESTRICTED = "INSTRUMENT_RESTRICTED"
    SESSION_CLOSED = "SESSION_CLOSED"
    QUANTITY_NOT_POSITIVE = "QUANTITY_NOT_POSITIVE"
    QUANTITY_BELOW_MIN = "QUANTITY_BELOW_MIN"
    QUANTITY_ABOVE_VENUE_MAX = "QUANTITY_ABOVE_VENUE_MAX"
    QUANTITY_ABOVE_LIMIT = "QUANTITY_ABOVE_LIMIT"
    PRICE_MISSING = "PRICE_MISSING"
    PRICE_NOT_POSITIVE = "PRICE_NOT_POSITIVE"
    NOTIONAL_BELOW_MIN = "NOTIONAL_BELOW_MIN"
    NOTIONAL_ABOVE_LIMIT = "NOTIONAL_ABOVE_LIMIT"
    REFERENCE_MISSING = "REFERENCE_MISSING"
    REFERENCE_STALE = "REFERENCE_STALE"
    PRICE_OUTSIDE_COLLAR = "PRICE_OUTSIDE_COLLAR"
    POSITION_ABOVE_LIMIT = "POSITION_ABOVE_LIMIT"
    GROSS_EXPOSURE_ABOVE_LIMIT = "GROSS_EXPOSURE_ABOVE_LIMIT"
    OPEN_ORDERS_ABOVE_LIMIT = "OPEN_ORDERS_ABOVE_LIMIT"
    SHORT_NOT_ALLOWED = "SHORT_NOT_ALLOWED"
    BUYING_POWER_EXCEEDED = "BUYING_POWER_EXCEEDED"
    REDUCE_ONLY_WOULD_INCREASE = "REDUCE_ONLY_WOULD_INCREASE"
    DUPLICATE_CLIENT_ID = "DUPLICATE_CLIENT_ID"
    DUPLICATE_ORDER = "DUPLICATE_ORDER"
    MESSAGE_RATE_EXCEEDED = "MESSAGE_RATE_EXCEEDED"
    DAILY_LOSS_EXCEEDED = "DAILY_LOSS_EXCEEDED"
    DRAWDOWN_EXCEEDED = "DRAWDOWN_EXCEEDED"
    FORECAST_STALE = "FORECAST_STALE"
    ORDER_UNKNOWN_PENDING = "ORDER_UNKNOWN_PENDING"
