"""One backtest: where orders fill, what time they take, what they cost, and that it comes out the same twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.backtests import BEGIN, MINUTE_NS, flat, walk
from workers.backtest import BacktestError, BarSeries, Delay, Latency, run
from workers.backtest.screen import average, crosses, ema_grid
from workers.engine.accounting.books import replay
from workers.engine.desk import Desk
from workers.engine.events import Bar, OrderFilled, TopOfBook
from workers.engine.instruments import from_money
from workers.engine.risk.gate import OrderRequest
from workers.engine.strategy import Params, Strategy, register
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce

MS = 1_000_000


class ScriptParams(Params, frozen=True):
    """``orders``: bar, side, price in ticks (0 at market); ``cancel``: bar at which all is cancelled."""

    orders: list[tuple[int, int, int]] = []
    cancel: int = -1


@register("test_script", ScriptParams)
class Script(Strategy[ScriptParams]):
    """Orders by the number of the bar."""

    def __init__(self, params: ScriptParams) -> None:
        super().__init__(params)
        self.bar = -1
        self.filled: list[int] = []

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        self.bar += 1
        for place, side, price in self.params.orders:
            if place == self.bar:
                kind = OrderType.LIMIT if price else OrderType.MARKET
                request = OrderRequest(
                    symbol=bar.symbol,
                    side=Side(side),
                    lots=1000,
                    price=price,
                    order_type=kind,
                    tif=TimeInForce.GTC,
                )
                assert desk.order(request) is not None
        if self.bar == self.params.cancel:
            desk.cancel_open(bar.symbol, "test")

    def on_top(self, desk: Desk, top: TopOfBook) -> None:
        raise AssertionError("bars have no quotes")


RISING = [(100, 101, 99, 100), (102, 103, 101, 102), (104, 105, 103, 104), (106, 107, 105, 106)]


def fills_of(orders: list[tuple[int, int, int]], bars: Any = RISING, cancel: int = -1, **settings: Any) -> Any:
    return run("test_script", flat(bars), {"orders": orders, "cancel": cancel}, **settings)


class BothSidesParams(Params, frozen=True):
    """Nothing to set."""


@register("test_both_sides", BothSidesParams)
class BothSides(Strategy[BothSidesParams]):
    """Buys at the first close; from the second on buys and sells at once."""

    def __init__(self, params: BothSidesParams) -> None:
        super().__init__(params)
        self.bar = -1

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        self.bar += 1
        for side in [Side.BUY] if self.bar == 0 else [Side.SELL, Side.BUY]:
            desk.order(OrderRequest(symbol=bar.symbol, side=side, lots=1, order_type=OrderType.MARKET))


class TestFills:
    def test_a_market_order_fills_at_the_next_open(self):
        (fill,) = fills_of([(0, 1, 0)]).fills
        assert (fill.price, fill.lots, fill.ts, fill.maker) == (10_200, 1000, BEGIN + MINUTE_NS, False)

    def test_an_order_on_the_last_bar_stays_unfilled(self):
        result = fills_of([(3, 1, 0)])
        assert not result.fills
        assert [order.status for order in result.kernel.books.orders.values()] == [OrderStatus.SENT]

    def test_a_resting_buy_fills_at_its_price_when_the_path_comes_to_it(self):
        bars = [*RISING[:2], (104, 105, 101.5, 104)]
        (fill,) = fills_of([(0, 1, 10_150)], bars).fills
        # The second bar's low of 101.00 is below the limit, and it is reached a third into the bar.
        assert (fill.price, fill.maker, fill.ts) == (10_150, True, BEGIN + MINUTE_NS + MINUTE_NS // 3)

    def test_a_limit_through_the_open_takes_the_open(self):
        (fill,) = fills_of([(0, 1, 10_300)]).fills
        assert (fill.price, fill.maker) == (10_200, False)

    def test_a_cancel_at_the_close_comes_before_the_next_open(self):
        bars = [*RISING[:2], (101, 101, 99, 100), (100, 100, 99, 99)]
        result = fills_of([(0, 1, 10_050)], bars, cancel=1)
        assert not result.fills
        assert [order.status for order in result.kernel.books.orders.values()] == [OrderStatus.CANCELED]

    def test_half_a_spread_is_paid_by_takers(self):
        assert fills_of([(0, 1, 0)], half_spread_bps=10.0).fills[0].price == 10_210

    def test_participation_bounds_what_one_bar_gives(self):
        # Of ten units a quarter has traded at the open: 250,000 lots.
        result = fills_of([(0, 1, 0)], participation=0.00001)
        assert sum(fill.lots for fill in result.fills) == 2
        (order,) = result.kernel.books.orders.values()
        assert order.status is OrderStatus.EXPIRED

    def test_both_sides_together_get_no_more_than_the_share(self):
        # One lot of the quarter that has traded at each open: the first order of a bar gets it, of either side.
        bars: Any = RISING
        result = run("test_both_sides", flat(bars), participation=0.000004, taker_fee="0")
        assert [(fill.side, fill.ts) for fill in result.fills] == [
            (Side.BUY, BEGIN + MINUTE_NS),
            (Side.SELL, BEGIN + 2 * MINUTE_NS),
            (Side.BUY, BEGIN + 3 * MINUTE_NS),
        ]

    def test_what_rests_gets_no_more_than_its_share_of_the_whole_bar(self):
        result = fills_of([(0, 1, 10_150)], [RISING[0], (101, 101, 101, 101)], participation=0.00001)
        assert [fill.lots for fill in result.fills] == [2, 3, 2, 3]

    def test_a_missing_bar_moves_the_fill_to_the_next_one_there_is(self):
        series = walk(50)
        gappy = run("test_script", _without(series, 5), {"orders": [(4, 1, 0)]})
        assert gappy.gaps == 1
        assert gappy.fills[0].ts == int(series.start[6])
        assert gappy.fills[0].price == int(series.open[6])


def _without(series: BarSeries, place: int) -> BarSeries:
    cut = [
        np.delete(column, place)
        for column in (series.start, series.open, series.high, series.low, series.close, series.volume)
    ]
    return BarSeries(series.instrument, series.interval_ns, cut[0], cut[1], cut[2], cut[3], cut[4], cut[5])


class TestLatency:
    def test_entry_and_response_take_their_time(self):
        latency = Latency(entry=Delay(constant_ns=50 * MS), response=Delay(constant_ns=30 * MS))
        result = fills_of([(0, 1, 0)], latency=latency)
        (fill,) = result.fills
        assert fill.ts_event == BEGIN + MINUTE_NS + 50 * MS
        assert fill.price == 10_200
        heard = [order.updated for order in result.kernel.books.orders.values()]
        assert heard == [BEGIN + MINUTE_NS + 50 * MS]

    def test_a_delay_longer_than_a_bar_misses_it(self):
        latency = Latency(entry=Delay(constant_ns=MINUTE_NS + 1))
        (fill,) = fills_of([(0, 1, 0)], latency=latency).fills
        assert fill.price == 10_400

    def test_the_feed_delays_the_decision(self):
        slow = run("ema_cross", walk(), latency=Latency(feed=Delay(constant_ns=200 * MS)))
        quick = run("ema_cross", walk())
        assert [fill.price for fill in slow.fills] == [fill.price for fill in quick.fills]
        assert {fill.ts % MINUTE_NS for fill in slow.fills} == {BEGIN % MINUTE_NS + 200 * MS}

    def test_a_seed_repeats_and_another_differs(self):
        latency = Latency(entry=Delay(median_ns=20 * MS, sigma=1.0))
        one, again, other = (run("ema_cross", walk(), latency=latency, seed=seed) for seed in (1, 1, 2))
        assert one.fingerprint == again.fingerprint
        assert one.journal.head != other.journal.head


class TestResult:
    def test_the_same_inputs_give_the_same_bytes(self):
        one, other = run("ema_cross", walk()), run("ema_cross", walk())
        assert one.to_json() == other.to_json()
        assert one.fingerprint == other.fingerprint
        assert run("ema_cross", walk(), {"fast": 11}).fingerprint != one.fingerprint

    def test_the_fingerprint_covers_the_data(self):
        assert run("ema_cross", walk(500, 1)).inputs != run("ema_cross", walk(500, 2)).inputs

    def test_equity_is_the_kernels(self):
        result = run("ema_cross", walk())
        assert result.equity[-1] == pytest.approx(float(from_money(result.kernel.valuation.equity)), abs=1e-6)

    def test_profit_of_trades_is_what_the_books_realised(self):
        result = run("ema_cross", walk(), taker_fee=0, maker_fee=0)
        assert sum(trade.pnl for trade in result.closed) == result.kernel.books.realised
        assert result.summary["trades"] == len(result.closed) == len(result.fills) // 2 > 10

    def test_the_journal_gives_the_same_books(self):
        result = run("ema_cross", walk())
        assert replay(result.journal.events).snapshot() == result.kernel.books.snapshot()

    def test_tables_for_a_notebook(self):
        result = run("ema_cross", walk())
        assert list(result.equity_frame.columns) == ["equity", "drawdown", "gross"]
        assert len(result.equity_frame) == len(walk())
        assert len(result.trades) == len(result.closed)
        assert set(result.orders["status"]) == {"FILLED"}
        assert list(result.positions.columns) == ["SYNUSD"]

    def test_a_gate_that_denies_is_told(self):
        from workers.backtest.config import wide_limits

        limits = {**wide_limits(), "restricted": ["SYNUSD"]}
        result = run("ema_cross", walk(), limits=limits)
        assert result.summary["orders"] == 0
        assert result.summary["denied"] == {"INSTRUMENT_RESTRICTED": result.summary["denied"]["INSTRUMENT_RESTRICTED"]}

    def test_what_is_larger_than_the_largest_order_goes_in_parts(self):
        from workers.backtest.config import wide_limits

        slow, limits = {"fast": 50, "slow": 120}, {**wide_limits(), "max_order_notional": "9000"}
        free, cut = run("ema_cross", walk(), slow), run("ema_cross", walk(), slow, limits=limits)
        assert cut.summary["denied"] == {}
        assert cut.summary["orders"] > free.summary["orders"]
        assert max(abs(held) for held in cut.positions["SYNUSD"]) == pytest.approx(
            max(abs(held) for held in free.positions["SYNUSD"]), rel=0.02
        )

    def test_two_instruments_share_one_account(self):
        together = run("ema_cross", [walk(800, 1, "AAAUSD"), walk(800, 2, "BBBUSD")], {"fraction": 0.1})
        assert {fill.symbol for fill in together.fills} == {"AAAUSD", "BBBUSD"}
        times = [fill.ts for fill in together.fills]
        assert times == sorted(times)
        assert together.equity[-1] == pytest.approx(float(from_money(together.kernel.valuation.equity)), abs=1e-6)

    def test_warm_bars_order_nothing(self):
        result = run("ema_cross", walk(300), warm=100)
        assert result.summary["events"] == 200
        assert min(fill.ts for fill in result.fills) >= int(walk(300).start[100])

    def test_forecasts_need_a_forecaster(self):
        with pytest.raises(BacktestError, match="give a forecaster"):
            run("forecast_portfolio", walk(300))

    def test_settings_that_do_not_fit_are_named(self):
        with pytest.raises(BacktestError, match="sede"):
            run("ema_cross", walk(50), sede=3)


class TestScreen:
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_it_trades_as_the_backtest_does(self, seed):
        series = walk(3000, seed)
        closes = series.close.astype(float)
        entries, exits = crosses(average(closes, 10), average(closes, 20), 20)
        result = run("ema_cross", series, {"fraction": 0.05})
        buys = [fill for fill in result.fills if fill.side is Side.BUY]
        sells = [fill for fill in result.fills if fill.side is Side.SELL]
        assert [fill.ts for fill in buys] == series.start[entries].tolist()
        assert [fill.price for fill in buys] == series.open[entries].tolist()
        assert [fill.ts for fill in sells] == series.start[exits].tolist()
        assert [fill.price for fill in sells] == series.open[exits].tolist()

    def test_a_grid_has_one_row_per_pair(self):
        grid = ema_grid(walk(), [5, 10, 30], [20, 30])
        assert list(zip(grid.fast, grid.slow, strict=True)) == [(5, 20), (5, 30), (10, 20), (10, 30)]
        assert (grid.trades > 0).all()


def test_every_fill_is_in_the_journal():
    result = run("mean_reversion", walk(), {"window": 20, "entry": 1.5})
    assert result.fills
    assert result.fills == [event for event in result.journal.events if isinstance(event, OrderFilled)]
