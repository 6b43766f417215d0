"""Any venue that ccxt knows, through its unified methods: exact strings instead of floats, and our client id guarded.

ccxt's unified parameter for a client id is dropped silently by some venues' code; so the request itself is looked at
before it leaves, and one that does not carry our id is refused and never sent: a repetition could not be recognised as
one (``ccxt_exchange``). An error of ccxt that says no more than that something failed is **unknown**.

An order whose answer was lost is asked for by our id where ccxt can do that, else looked for among all orders and
trades since it was sent (``ccxt_listings``). It counts as not found only when it would have been seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import ccxt.async_support as ccxt

from workers.adapters.ccxt_exchange import exchange, guarded, meaning
from workers.adapters.ccxt_listings import Listings
from workers.adapters.ccxt_my_trades import QUARTER, SeenMyTrades
from workers.adapters.ccxt_pages import Incomplete, Row
from workers.adapters.ccxt_rewire import host_url, rewire, server_of
from workers.adapters.ccxt_session import leaving, traced_session
from workers.adapters.fill_numbers import fill_number
from workers.adapters.paper_check import check_paper
from workers.adapters.uuid_ids import from_uuid, to_uuid
from workers.adapters.venue import (
    OnLeft,
    OrderNotFound,
    OrderUnsure,
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
from workers.engine.market.venues import VenueRules, rules_of
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce

MS: Final = 1_000_000
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
HISTORY: Final = "fetchOHLCV"
LOST_DAYS: Final = 30
"""An order that an earlier process sent is looked for among those of so many days."""
BEFORE_MS: Final = 60_000
"""An order may bear a time so long before the one at which we sent it: clocks differ."""
PAPER_HOST: Final = "api.binance.us"
"""Below this name a paper venue without a path of its own answers."""


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
        paper: bool = False,
        timeout_s: float = 5.0,
        client_id_param: str = "",
        name: str = "",
        rules: VenueRules | None = None,
    ) -> None:
        """``credentials`` as ccxt names them; ``url`` of another server, ``alone`` as in ``rewire``;

        ``client_id_param`` overrides the rules'. With ``paper`` nothing is sent to ``url`` before it has said that it
        is a paper venue.

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
        self._to_identify = paper
        self._timeout_s = timeout_s
        self._pairs: dict[str, str] = {}
        """Our symbol to ccxt's."""
        self._ids: dict[str, str] = {}
        """Client id to the venue's."""
        self._sent: dict[str, int] = {}
        """Client id to when it was sent, ms, for orders that were not answered."""
        self._seen = SeenMyTrades()
        self._quiet_until = 0.0
        self._listings = Listings(code, lambda: self._api, self._ask, lambda: self._clock() // MS)

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
        given = {**self._credentials, "session": self._session, "timeout": timeout}
        try:
            made = exchange(self.code, given, server=server_of(self._url) if self._url else "")
            self._api: Any = rewire(made, self._url, alone=self._alone) if self._url else made
        except ValueError:
            await self._session.close()
            raise

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()
        await self._session.close()

    async def _ask(self, method: str, *arguments: Any) -> Any:
        if self._to_identify:
            await check_paper(self._session, host_url(self._url or "", PAPER_HOST), self.name)
            self._to_identify = False
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
        self._sent[intent.client_id] = now // MS
        guard = guarded.set((self._outward(intent.client_id), lambda: self._clock() < deadline))
        try:
            answer = await self._ask("create_order", *self._order(intent))
            order_id = str(answer["id"])
        except VenueError as problem:
            return [self._failed(intent, problem)]
        except (KeyError, ValueError, TypeError) as error:
            detail = f"unreadable answer: {type(error).__name__}: {error}"
            return [OrderUnknown(ts=self._clock(), client_id=intent.client_id, detail=detail)]
        finally:
            guarded.reset(guard)
        self._ids[intent.client_id] = order_id
        self._sent.pop(intent.client_id)
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
        if not isinstance(problem, VenueUnknown):
            self._sent.pop(intent.client_id)
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
        """The order as the venue has it; OrderNotFound when it does not know it, OrderUnsure when it does not say."""
        if client_id in self._ids:
            return self._found(await self._ask("fetch_order", self._ids[client_id], self._pairs[symbol]), symbol)
        return await self._look_for(symbol, client_id)

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

    def _inward(self, answer: Row) -> str:
        """Client id of an order as we know it; empty where the venue tells none."""
        told = str(answer.get("clientOrderId") or "")
        return from_uuid(told) if self._rules.client_id.uuid else told

    async def _id_of(self, symbol: str, client_id: str) -> str:
        """The venue's id; looked for when its answer never reached us."""
        if client_id not in self._ids:
            await self._look_for(symbol, client_id)
        return self._ids[client_id]

    async def _look_for(self, symbol: str, client_id: str) -> VenueOrder:
        pair, outward = self._pairs[symbol], self._outward(client_id)
        if self._listings.by_client_id:
            return self._found(await self._listings.order_of(pair, outward), symbol)
        since = self._listings.remembered_since(LOST_DAYS)
        since = max(since, self._sent.get(client_id, since) - BEFORE_MS)
        try:
            row = await self._listings.search(pair, outward, since, set(self._ids.values()))
        except Incomplete as error:
            raise OrderUnsure(f"{self.name} was asked for order {client_id}: {error}") from error
        except OrderNotFound as error:
            raise OrderNotFound(f"{self.name}: {error}", since * MS) from error
        return self._found(row, symbol)

    def _found(self, answer: Row, symbol: str) -> VenueOrder:
        instrument = self.instruments[symbol]
        status, filled = STATUSES[answer["status"]], instrument.lots(answer.get("filled") or "0")
        if status is OrderStatus.WORKING and filled:
            status = OrderStatus.PARTIALLY_FILLED
        client_id = self._inward(answer)
        if client_id:
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
        """Our trades with a number above ``after``, oldest first; VenueUnknown when some of them may be missing.

        They are read from the trade ``after`` on. Where it is not known when that was, it is looked for in the last
        week, month and quarter; without one, the last week is read.
        """
        remembered = self._listings.remembered_since(QUARTER)
        for since in self._seen.starts(symbol, after, self._clock() // MS):
            try:
                rows = await self._listings.trades(self._pairs[symbol], max(since, remembered))
            except Incomplete as error:
                raise VenueUnknown(f"trades of {symbol} at {self.name} may be missing: {error}") from error
            found = {one.trade_id: one for one in (self._trade(row, symbol) for row in rows)}
            if after in found:
                break
        return self._seen.above(symbol, after, found)

    def _trade(self, entry: Row, symbol: str) -> VenueTrade:
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
