"""The paper venue's REST endpoints: security, limits, errors, orders, faults."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from tests.support.paper_venue import KEY, running


async def test_public_endpoints_describe_the_market(tmp_path) -> None:
    async with running(tmp_path) as venue:
        status, info = await venue.call("GET", "exchangeInfo", signed=False)
        assert status == 200
        assert info["gekko"]["market"] == "synthetic"
        assert info["gekko"]["label"].startswith("SYNTHETIC")
        assert info["gekko"]["session"]["closesAt"] > info["serverTime"]
        assert [s["symbol"] for s in info["symbols"]] == ["BTCUSDT", "ETHUSDT"]
        _, book = await venue.call("GET", "depth", signed=False, symbol="BTCUSDT", limit=5)
        assert len(book["bids"]) == len(book["asks"]) == 5
        assert Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])
        _, bars = await venue.call("GET", "klines", signed=False, symbol="BTCUSDT", interval="1s")
        assert len(bars) >= 5
        assert [b[0] - a[0] for a, b in pairwise(bars)] == [1000] * (len(bars) - 1)
        _, trades = await venue.call("GET", "trades", signed=False, symbol="BTCUSDT", limit=10)
        assert len(trades) == 10
        assert trades[-1]["time"] <= time.time() * 1000
        _, best = await venue.call("GET", "ticker/bookTicker", signed=False, symbol="ETHUSDT")
        assert Decimal(best["bidPrice"]) < Decimal(best["askPrice"])


@pytest.mark.parametrize(
    ("headers", "params", "status", "code"),
    [
        ({}, {}, 401, -2014),
        ({"X-MBX-APIKEY": "another"}, {}, 401, -2015),
        ({"X-MBX-APIKEY": KEY}, {"signature": ""}, 400, -1102),
        ({"X-MBX-APIKEY": KEY}, {"timestamp": ""}, 400, -1102),
        ({"X-MBX-APIKEY": KEY}, {"timestamp": "1000"}, 400, -1021),
        ({"X-MBX-APIKEY": KEY}, {"ahead": 5000}, 400, -1021),
        ({"X-MBX-APIKEY": KEY}, {}, 400, -1022),
        ({"X-MBX-APIKEY": KEY}, {"recvWindow": "60001"}, 400, -1131),
    ],
)
async def test_a_request_that_is_not_signed_as_binance_wants_is_refused(
    tmp_path, headers, params, status, code
) -> None:
    async with running(tmp_path) as venue:
        now = int(time.time() * 1000) + params.get("ahead", 0)
        sent = {"timestamp": str(now), "signature": "0" * 64} | {k: v for k, v in params.items() if k != "ahead"}
        async with venue.http.get(f"{venue.url}/api/v3/account", params=sent, headers=headers) as response:
            assert response.status == status
            assert (await response.json())["code"] == code


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        ({"symbol": "NOPE"}, -1121, "Invalid symbol"),
        ({"price": "30000.001"}, -1013, "PRICE_FILTER"),
        ({"quantity": "0.000001"}, -1013, "LOT_SIZE"),
        ({"quantity": "0.00001"}, -1013, "NOTIONAL"),
        ({"quantity": "nan"}, -1100, "quantity"),
        ({"quantity": "-1"}, -1100, "quantity"),
        ({"price": ""}, -1102, "price"),
        ({"side": "HOLD"}, -1117, "side"),
        ({"type": "ICEBERG"}, -1116, "orderType"),
        ({"timeInForce": "GTX"}, -1115, "timeInForce"),
        ({"selfTradePreventionMode": "NONE"}, -1013, "selfTradePreventionMode"),
        ({"icebergQty": "0.001"}, -1106, "icebergQty"),
        ({"quantity": "10"}, -2010, "insufficient balance"),
        ({"newClientOrderId": "has space"}, -1100, "newClientOrderId"),
    ],
)
async def test_bad_orders_get_binances_error(tmp_path, params, code, words) -> None:
    async with running(tmp_path) as venue:
        status, answer = await venue.order(**params)
        assert (status, answer["code"]) == (400, code)
        assert words in answer["msg"]
        assert (await venue.truth())["orders"] == []


async def test_an_order_lives_and_dies_by_its_client_id(tmp_path) -> None:
    async with running(tmp_path) as venue:
        status, placed = await venue.order(newClientOrderId="mine-1")
        assert (status, placed["status"], placed["clientOrderId"]) == (200, "NEW", "mine-1")
        _, again = await venue.order(newClientOrderId="mine-1")
        assert (again["code"], again["msg"]) == (-2010, "Duplicate order sent.")
        _, found = await venue.call("GET", "order", symbol="BTCUSDT", origClientOrderId="mine-1")
        assert (found["orderId"], found["status"]) == (placed["orderId"], "NEW")
        _, rows = await venue.call("GET", "openOrders")
        assert [r["clientOrderId"] for r in rows] == ["mine-1"]
        _, account = await venue.call("GET", "account")
        assert {b["asset"]: b["locked"] for b in account["balances"]}["USDT"] == "300.00000000"
        _, cancelled = await venue.call("DELETE", "order", symbol="BTCUSDT", origClientOrderId="mine-1")
        assert (cancelled["status"], cancelled["origClientOrderId"]) == ("CANCELED", "mine-1")
        _, unknown = await venue.call("DELETE", "order", symbol="BTCUSDT", origClientOrderId="mine-1")
        assert unknown["code"] == -2011
        _, missing = await venue.call("GET", "order", symbol="BTCUSDT", origClientOrderId="never")
        assert missing["code"] == -2013
        _, again = await venue.order(newClientOrderId="mine-1")
        assert again["code"] == -2010


async def test_a_market_order_is_filled_booked_and_listed(tmp_path) -> None:
    async with running(tmp_path) as venue:
        _, placed = await venue.order(type="MARKET", newClientOrderId="m")
        assert placed["status"] == "FILLED"
        spent = sum(Decimal(f["price"]) * Decimal(f["qty"]) for f in placed["fills"])
        assert Decimal(placed["cummulativeQuoteQty"]) == spent
        fee = sum(Decimal(f["commission"]) for f in placed["fills"])
        assert fee == Decimal("0.00001")
        _, account = await venue.call("GET", "account")
        free = {b["asset"]: Decimal(b["free"]) for b in account["balances"]}
        assert free["BTC"] == Decimal("0.01") - fee
        assert free["USDT"] == Decimal(100_000) - spent
        _, trades = await venue.call("GET", "myTrades", symbol="BTCUSDT")
        assert [t["id"] for t in trades] == [f["tradeId"] for f in placed["fills"]]
        _, later = await venue.call("GET", "myTrades", symbol="BTCUSDT", fromId=trades[-1]["id"] + 1)
        assert later == []


async def test_post_only_is_refused_when_it_crosses_and_replace_moves_an_order(tmp_path) -> None:
    async with running(tmp_path) as venue:
        _, crossed = await venue.order(type="LIMIT_MAKER", price="90000")
        assert (crossed["code"], crossed["msg"]) == (-2010, "Order would immediately match and take.")
        await venue.order(newClientOrderId="old")
        moved: dict[str, Any] = {
            "cancelReplaceMode": "STOP_ON_FAILURE",
            "cancelOrigClientOrderId": "old",
            "newClientOrderId": "new",
        }
        order: dict[str, Any] = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.01",
        }
        status, answer = await venue.call("POST", "order/cancelReplace", **order, price="31000", **moved)
        assert (status, answer["cancelResult"], answer["newOrderResult"]) == (200, "SUCCESS", "SUCCESS")
        _, rows = await venue.call("GET", "openOrders", symbol="BTCUSDT")
        assert [(r["clientOrderId"], r["price"]) for r in rows] == [("new", "31000.00000000")]
        again: dict[str, Any] = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": "old"}
        status, failed = await venue.call("POST", "order/cancelReplace", **order, price="31000", **again)
        assert (status, failed["code"]) == (400, -2022)
        costly = order | {"quantity": "99", "price": "31000", "cancelOrigClientOrderId": "new"}
        status, half = await venue.call("POST", "order/cancelReplace", **(again | costly))
        assert (status, half["code"]) == (409, -2021)
        assert (await venue.call("GET", "openOrders", symbol="BTCUSDT"))[1] == []


async def test_weights_are_counted_and_too_many_are_refused_with_the_time_to_wait(tmp_path) -> None:
    async with running(tmp_path, weight_limit=100) as venue:
        used = []
        for _ in range(6):
            async with venue.http.get(f"{venue.url}/api/v3/exchangeInfo") as response:
                used.append((response.status, response.headers["X-MBX-USED-WEIGHT-1M"]))
                last = response
                body = await response.json()
        if len({u[1] for u in used}) < 6:
            pytest.skip("the minute turned during the test")
        assert [u[1] for u in used] == ["20", "40", "60", "80", "100", "120"]
        assert last.status == 429
        assert body["code"] == -1003
        assert 1 <= int(last.headers["Retry-After"]) <= 60


async def test_too_many_orders_are_refused(tmp_path) -> None:
    async with running(tmp_path, order_limit=2) as venue:
        answers = [await venue.order() for _ in range(6)]
        assert any(status == 429 and body["code"] == -1015 for status, body in answers)


async def test_the_fault_port_is_closed_without_its_token(tmp_path) -> None:
    async with running(tmp_path, fault_token="") as venue:
        for headers in ({}, {"X-Fault-Token": ""}, {"X-Fault-Token": "guess"}):
            async with venue.http.post(f"{venue.url}/_fault", json={"reject_orders": 1}, headers=headers) as answer:
                assert answer.status == 403
            async with venue.http.get(f"{venue.url}/_truth", headers=headers) as answer:
                assert answer.status == 403


async def test_faults_strike_as_often_as_asked_and_the_books_tell_what_really_happened(tmp_path) -> None:
    async with running(tmp_path) as venue:
        await venue.fault(order_500_after_accept=1)
        status, answer = await venue.order(newClientOrderId="accepted-in-silence")
        assert (status, answer["code"]) == (500, -1000)
        await venue.fault(reject_orders=1)
        assert (await venue.order(newClientOrderId="refused"))[1]["code"] == -2010
        await venue.fault(lose_ack=1)
        with pytest.raises((TimeoutError, aiohttp.ClientError)):
            await asyncio.wait_for(venue.order(newClientOrderId="lost"), 0.3)
        await venue.fault(order_ack_delay_ms=150)
        started = time.monotonic()
        assert (await venue.order(newClientOrderId="slow"))[0] == 200
        assert time.monotonic() - started >= 0.15
        truth = await venue.truth()
        assert [o["clientOrderId"] for o in truth["orders"]] == ["accepted-in-silence", "lost", "slow"]
        assert (await venue.fault(no_such_fault=1))["code"] == -1100


async def test_metrics_and_health_are_served(tmp_path) -> None:
    async with running(tmp_path) as venue:
        await venue.order()
        async with venue.http.get(f"{venue.url}/metrics") as response:
            text = await response.text()
        assert 'gekko_venue_order_events_total{step="accepted",venue="paper"} 1.0' in text
        assert 'gekko_venue_requests_total{endpoint="POST /api/v3/order",status="200",venue="paper"} 1.0' in text
        assert 'gekko_venue_open{venue="paper"} 1.0' in text


async def test_an_order_that_was_held_up_beyond_its_window_is_refused(tmp_path) -> None:
    async with running(tmp_path, latency_ms=200.0) as venue:
        status, answer = await venue.order(recvWindow=50)
        assert (status, answer["code"]) == (400, -1021)
        assert (await venue.truth())["orders"] == []
