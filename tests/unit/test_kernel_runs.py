"""Several strategies in one account, each on instruments of its own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.support.kernels import BTC, Rig
from workers.engine import events as e
from workers.engine.config import SECOND_NS, KernelConfig
from workers.engine.execution.conditional_types import ConditionalRequest
from workers.engine.execution.parent import ParentRequest
from workers.engine.kernel import Kernel
from workers.engine.kernel_life import RunError
from workers.engine.risk.gate import OrderRequest
from workers.engine.vocabulary import OrderType, Side, TimeInForce


@pytest.fixture
def rig() -> Rig:
    """Two runs of one strategy: the first in bitcoin, the second in ether."""
    rig = Rig()
    rig.open(plan=rig.plan(run_id="run-btc", instruments=["BTCUSDT"]))
    rig.take(rig.kernel.start_run(rig.now, rig.plan(run_id="run-eth", instruments=["ETHUSDT"])))
    rig.top("BTCUSDT", 5_000_000, 5_000_100)
    rig.top("ETHUSDT", 200_000, 200_010)
    return rig


def buy(symbol: str, price: int) -> OrderRequest:
    return OrderRequest(
        symbol=symbol, side=Side.BUY, lots=100, price=price, order_type=OrderType.LIMIT, tif=TimeInForce.GTC
    )


def order_for(rig: Rig, run_id: str, symbol: str, price: int) -> str | None:
    rig.kernel.desk.run = rig.books.runs[run_id]
    client_id = rig.kernel.desk.order(buy(symbol, price))
    rig.take(rig.kernel.on_timer(rig.now))
    return client_id


def test_an_order_is_of_the_run_that_trades_its_instrument(rig: Rig) -> None:
    first = order_for(rig, "run-btc", "BTCUSDT", 4_990_000)
    second = order_for(rig, "run-eth", "ETHUSDT", 199_000)
    assert first is not None
    assert second is not None
    assert [rig.books.orders[one].run_id for one in (first, second)] == ["run-btc", "run-eth"]
    rig.check_replay()


def test_no_run_trades_the_instruments_of_another(rig: Rig) -> None:
    assert order_for(rig, "run-btc", "ETHUSDT", 199_000) is None
    assert rig.last_denial() == {"INSTRUMENT_NOT_OF_RUN"}
    desk = rig.kernel.desk
    held = ConditionalRequest(symbol="ETHUSDT", side=Side.BUY, lots=100, trigger=210_000, reduce_only=False)
    desk.run = rig.books.runs["run-btc"]
    assert desk.hold(held) is None
    schedule: dict[str, Any] = {"algorithm": "twap", "params": {"slices": 2}, "end": rig.now + 60 * SECOND_NS}
    assert desk.execute(ParentRequest(symbol="ETHUSDT", side=Side.BUY, lots=100, **schedule)) is None
    rig.take(rig.kernel.on_timer(rig.now))
    assert rig.last_denial() == {"INSTRUMENT_NOT_OF_RUN"}
    assert desk.traded == ("BTCUSDT",)


def test_a_run_is_refused_what_another_trades_and_bars_of_another_length(rig: Rig) -> None:
    with pytest.raises(RunError, match="run run-btc trades BTCUSDT; stop it before starting third"):
        rig.kernel.start_run(rig.now, rig.plan(run_id="third"))
    rig.take(rig.kernel.stop_run(rig.now, reason="enough", run_id="run-btc"))
    with pytest.raises(RunError, match="expected bars of 1000000000 ns as in the runs that are on"):
        rig.kernel.start_run(rig.now, rig.plan(run_id="third", instruments=["BTCUSDT"], interval_ns=60 * SECOND_NS))
    rig.take(rig.kernel.start_run(rig.now, rig.plan(run_id="third", instruments=["BTCUSDT"])))
    assert list(rig.books.runs) == ["run-eth", "third"]


def test_stopping_one_run_leaves_the_orders_and_forecasts_of_the_other(rig: Rig) -> None:
    first, second = order_for(rig, "run-btc", "BTCUSDT", 4_990_000), order_for(rig, "run-eth", "ETHUSDT", 199_000)
    assert first is not None
    assert second is not None
    rig.accept(first)
    rig.accept(second)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        forecast = e.Forecast(
            forecast_id=f"f-{symbol}", symbol=symbol, model_digest="", as_of=rig.wait(1).now, made_at=rig.now,
            interval_ns=SECOND_NS, levels=(0.1, 0.5, 0.9), quantiles=((-0.001,), (0.001,), (0.002,)), confidence=0.8,
        )  # fmt: skip
        rig.take(rig.kernel.on_forecast(forecast, rig.now))
    rig.take(rig.kernel.stop_run(rig.now, reason="enough", run_id="run-btc"))
    assert [cancel.client_id for cancel in rig.cancels] == [first]
    markets = rig.kernel.desk.markets
    assert markets["BTCUSDT"].forecast is None
    assert markets["ETHUSDT"].forecast is not None
    rig.top("ETHUSDT", 200_000, 200_020)
    assert order_for(rig, "run-eth", "ETHUSDT", 199_500) is not None
    rig.check_replay()


def capital_of(rig: Rig, run_id: str) -> int:
    rig.kernel.desk.run = rig.books.runs[run_id]
    return rig.kernel.desk.capital


def test_a_run_sizes_by_its_share_of_the_account() -> None:
    rig = Rig()
    cross: dict[str, Any] = {"strategy": "ema_cross", "params": {"fast": 1, "slow": 2, "fraction": 0.1}}
    rig.open(plan=rig.plan(run_id="btc", instruments=["BTCUSDT"], capital_share="0.3", **cross), cash="60000")
    rig.take(rig.kernel.start_run(rig.now, rig.plan(run_id="eth", instruments=["ETHUSDT"], capital_share="0.7")))
    whole = rig.kernel.desk.equity
    assert (capital_of(rig, "btc"), capital_of(rig, "eth")) == (whole * 3 // 10, whole * 7 // 10)
    for close in (5_000_000, 5_001_000):
        rig.wait(1).bar("BTCUSDT", close)
    (send,) = rig.sent
    assert 1799 * 10**16 < send.intent.lots * 5_001_000 * BTC.lot_value <= 1800 * 10**16
    rig.check_replay()
    started = next(event for event in rig.journal if isinstance(event, e.RunStarted))
    assert started.capital_share == Decimal("0.3")


def test_a_run_of_an_older_journal_has_all_of_the_account(rig: Rig) -> None:
    started = next(event for event in rig.journal if isinstance(event, e.RunStarted))
    written = msgspec.json.encode(started)
    assert b"capital_share" not in written, "what was journalled before is written as it was"
    assert msgspec.json.decode(written, type=e.RunStarted) == started
    assert rig.books.runs["run-btc"].capital_share == 1
    assert capital_of(rig, "run-btc") == rig.kernel.desk.equity


@pytest.mark.parametrize("share", ["0", "-0.1", "1.1"])
def test_a_share_that_is_none_is_refused(rig: Rig, share: str) -> None:
    rig.take(rig.kernel.stop_run(rig.now, reason="enough"))
    with pytest.raises(RunError, match="expected a capital share above 0 and up to 1"):
        rig.kernel.start_run(rig.now, rig.plan(run_id="third", capital_share=share))


def test_both_go_on_after_a_restart(rig: Rig) -> None:
    again = Rig()
    again.kernel = Kernel(KernelConfig(max_pause_ns=0))
    again.kernel.recover(e.Record(seq=n, hash="", event=event) for n, event in enumerate(rig.journal))  # type: ignore[arg-type]  # all are Journalled
    instruments = [line.instrument for line in rig.books.lines.values()]
    again.take(again.kernel.open_session(rig.now, epoch=2, venue="paper", worker="test", instruments=instruments))
    assert list(again.books.runs) == ["run-btc", "run-eth"]
    owners = {symbol: market.run and market.run.run_id for symbol, market in again.kernel.desk.markets.items()}
    assert owners == {"BTCUSDT": "run-btc", "ETHUSDT": "run-eth"}
    assert again.kernel.books.snapshot()["runs"] == rig.books.snapshot()["runs"]
