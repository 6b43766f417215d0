"""A stop at the real paper venue: Binance's own words for it, and a position that it closes while no worker runs."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import msgspec

from tests.support.execution import Desk, PaperVenue, assert_books_agree, paper_venue, within
from workers.adapters.ccxt_venue import CcxtVenue
from workers.engine.desk import Desk as StrategyDesk
from workers.engine.events import OrderAccepted, OrderIntended, OrderRejected, Trade
from workers.engine.execution.conditional_types import ConditionalRequest, ConditionalStatus, TriggerSource
from workers.engine.execution.plan import take
from workers.engine.risk.gate import OrderRequest
from workers.engine.strategy import Params, Strategy, register
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce

SYMBOL = "BTCUSDT"


class StopParams(Params, frozen=True):
    """Ticks below the market at which the position is closed: far off, so that it does not go there by itself."""

    width: int = 100_000


@register("test_native_stop", StopParams)
class NativeStop(Strategy[StopParams]):
    """Buys once, and has the venue hold the stop."""

    def on_trade(self, desk: StrategyDesk, trade: Trade) -> None:
        market, held = desk.market(SYMBOL), desk.books.conditionals.all
        if trade.symbol != SYMBOL or desk.busy(SYMBOL) or held or not market.ask:
            return
        position = desk.position(SYMBOL)
        if not position:
            kind, tif, price = take(Side.BUY, bid=market.bid, ask=market.ask, offset_ticks=100)
            desk.order(OrderRequest(symbol=SYMBOL, side=Side.BUY, lots=2000, price=price, order_type=kind, tif=tif))
            return
        desk.hold(
            ConditionalRequest(
                symbol=SYMBOL,
                side=Side.SELL,
                lots=position,
                trigger=min(trade.price, market.bid) - self.params.width,
                source=TriggerSource.LAST_TRADE,
                reduce_only=True,
            )
        )


def started(folder: Path, venue: PaperVenue) -> Desk:
    desk = Desk(folder, venue.url)
    run = {**desk.wanted.runs[0], "strategy": "test_native_stop", "params": {}, "model_digest": ""}
    desk.wanted = msgspec.structs.replace(desk.wanted, runs=[run])
    return desk


async def rows(venue: PaperVenue) -> list[dict[str, Any]]:
    return [row for row in (await venue.truth())["orders"] if row["type"] == "STOP_LOSS"]


async def test_the_venue_fires_a_stop_while_no_worker_runs_and_the_next_one_takes_the_fill_over(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        venue = await stack.enter_async_context(paper_venue(tmp_path / "venue", events_per_second=400.0))
        first = started(tmp_path / "journal", venue)
        stack.push_async_callback(end, first)
        await first.start()
        orders = first.books.orders
        await within(30, lambda: any(o.trigger and o.status is OrderStatus.WORKING for o in orders.values()))
        (stop,) = [order for order in orders.values() if order.trigger]
        await first.kill()
        assert (stop.open, stop.filled) == (True, 0)
        (row,) = await rows(venue)
        assert (row["status"], row["isWorking"], row["clientOrderId"]) == ("NEW", False, stop.client_id)
        await venue.trade(SYMBOL, stop.trigger + 1)
        assert (await rows(venue))[0]["status"] == "NEW"
        await venue.trade(SYMBOL, stop.trigger)
        assert (await rows(venue))[0]["status"] == "FILLED"
        second = started(tmp_path / "journal", venue)
        stack.push_async_callback(end, second)
        await second.start()
        (held,) = second.books.conditionals.all.values()
        await within(10, lambda: held.status is ConditionalStatus.FILLED)
        assert held.children == [stop.client_id], "nothing was sent again"
        assert second.books.orders[stop.client_id].filled == stop.lots
        second.end_run()
        await within(10, lambda: not second.books.runs)
        await second.stop()
        await assert_books_agree(second, venue)


async def end(desk: Desk) -> None:
    """End a desk that a failed test left behind."""
    if not desk.ended:
        await desk.kill()


def intent(trigger: int, client_id: str, **changes: Any) -> OrderIntended:
    fields: dict[str, Any] = {
        "ts": time.time_ns(),
        "client_id": client_id,
        "run_id": "run-1",
        "symbol": SYMBOL,
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "tif": TimeInForce.GTC,
        "lots": 2000,
        "price": trigger,
        "reduce_only": False,
        "reference": trigger,
        "forecast_id": "",
        "model_digest": "",
        "limits_version": 1,
        "epoch": 1,
        "decision": {},
        "stages": {},
        "trigger": trigger,
    }
    return OrderIntended(**{**fields, **changes})


async def connected(venue: PaperVenue, stack: contextlib.AsyncExitStack) -> CcxtVenue:
    adapter = CcxtVenue(url=venue.url, clock=time.time_ns, name="paper", api_key="paper-key", secret="paper-secret")
    await adapter.open()
    stack.push_async_callback(adapter.close)
    await adapter.load_instruments([SYMBOL])
    await adapter.synchronise_clock()
    return adapter


async def last_price(adapter: CcxtVenue) -> int:
    bar = (await adapter.klines(SYMBOL, "1s", 1))[-1]
    return adapter.instruments[SYMBOL].ticks(str(bar[4]))


async def test_stops_are_sent_read_cancelled_refused_and_kept_over_a_restart_of_the_venue(tmp_path: Path) -> None:
    async def submit(adapter: CcxtVenue, order: OrderIntended) -> list[Any]:
        return await adapter.submit(order, time.time_ns() + 2_000_000_000, lambda *_: None)

    async with contextlib.AsyncExitStack() as stack:
        venue = await stack.enter_async_context(paper_venue(tmp_path / "venue"))
        adapter = await connected(venue, stack)
        price = await last_price(adapter)
        await venue.trade(SYMBOL, price)
        (answer,) = await submit(adapter, intent(price * 2, "limited"))
        assert isinstance(answer, OrderAccepted)
        (answer,) = await submit(adapter, intent(price * 3, "plain", order_type=OrderType.MARKET, price=0))
        assert isinstance(answer, OrderAccepted)
        (answer,) = await submit(adapter, intent(price // 2, "late"))
        assert isinstance(answer, OrderRejected)
        assert (answer.code, answer.message) == ("-2010", "Stop price would trigger immediately.")
    async with contextlib.AsyncExitStack() as stack:
        venue = await stack.enter_async_context(paper_venue(tmp_path / "venue"))
        adapter = await connected(venue, stack)
        assert [order.client_id for order in await adapter.open_orders()] == ["limited", "plain"]
        tick = adapter.instruments[SYMBOL].tick
        shown = [(row["type"], row["stopPrice"], row["isWorking"]) for row in (await venue.truth())["orders"]]
        named = ("STOP_LOSS_LIMIT", "STOP_LOSS")
        at = [f"{tick * price * times:.8f}" for times in (2, 3)]
        assert shown == [(kind, where, False) for kind, where in zip(named, at, strict=True)]
        assert (await adapter.query(SYMBOL, "plain")).status is OrderStatus.WORKING
        for client_id in ("limited", "plain"):
            await adapter.cancel(SYMBOL, client_id)
        assert not await adapter.open_orders()
        balances = (await venue.truth())["balances"]
        assert all(float(row["locked"]) == 0 for row in balances)
