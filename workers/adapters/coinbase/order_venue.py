"""Order entry at Coinbase Advanced Trade, natively: our client id, exact strings, signed tokens.

ccxt is left aside on purpose: its ``coinbase`` drops ``clientOrderId`` silently and sends an id of its own, so that a
repeated request buys twice. The venue itself makes one order per client id: a repetition answers with the first.

The venue cancels and queries by its own order id; that of an order whose answer we never got is found among the orders
of the last day. Requests have no deadline of their own, but a token that has expired is refused: it ends with the
order's deadline, to the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from workers.adapters.coinbase.products import advanced
from workers.adapters.coinbase.signing import Signer
from workers.adapters.fill_numbers import fill_ms, fill_number
from workers.adapters.http_venue import SECOND_NS, HttpVenue
from workers.adapters.venue import (
    OrderNotFound,
    VenueError,
    VenueOrder,
    VenueRejected,
    VenueTrade,
    VenueUnknown,
    readable,
    wire_tif,
)
from workers.adapters.wire_time import nanoseconds, rfc3339
from workers.engine.events import JournalEvent, OrderAccepted, OrderIntended
from workers.engine.instruments import GridError, Instrument, atoms
from workers.engine.market.venues import COINBASE
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce

BASE: Final = "/api/v3/brokerage"
SIGNED_HOST: Final = "api.coinbase.com"
ATOM: Final = Decimal("1E-8")
DAY_NS: Final = 86_400 * SECOND_NS
VAGUE: Final = frozenset({"", "UNKNOWN_FAILURE_REASON", "UNKNOWN_PREVIEW_FAILURE_REASON"})

STATUSES: Final = {
    "PENDING": OrderStatus.WORKING,
    "QUEUED": OrderStatus.WORKING,
    "OPEN": OrderStatus.WORKING,
    "CANCEL_QUEUED": OrderStatus.WORKING,
    "EDIT_QUEUED": OrderStatus.WORKING,
    "FILLED": OrderStatus.FILLED,
    "CANCELLED": OrderStatus.CANCELED,
    "EXPIRED": OrderStatus.EXPIRED,
    "FAILED": OrderStatus.REJECTED,
}


class Placed(msgspec.Struct):
    """Answer to an order."""

    success: bool
    success_response: dict[str, Any] = {}
    error_response: dict[str, Any] = {}


class Order(msgspec.Struct):
    order_id: str
    client_order_id: str
    product_id: str
    side: str
    status: str
    order_configuration: dict[str, dict[str, Any]] = {}
    filled_size: str = "0"


class OneOrder(msgspec.Struct):
    order: Order


class Orders(msgspec.Struct):
    orders: list[Order]
    cursor: str = ""
    has_next: bool = False


class Fill(msgspec.Struct):
    entry_id: str
    order_id: str
    product_id: str
    trade_time: str
    price: str
    size: str
    commission: str
    side: str
    liquidity_indicator: str = ""
    size_in_quote: bool = False


class Fills(msgspec.Struct):
    fills: list[Fill]
    cursor: str = ""


class Amount(msgspec.Struct):
    value: str


class Account(msgspec.Struct):
    currency: str
    available_balance: Amount
    hold: Amount


class Accounts(msgspec.Struct):
    accounts: list[Account]
    has_next: bool = False
    cursor: str = ""


class CoinbaseVenue(HttpVenue):
    """One portfolio at Coinbase. Implements ``venue.Venue``."""

    def __init__(
        self,
        signer: Signer,
        *,
        clock: Callable[[], int],
        url: str = COINBASE.rest_url,
        name: str = "coinbase",
        timeout_s: float = 3.0,
    ) -> None:
        """``url`` may be that of another server; what is signed stays the venue's own host."""
        super().__init__(name=name, url=url, rules=COINBASE, clock=clock, timeout_s=timeout_s)
        self._signer = signer
        self._ids: dict[str, str] = {}
        """Client id to the venue's."""

    def _headers(self, method: str, path: str, deadline: int) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._signer.token(method, SIGNED_HOST, path, deadline=deadline)}"}

    def _refusal(self, status: int, body: dict[str, Any]) -> VenueError:
        code = str(body.get("error") or status)
        message = str(body.get("message") or body.get("error_details") or body)
        return OrderNotFound(f"{code}: {message}") if status == 404 else VenueRejected(code, message)

    @readable
    async def synchronise_clock(self) -> int:
        """Offset of the venue's clock against ours, in ms. Tokens are good from two minutes, so it is only told."""
        before = self._clock()
        answer = msgspec.json.decode(await self._ask("GET", f"{BASE}/time"), type=dict[str, Any])
        middle = (before + self._clock()) // 2
        return int(answer["epochMillis"]) - middle // 1_000_000

    async def load_instruments(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        """Filters of ``symbols`` (all, when empty) and the account's fees; VenueRejected when the venue lacks one."""
        raw = await self._ask("GET", f"{BASE}/products", params={"product_type": "SPOT"})
        summary = await self._ask("GET", f"{BASE}/transaction_summary")
        try:
            tier = msgspec.json.decode(summary, type=dict[str, Any])["fee_tier"]
            maker, taker = Decimal(tier["maker_fee_rate"]), Decimal(tier["taker_fee_rate"])
            self.instruments = advanced(raw, venue=self.name, symbols=symbols, maker_fee=maker, taker_fee=taker)
        except (msgspec.DecodeError, GridError, KeyError, ArithmeticError) as error:
            raise VenueRejected("UNREADABLE", f"instruments of {self.name}: {error}") from error
        return self.instruments

    async def _send(self, intent: OrderIntended, deadline: int, left: Callable[[], None]) -> list[JournalEvent]:
        body = {
            "client_order_id": intent.client_id,
            "product_id": intent.symbol,
            "side": intent.side.name,
            "order_configuration": self._configuration(intent),
        }
        raw = await self._ask("POST", f"{BASE}/orders", body=body, deadline=deadline, left=left)
        placed = msgspec.json.decode(raw, type=Placed)
        if not placed.success:
            raise _refused(placed.error_response)
        answer = placed.success_response
        if answer["client_order_id"] != intent.client_id:
            raise VenueUnknown(f"answer for client id {answer['client_order_id']}, sent {intent.client_id}")
        self._ids[intent.client_id] = answer["order_id"]
        # Fills are not in the answer: they are asked for, as is the end of an order that could only take.
        return [OrderAccepted(ts=self._clock(), client_id=intent.client_id, venue_order_id=answer["order_id"])]

    def _configuration(self, intent: OrderIntended) -> dict[str, dict[str, Any]]:
        instrument = self.instruments[intent.symbol]
        size = f"{instrument.quantity(intent.lots):f}"
        if intent.order_type is OrderType.MARKET:
            return {"market_market_ioc": {"base_size": size}}
        terms: dict[str, Any] = {"base_size": size, "limit_price": f"{instrument.price(intent.price):f}"}
        if intent.order_type is OrderType.LIMIT_MAKER:
            return {"limit_limit_gtc": {**terms, "post_only": True}}
        if intent.order_type is not OrderType.LIMIT:
            raise VenueRejected("ORDER_TYPE", f"{intent.order_type} is not sent to {self.name}")
        match wire_tif(intent.tif):
            case TimeInForce.IOC:
                return {"sor_limit_ioc": terms}
            case TimeInForce.FOK:
                return {"limit_limit_fok": terms}
            case _:
                return {"limit_limit_gtc": {**terms, "post_only": False}}

    @readable
    async def cancel(self, symbol: str, client_id: str) -> None:
        """Ask for a cancel; OrderNotFound when there is nothing to cancel."""
        order_id = await self._id_of(symbol, client_id)
        raw = await self._ask("POST", f"{BASE}/orders/batch_cancel", body={"order_ids": [order_id]})
        (result,) = msgspec.json.decode(raw, type=dict[str, Any])["results"]
        if not result["success"]:
            reason = str(result.get("failure_reason", ""))
            if reason in ("UNKNOWN_CANCEL_ORDER", "ORDER_IS_FULLY_FILLED", "DUPLICATE_CANCEL_REQUEST"):
                raise OrderNotFound(f"{reason}: {order_id}")
            raise VenueRejected(reason, f"cancel of {client_id}")

    @readable
    async def query(self, symbol: str, client_id: str) -> VenueOrder:
        """The order as the venue has it; OrderNotFound when it does not know it."""
        order_id = await self._id_of(symbol, client_id)
        raw = await self._ask("GET", f"{BASE}/orders/historical/{order_id}")
        return self._order(msgspec.json.decode(raw, type=OneOrder).order)

    @readable
    async def client_id_of(self, symbol: str, venue_order_id: str) -> str:  # noqa: ARG002 - the port's signature
        """Client id of the order that the venue numbered so; empty when it does not know it any more."""
        try:
            raw = await self._ask("GET", f"{BASE}/orders/historical/{venue_order_id}")
        except OrderNotFound:
            return ""
        return msgspec.json.decode(raw, type=OneOrder).order.client_order_id

    @readable
    async def open_orders(self) -> list[VenueOrder]:
        """Every open order of the account in our instruments."""
        found = await self._list({"order_status": ["OPEN", "PENDING", "QUEUED", "CANCEL_QUEUED"]})
        return [self._order(one) for one in found if one.product_id in self.instruments]

    @readable
    async def trades(self, symbol: str, after: int) -> list[VenueTrade]:
        """All our trades from the millisecond of number ``after`` on, oldest first; its own is left out."""
        params: dict[str, Any] = {"product_ids": [symbol], "limit": 250}
        if after:
            params["start_sequence_timestamp"] = rfc3339(fill_ms(after) * 1_000_000)
        found: list[VenueTrade] = []
        while True:
            raw = await self._ask("GET", f"{BASE}/orders/historical/fills", params=params)
            page = msgspec.json.decode(raw, type=Fills)
            found += (self._trade(one) for one in page.fills)
            if not page.cursor:
                break
            params["cursor"] = page.cursor
        return sorted((one for one in found if one.trade_id != after), key=lambda one: one.trade_id)

    @readable
    async def balances(self) -> dict[str, int]:
        """Available plus held, in atoms, of every asset that the account holds or our instruments name."""
        named = {asset for one in self.instruments.values() for asset in (one.base, one.quote)}
        totals = dict.fromkeys(sorted(named), 0)
        params: dict[str, Any] = {"limit": 250}
        while True:
            page = msgspec.json.decode(await self._ask("GET", f"{BASE}/accounts", params=params), type=Accounts)
            for one in page.accounts:
                total = Decimal(one.available_balance.value) + Decimal(one.hold.value)
                if total or one.currency in named:
                    totals[one.currency] = atoms(total.quantize(ATOM), one.currency)
            if not page.has_next:
                return totals
            params["cursor"] = page.cursor

    async def _id_of(self, symbol: str, client_id: str) -> str:
        """The venue's id; looked for among the orders of the last day when its answer never reached us."""
        known = self._ids.get(client_id)
        if known is not None:
            return known
        since = rfc3339(self._clock() - DAY_NS)
        for one in await self._list({"product_ids": [symbol], "start_date": since}):
            self._ids[one.client_order_id] = one.order_id
        if client_id not in self._ids:
            raise OrderNotFound(f"no order of the last day has the client id {client_id}")
        return self._ids[client_id]

    async def _list(self, params: dict[str, Any]) -> list[Order]:
        params = {**params, "limit": 250}
        found: list[Order] = []
        while True:
            raw = await self._ask("GET", f"{BASE}/orders/historical/batch", params=params)
            page = msgspec.json.decode(raw, type=Orders)
            found += page.orders
            if not page.has_next:
                return found
            params["cursor"] = page.cursor

    def _order(self, order: Order) -> VenueOrder:
        instrument = self.instruments[order.product_id]
        filled = _whole_lots(instrument, Decimal(order.filled_size or "0"))
        status = STATUSES[order.status]
        if status is OrderStatus.WORKING and filled:
            status = OrderStatus.PARTIALLY_FILLED
        sizes = [terms["base_size"] for terms in order.order_configuration.values() if "base_size" in terms]
        self._ids[order.client_order_id] = order.order_id
        return VenueOrder(
            client_id=order.client_order_id,
            venue_order_id=order.order_id,
            symbol=order.product_id,
            side=Side[order.side],
            status=status,
            lots=instrument.lots(sizes[0]) if sizes else filled,
            filled=filled,
        )

    def _trade(self, fill: Fill) -> VenueTrade:
        instrument = self.instruments[fill.product_id]
        at = nanoseconds(fill.trade_time)
        size = Decimal(fill.size) / Decimal(fill.price) if fill.size_in_quote else Decimal(fill.size)
        return VenueTrade(
            trade_id=fill_number(fill.entry_id, at),
            venue_order_id=fill.order_id,
            symbol=fill.product_id,
            side=Side[fill.side],
            lots=_whole_lots(instrument, size),
            price=instrument.ticks(fill.price),
            fee=atoms(Decimal(fill.commission).quantize(ATOM), instrument.quote),
            fee_asset=instrument.quote,
            maker=fill.liquidity_indicator == "MAKER",
            ts_event=at,
        )


def _whole_lots(instrument: Instrument, size: Decimal) -> int:
    return int(size // instrument.lot)


def _refused(answer: dict[str, Any]) -> VenueError:
    """Why an order was not made; an answer that gives no reason at all leaves it open."""
    for code in _codes(answer):
        if code not in VAGUE:
            return VenueRejected(code, str(answer.get("message") or answer.get("error_details") or code))
    return VenueUnknown(f"the venue gave no reason: {answer}")


def _codes(answer: dict[str, Any]) -> Iterator[str]:
    for field in ("preview_failure_reason", "new_order_failure_reason", "error"):
        yield str(answer.get(field) or "")
