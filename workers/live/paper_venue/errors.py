"""Binance's errors: HTTP status, code and message."""

from __future__ import annotations

from workers.engine.execution.matching_types import Refusal, Refused


class VenueError(Exception):
    """An answer ``{"code": ..., "msg": ...}`` of the venue."""

    def __init__(self, code: int, msg: str, *, status: int = 400, retry_after: int = 0) -> None:
        super().__init__(f"{code} {msg}")
        self.code = code
        self.msg = msg
        self.status = status
        self.retry_after = retry_after


def too_many_requests(retry_after: int) -> VenueError:
    """-1003, with the seconds to wait."""
    msg = "Too much request weight used; please use WebSocket Streams for live updates to avoid polling the API."
    return VenueError(-1003, msg, status=429, retry_after=retry_after)


def too_many_orders(retry_after: int) -> VenueError:
    """-1015, with the seconds to wait."""
    return VenueError(-1015, "Too many new orders; current limit is exceeded.", status=429, retry_after=retry_after)


def missing(name: str) -> VenueError:
    """-1102 for a parameter that must be sent."""
    return VenueError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal(name: str, value: str) -> VenueError:
    """-1100 for a parameter that cannot be read."""
    return VenueError(-1100, f"Illegal characters found in parameter '{name}'; was '{value}'.")


INVALID_SYMBOL = (-1121, "Invalid symbol.")
BAD_API_KEY_FORMAT = (-2014, "API-key format invalid.")
BAD_API_KEY = (-2015, "Invalid API-key, IP, or permissions for action.")
BAD_SIGNATURE = (-1022, "Signature for this request is not valid.")
BAD_TIMESTAMP = (-1021, "Timestamp for this request is outside of the recvWindow.")
TIMESTAMP_AHEAD = (-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
NO_SUCH_ORDER = (-2013, "Order does not exist.")
CANCEL_UNKNOWN = (-2011, "Unknown order sent.")
NO_LISTEN_KEY = (-1125, "This listenKey does not exist.")
OUTAGE = (-1016, "This service is no longer available.")
INJECTED_REJECT = (-2010, "Order rejected by the fault port.")
INJECTED_FAILURE = (-1000, "An unknown error occurred while processing the request.")

_REFUSALS = {
    Refusal.UNKNOWN_SYMBOL: INVALID_SYMBOL,
    Refusal.MARKET_CLOSED: (-1013, "Market is closed."),
    Refusal.PRICE_FILTER: (-1013, "Filter failure: PRICE_FILTER"),
    Refusal.LOT_SIZE: (-1013, "Filter failure: LOT_SIZE"),
    Refusal.NOTIONAL: (-1013, "Filter failure: NOTIONAL"),
    Refusal.INSUFFICIENT_BALANCE: (-2010, "Account has insufficient balance for requested action."),
    Refusal.WOULD_TAKE: (-2010, "Order would immediately match and take."),
    Refusal.TRIGGER_REACHED: (-2010, "Stop price would trigger immediately."),
    Refusal.DUPLICATE_CLIENT_ID: (-2010, "Duplicate order sent."),
    Refusal.UNKNOWN_ORDER: CANCEL_UNKNOWN,
    Refusal.ORDER_TYPE: (-1116, "Invalid orderType."),
    Refusal.TIME_IN_FORCE: (-1115, "Invalid timeInForce."),
    Refusal.MIN_QUANTITY: (-1106, "Parameter 'minQty' sent when not required."),
}


def refused(report: Refused) -> VenueError:
    """The engine's refusal in Binance's words."""
    return VenueError(*_REFUSALS[report.refusal])
