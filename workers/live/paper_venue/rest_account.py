"""Signed endpoints: orders, trades, balances, and the key of the user data stream."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any, TypeVar

import msgspec

from workers.engine.execution.matching_types import Filled, NewOrder, Refused, Reports, SelfTrade, VenueOrder
from workers.engine.instruments import GridError, Instrument
from workers.engine.vocabulary import OrderType, Side, TimeInForce
from workers.live.paper_venue import errors, messages, signing
from workers.live.paper_venue.desk import LISTEN_KEY_MS
from workers.live.paper_venue.errors import VenueError
from workers.live.paper_venue.rest import NoAnswerError, Params, Route, Routes, Security
from workers.live.paper_venue.rest_market import listing_of
from workers.live.paper_venue.venue import Venue

_MS = 1_000_000
_FOR_EVER_MS = 1 << 62
_Row = TypeVar("_Row")
_E = TypeVar("_E", OrderType, TimeInForce, SelfTrade)
_CHOICE_ERRORS = {
    "type": (-1116, "orderType"),
    "timeInForce": (-1115, "timeInForce"),
    "selfTradePreventionMode": (-1013, "selfTradePreventionMode"),
}
_NOT_OFFERED = ("icebergQty", "trailingDelta", "quoteOrderQty")
_PRICES = frozenset({"price", "stopPrice"})
_STOPS = {"STOP_LOSS": OrderType.MARKET, "STOP_LOSS_LIMIT": OrderType.LIMIT}
"""Binance's names of stops, and what each becomes when its price is traded."""
_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")


async def account(venue: Venue, _params: Params) -> dict[str, Any]:
    """GET /api/v3/account."""
    maker, taker = venue.config.maker_fee, venue.config.taker_fee
    return {
        "makerCommission": int(maker * 10_000),
        "takerCommission": int(taker * 10_000),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": f"{maker:.8f}", "taker": f"{taker:.8f}", "buyer": "0.0", "seller": "0.0"},
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "updateTime": venue.now_ms,
        "accountType": "SPOT",
        "balances": messages.balance_rows(venue.engine.balances),
        "permissions": ["SPOT"],
        "uid": 1,
    }


async def place_order(venue: Venue, params: Params) -> dict[str, Any]:
    """POST /api/v3/order."""
    kind = params.get("newOrderRespType", "")
    new = _new_order(venue, params)
    wait = venue.order_count.add(1, venue.now_ms)
    if wait:
        raise errors.too_many_orders(wait)
    await asyncio.sleep(venue.latency.sample_ns() / 1e9)
    # As on Binance the window is checked again here: an order that was held up must not trade on what it knew.
    signing.check_time(params, venue.now_ms)
    if venue.faults.spend("reject_orders"):
        raise VenueError(*errors.INJECTED_REJECT)
    reports = venue.engine.submit(new, venue.clock())
    first = reports[0]
    if isinstance(first, Refused):
        raise errors.refused(first)
    await venue.desk.book(reports)
    await _misbehave(venue)
    order = venue.engine.find(new.client_id)
    if order is None:
        raise VenueError(*errors.INJECTED_FAILURE, status=500)
    kind = kind or ("ACK" if order.order_type is OrderType.LIMIT_MAKER else "FULL")
    fills = [r for r in reports if isinstance(r, Filled)]
    return messages.order_answer(order, venue.desk.grids[order.symbol], fills, kind)


async def _misbehave(venue: Venue) -> None:
    """Faults between an order that was taken and its answer."""
    if venue.faults.order_ack_delay_ms:
        await asyncio.sleep(venue.faults.order_ack_delay_ms / 1000)
    if venue.faults.spend("lose_ack"):
        raise NoAnswerError
    if venue.faults.spend("order_500_after_accept"):
        raise VenueError(*errors.INJECTED_FAILURE, status=500)


async def test_order(venue: Venue, params: Params) -> dict[str, Any]:
    """POST /api/v3/order/test: the parameters are read, nothing is placed."""
    _new_order(venue, params)
    return {}


def _new_order(venue: Venue, params: Params) -> NewOrder:
    for name in _NOT_OFFERED:
        if params.get(name):
            raise VenueError(-1106, f"Parameter '{name}' sent when not required.")
    instrument = listing_of(venue, params).instrument
    order_type, trigger = _type_of(venue, instrument, params)
    price = 0
    tif = TimeInForce.GTC
    if order_type is not OrderType.MARKET:
        price = _on_grid(instrument, params, "price")
    if order_type is OrderType.LIMIT:
        tif = _choice(params, "timeInForce", TimeInForce)
    return NewOrder(
        client_id=_client_id(venue, params.get("newClientOrderId", "")),
        symbol=instrument.symbol,
        side=Side.BUY if params.need("side") == "BUY" else _sell(params),
        order_type=order_type,
        tif=tif,
        lots=_on_grid(instrument, params, "quantity"),
        price=price,
        self_trade=_choice(params, "selfTradePreventionMode", SelfTrade, SelfTrade.EXPIRE_MAKER),
        min_lots=_on_grid(instrument, params, "minQty") if params.get("minQty") else 0,
        trigger=trigger,
    )


def _type_of(venue: Venue, instrument: Instrument, params: Params) -> tuple[OrderType, int]:
    """What is asked for, and the trigger of a stop; a venue that shows no trades has none."""
    stop = None if venue.dark else _STOPS.get(params.need("type"))
    if stop is not None:
        return stop, _on_grid(instrument, params, "stopPrice")
    if params.get("stopPrice"):
        raise VenueError(-1106, "Parameter 'stopPrice' sent when not required.")
    return _choice(params, "type", OrderType), 0


def _sell(params: Params) -> Side:
    if params.need("side") != "SELL":
        raise VenueError(-1117, "Invalid side.")
    return Side.SELL


def _choice(params: Params, name: str, kind: type[_E], default: _E | None = None) -> _E:
    """One of the words of ``kind``; Binance's error of the parameter for any other."""
    if default is not None and not params.get(name):
        return default
    try:
        return kind(params.need(name))
    except ValueError:
        code, called = _CHOICE_ERRORS[name]
        raise VenueError(code, f"Invalid {called}.") from None


def _on_grid(instrument: Instrument, params: Params, name: str) -> int:
    """A price in ticks or a quantity in lots; -1013 off the grid, -1100 when it is no number."""
    text = params.need(name)
    if not re.fullmatch(r"\d{1,20}(\.\d{1,20})?", text):
        raise errors.illegal(name, text)
    try:
        return instrument.ticks(text) if name in _PRICES else instrument.lots(text)
    except GridError:
        filter_name = "PRICE_FILTER" if name in _PRICES else "LOT_SIZE"
        raise VenueError(-1013, f"Filter failure: {filter_name}") from None


def _client_id(venue: Venue, asked: str) -> str:
    if not asked:
        return f"venue-{venue.clock():x}"
    if not _CLIENT_ID.fullmatch(asked):
        raise errors.illegal("newClientOrderId", asked)
    return asked


def _find(venue: Venue, params: Params, error: tuple[int, str]) -> VenueOrder:
    """The order by ``orderId`` or ``origClientOrderId`` on ``symbol``."""
    listing = listing_of(venue, params)
    order_id, client_id = params.integer("orderId"), params.get("origClientOrderId")
    if order_id is None and not client_id:
        raise VenueError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
    order = venue.engine.orders.get(order_id) if order_id is not None else venue.engine.find(client_id or "")
    if order is None or order.symbol != listing.instrument.symbol:
        raise VenueError(*error)
    return order


async def query_order(venue: Venue, params: Params) -> dict[str, Any]:
    """GET /api/v3/order."""
    order = _find(venue, params, errors.NO_SUCH_ORDER)
    return messages.order_row(order, venue.desk.grids[order.symbol])


async def cancel_order(venue: Venue, params: Params) -> dict[str, Any]:
    """DELETE /api/v3/order."""
    await asyncio.sleep(venue.latency.sample_ns() / 1e9)
    return await _cancel(venue, _find(venue, params, errors.CANCEL_UNKNOWN), params.get("newClientOrderId", ""))


async def _cancel(venue: Venue, order: VenueOrder, asked: str) -> dict[str, Any]:
    cancel_id = _client_id(venue, asked)
    reports = venue.engine.cancel(order.order_id, venue.clock())
    first = reports[0]
    if isinstance(first, Refused):
        raise errors.refused(first)
    await venue.desk.book(reports, cancel_id)
    return messages.cancel_answer(order, venue.desk.grids[order.symbol], cancel_id)


async def cancel_open(venue: Venue, params: Params) -> list[dict[str, Any]]:
    """DELETE /api/v3/openOrders of one symbol; -2011 when there are none."""
    symbol = listing_of(venue, params).instrument.symbol
    orders = venue.engine.open_orders(symbol)
    if not orders:
        raise VenueError(*errors.CANCEL_UNKNOWN)
    return [await _cancel(venue, order, "") for order in orders if order.status.is_open]


async def replace_order(venue: Venue, params: Params) -> dict[str, Any]:
    """POST /api/v3/order/cancelReplace with STOP_ON_FAILURE: the new order joins the back of its queue."""
    if params.get("cancelReplaceMode", "STOP_ON_FAILURE") != "STOP_ON_FAILURE":
        raise VenueError(-1136, "Invalid cancelReplaceMode.")
    new = _new_order(venue, params)
    target = Params(symbol=params.need("symbol"), orderId=params.get("cancelOrderId", ""))
    target["origClientOrderId"] = params.get("cancelOrigClientOrderId", "")
    order = _find(venue, target, errors.CANCEL_UNKNOWN)
    await asyncio.sleep(venue.latency.sample_ns() / 1e9)
    cancel_id = _client_id(venue, params.get("cancelNewClientOrderId", ""))
    reports = venue.engine.replace(order.order_id, new, venue.clock())
    if isinstance(reports[0], Refused):
        raise VenueError(-2022, f"Order cancel-replace failed: {errors.refused(reports[0]).msg}")
    await venue.desk.book(reports, cancel_id)
    grid = venue.desk.grids[new.symbol]
    placed = venue.engine.find(new.client_id)
    if placed is None or isinstance(reports[1], Refused):
        raise _replace_refused(venue, new, reports[1])
    fills = [r for r in reports if isinstance(r, Filled)]
    return {
        "cancelResult": "SUCCESS",
        "newOrderResult": "SUCCESS",
        "cancelResponse": messages.cancel_answer(order, grid, cancel_id),
        "newOrderResponse": messages.order_answer(placed, grid, fills, "FULL"),
    }


def _replace_refused(venue: Venue, new: NewOrder, report: Reports) -> VenueError:
    """The old order is gone and the new one was refused: -2021, and a report on the account's streams."""
    if not isinstance(report, Refused):
        return VenueError(*errors.INJECTED_FAILURE, status=500)
    venue.desk.publish_refusal(new, report)
    return VenueError(-2021, f"Order cancel-replace partially failed: {errors.refused(report).msg}", status=409)


async def open_orders(venue: Venue, params: Params) -> list[dict[str, Any]]:
    """GET /api/v3/openOrders."""
    symbol = listing_of(venue, params).instrument.symbol if params.get("symbol") else None
    return [messages.order_row(o, venue.desk.grids[o.symbol]) for o in venue.engine.open_orders(symbol)]


async def all_orders(venue: Venue, params: Params) -> list[dict[str, Any]]:
    """GET /api/v3/allOrders: from ``orderId`` on, or the newest ones."""
    symbol = listing_of(venue, params).instrument.symbol
    span, first = _Span.of(params, "orderId"), params.integer("orderId", 0) or 0
    found = span.cut(
        o for o in venue.engine.orders.values() if o.symbol == symbol and o.order_id >= first and span.holds(o.created)
    )
    return [messages.order_row(o, venue.desk.grids[symbol]) for o in found]


async def my_trades(venue: Venue, params: Params) -> list[dict[str, Any]]:
    """GET /api/v3/myTrades: from ``fromId`` on, or the newest ones."""
    symbol = listing_of(venue, params).instrument.symbol
    span, first, order_id = _Span.of(params, "fromId"), params.integer("fromId", 0) or 0, params.integer("orderId")
    found = span.cut(
        t
        for t in venue.desk.trades
        if t.symbol == symbol
        and t.trade_id >= first
        and (order_id is None or t.order_id == order_id)
        and span.holds(t.ts)
    )
    return [messages.trade_row(t, venue.desk.grids[symbol]) for t in found]


class _Span(msgspec.Struct, frozen=True):
    """Which part of a history is asked for: the oldest rows when it says where to begin, else the newest."""

    start: int
    end: int
    limit: int
    oldest: bool

    @classmethod
    def of(cls, params: Params, first: str) -> _Span:
        start, end = params.integer("startTime"), params.integer("endTime")
        oldest = start is not None or bool(params.get(first))
        return cls(start or 0, end if end is not None else _FOR_EVER_MS, params.limit(500, 1000), oldest)

    def holds(self, ns: int) -> bool:
        return self.start <= ns // _MS <= self.end

    def cut(self, rows: Iterable[_Row]) -> list[_Row]:
        return list(islice(rows, self.limit)) if self.oldest else list(deque(rows, maxlen=self.limit))


async def open_stream(venue: Venue, _params: Params) -> dict[str, Any]:
    """POST /api/v3/userDataStream."""
    return {"listenKey": venue.new_listen_key()}


async def keep_stream(venue: Venue, params: Params) -> dict[str, Any]:
    """PUT /api/v3/userDataStream: valid for another hour."""
    key = params.need("listenKey")
    if key not in venue.desk.listen_keys:
        raise VenueError(*errors.NO_LISTEN_KEY)
    venue.desk.listen_keys[key] = venue.now_ms + LISTEN_KEY_MS
    return {}


async def close_stream(venue: Venue, params: Params) -> dict[str, Any]:
    """DELETE /api/v3/userDataStream."""
    if venue.desk.listen_keys.pop(params.need("listenKey"), None) is None:
        raise VenueError(*errors.NO_LISTEN_KEY)
    return {}


_SIGNED = Security.SIGNED
ROUTES: Routes = {
    ("GET", "/api/v3/account"): Route(account, 20, _SIGNED),
    ("POST", "/api/v3/order"): Route(place_order, 1, _SIGNED),
    ("POST", "/api/v3/order/test"): Route(test_order, 1, _SIGNED),
    ("GET", "/api/v3/order"): Route(query_order, 4, _SIGNED),
    ("DELETE", "/api/v3/order"): Route(cancel_order, 1, _SIGNED),
    ("POST", "/api/v3/order/cancelReplace"): Route(replace_order, 1, _SIGNED),
    ("GET", "/api/v3/openOrders"): Route(open_orders, lambda p: 6 if p.get("symbol") else 80, _SIGNED),
    ("DELETE", "/api/v3/openOrders"): Route(cancel_open, 1, _SIGNED),
    ("GET", "/api/v3/allOrders"): Route(all_orders, 20, _SIGNED),
    ("GET", "/api/v3/myTrades"): Route(my_trades, 20, _SIGNED),
    ("POST", "/api/v3/userDataStream"): Route(open_stream, 2, Security.KEY),
    ("PUT", "/api/v3/userDataStream"): Route(keep_stream, 2, Security.KEY),
    ("DELETE", "/api/v3/userDataStream"): Route(close_stream, 2, Security.KEY),
}
