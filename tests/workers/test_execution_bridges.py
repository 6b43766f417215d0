"""The loop's bridges to Valkey, against a real one: display bus with heartbeat, forecasts asked for and heard."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import redis
from celery import Celery

from workers.adapters.forecast_client import ForecastClient, Reply
from workers.adapters.live_bus import LiveBus
from workers.engine.events import Forecast


@pytest.fixture
def valkey(valkey_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(valkey_url) as client:
        client.delete("gekko:live", "gekko:last:pnl", "gekko:heartbeat", "gekko:forecast:test", "gpu")
        yield client


def soon(condition: Callable[[], Any], seconds: float = 8.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)
    return found


def test_the_newest_value_goes_out_once_and_stays_to_be_read(valkey: redis.Redis, valkey_url: str) -> None:
    bus = LiveBus(valkey_url, "test", lambda: {"phase": "trading"})
    for value in range(5):
        bus.put("pnl", "paper", {"equity": str(value)})
    bus.start()
    soon(lambda: valkey.xlen("gekko:live"))
    entries: Any = valkey.xrange("gekko:live")
    (message,) = [json.loads(fields[b"data"]) for _, fields in entries]
    assert (message["topic"], message["key"], message["kind"]) == ("pnl", "paper", "delta")
    assert message["data"] == {"equity": "4"}
    last: Any = valkey.hget("gekko:last:pnl", "paper")
    assert json.loads(last) == message
    beat: Any = soon(lambda: valkey.hget("gekko:heartbeat", "test"))
    assert json.loads(beat)["detail"] == {"phase": "trading"}
    assert abs(json.loads(beat)["ts"] - time.time()) < 10
    bus.put("pnl", "paper", {"equity": "5"})
    soon(lambda: valkey.xlen("gekko:live") == 2)
    again: Any = valkey.xrange("gekko:live")
    assert json.loads(again[1][1][b"data"])["seq"] > message["seq"]
    bus.close()
    assert valkey.hget("gekko:heartbeat", "test") is None


def test_a_loop_that_stands_still_shows_no_heartbeat(valkey: redis.Redis, valkey_url: str) -> None:
    bus = LiveBus(valkey_url, "test", lambda: None)
    bus.start()
    time.sleep(0.8)
    assert valkey.hget("gekko:heartbeat", "test") is None
    bus.close()


def test_a_bus_without_valkey_costs_its_caller_nothing() -> None:
    bus = LiveBus("redis://127.0.0.1:1/0", "test", dict)
    bus.start()
    begun = time.monotonic()
    for number in range(1000):
        bus.put("pnl", str(number % 10), number)
    assert time.monotonic() - begun < 1.0
    bus.close()


def test_a_batch_is_asked_for_by_name_and_its_answer_heard(valkey: redis.Redis, valkey_url: str) -> None:
    heard: list[Reply] = []
    arrived = threading.Event()

    def on_reply(reply: Reply) -> None:
        heard.append(reply)
        arrived.set()

    app = Celery("test", broker=valkey_url, set_as_current=False)
    valkey.xadd("gekko:forecast:test", {"data": b'{"request_id":"of an earlier process"}'})
    client = ForecastClient(app=app, url=valkey_url, worker="test", on_reply=on_reply)
    client.start()
    request_id = client.ask(
        as_of=60_000_000_000, interval_ns=10**9, model_digest="d" * 64, closes={"BTCUSDT": [1.0, 2.0]}
    )
    raw: Any = soon(lambda: valkey.lpop("gpu"))
    message = json.loads(raw)
    assert message["headers"]["task"] == "gekko.forecast.predict"
    assert message["headers"]["expires"]
    forecast = Forecast(
        forecast_id="f",
        symbol="BTCUSDT",
        model_digest="d" * 64,
        as_of=60_000_000_000,
        made_at=1,
        interval_ns=10**9,
        levels=(0.5,),
        quantiles=((0.001,),),
        confidence=0.6,
    )
    time.sleep(0.3)
    valkey.xadd("gekko:forecast:test", {"data": b"not json"})
    reply = {"request_id": request_id, "forecasts": [msgspec.to_builtins(forecast)], "queue_ns": 1, "compute_ns": 2}
    valkey.xadd("gekko:forecast:test", {"data": msgspec.json.encode(reply)})
    assert arrived.wait(8)
    assert heard[0].forecasts == (forecast,)
    assert heard[0].request_id == request_id
    assert len(heard) == 1
    client.close()
    app.close()
