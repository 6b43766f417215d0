"""ccxt's class of a venue, guarded: orders carry our id, nothing leaves before a paper venue has said that it is one.

ccxt is told to give numbers as texts (``number = str``), so that nothing passes through a float. What it can do at a
venue is read here from its own descriptions (``offer``), and what its errors mean (``meaning``).
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

import aiohttp
import ccxt.async_support as ccxt

from workers.adapters.venue import (
    OrderNotFound,
    VenueBusy,
    VenueError,
    VenueRejected,
    VenueUnknown,
    VenueUnreachable,
)
from workers.engine.market.venues import GENERIC, Feature

TRADING: Final = (
    "createOrder",
    "cancelOrder",
    "fetchOrder",
    "fetchOpenOrders",
    "fetchMyTrades",
    "fetchBalance",
    "fetchOrderBook",
    "fetchTrades",
)
"""What ccxt must be able to do at a venue before an account is traded there."""
TIMES: Final = {"IOC": Feature.IOC, "FOK": Feature.FOK, "PO": Feature.LIMIT_MAKER}
BY_CLIENT_ID: Final = frozenset(
    {
        "binance",
        "binanceus",
        "bitstamp",
        "bitvavo",
        "coinbaseexchange",
        "hashkey",
        "mexc",
        "myokx",
        "okx",
        "okxus",
        "woo",
    }
)
"""Venues that ccxt can ask for one order by our id. A venue that forgets ids of orders that were filled is not here."""
LISTED_BY_CLIENT_ID: Final = frozenset({"kraken"})
"""Venues whose listings of open and of closed orders can be cut down to our id."""
ORDER_LISTINGS: Final = (("fetchOrders",), ("fetchCanceledAndClosedOrders",), ("fetchClosedOrders",))
"""Listings that hold what has ended, the best first. Beside the last, ``fetchCanceledOrders`` where there is one."""

guarded: ContextVar[tuple[str, Callable[[], bool]] | None] = ContextVar("guarded", default=None)
"""Client id that the next POST of this task must carry, and whether it is still in time."""
asked_about: ContextVar[str] = ContextVar("asked_about", default="")
"""Client id that the next request of this task must carry."""
told: ContextVar[list[list[dict[str, Any]]] | None] = ContextVar("told", default=None)
"""Where pages of a listing are put as the venue gave them, before ccxt leaves rows out."""


class ClientIdDropped(ccxt.BadRequest):  # type: ignore[misc]  # ccxt has no types
    """The request that ccxt made does not carry our client id; it was not sent."""


class Elsewhere(ccxt.BadRequest):  # type: ignore[misc]  # ccxt has no types
    """The request would go to another server than the one that was named; it was not sent."""


class TooLate(ccxt.NetworkError):  # type: ignore[misc]  # ccxt has no types
    """The order waited for its turn until it must not be sent any more; it was not sent."""


def meaning(error: Exception, retry_after_s: float) -> VenueError:
    """What an error of ccxt says about the request that raised it."""
    if isinstance(error, ccxt.OrderNotFound):
        return OrderNotFound(str(error))
    if isinstance(error, ccxt.RateLimitExceeded | ccxt.DDoSProtection):
        return VenueBusy(str(error), retry_after_s)
    if isinstance(error, TooLate) or isinstance(error.__cause__, aiohttp.ClientConnectorError):
        return VenueUnreachable(f"nothing was sent to the venue: {error.__cause__ or error}")
    if isinstance(error, ccxt.DuplicateOrderId) or "duplicate" in str(error).lower():
        return VenueUnknown(f"the venue already has this client id ({error})")
    if isinstance(error, ccxt.ExchangeError) and type(error) is not ccxt.ExchangeError:
        return VenueRejected(type(error).__name__, str(error))
    return VenueUnknown(f"{type(error).__name__}: {error}")


def exchange(code: str, settings: dict[str, Any], *, server: str = "") -> Any:
    """ccxt's class for ``code``, guarded. ValueError for a venue that ccxt does not know.

    ``server`` (``http://host:port``) is the only one that anything is sent to; empty: as ccxt has it.
    """
    base = getattr(ccxt, code, None)
    if code not in ccxt.exchanges or base is None:
        raise ValueError(f"expected a venue of ccxt, was {code!r}; see 'import ccxt; ccxt.exchanges'")

    class Guarded(base):  # type: ignore[misc,valid-type]  # ccxt has no types
        async def fetch(
            self, url: str, method: str = "GET", headers: dict[str, str] | None = None, body: str | None = None
        ) -> Any:
            """Look at where a request goes, and at one about an order, before it leaves."""
            _check_request(code, server, url, method, body)
            return await super().fetch(url, method, headers, body)

        def filter_by_symbol_since_limit(self, array: Any, *rest: Any, **named: Any) -> Any:
            """Every listing passes here once it is parsed: keep what the venue told."""
            if (pages := told.get()) is not None:
                pages.append(list(array))
            return super().filter_by_symbol_since_limit(array, *rest, **named)

    made = Guarded({**settings, "number": str})
    made.number = str
    return made


def _check_request(code: str, server: str, url: str, method: str, body: str | None) -> None:
    """Raises Elsewhere, ClientIdDropped or TooLate for a request that must not leave."""
    if server and not url.startswith(f"{server}/"):
        raise Elsewhere(f"ccxt's {code} would ask {url.partition('?')[0]} and not {server}; nothing was sent")
    order = guarded.get() if method == "POST" else None
    for client_id in (order[0] if order else "", asked_about.get()):
        if client_id not in url and client_id not in (body or ""):
            raise ClientIdDropped(f"ccxt's {code} does not pass our client id on; nothing was sent")
    if order and not order[1]():
        raise TooLate("the send deadline passed while ccxt kept to the venue's pace")


class Offer(NamedTuple):
    """What ccxt can do at a venue."""

    features: frozenset[Feature]
    pace_s: float
    """Seconds between two requests that ccxt keeps to."""
    lacking: tuple[str, ...]
    """What an account cannot be traded without and is not there, in words: methods of ccxt, or credentials."""


def offer(code: str, credentials: dict[str, str]) -> Offer:
    """What ccxt says that it can do at ``code``; connects to nothing. ValueError for a venue that it does not know."""
    made = exchange(code, dict(credentials))
    missing = [f"{method} in ccxt" for method in TRADING if not made.has.get(method)]
    if code not in BY_CLIENT_ID | LISTED_BY_CLIENT_ID and not listings_of_ended(made):
        missing.append(
            "a way to find an order whose answer was lost (fetchOrders or fetchClosedOrders in ccxt, or asking for "
            "one by our id)"
        )
    missing += [
        f"the credential {name}"
        for name, wanted in made.requiredCredentials.items()
        if wanted and not getattr(made, name, "")
    ]
    times = described(made, "createOrder").get("timeInForce") or {}
    features = GENERIC.features | {mine for theirs, mine in TIMES.items() if times.get(theirs)}
    return Offer(features, float(made.rateLimit) / 1000.0, tuple(missing))


def described(made: Any, method: str) -> dict[str, Any]:
    """What ccxt says of a method at spot markets; empty where it says nothing."""
    kinds = getattr(made, "features", None) or {}
    return dict((kinds.get("spot") or kinds.get("default") or {}).get(method) or {})


def listings_of_ended(made: Any) -> tuple[str, ...]:
    """Methods that together list the orders that have ended; empty where there are none."""
    for names in ORDER_LISTINGS:
        if all(made.has.get(name) for name in names):
            extra = names == ORDER_LISTINGS[-1] and made.has.get("fetchCanceledOrders")
            return (*names, "fetchCanceledOrders") if extra else names
    return ()
