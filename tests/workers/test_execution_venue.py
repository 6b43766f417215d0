"""The order adapter against a server that answers as told: what each answer means for an order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from tests.support.kernels import BTC, ETH
from workers.adapters.ccxt_venue import CcxtVenue
from workers.adapters.venue import OrderNotFound, VenueBusy, VenueRejected, VenueUnknown, VenueUnreachable
from workers.engine.events import (
    JournalEvent,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderIntended,
    OrderNotSent,
    OrderRejected,
    OrderUnknown,
)
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce

SECOND_NS = 1_000_000_000
MS = 1_000_000
ACCEPTED: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "orderId": 77,
    "clientOrderId": "gk1-0123456789ab-1-1",
    "transactTime": 1_750_000_000_123,
    "status": "EXPIRED",
    "side": "BUY",
    "fills": [
        {"price": "60000.01", "qty": "0.00100", "commission": "0.00000100", "commissionAsset": "BTC", "tradeId": 9}
    ],
}


class Script:
    """Answers every request with ``status``, ``body`` and ``headers``, after ``delay_s``; keeps what came."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = ACCEPTED
        self.headers: dict[str, str] = {}
        self.delay_s = 0.0
        self.cut = False
        self.requests: list[dict[str, str]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        text = (await request.text()) or request.query_string
        self.requests.append({name: values[-1] for name, values in parse_qs(text).items()} | {"path": request.path})
        await asyncio.sleep(self.delay_s)
        if self.cut and request.transport is not None:
            request.transport.abort()
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body, headers=self.headers)
        return web.json_response(self.body, status=self.status, headers=self.headers)


@pytest.fixture
async def script() -> AsyncIterator[tuple[Script, CcxtVenue]]:
    scripted = Script()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", scripted.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    venue = CcxtVenue(
        api_key="key",
        secret="secret",
        url=f"http://127.0.0.1:{runner.addresses[0][1]}",
        name="paper",
        clock=time.time_ns,
        timeout_s=0.3,
    )
    await venue.open()
    venue.instruments = {"BTCUSDT": BTC, "ETHUSDT": ETH}
    yield scripted, venue
    await venue.close()
    await runner.cleanup()


def intent(**changes: Any) -> OrderIntended:
    fields: dict[str, Any] = {
        "ts": time.time_ns(),
        "client_id": "gk1-0123456789ab-1-1",
        "run_id": "run-1",
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "tif": TimeInForce.IOC,
        "lots": 123,
        "price": 6_000_001,
        "reduce_only": False,
        "reference": 6_000_000,
        "forecast_id": "",
        "model_digest": "",
        "limits_version": 1,
        "epoch": 1,
        "decision": {},
        "stages": {},
    }
    return OrderIntended(**{**fields, **changes})


async def submit(venue: CcxtVenue, order: OrderIntended | None = None, within_s: float = 2.0) -> list[JournalEvent]:
    left: list[str] = []
    order = order or intent()
    reports = await venue.submit(
        order, time.time_ns() + int(within_s * SECOND_NS), lambda client_id, _at: left.append(client_id)
    )
    assert left in ([], [order.client_id])
    return reports


async def test_an_accepted_order_is_told_with_its_fills_and_its_end(script: tuple[Script, CcxtVenue]) -> None:
    _, venue = script
    accepted, filled, ended = await submit(venue)
    assert isinstance(accepted, OrderAccepted)
    assert accepted.venue_order_id == "77"
    assert isinstance(filled, OrderFilled)
    assert (filled.trade_id, filled.lots, filled.price) == (9, 100, 6_000_001)
    assert (filled.fee, filled.fee_asset) == (100, "BTC")
    assert isinstance(ended, OrderEnded)
    assert ended.status is OrderStatus.EXPIRED


async def test_numbers_leave_as_exact_text_and_the_window_ends_at_the_deadline(
    script: tuple[Script, CcxtVenue],
) -> None:
    scripted, venue = script
    await submit(venue, intent(lots=1, price=1), within_s=1.5)
    sent = scripted.requests[-1]
    assert (sent["quantity"], sent["price"]) == ("0.00001", "0.01")
    assert sent["newClientOrderId"] == "gk1-0123456789ab-1-1"
    assert sent["timeInForce"] == "IOC"
    assert 1000 < int(sent["recvWindow"]) <= 1500
    assert abs(int(sent["timestamp"]) - time.time() * 1000) < 1000


async def test_a_clock_is_known_by_the_quickest_of_a_few_round_trips_and_what_is_unknown_shortens_the_window(
    script: tuple[Script, CcxtVenue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The venue is five seconds ahead, and the way there takes much longer than the way back."""
    scripted, venue = script
    now, trips = [time.time_ns()], [(700, 10), (1900, 10), (36, 2), (1, 1)]

    async def answer(_method: str, _params: dict[str, Any]) -> dict[str, int]:
        there, back = trips.pop(0)
        told = (now[0] + there * MS) // MS + 5000
        now[0] += (there + back) * MS
        return {"serverTime": told}

    with monkeypatch.context() as changed:
        changed.setattr(venue, "_ask", answer)
        changed.setattr(venue, "_clock", lambda: now[0])
        assert await venue.synchronise_clock() == 5017
        assert trips == [(1, 1)]
        trips[:] = [(900, 200)] * 5
        with pytest.raises(VenueUnknown, match="longer than 1000 ms"):
            await venue.synchronise_clock()
    deadline_ms = time.time_ns() // MS + 1500
    await submit(venue, within_s=1.5)
    sent = scripted.requests[-1]
    assert int(sent["timestamp"]) + int(sent["recvWindow"]) <= deadline_ms + 5000


async def test_bytes_are_reported_to_have_left(script: tuple[Script, CcxtVenue]) -> None:
    _, venue = script
    left: list[tuple[str, int]] = []
    begun = time.perf_counter_ns()
    await venue.submit(intent(), time.time_ns() + SECOND_NS, lambda client_id, at: left.append((client_id, at)))
    ((client_id, at),) = left
    assert client_id == "gk1-0123456789ab-1-1"
    assert begun < at < time.perf_counter_ns()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"code": -1013, "msg": "Filter failure: LOT_SIZE"}, OrderRejected),
        (400, {"code": -2010, "msg": "Account has insufficient balance for requested action."}, OrderRejected),
        (400, {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}, OrderRejected),
        (401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, OrderRejected),
        (403, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, OrderRejected),
        (403, "forbidden by a firewall", OrderUnknown),
        (400, "<html>bad request</html>", OrderUnknown),
        (400, {"code": "E1", "msg": "of a proxy"}, OrderUnknown),
        (408, "<html>request timeout</html>", OrderUnknown),
        (425, "too early", OrderUnknown),
        (499, "", OrderUnknown),
        (400, {"code": -2010, "msg": "Duplicate order sent."}, OrderUnknown),
        (400, {"code": -1007, "msg": "Timeout waiting for response from backend server."}, OrderUnknown),
        (400, {"code": -1006, "msg": "Execution status unknown."}, OrderUnknown),
        (500, {"code": -1000, "msg": "An unknown error occurred."}, OrderUnknown),
        (502, "<html>bad gateway</html>", OrderUnknown),
        (503, {"code": -1001, "msg": "Internal error"}, OrderUnknown),
        (504, "", OrderUnknown),
        (200, "not json at all", OrderUnknown),
        (200, {"orderId": 1}, OrderUnknown),
        (429, {"code": -1003, "msg": "Too many requests"}, OrderRejected),
        (418, {"code": -1003, "msg": "Way too many requests"}, OrderRejected),
    ],
)
async def test_what_an_answer_means(
    script: tuple[Script, CcxtVenue], status: int, body: Any, expected: type[JournalEvent]
) -> None:
    scripted, venue = script
    scripted.status, scripted.body = status, body
    (report,) = await submit(venue)
    assert type(report) is expected


async def test_no_answer_and_a_cut_connection_are_unknown(script: tuple[Script, CcxtVenue]) -> None:
    scripted, venue = script
    scripted.delay_s = 0.6
    (late,) = await submit(venue)
    assert isinstance(late, OrderUnknown)
    scripted.delay_s, scripted.cut = 0.0, True
    (cut,) = await submit(venue)
    assert isinstance(cut, OrderUnknown)


async def test_a_busy_venue_is_left_alone_for_as_long_as_it_asks(script: tuple[Script, CcxtVenue]) -> None:
    scripted, venue = script
    scripted.status, scripted.body = 429, {"code": -1003, "msg": "Too many requests"}
    scripted.headers = {"Retry-After": "1"}
    (busy,) = await submit(venue)
    assert isinstance(busy, OrderRejected)
    assert busy.code == "VENUE_BUSY"
    scripted.status, scripted.body = 200, ACCEPTED
    asked = len(scripted.requests)
    (kept_back,) = await submit(venue)
    assert isinstance(kept_back, OrderNotSent)
    assert len(scripted.requests) == asked
    await asyncio.sleep(1.1)
    assert isinstance((await submit(venue))[0], OrderAccepted)


async def test_nothing_leaves_after_its_deadline_or_without_a_connection(script: tuple[Script, CcxtVenue]) -> None:
    scripted, venue = script
    (late,) = await submit(venue, within_s=-0.1)
    assert isinstance(late, OrderNotSent)
    assert scripted.requests == []
    nobody = CcxtVenue(
        api_key="key", secret="secret", url="http://127.0.0.1:1", name="paper", clock=time.time_ns, timeout_s=0.5
    )
    await nobody.open()
    nobody.instruments = venue.instruments
    (refused,) = await submit(nobody)
    assert isinstance(refused, OrderNotSent)
    with pytest.raises(VenueUnreachable):
        await nobody.query("BTCUSDT", "x")
    await nobody.close()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"code": -2013, "msg": "Order does not exist."}, OrderNotFound),
        (400, {"code": -2011, "msg": "Unknown order sent."}, OrderNotFound),
        (400, {"code": -1022, "msg": "Signature for this request is not valid."}, VenueRejected),
        (429, {"code": -1003, "msg": "Too many requests"}, VenueBusy),
        (500, {"code": -1000, "msg": "Unknown"}, VenueUnknown),
    ],
)
async def test_what_an_answer_to_a_question_means(
    script: tuple[Script, CcxtVenue], status: int, body: Any, expected: type[Exception]
) -> None:
    scripted, venue = script
    scripted.status, scripted.body = status, body
    with pytest.raises(expected):
        await venue.query("BTCUSDT", "gk1-0123456789ab-1-1")
    with pytest.raises(expected):
        await venue.cancel("BTCUSDT", "gk1-0123456789ab-1-1")


async def test_trades_are_read_to_the_last_page(script: tuple[Script, CcxtVenue]) -> None:
    scripted, venue = script

    def row(number: int) -> dict[str, Any]:
        return {
            "symbol": "BTCUSDT",
            "id": number,
            "orderId": 5,
            "price": "60000.00",
            "qty": "0.00001",
            "commission": "0.00000001",
            "commissionAsset": "BTC",
            "time": 1_750_000_000_000,
            "isBuyer": True,
            "isMaker": False,
        }

    pages = [[row(number) for number in range(1, 1001)], [row(1001)]]

    venue_trades = venue._api.privateGetMyTrades

    async def paged(params: dict[str, Any]) -> Any:
        assert params["fromId"] in (1, 1001)
        scripted.body = pages[0 if params["fromId"] == 1 else 1]
        return await venue_trades(params)

    venue._api.privateGetMyTrades = paged
    found = await venue.trades("BTCUSDT", 0)
    assert [trade.trade_id for trade in found] == list(range(1, 1002))


async def test_nothing_signed_goes_to_what_does_not_say_that_it_is_a_paper_venue(
    script: tuple[Script, CcxtVenue],
) -> None:
    scripted, venue = script
    scripted.body = {"symbols": [], "rateLimits": []}
    with pytest.raises(VenueRejected, match="does not say that it is a paper venue"):
        await venue.load_instruments(())
    assert [request["path"].rsplit("/", 1)[-1] for request in scripted.requests] == ["exchangeInfo"]
    assert not any("signature" in request for request in scripted.requests)
