"""Whatever the bars and the orders: nothing is lost, nothing depends on the future, and it comes out the same."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.backtests import flat
from workers.backtest import Delay, Latency, run
from workers.backtest.lookahead import decisions
from workers.engine.accounting.books import replay
from workers.engine.desk import Desk
from workers.engine.events import Bar
from workers.engine.instruments import MONEY_PER_ATOM
from workers.engine.risk.gate import OrderRequest
from workers.engine.strategy import Params, Strategy, register
from workers.engine.vocabulary import OrderType, Side, TimeInForce

Step = tuple[int, int, int, int]
"""What is done at a bar's close: 0 nothing, 1 buy, 2 sell, 3 cancel; lots; distance of a limit; time in force."""
TIFS = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)


class StepsParams(Params, frozen=True):
    """One step per bar."""

    steps: list[Step] = []


@register("test_steps", StepsParams)
class Steps(Strategy[StepsParams]):
    def __init__(self, params: StepsParams) -> None:
        super().__init__(params)
        self.left = list(params.steps)

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        if not self.left:
            return
        kind, lots, away, tif = self.left.pop(0)
        if kind == 3:
            desk.cancel_open(bar.symbol, "test")
        elif kind:
            side = Side.BUY if kind == 1 else Side.SELL
            price = 0 if away == 0 else bar.close - int(side) * away
            request = OrderRequest(
                symbol=bar.symbol,
                side=side,
                lots=lots,
                price=price,
                order_type=OrderType.LIMIT if price else OrderType.MARKET,
                tif=TIFS[tif] if price else TimeInForce.GTC,
            )
            desk.order(request)


prices = st.integers(9_000, 11_000)
bars = st.lists(st.tuples(prices, prices, prices, prices), min_size=4, max_size=25)
steps = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 200_000), st.integers(-20, 60), st.integers(0, 2)), max_size=25
)
delays = st.sampled_from([0, 1, 50_000_000, 40_000_000_000, 90_000_000_000])


def traded(drawn: list[Any], done: list[Step], entry: int, response: int) -> Any:
    made = [
        (opened / 100, max(opened, high, low, close) / 100, min(opened, high, low, close) / 100, close / 100)
        for opened, high, low, close in drawn
    ]
    latency = Latency(entry=Delay(constant_ns=entry), response=Delay(constant_ns=response))
    return run("test_steps", flat(made), {"steps": done}, latency=latency)


@settings(max_examples=60, deadline=None)
@given(bars, steps, delays, delays)
def test_books_and_venue_agree_and_the_journal_tells_it_all(drawn, done, entry, response):
    result = traded(drawn, done, entry, response)
    books, engine, line = result.kernel.books, result_engine(result), next(iter(result.kernel.books.lines.values()))
    assert replay(result.journal.events).snapshot() == books.snapshot()
    assert not books.anomalies
    assert books.cash + books.cost == books.capital + books.realised - books.fees
    heard = {fill.trade_id for fill in result.fills}
    assert len(heard) == len(result.fills)
    if not response:
        assert books.cash // MONEY_PER_ATOM == engine["USD"]
        assert line.position == engine["SYN"]
    assert traded(drawn, done, entry, response).fingerprint == result.fingerprint


def result_engine(result: Any) -> dict[str, int]:
    """Balances at the venue, free and locked together, by what it reported."""
    cash, held = result.kernel.books.capital // MONEY_PER_ATOM, 0
    for fill in result.fills:
        instrument = result.instruments[fill.symbol]
        cash -= int(fill.side) * fill.price * fill.lots * instrument.lot_value // MONEY_PER_ATOM
        held += int(fill.side) * fill.lots * instrument.lot_atoms
        if fill.fee_asset == "USD":
            cash -= fill.fee
        else:
            held -= fill.fee
    return {"USD": cash, "SYN": held}


@settings(max_examples=40, deadline=None)
@given(bars, steps, delays)
def test_what_was_decided_does_not_depend_on_later_bars(drawn, done, entry):
    whole = decisions(traded(drawn, done, entry, 0))
    short = drawn[: max(len(drawn) * 2 // 3, 2)]
    part = decisions(traded(short, done, entry, 0))
    assert whole[: len(part)] == part
