"""Any venue that ccxt knows, through its unified methods: exact strings instead of floats, and our client id guarded.

ccxt is told to give numbers as texts (``number = str``), so that nothing passes through a float. Its unified parameter
for a client id is dropped silently by some venues' code; so the request itself is looked at before it leaves, and one
that does not carry our id is refused and never sent: a repetition could not be recognised as one.

An error of ccxt that says no more than that something failed is **unknown**.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from decimal import Decimal
from typing import Any, Final, NamedTuple

import aiohttp
import ccxt.async_support as ccxt

from workers.adapters.ccxt_rewire import rewire
from workers.adapters.ccxt_session import leaving, traced_session
from workers.adapters.fill_numbers import fill_number
from workers.adapters.uuid_ids import from_uuid, to_uuid
from workers.adapters.venue import (
    OnLeft,
    OrderNotFound,
    VenueBusy,
    VenueError,
    VenueOrder,
    VenueRejected,
    VenueTrade,
    VenueUnknown,
    VenueUnreachable,
    readable,
    wire_tif,
)
from workers.engine.events import (
    JournalEvent,
    OrderAccepted,
    OrderIntended,
    OrderNotSent,
    OrderRejected,
    OrderUnknown,
)
from workers.engine.instruments import GridError, Instrument, atoms
from workers.engine.market.venues import GENERIC, Feature, VenueRules, rules_of
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce

MS: Final = 1_000_000
DAY_MS: Final = 86_400_000
PAGE: Final = 100
LEVELS: Final = 20
MIN_LEFT_NS: Final = 50 * MS
ATOM: Final = Decimal("1E-8")
STATUSES: Final = {
    "open": OrderStatus.WORKING,
    "closed": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "canceling": OrderStatus.WORKING,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}

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
HISTORY: Final = "fetchOHLCV"
TIMES: Final = {"IOC": Feature.IOC, "FOK": Feature.FOK, "PO": Feature.LIMIT_MAKER}

_guarded: ContextVar[tuple[str, Callable[[], bool]] | None] = ContextVar("guarded", default=None)
"""Client id that the next POST of this task must carry, and whether it is still in time."""


class PublicTrade(NamedTuple):
    """One trade of the market; price and quantity as texts."""

    number: int
    ts_event: int
    price: str
    quantity: str
    aggressor: Side


class Candle(NamedTuple):
    """One candle; ``start`` in ns."""

    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class ClientIdDropped(ccxt.BadRequest):  # type: ignore[misc]  # ccxt has no types
    """The request that ccxt made does not carry our client id; it was not sent."""


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


def exchange(code: str, settings: dict[str, Any]) -> Any:
    """ccxt's class for ``code``, guarded. ValueError for a venue that ccxt does not know."""
    base = getattr(ccxt, code, None)
    if code not in ccxt.exchanges or base is None:
        raise ValueError(f"expected a venue of ccxt, was {code!r}; see 'import ccxt; ccxt.exchanges'")

    class Guarded(base):  # type: ignore[misc,valid-type]  # ccxt has no types
        async def fetch(
            self, url: str, method: str = "GET", headers: dict[str, str] | None = None, body: str | None = None
        ) -> Any:
            """Look at an order request before it leaves."""
            if (guarded := _guarded.get()) is not None and method == "POST":
                client_id, in_time = guarded
                if client_id not in url and client_id not in (body or ""):
                    raise ClientIdDropped(f"ccxt's {code} does not pass our client id on; nothing was sent")
                if not in_time():
                    raise TooLate("the send deadline passed while ccxt kept to the venue's pace")
            return await super().fetch(url, method, headers, body)

    made = Guarded({**settings, "number": str})
    made.number = str
    return made


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
    missing += [
        f"the credential {name}"
        for name, wanted in made.requiredCredentials.items()
        if wanted and not getattr(made, name, "")
    ]
    kinds = made.features or {}
    orders = ((kinds.get("spot") or kinds.get("default") or {}).get("createOrder")) or {}
    times = orders.get("timeInForce") or {}
    features = GENERIC.features | {mine for theirs, mine in TIMES.items() if times.get(theirs)}
    return Offer(features, float(made.rateLimit) / 1000.0, tuple(missing))


class GenericVenue:
    """One account at one venue of ccxt. Implements ``venue.Venue``; instruments go by the venue's own ids."""

    def __init__(
        self,
        code: str,
        credentials: dict[str, str],
        *,
        clock: Callable[[], int],
        url: str | None = None,
        alone: bool = False,
        timeout_s: float = 5.0,
        client_id_param: str = "",
        name: str = "",
        rules: VenueRules | None = None,
    ) -> None:
        """``credentials`` as ccxt names them; ``url`` of another server, ``alone`` as in ``rewire``;

        ``client_id_param`` overrides the rules'.

        ``name`` is what we call the venue, its ``code`` where none is given.
        """
        self.code = code
        self.name = name or code
        self.instruments: dict[str, Instrument] = {}
        self._rules = rules or rules_of(code)
        self._param = client_id_param or self._rules.client_id.ccxt_param
        self._credentials = credentials
        self._clock = clock
        self._url = url
        self._alone = alone
        self._timeout_s = timeout_s
        self._pairs: dict[str, str] = {}
        """Our symbol to ccxt's."""
        self._ids: dict[str, str] = {}
        """Client id to the venue's."""
        self._quiet_until = 0.0

    @property
    def rules(self) -> VenueRules:
        """What is known of the venue: little, where it is not listed."""
        return self._rules

    @property
    def has_history(self) -> bool:
        """True where ccxt can ask for candles."""
        return bool(self._api.has.get(HISTORY))

    async def open(self) -> None:
        """Make the connection pool; nothing is sent yet. ValueError for a venue that ccxt does not know."""
        self._session = traced_session()
        timeout = int(self._timeout_s * 1000)
        made = exchange(self.code, {**self._credentials, "session": self._session, "timeout": timeout})
        self._api: Any = rewire(made, self._url, alone=self._alone) if self._url else made

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()
        await self._session.close()

    async def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            return await getattr(self._api, method)(*arguments)
        except ccxt.BaseError as error:
            raise meaning(error, self._rules.rate.retry_after_s) from error

    @readable
    async def synchronise_clock(self) -> int:
        """Offset of the venue's clock in ms where the venue tells its time, else 0."""
        if not self._api.has.get("fetchTime"):
            return 0
        before = self._clock()
        answer = await self._ask("fetch_time")
        return int(answer) - (before + self._clock()) // 2 // MS

    async def load_instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        """Spot markets named by the venue's ids (all, when empty); VenueRejected for one that cannot be had."""
        markets = (await self._ask("load_markets")).values()
        listed = {
            market["id"]: market for market in markets if market.get("spot") and market.get("active") is not False
        }
        missing = sorted(set(symbols) - set(listed))
        if missing:
            raise VenueRejected("UNREADABLE", f"{self.name} has no spot market {', '.join(missing)}")
        try:
            for name in symbols or listed:
                self.instruments[name] = self._instrument(listed[name])
                self._pairs[name] = listed[name]["symbol"]
        except (GridError, ArithmeticError, KeyError, TypeError) as error:
            raise VenueRejected("UNREADABLE", f"instruments of {self.name}: {error}") from error
        return self.instruments

    def _instrument(self, market: dict[str, Any]) -> Instrument:
        lot = self._step(market["precision"]["amount"])
        limits = market.get("limits") or {}
        sizes, costs = limits.get("amount") or {}, limits.get("cost") or {}
        return Instrument(
            venue=self.name,
            symbol=market["id"],
            base=market["base"],
            quote=market["quote"],
            tick=self._step(market["precision"]["price"]),
            lot=lot,
            min_lots=max(1, -int(-Decimal(sizes.get("min") or 0) // lot)),
            max_lots=int(Decimal(sizes.get("max") or 0) // lot) or 10**15,
            min_notional=Decimal(costs.get("min") or 0),
            maker_fee=Decimal(market.get("maker") or 0),
            taker_fee=Decimal(market.get("taker") or 0),
        )

    def _step(self, precision: Any) -> Decimal:
        """Precision as a step; ccxt gives steps for most venues and numbers of decimals for some."""
        if self._api.precisionMode == ccxt.TICK_SIZE:
            return Decimal(str(precision)).normalize()
        if self._api.precisionMode == ccxt.DECIMAL_PLACES:
            return Decimal(1).scaleb(-int(precision))
        raise GridError(f"expected steps or decimals as precision of {self.name}, was significant digits")

    async def submit(self, intent: OrderIntended, deadline: int, on_left: OnLeft) -> list[JournalEvent]:
        """Send one order and say what became of it; never raises for what a venue can do."""
        now = self._clock()
        if deadline - now < MIN_LEFT_NS or time.monotonic() < self._quiet_until:
            return [OrderNotSent(ts=now, client_id=intent.client_id, detail="too late, or the venue asked for silence")]
        leaving.set((intent.client_id, on_left))
        guard = _guarded.set((self._outward(intent.client_id), lambda: self._clock() < deadline))
        try:
            answer = await self._ask("create_order", *self._order(intent))
            order_id = str(answer["id"])
        except VenueError as problem:
            return [self._failed(intent, problem)]
        except (KeyError, ValueError, TypeError) as error:
            detail = f"unreadable answer: {type(error).__name__}: {error}"
            return [OrderUnknown(ts=self._clock(), client_id=intent.client_id, detail=detail)]
        finally:
            _guarded.reset(guard)
        self._ids[intent.client_id] = order_id
        return [OrderAccepted(ts=self._clock(), client_id=intent.client_id, venue_order_id=order_id)]

    def _order(self, intent: OrderIntended) -> tuple[str, str, str, str, str | None, dict[str, Any]]:
        instrument = self.instruments[intent.symbol]
        params: dict[str, Any] = {self._param: self._outward(intent.client_id)}
        price = None
        if intent.order_type is not OrderType.MARKET:
            price = f"{instrument.price(intent.price):f}"
            if intent.order_type is OrderType.LIMIT_MAKER:
                params["postOnly"] = True
            elif wire_tif(intent.tif) is not TimeInForce.GTC:
                params["timeInForce"] = intent.tif.value
        kind = "market" if intent.order_type is OrderType.MARKET else "limit"
        quantity = f"{instrument.quantity(intent.lots):f}"
        return self._pairs[intent.symbol], kind, intent.side.name.lower(), quantity, price, params

    def _failed(self, intent: OrderIntended, problem: VenueError) -> JournalEvent:
        now = self._clock()
        if isinstance(problem, VenueRejected):
            return OrderRejected(ts=now, client_id=intent.client_id, code=problem.code, message=problem.message)
        if isinstance(problem, VenueBusy):
            self._quiet_until = time.monotonic() + problem.retry_after
            return OrderRejected(ts=now, client_id=intent.client_id, code="VENUE_BUSY", message=str(problem))
        if isinstance(problem, VenueUnreachable):
            return OrderNotSent(ts=now, client_id=intent.client_id, detail=str(problem))
        return OrderUnknown(ts=now, client_id=intent.client_id, detail=str(problem))

    @readable
    async def cancel(self, symbol: str, client_id: str) -> None:
        """Ask for a cancel; OrderNotFound when there is nothing to cancel."""
        await self._ask("cancel_order", await self._id_of(symbol, client_id), self._pairs[symbol])

    @readable
    async def query(self, symbol: str, client_id: str) -> VenueOrder:
        """The order as the venue has it; OrderNotFound when it does not know it."""
        order_id = await self._id_of(symbol, client_id)
        return self._found(await self._ask("fetch_order", order_id, self._pairs[symbol]), symbol)

    @readable
    async def client_id_of(self, symbol: str, venue_order_id: str) -> str:
        """Client id of the order that the venue numbered so; empty when it does not know it any more."""
        try:
            answer = await self._ask("fetch_order", venue_order_id, self._pairs[symbol])
        except OrderNotFound:
            return ""
        return self._inward(answer)

    @readable
    async def open_orders(self) -> list[VenueOrder]:
        """Every open order of the account in our instruments."""
        found: list[VenueOrder] = []
        for symbol, pair in self._pairs.items():
            found += [self._found(one, symbol) for one in await self._ask("fetch_open_orders", pair)]
        return found

    def _outward(self, client_id: str) -> str:
        return to_uuid(client_id) if self._rules.client_id.uuid else client_id

    def _inward(self, answer: dict[str, Any]) -> str:
        """Client id of an order as we know it; empty where the venue tells none."""
        told = str(answer.get("clientOrderId") or "")
        return from_uuid(told) if self._rules.client_id.uuid else told

    async def _id_of(self, symbol: str, client_id: str) -> str:
        """The venue's id; looked for among the orders of the last day when its answer never reached us."""
        if client_id not in self._ids:
            since, pair = self._clock() // MS - DAY_MS, self._pairs[symbol]
            listing = ["fetch_open_orders"]
            names = {"fetchOrders": "fetch_orders", "fetchClosedOrders": "fetch_closed_orders"}
            listing += [method for has, method in names.items() if self._api.has.get(has) is True][:1]
            for method in listing:
                for one in await self._ask(method, pair, since):
                    self._ids[self._inward(one)] = str(one["id"])
        if client_id not in self._ids:
            raise OrderNotFound(f"no order of the last day at {self.name} has the client id {client_id}")
        return self._ids[client_id]

    def _found(self, answer: dict[str, Any], symbol: str) -> VenueOrder:
        instrument = self.instruments[symbol]
        status, filled = STATUSES[answer["status"]], instrument.lots(answer.get("filled") or "0")
        if status is OrderStatus.WORKING and filled:
            status = OrderStatus.PARTIALLY_FILLED
        client_id = self._inward(answer)
        self._ids[client_id] = str(answer["id"])
        return VenueOrder(
            client_id=client_id,
            venue_order_id=str(answer["id"]),
            symbol=symbol,
            side=Side[answer["side"].upper()],
            status=status,
            lots=instrument.lots(answer["amount"]),
            filled=filled,
        )

    @readable
    async def trades(self, symbol: str, after: int) -> list[VenueTrade]:
        """Our trades of the last seven days with a number above ``after``, oldest first."""
        since, found = self._clock() // MS - 7 * DAY_MS, dict[int, VenueTrade]()
        while True:
            page = await self._ask("fetch_my_trades", self._pairs[symbol], since, PAGE)
            fresh = {one.trade_id: one for one in (self._trade(entry, symbol) for entry in page)}
            if not fresh.keys() - found.keys():
                break
            found |= fresh
            since = max(one.ts_event for one in fresh.values()) // MS
        return [found[number] for number in sorted(found) if number > after]

    def _trade(self, entry: dict[str, Any], symbol: str) -> VenueTrade:
        instrument, at = self.instruments[symbol], int(entry["timestamp"]) * MS
        name, fee = str(entry["id"]), entry.get("fee") or {}
        asset = str(fee.get("currency") or instrument.quote)
        return VenueTrade(
            trade_id=_number(name, at),
            venue_order_id=str(entry["order"]),
            symbol=symbol,
            side=Side[entry["side"].upper()],
            lots=instrument.lots(entry["amount"]),
            price=instrument.ticks(entry["price"]),
            fee=atoms(Decimal(str(fee.get("cost") or 0)).quantize(ATOM), asset),
            fee_asset=asset,
            maker=entry.get("takerOrMaker") == "maker",
            ts_event=at,
        )

    # -- market

    @readable
    async def quote(self, symbol: str) -> tuple[tuple[str, str], tuple[str, str]] | None:
        """Best bid and ask, each price and quantity as texts; None while a side is empty."""
        book = await self._ask("fetch_order_book", self._pairs[symbol], LEVELS)
        # ccxt sorts the texts as texts: 99.9 above 100.1. So the best price is looked for here.
        sides = [[(str(level[0]), str(level[1])) for level in book[side]] for side in ("bids", "asks")]
        if not all(sides):
            return None
        return max(sides[0], key=lambda one: Decimal(one[0])), min(sides[1], key=lambda one: Decimal(one[0]))

    @readable
    async def public_trades(self, symbol: str) -> list[PublicTrade]:
        """The newest trades of the market."""
        found = await self._ask("fetch_trades", self._pairs[symbol], None, PAGE)
        return [
            PublicTrade(
                _number(str(one["id"]), at), at, str(one["price"]), str(one["amount"]), Side[one["side"].upper()]
            )
            for one in found
            if (at := int(one["timestamp"]) * MS)
        ]

    @readable
    async def candles(self, symbol: str, interval: str, count: int) -> list[Candle]:
        """At most ``count`` newest candles, oldest first, the open one last; texts."""
        return _candles(await self._ask("fetch_ohlcv", self._pairs[symbol], interval, None, count))

    @readable
    async def candles_from(self, symbol: str, interval: str, start: int, count: int) -> list[Candle]:
        """At most ``count`` candles from ``start`` (ns) on, oldest first; what the venue still has of them."""
        return _candles(await self._ask("fetch_ohlcv", self._pairs[symbol], interval, start // MS, count))

    @readable
    async def depth(self, symbol: str, levels: int) -> dict[str, list[tuple[Decimal, Decimal]]]:
        """Prices and quantities of ``bids`` and ``asks``, best first."""
        book = await self._ask("fetch_order_book", self._pairs[symbol], levels)
        found = {
            side: [(Decimal(str(one[0])), Decimal(str(one[1]))) for one in book[side]] for side in ("bids", "asks")
        }
        return {side: sorted(rows, reverse=side == "bids")[:levels] for side, rows in found.items()}

    @property
    def intervals(self) -> dict[str, str]:
        """ccxt's names of the candles that the venue has."""
        return dict(self._api.timeframes or {})

    @readable
    async def balances(self) -> dict[str, int]:
        """Free plus used, in atoms, of every asset that the account holds or our instruments name."""
        totals = (await self._ask("fetch_balance"))["total"]
        named = {asset for one in self.instruments.values() for asset in (one.base, one.quote)}
        held = {asset: atoms(Decimal(str(total or 0)).quantize(ATOM), asset) for asset, total in totals.items()}
        return {asset: held.get(asset, 0) for asset in sorted(held.keys() | named) if held.get(asset) or asset in named}


def _candles(rows: Sequence[Sequence[Any]]) -> list[Candle]:
    return [Candle(int(row[0]) * MS, *(Decimal(str(value)) for value in row[1:6])) for row in rows]


def _number(name: str, at: int) -> int:
    """A venue's own number of a trade, or one made of its name."""
    return int(name) if name.isdigit() and len(name) < 19 else fill_number(name, at)
