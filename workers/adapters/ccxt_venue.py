"""Order entry through ccxt's ``binanceus``: exact strings in, engine events out.

ccxt signs and carries the requests; its unified parsing, which goes through floats, is left aside. What an answer
means is decided here, by HTTP status and the venue's own code: refused, busy, never left, or **unknown**. A timeout,
a cut connection and every 5xx are unknown: the order may be live, and only a query ends that doubt.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import aiohttp
import ccxt.async_support as ccxt
import msgspec

from workers.adapters.binance.exchange_info import ExchangeInfo, MarketInfo, instruments
from workers.adapters.binance.reports import MS, order_from, submit_reports, trade_from
from workers.adapters.ccxt_rewire import rewire
from workers.adapters.ccxt_session import leaving, traced_session
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
    wire_tif,
)
from workers.engine.events import JournalEvent, OrderIntended, OrderNotSent, OrderRejected, OrderUnknown
from workers.engine.instruments import GridError, Instrument, atoms
from workers.engine.market.venues import BINANCEUS, PAPER, VenueRules
from workers.engine.vocabulary import OrderType

UNKNOWN_CODES: Final = frozenset({-1000, -1001, -1006, -1007})
BUSY_CODES: Final = frozenset({-1003, -1008, -1015})
CANCEL_REJECTED: Final = -2011
NO_SUCH_ORDER: Final = -2013
ORDER_REJECTED: Final = -2010
_STOPS: Final = {OrderType.MARKET: "STOP_LOSS", OrderType.LIMIT: "STOP_LOSS_LIMIT"}
"""Binance's names of orders with a trigger."""
DEFAULT_RETRY_S: Final = 5.0
MIN_WINDOW_MS: Final = 50
MAX_WINDOW_MS: Final = 5000
CLOCK_TRIES: Final = 5
GOOD_TRIP_MS: Final = 50
LONGEST_TRIP_MS: Final = 1000


class VenueAnswer(ccxt.ExchangeError):  # type: ignore[misc]  # ccxt has no types
    """An HTTP answer of 400 and above, with what is needed to judge it."""

    def __init__(self, status: int, code: int | None, message: str, retry_after: float) -> None:
        super().__init__(f"HTTP {status}, code {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after


def meaning(error: Exception) -> VenueError:
    """What an error of ccxt says about the request that raised it."""
    if isinstance(error, VenueAnswer):
        return _meaning_of_answer(error)
    if isinstance(error.__cause__, aiohttp.ClientConnectorError):
        return VenueUnreachable(f"no connection to the venue: {error.__cause__}")
    return VenueUnknown(f"{type(error).__name__}: {error}")


def _meaning_of_answer(answer: VenueAnswer) -> VenueError:
    if answer.status in (418, 429) or answer.code in BUSY_CODES:
        return VenueBusy(str(answer), answer.retry_after)
    if answer.status >= 500 or answer.code is None or answer.code in UNKNOWN_CODES:
        # Without a code of the venue's the answer is of something in between, which may have passed the request on.
        return VenueUnknown(str(answer))
    if answer.code == ORDER_REJECTED and "duplicate" in answer.message.lower():
        return VenueUnknown(f"the venue already has this client id ({answer})")
    if answer.code in (NO_SUCH_ORDER, CANCEL_REJECTED):
        return OrderNotFound(str(answer))
    return VenueRejected(str(answer.code), answer.message)


class _Binance(ccxt.binanceus):  # type: ignore[misc]  # ccxt has no types
    """ccxt's exchange, except that a refused request keeps its status, code and Retry-After."""

    def handle_errors(self, code: int, reason: str, *request: Any) -> None:
        """``request``: url, method, headers, body, decoded body, and what was sent; ccxt calls by position."""
        headers, body, response = request[2:5]
        if code < 400:
            return
        answer = response if isinstance(response, dict) else {}
        named = {name.lower(): value for name, value in headers.items()}
        try:
            retry_after = float(named.get("retry-after", DEFAULT_RETRY_S))
        except ValueError:
            retry_after = DEFAULT_RETRY_S
        given = answer.get("code")
        known = given if type(given) is int else None
        raise VenueAnswer(code, known, str(answer.get("msg") or reason or body[:200]), retry_after)


class CcxtVenue:
    """One account at one venue. All methods belong to the event loop that called ``open``."""

    def __init__(
        self,
        *,
        api_key: str,
        secret: str,
        url: str | None,
        name: str,
        clock: Callable[[], int],
        timeout_s: float = 3.0,
        rules: VenueRules | None = None,
    ) -> None:
        """``url`` is the paper venue's; None talks to the real exchange. ``clock`` gives ns since 1970.

        ``rules`` where they are not those of the exchange or of a paper venue that shows its book.
        """
        self.name = name
        self.instruments: dict[str, Instrument] = {}
        self.market: MarketInfo | None = None
        self.weight_per_minute = 0
        self._credentials = {"apiKey": api_key, "secret": secret}
        self._url = url
        self._rules = rules
        self._clock = clock
        self._timeout_s = timeout_s
        self._offset_ms = 0
        self._unsure_ms = 0
        """How far the offset may be wrong."""
        self._quiet_until = 0.0

    @property
    def rules(self) -> VenueRules:
        """The exchange's own, or the paper venue's, which speaks its protocol and does less."""
        return self._rules or (PAPER if self._url else BINANCEUS)

    async def open(self) -> None:
        """Make the connection pool; nothing is sent yet."""
        self._session = traced_session()
        settings = {
            **self._credentials,
            "session": self._session,
            "enableRateLimit": False,
            "timeout": int(self._timeout_s * 1000),
            "options": {"recvWindow": MAX_WINDOW_MS},
        }
        exchange = _Binance(settings)
        self._api: Any = rewire(exchange, self._url) if self._url else exchange

    async def close(self) -> None:
        """Close all connections."""
        await self._api.close()
        await self._session.close()

    async def _ask(self, method: str, params: dict[str, Any]) -> Any:
        try:
            return await getattr(self._api, method)(params)
        except ccxt.BaseError as error:
            raise meaning(error) from error

    def _signed(self, at: int = 0, **params: Any) -> dict[str, Any]:
        """``at``: when the request counts as made, ns; 0 for now."""
        return {**params, "timestamp": (at or self._clock()) // MS + self._offset_ms}

    async def synchronise_clock(self) -> int:
        """Measure the venue's clock against ours; return the offset in ms.

        An offset is known to half a round trip, and what is unknown is taken off the time that an order may take. So
        the quickest of a few round trips counts. VenueUnknown when all were so slow that they say nothing.
        """
        best = LONGEST_TRIP_MS + 1
        for _ in range(CLOCK_TRIES):
            before = self._clock()
            answer = await self._ask("publicGetTime", {})
            trip_ms = (self._clock() - before) // MS
            if 0 <= trip_ms < best:
                best, self._unsure_ms = trip_ms, trip_ms // 2 + 2
                self._offset_ms = int(answer["serverTime"]) - before // MS - trip_ms // 2
            if best <= GOOD_TRIP_MS:
                break
        if best > LONGEST_TRIP_MS:
            raise VenueUnknown(f"{self.name} takes longer than {LONGEST_TRIP_MS} ms to tell its time")
        return self._offset_ms

    async def load_instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        """Filters of ``symbols`` (all, when empty) and the account's fees; VenueRejected when the venue lacks one.

        What stands at an address of its own must say that it is a paper venue before anything signed is sent there.
        """
        answer = await self._ask("publicGetExchangeInfo", {})
        try:
            listing = msgspec.convert(answer, ExchangeInfo, strict=False)
        except msgspec.ValidationError as error:
            raise VenueRejected("UNREADABLE", f"instruments of {self.name}: {error}") from error
        if self._url and listing.gekko is None:
            told = f"{self.name} does not say that it is a paper venue; leave its address out to trade at an exchange"
            raise VenueRejected("NO_PAPER_VENUE", told)
        account = await self._ask("privateGetAccount", self._signed())
        try:
            maker, taker = _fees(account)
            wanted = symbols or [entry.symbol for entry in listing.symbols]
            self.instruments = instruments(listing, venue=self.name, symbols=wanted, maker_fee=maker, taker_fee=taker)
        except (msgspec.ValidationError, GridError, KeyError, ArithmeticError) as error:
            raise VenueRejected("UNREADABLE", f"instruments of {self.name}: {error}") from error
        self.market = listing.gekko
        self.weight_per_minute = listing.weight_per_minute
        return self.instruments

    async def submit(self, intent: OrderIntended, deadline: int, on_left: OnLeft) -> list[JournalEvent]:
        """Send one order and say what became of it; never raises for what a venue can do.

        The venue itself refuses the request after ``deadline`` (ns, our clock): a process that is stopped between
        here and the wire cannot trade late.
        """
        now = self._clock()
        if (window_ms := min((deadline - now) // MS - self._unsure_ms, MAX_WINDOW_MS)) < MIN_WINDOW_MS:
            return [self._not_sent(intent, "the send deadline had passed")]
        if time.monotonic() < self._quiet_until:
            return [self._not_sent(intent, "the venue asked for silence")]
        leaving.set((intent.client_id, on_left))
        try:
            answer = await self._ask("privatePostOrder", self._order_params(intent, now, window_ms))
            return list(submit_reports(answer, self.instruments[intent.symbol], self._clock()))
        except (VenueBusy, VenueUnreachable, VenueRejected, VenueUnknown) as problem:
            return [self._failed(intent, problem)]
        except (KeyError, ValueError, TypeError) as error:
            detail = f"unreadable answer: {type(error).__name__}: {error}"
            return [OrderUnknown(ts=self._clock(), client_id=intent.client_id, detail=detail)]

    def _order_params(self, intent: OrderIntended, now: int, window_ms: int) -> dict[str, Any]:
        instrument = self.instruments[intent.symbol]
        params = {
            "symbol": intent.symbol,
            "side": intent.side.name,
            "type": _STOPS[intent.order_type] if intent.trigger else intent.order_type.value,
            "quantity": f"{instrument.quantity(intent.lots):f}",
            "newClientOrderId": intent.client_id,
            "newOrderRespType": "FULL",
            "recvWindow": window_ms,
        }
        if intent.order_type is not OrderType.MARKET:
            params["price"] = f"{instrument.price(intent.price):f}"
        if intent.order_type is OrderType.LIMIT:
            params["timeInForce"] = wire_tif(intent.tif).value
        if intent.trigger:
            params["stopPrice"] = f"{instrument.price(intent.trigger):f}"
        if intent.min_lots:
            params["minQty"] = f"{instrument.quantity(intent.min_lots):f}"
        return self._signed(now, **params)

    def _not_sent(self, intent: OrderIntended, detail: str) -> OrderNotSent:
        return OrderNotSent(ts=self._clock(), client_id=intent.client_id, detail=detail)

    def _failed(self, intent: OrderIntended, problem: VenueError) -> JournalEvent:
        now = self._clock()
        if isinstance(problem, VenueRejected):
            return OrderRejected(ts=now, client_id=intent.client_id, code=problem.code, message=problem.message)
        if isinstance(problem, VenueBusy):
            self._quiet_until = time.monotonic() + problem.retry_after
            return OrderRejected(ts=now, client_id=intent.client_id, code="VENUE_BUSY", message=str(problem))
        if isinstance(problem, VenueUnreachable):
            return self._not_sent(intent, str(problem))
        return OrderUnknown(ts=now, client_id=intent.client_id, detail=str(problem))

    async def cancel(self, symbol: str, client_id: str) -> None:
        """Ask for a cancel. The outcome comes as a report; OrderNotFound when there is nothing to cancel."""
        await self._ask("privateDeleteOrder", self._signed(symbol=symbol, origClientOrderId=client_id))

    async def query(self, symbol: str, client_id: str) -> VenueOrder:
        """The order as the venue has it; OrderNotFound when it does not know it."""
        answer = await self._ask("privateGetOrder", self._signed(symbol=symbol, origClientOrderId=client_id))
        return order_from(answer, self.instruments[symbol])

    async def client_id_of(self, symbol: str, venue_order_id: str) -> str:
        """Client id of the order that the venue numbered so; empty when it does not know it any more."""
        try:
            answer = await self._ask("privateGetOrder", self._signed(symbol=symbol, orderId=venue_order_id))
        except OrderNotFound:
            return ""
        return str(answer["clientOrderId"])

    async def open_orders(self) -> list[VenueOrder]:
        """Every open order of the account in our instruments."""
        answer = await self._ask("privateGetOpenOrders", self._signed())
        return [order_from(entry, self.instruments[entry["symbol"]]) for entry in answer if self._ours(entry)]

    def _ours(self, entry: dict[str, Any]) -> bool:
        return entry["symbol"] in self.instruments

    async def trades(self, symbol: str, after: int) -> list[VenueTrade]:
        """All our trades with a number above ``after``, oldest first."""
        found: list[VenueTrade] = []
        while True:
            params = self._signed(symbol=symbol, fromId=after + 1, limit=1000)
            page = await self._ask("privateGetMyTrades", params)
            found += (trade_from(entry, self.instruments[symbol]) for entry in page)
            if len(page) < 1000:
                return found
            after = found[-1].trade_id

    async def balances(self) -> dict[str, int]:
        """Free plus locked, in atoms, of every asset that the account holds or our instruments name."""
        account = await self._ask("privateGetAccount", self._signed())
        totals = {
            entry["asset"]: atoms(entry["free"], entry["asset"]) + atoms(entry["locked"], entry["asset"])
            for entry in account["balances"]
        }
        named = {asset for instrument in self.instruments.values() for asset in (instrument.base, instrument.quote)}
        return {asset: total for asset, total in totals.items() if total or asset in named} | {
            asset: 0 for asset in named if asset not in totals
        }

    async def klines(self, symbol: str, interval: str, limit: int) -> list[list[Any]]:
        """The venue's newest bars, oldest first, as it gives them: open time ms, o, h, l, c, volume, close time ..."""
        rows: list[list[Any]] = await self._ask(
            "publicGetKlines", {"symbol": symbol, "interval": interval, "limit": limit}
        )
        return rows

    async def create_listen_key(self) -> str:
        """A key for the user data stream; lives an hour unless kept alive."""
        answer = await self._ask("publicPostUserDataStream", {})
        return str(answer["listenKey"])

    async def keep_listen_key(self, key: str) -> None:
        """Give the key another hour; VenueRejected when it has expired."""
        await self._ask("publicPutUserDataStream", {"listenKey": key})

    async def close_listen_key(self, key: str) -> None:
        """Let go of the key; a failure does not matter."""
        with contextlib.suppress(VenueError, asyncio.TimeoutError):
            await self._ask("publicDeleteUserDataStream", {"listenKey": key})


def _fees(account: dict[str, Any]) -> tuple[Decimal, Decimal]:
    """Maker and taker fee as fractions: ``commissionRates`` where the venue gives them, else basis points."""
    rates = account.get("commissionRates")
    if rates:
        return Decimal(rates["maker"]), Decimal(rates["taker"])
    return Decimal(account["makerCommission"]) / 10_000, Decimal(account["takerCommission"]) / 10_000
