"""The paper venue's websockets: order, ids, times, sessions, user data."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import aiohttp
import redis.asyncio

from tests.support.paper_venue import Running, running


async def collect(socket: aiohttp.ClientWebSocketResponse, enough: Callable[[list[Any]], bool]) -> list[Any]:
    """Messages until there are enough of them."""
    got: list[Any] = []
    async with asyncio.timeout(10):
        while not enough(got):
            got.append(json.loads(await socket.receive_str()))
    return got


async def test_combined_streams_follow_each_other_without_a_gap_and_at_the_present_time(tmp_path) -> None:
    async with running(tmp_path) as venue:
        async with venue.socket("/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker/btcusdt@trade") as socket:
            got = await collect(socket, lambda m: sum("depth" in x["stream"] for x in m) >= 4)
        by_kind: dict[str, list[Any]] = {}
        for message in got:
            by_kind.setdefault(message["stream"].partition("@")[2], []).append(message["data"])
        depth = by_kind["depth@100ms"]
        assert all(b["U"] == a["u"] + 1 for a, b in pairwise(depth))
        now = time.time() * 1000
        assert all(0 <= now - x["E"] < 5000 for x in depth + by_kind["trade"])
        assert all(x["T"] <= x["E"] for x in by_kind["trade"])
        assert [x["t"] for x in by_kind["trade"]] == sorted({x["t"] for x in by_kind["trade"]})


async def test_a_book_kept_by_the_rules_equals_the_venues_and_its_best_prices(tmp_path) -> None:
    async with running(tmp_path) as venue, venue.socket("/stream?streams=ethusdt@depth/ethusdt@bookTicker") as socket:
        early = await collect(socket, lambda m: len(m) > 2)
        _, whole = await venue.call("GET", "depth", signed=False, symbol="ETHUSDT", limit=1000)
        book = {"b": dict(whole["bids"]), "a": dict(whole["asks"])}
        last, compared, tops = whole["lastUpdateId"], 0, {}
        for message in early + await collect(socket, lambda m: len(m) > 120):
            data = message["data"]
            if "e" not in data:
                tops[data["u"]] = data
                continue
            if data["u"] <= last:
                continue
            assert data["U"] <= last + 1
            last = data["u"]
            for side in ("b", "a"):
                for price, qty in data[side]:
                    book[side][price] = qty
                    if not float(qty):
                        del book[side][price]
            best = max(map(float, book["b"])), min(map(float, book["a"]))
            assert best[0] < best[1]
            compared += 1
        assert compared > 5


async def test_streams_can_be_changed_and_listed_and_bad_ones_are_refused(tmp_path) -> None:
    async with running(tmp_path) as venue, venue.socket("/ws") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1})
        assert await socket.receive_json() == {"result": None, "id": 1}
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 2})
        got = await collect(socket, lambda m: any(x.get("id") == 2 for x in m))
        assert got[-1]["result"] == ["btcusdt@trade"]
        await socket.send_json({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 3})
        await collect(socket, lambda m: any(x.get("id") == 3 for x in m))
        await socket.send_json({"method": "SUBSCRIBE", "params": ["nope@trade"], "id": 4})
        (refused,) = await collect(socket, lambda m: len(m) == 1)
        assert (refused["error"]["code"], refused["id"]) == (2, 4)
        await socket.send_str("not json")
        assert (await socket.receive_json())["error"]["code"] == 3
        await socket.ping()


async def test_candlesticks_close_once_each(tmp_path) -> None:
    async with running(tmp_path) as venue, venue.socket("/ws/btcusdt@kline_1s") as socket:
        got = await collect(socket, lambda m: sum(x["k"]["x"] for x in m) >= 2)
        closed = [x["k"]["t"] for x in got if x["k"]["x"]]
        assert closed[1] - closed[0] == 1000


async def listen(venue: Running) -> str:
    headers = {"X-MBX-APIKEY": "test-key"}
    async with venue.http.post(f"{venue.url}/api/v3/userDataStream", headers=headers) as response:
        return str((await response.json())["listenKey"])


async def test_the_user_stream_tells_every_step_and_the_balances(tmp_path) -> None:
    async with running(tmp_path) as venue:
        key = await listen(venue)
        async with venue.socket(f"/ws/{key}") as socket:
            await venue.order(newClientOrderId="rest")
            await venue.call("DELETE", "order", symbol="BTCUSDT", origClientOrderId="rest")
            await venue.order(type="MARKET", newClientOrderId="take")
            await venue.order(timeInForce="IOC", newClientOrderId="ioc")
            got = await collect(socket, lambda m: any(x.get("x") == "EXPIRED" for x in m))
        steps = [
            (x["c"] if x["x"] != "CANCELED" else x["C"], x["x"], x["X"]) for x in got if x["e"] == "executionReport"
        ]
        assert [s for s in steps if s[0] == "rest"] == [("rest", "NEW", "NEW"), ("rest", "CANCELED", "CANCELED")]
        assert [s for s in steps if s[0] == "take"][-1] == ("take", "TRADE", "FILLED")
        assert [s for s in steps if s[0] == "ioc"] == [("ioc", "NEW", "NEW"), ("ioc", "EXPIRED", "EXPIRED")]
        first = next(x for x in got if x["e"] == "outboundAccountPosition")
        assert first["B"] == [{"a": "USDT", "f": "99700.00000000", "l": "300.00000000"}]


async def test_duplicate_reports_and_broken_connections_happen_on_command(tmp_path) -> None:
    async with running(tmp_path) as venue:
        key = await listen(venue)
        async with venue.socket(f"/ws/{key}") as socket:
            await venue.fault(duplicate_reports=1)
            await venue.order(newClientOrderId="twice")
            got = await collect(socket, lambda m: any(x["e"] == "outboundAccountPosition" for x in m))
            assert [x["c"] for x in got if x["e"] == "executionReport"] == ["twice", "twice"]
            await venue.fault(reorder_reports=1)
            await venue.order(newClientOrderId="early")
            await venue.order(newClientOrderId="late")
            got = await collect(socket, lambda m: sum(x["e"] == "outboundAccountPosition" for x in m) == 2)
            assert [x["c"] for x in got if x["e"] == "executionReport"] == ["late", "early"]
            await venue.fault(drop_websockets=True)
            message = await asyncio.wait_for(socket.receive(), 5)
            assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}


async def test_a_price_that_is_far_off_for_a_moment(tmp_path) -> None:
    async with running(tmp_path) as venue, venue.socket("/ws/btcusdt@bookTicker") as socket:
        usual = float((await socket.receive_json())["b"])
        left = await venue.fault(spike_frames=8, spike_bps=1500)
        assert (left["spike_frames"], left["spike_bps"]) == (8, 1500)
        got = await collect(socket, lambda m: bool(m) and float(m[-1]["b"]) > usual * 1.1)
        assert float(got[-1]["a"]) > float(got[-1]["b"])
        await collect(socket, lambda m: bool(m) and float(m[-1]["b"]) < usual * 1.1)


async def test_a_new_pass_is_a_break_with_nothing_to_trade_and_then_another_session(tmp_path) -> None:
    async with running(tmp_path, session_s=3.0, preroll_s=1.0, break_s=0.5) as venue:
        streams = "btcusdt@sessionStatus/btcusdt@depth@100ms"
        key = await listen(venue)
        async with venue.socket(f"/stream?streams={streams}/{key}") as socket:
            await venue.order(newClientOrderId="rests-until-the-break")

            def broken(messages: list[Any]) -> bool:
                return any(x["data"].get("status") == "BREAK" for x in messages)

            before = await collect(socket, broken)
            opened = before[0]["data"]
            assert (opened["status"], opened["e"]) == ("OPEN", "sessionStatus")
            assert before[-1]["data"]["E"] >= opened["closesAt"] - 5
            expired = [x["data"] for x in before if x["data"].get("x") == "EXPIRED"]
            if not expired:
                expired = [x["data"] for x in await collect(socket, lambda m: m[-1:] != [] and m[-1]["data"].get("x"))]
            assert expired[-1]["c"] == "rests-until-the-break"
            assert (await venue.order(newClientOrderId="too-late"))[1]["msg"] == "Market is closed."
            after = await collect(socket, lambda m: any(x["data"].get("status") == "OPEN" for x in m))
            assert after[-1]["data"]["sessionId"] == opened["sessionId"] + 1
            depth = await collect(socket, lambda m: any(x["data"].get("e") == "depthUpdate" for x in m))
            earlier = [x["data"]["u"] for x in before if x["data"].get("e") == "depthUpdate"]
            assert depth[-1]["data"]["U"] > max(earlier)
        assert (await venue.order(newClientOrderId="next-session"))[0] == 200


async def test_a_held_feed_is_silent_and_then_tells_all_that_it_missed(tmp_path) -> None:
    async with running(tmp_path) as venue, venue.socket("/stream?streams=btcusdt@trade") as socket:
        before = await collect(socket, lambda m: len(m) > 5)
        await venue.fault(pause_feed_ms=700)
        trades = [x["data"] for x in before + await collect(socket, lambda m: len(m) > 40)]
        assert max(b["E"] - a["E"] for a, b in pairwise(trades)) >= 600
        ids = [x["t"] for x in trades]
        assert len({b - a for a, b in pairwise(ids)}) <= 2


async def test_the_heartbeat_says_what_is_played(tmp_path, valkey_url) -> None:
    async with running(tmp_path, redis_url=valkey_url), redis.asyncio.Redis.from_url(valkey_url) as client:
        for _ in range(100):
            await asyncio.sleep(0.05)
            value = await client.hget("gekko:heartbeat", "venue")
            if value is not None:
                break
    assert value is not None
    told = json.loads(value)
    assert (told["name"], told["detail"]["market"]) == ("venue", "synthetic")
    assert abs(time.time() - told["ts"]) < 5


async def test_a_refused_replacement_is_reported_after_the_cancel(tmp_path) -> None:
    async with running(tmp_path) as venue:
        key = await listen(venue)
        async with venue.socket(f"/ws/{key}") as socket:
            await venue.order(newClientOrderId="old")
            move = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": "old", "newClientOrderId": "new"}
            order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "31000"}
            await venue.call("POST", "order/cancelReplace", signed=True, **(order | move | {"quantity": "99"}))
            got = await collect(socket, lambda m: any(x.get("x") == "REJECTED" for x in m))
        steps = [(x["C"] if x["x"] == "CANCELED" else x["c"], x["x"]) for x in got if x["e"] == "executionReport"]
        assert steps == [("old", "NEW"), ("old", "CANCELED"), ("new", "REJECTED")]
