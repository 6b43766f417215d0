"""Several venues in one process: what is of one of them stays there, faults and books above all."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.paper_venue import QUICK, Running, running
from workers.engine.execution.matching_types import NewOrder, Refused
from workers.engine.vocabulary import OrderType, Side, TimeInForce
from workers.live.paper_venue.config import VenueConfig
from workers.live.paper_venue.profiles import parse
from workers.live.paper_venue.sources.synthetic import SyntheticSource
from workers.live.paper_venue.stage import Stage
from workers.live.paper_venue.venue import Venue
from workers.live.paper_venue.wire import Frame, TopFrame

ALL = ("", "beta", "dark")
BTC = "BTCUSDT"
MS = 1_000_000
IOC: dict[str, Any] = {"timeInForce": "IOC", "quantity": "0.002"}


class Script:
    """Plays the same market and the same orders, by a clock of its own, with faults at one venue or none."""

    def __init__(self, folder: Path) -> None:
        config = VenueConfig(state_dir=folder, **(QUICK | {"venues": parse("beta,dark:hidden_pct=100")}))
        source = SyntheticSource(config)
        self.now = 10**18
        self.stage = Stage(config, source, lambda: self.now)
        self.frames = source.session(1, 0).frames
        self.orders = itertools.count()
        self.touch = {Side.BUY: 0, Side.SELL: 0}
        """Best bid and offer of the market before any venue's faults, in ticks."""
        self.stage.begin(self.now // MS, self.now // MS + 10**6, 1)
        for moment, frame in islice(self.frames, 20):
            self.look(frame)
            self.stage.show(frame, moment, self.now // MS)
        self.stage.start_trading(self.now, self.now // MS + 10**6)

    def venue(self, name: str) -> Venue:
        return self.stage.others[name] if name else self.stage.home

    def play(self, count: int) -> None:
        for moment, frame in islice(self.frames, count):
            self.now += 5 * MS
            self.look(frame)
            self.stage.apply(frame, moment, self.now)

    def look(self, frame: Frame) -> None:
        if isinstance(frame, TopFrame) and frame.symbol == BTC:
            ticks = self.stage.home.desk.grids[BTC].ticks
            self.touch = {Side.BUY: ticks(frame.bid), Side.SELL: ticks(frame.ask)}

    def order(self, name: str, *, side: Side, lots: int, tif: TimeInForce, reach: int) -> None:
        """Place an order that reaches so many ticks through the touch."""
        venue = self.venue(name)
        best = self.touch[Side.SELL if side is Side.BUY else Side.BUY]
        new = NewOrder(
            client_id=f"{name}-{next(self.orders)}",
            symbol=BTC,
            side=side,
            order_type=OrderType.LIMIT,
            tif=TimeInForce.IOC if venue.dark else tif,
            lots=lots,
            price=(best + reach * side) * (2 if venue.dark else 1),
        )
        reports = venue.engine.submit(new, self.now)
        if not isinstance(reports[0], Refused):
            venue.desk.book(reports)

    async def close(self) -> dict[str, Any]:
        """The books of all, with what each had to say."""
        told = {name: self.venue(name).desk.truth() for name in ALL}
        await self.stage.close()
        return told


FAULTS = st.fixed_dictionaries(
    {},
    optional={
        "pause_feed_ms": st.sampled_from([40, 400]),
        "duplicate_reports": st.integers(1, 3),
        "reorder_reports": st.integers(1, 2),
        "outage_ms": st.just(300),
        "drop_websockets": st.just(True),
        "spike_bps": st.sampled_from([-300, 300]),
        "spike_frames": st.integers(1, 5),
    },
)
ACTS = st.lists(
    st.tuples(
        st.sampled_from(ALL),
        st.sampled_from([Side.BUY, Side.BUY, Side.SELL]),
        st.integers(1, 60_000),
        st.sampled_from([TimeInForce.GTC, TimeInForce.IOC]),
        st.sampled_from([400, 400, -2]),
        st.integers(1, 30),
    ),
    min_size=4,
    max_size=12,
)


async def run(folder: Path, acts: Any, at: str, faults: dict[str, Any]) -> dict[str, Any]:
    script = Script(folder)
    for number, (name, side, lots, tif, reach, frames) in enumerate(acts):
        if number == len(acts) // 3:
            for field, value in faults.items():
                setattr(script.venue(at).faults, field, value)
            script.venue(at).take_faults()
        script.order(name, side=side, lots=lots, tif=tif, reach=reach)
        script.play(frames)
    return await script.close()


def check_books(truth: dict[str, Any]) -> None:
    """The balances of a venue are what its own orders and trades say."""
    expected = {"USDT": Decimal(100_000), "BTC": Decimal(0), "ETH": Decimal(0)}
    filled: dict[int, Decimal] = {}
    for trade in truth["trades"]:
        sign = 1 if trade["isBuyer"] else -1
        expected["BTC"] += sign * Decimal(trade["qty"])
        expected["USDT"] -= sign * Decimal(trade["quoteQty"])
        expected[trade["commissionAsset"]] -= Decimal(trade["commission"])
        filled[trade["orderId"]] = filled.get(trade["orderId"], Decimal(0)) + Decimal(trade["qty"])
    assert all(Decimal(o["executedQty"]) == filled.get(o["orderId"], 0) for o in truth["orders"])
    assert {b["asset"]: Decimal(b["free"]) + Decimal(b["locked"]) for b in truth["balances"]} == expected


@settings(max_examples=20, deadline=None)
@given(acts=ACTS, at=st.sampled_from(ALL), faults=FAULTS)
def test_one_venues_faults_touch_no_other_and_every_venue_conserves_quantity(
    tmp_path_factory: pytest.TempPathFactory, acts: Any, at: str, faults: dict[str, Any]
) -> None:
    calm = asyncio.run(run(tmp_path_factory.mktemp("calm"), acts, at, {}))
    faulty = asyncio.run(run(tmp_path_factory.mktemp("faulty"), acts, at, faults))
    for name in ALL:
        check_books(faulty[name])
        assert name == at or faulty[name] == calm[name]


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(500):
        if await look():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("did not happen within 500 looks")


async def trade_once(dark: Running, **params: Any) -> Any:
    """Ask until something is hidden; answers the order that met it."""
    found: list[Any] = []

    async def look() -> bool:
        status, answer = await dark.order(**(IOC | {"price": "90000"} | params))
        assert status == 200, answer
        found.append(answer)
        return bool(answer["fills"])

    await until(look)
    return found[-1]


async def test_a_dark_venue_shows_nothing_and_takes_immediate_limit_orders_alone(tmp_path) -> None:
    async with running(tmp_path, venues=parse("dark:hidden_slot_s=0.05")) as home:
        dark = home.at("dark")
        info = (await dark.call("GET", "exchangeInfo", signed=False))[1]
        assert (info["gekko"]["dark"], info["symbols"][0]["orderTypes"]) == (True, ["LIMIT"])
        assert info["symbols"][0]["filters"][0]["tickSize"] == "0.00500000"
        for path in ("depth", "trades", "klines"):
            _, answer = await dark.call("GET", path, signed=False, symbol=BTC, interval="1s")
            assert not (answer["bids"] + answer["asks"] if path == "depth" else answer)
        assert (await dark.call("GET", "ticker/bookTicker", signed=False, symbol=BTC))[1]["bidPrice"] == "0.00000000"
        async with dark.socket("/stream?streams=btcusdt@depth/btcusdt@trade/btcusdt@bookTicker") as silent:
            filled = await trade_once(dark, minQty="0.001", newClientOrderId="")
            with pytest.raises(TimeoutError):
                await silent.receive(timeout=0.2)
        assert Decimal("0.001") <= Decimal(filled["executedQty"]) <= Decimal("0.002")
        assert {trade["isMaker"] for trade in (await dark.truth())["trades"]} == {False}
        refused = [await dark.order(), await dark.order(type="MARKET"), await dark.order(timeInForce="FOK")]
        assert [(status, answer["code"]) for status, answer in refused] == [(400, -1115), (400, -1116), (400, -1115)]
        assert (await home.order(**IOC, minQty="0.001"))[1]["code"] == -1106
        assert (await dark.order(**IOC, minQty="0.003"))[1]["code"] == -1013
        assert (await home.call("GET", "account"))[1]["balances"][0]["free"] == "0.00000000"


async def test_a_restart_keeps_every_venues_books_apart(tmp_path) -> None:
    async with running(tmp_path, venues=parse("beta,dark:hidden_slot_s=0.05")) as home:
        await home.order(newClientOrderId="one")
        await home.at("beta").order(type="MARKET", newClientOrderId="one")
        await trade_once(home.at("dark"))
        before = {name: await (home.at(name) if name else home).truth() for name in ALL}
    assert {len(before[name]["trades"]) for name in ALL} == {0, 1}
    async with running(tmp_path, venues=parse("dark,beta")) as home:
        assert {name: await (home.at(name) if name else home).truth() for name in ALL} == before
        assert (await home.at("beta").order(newClientOrderId="one"))[1]["msg"] == "Duplicate order sent."
        status, answer = await home.at("gamma").call("GET", "time", signed=False)
        assert (status, answer["msg"]) == (404, "Unknown venue; played beside the home venue: dark, beta.")


async def test_an_outage_refuses_everything_at_one_venue_for_its_time(tmp_path) -> None:
    async with running(tmp_path, venues=parse("beta")) as home:
        beta = home.at("beta")
        async with beta.socket("/ws/btcusdt@trade") as cut, home.socket("/ws/btcusdt@trade") as kept:
            await kept.receive_json()
            await beta.fault(outage_ms=600, reject_orders=1)
            assert await beta.order() == (503, {"code": -1016, "msg": "This service is no longer available."})
            async with beta.http.get(f"{beta.url}/ws/btcusdt@trade", headers={"Upgrade": "websocket"}) as answer:
                assert answer.status == 503
            assert (await home.order())[0] == 200
            assert (await home.call("GET", "time", signed=False))[0] == 200
            await kept.receive_json()
            while not cut.closed:
                await cut.receive(timeout=2)

        async def back() -> bool:
            return (await beta.call("GET", "time", signed=False))[0] == 200

        await until(back)
        assert (await beta.order())[1]["code"] == -2010
        assert (await beta.order())[0] == 200
