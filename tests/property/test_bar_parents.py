"""Parent orders on bars: they add up, stay within their share, and know nothing before its time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.backtests import BEGIN, MINUTE_NS
from workers.backtest import Delay, Latency, load_bars, run
from workers.backtest.bars import path
from workers.backtest.result import Result
from workers.engine.desk import Desk
from workers.engine.events import Bar, OrderFilled, OrderIntended, ParentStarted
from workers.engine.execution.parent import ParentRequest, ParentStatus
from workers.engine.risk.gate import OrderRequest
from workers.engine.strategy import Params, Strategy, register
from workers.engine.vocabulary import OrderType, Side

Drawn = tuple[int, int, int, int, int]
"""Open, two more prices, close, all in ticks, and volume in units."""
ALGORITHMS: list[tuple[str, dict[str, Any]]] = [
    ("twap", {"slices": 7}),
    ("twap", {"interval_s": 30.0, "style": "take", "jitter": 0.5}),
    ("vwap", {}),
    ("vwap", {"track": 1.0, "style": "take"}),
    ("pov", {"rate": 0.2}),
    ("pov", {"rate": 0.5, "catch_up": 1.0, "style": "take"}),
    ("iceberg", {"display_lots": 30_000, "vary": 0.5}),
    ("buckets", {"buckets": 3}),
    ("adaptive", {"steps": 6}),
    ("sweep", {}),
]


class WorkedParams(Params, frozen=True):
    """What is to be worked from the close of bar ``at`` on."""

    at: int = 1
    side: int = 1
    lots: int = 100_000
    algorithm: str = "twap"
    algorithm_params: dict[str, Any] = {}
    end_s: float = 0.0


@register("test_worked", WorkedParams)
class Worked(Strategy[WorkedParams]):
    """One parent; before one that sells, what it sells is bought."""

    def __init__(self, params: WorkedParams) -> None:
        super().__init__(params)
        self.bar = -1

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        self.bar += 1
        params = self.params
        if self.bar == 0 and params.side < 0:
            desk.order(
                OrderRequest(symbol=bar.symbol, side=Side.BUY, lots=params.lots * 2, order_type=OrderType.MARKET)
            )
        if self.bar == params.at:
            desk.execute(
                ParentRequest(
                    symbol=bar.symbol,
                    side=Side(params.side),
                    lots=params.lots,
                    algorithm=params.algorithm,
                    params=params.algorithm_params,
                    end=desk.now + int(params.end_s * 1e9) if params.end_s else 0,
                )
            )


@dataclass(frozen=True)
class Case:
    """One run: bars, what is worked on them, and how the venue is."""

    drawn: list[Drawn]
    chosen: tuple[str, dict[str, Any]]
    lots: int
    side: int
    end_s: float
    settings: dict[str, Any] = field(default_factory=dict)

    def run(self) -> Result:
        name, params = self.chosen
        end_s = 0.0 if name in ("pov", "iceberg", "sweep") else self.end_s
        wanted = {"side": self.side, "lots": self.lots, "algorithm": name, "algorithm_params": params, "end_s": end_s}
        return run("test_worked", made(self.drawn), wanted, **self.settings)


def made(drawn: list[Drawn]) -> Any:
    """Bars of one minute."""
    columns = {
        "timestamp": [BEGIN + place * MINUTE_NS for place in range(len(drawn))],
        "open": [one[0] / 100 for one in drawn],
        "high": [max(one[:4]) / 100 for one in drawn],
        "low": [min(one[:4]) / 100 for one in drawn],
        "close": [one[3] / 100 for one in drawn],
        "volume": [float(one[4]) for one in drawn],
    }
    return load_bars(columns, symbol="SYNUSD", tick="0.01")


prices = st.integers(9_950, 10_050)
bars = st.lists(st.tuples(prices, prices, prices, prices, st.integers(0, 9)), min_size=6, max_size=14)
SLOW = Latency(feed=Delay(constant_ns=10**9), entry=Delay(constant_ns=3 * 10**8), response=Delay(constant_ns=10**8))
venues = st.fixed_dictionaries(
    {
        "half_spread_bps": st.sampled_from([0.0, 2.0, 10.0]),
        "participation": st.sampled_from([None, 0.1, 0.3, 1.0]),
        "latency": st.sampled_from([Latency(), SLOW]),
    }
)
cases = st.builds(
    Case,
    bars,
    st.sampled_from(ALGORITHMS),
    st.integers(1_000, 800_000),
    st.sampled_from([1, -1]),
    st.sampled_from([45.0, 180.0, 400.0]),
    venues,
)


def step_times(bar: Bar) -> list[int]:
    span = bar.ts_event - bar.start
    return [bar.start, bar.start + span // 3, bar.start + span * 2 // 3, bar.ts_event - 1]


def children_of(result: Result) -> dict[str, OrderIntended]:
    events = result.journal.events
    return {one.client_id: one for one in events if isinstance(one, OrderIntended) and one.parent_id}


def venue_fills(result: Result) -> list[OrderFilled]:
    return [fill for fill in result.fills if fill.client_id in children_of(result)]


@settings(max_examples=120, deadline=None)
@given(cases)
def test_children_make_the_parent_and_no_more(case: Case) -> None:
    result = case.run()
    for parent in result.kernel.books.parents.values():
        assert parent.status is not ParentStatus.REFUSED or "curve" in parent.detail, parent.detail
        orders = [result.kernel.books.orders[client_id] for client_id in children_of(result)]
        assert sum(order.filled for order in orders) == parent.filled <= parent.lots
        assert (parent.status is ParentStatus.FILLED) == (parent.filled == parent.lots and not parent.open)
    assert not result.kernel.books.anomalies
    assert case.run().fingerprint == result.fingerprint


@settings(max_examples=120, deadline=None)
@given(cases)
def test_fills_are_at_prices_that_the_bar_has_shown_by_then(case: Case) -> None:
    series, result = made(case.drawn), case.run()
    intents = children_of(result)
    for fill in venue_fills(result):
        bar = next(one for one in series.bars if one.start <= fill.ts_event < one.ts_event)
        reached = sum(moment <= fill.ts_event for moment in step_times(bar))
        price = path(bar)[reached - 1]
        away = round(price * case.settings["half_spread_bps"] / 10_000)
        touch = price + int(fill.side) * away
        limit = intents[fill.client_id].price
        assert fill.price == (limit if fill.maker else touch)
        assert (limit - touch) * fill.side >= 0
        assert intents[fill.client_id].ts <= fill.ts_event


@settings(max_examples=120, deadline=None)
@given(cases)
def test_the_venue_gives_no_more_than_the_share_of_what_has_traded(case: Case) -> None:
    share = case.settings["participation"]
    assume(share is not None)
    for bar in made(case.drawn).bars:
        for step, (_, until) in enumerate(pairwise([*step_times(bar), bar.ts_event])):
            filled = sum(fill.lots for fill in case_fills(case) if bar.start <= fill.ts_event < until)
            assert filled <= Fraction(str(share)) * bar.volume * (step + 1) / 4


def case_fills(case: Case) -> list[OrderFilled]:
    """All fills, also of what was bought to be sold."""
    if case not in _RUNS:
        _RUNS.clear()
        _RUNS.append(case)
        _FILLS[:] = case.run().fills
    return _FILLS


_RUNS: list[Case] = []
_FILLS: list[OrderFilled] = []


@settings(max_examples=100, deadline=None)
@given(cases, st.sampled_from([one for one in ALGORITHMS if one[0] == "pov"]))
def test_pov_buys_on_the_volume_of_closed_bars_alone(case: Case, chosen: tuple[str, dict[str, Any]]) -> None:
    case = replace(case, chosen=chosen)
    result = case.run()
    began = [event.ts for event in result.journal.events if isinstance(event, ParentStarted)]
    asked = 0
    filled = {fill.client_id: 0 for fill in result.fills}
    for fill in result.fills:
        filled[fill.client_id] += fill.lots
    for intent in children_of(result).values():
        known = sum(bar.volume for bar in made(case.drawn).bars if bar.start >= began[0] and bar.ts_event <= intent.ts)
        assert asked + intent.lots <= Fraction(str(chosen[1]["rate"])) * known
        asked += filled.get(intent.client_id, 0)


@settings(max_examples=120, deadline=None)
@given(cases, st.integers(2, 8), st.sampled_from([0, 1]), bars)
def test_nothing_that_comes_later_changes_what_was_done(case: Case, place: int, step: int, others: list[Drawn]) -> None:
    """Another future from one price of the path of bar ``place`` on: until then the journals are the same."""
    assume(place < len(case.drawn))
    opened, *_, volume = case.drawn[place]
    low, high, close = min(case.drawn[place][:4]), max(case.drawn[place][:4]), case.drawn[place][3]
    rising = close >= opened
    moved = others[0]
    if case.settings["participation"] is None:
        volume = moved[4]
    if step == 0:
        changed = (opened, moved[1], moved[2], moved[3], volume)
    elif rising:
        end = max(opened, moved[3])
        changed = (opened, low, max(end, moved[1]), end, volume)
    else:
        end = min(opened - 1, moved[3])
        changed = (opened, high, min(end, moved[1]), end, volume)
    other = replace(case, drawn=[*case.drawn[:place], changed, *others[1:]])
    seen = made(case.drawn).bars[place]
    assert path(made(other.drawn).bars[place])[: step + 1] == path(seen)[: step + 1]
    until = step_times(seen)[step + 1]
    before = [event for event in case.run().journal.events if event.ts < until]
    assert before == [event for event in other.run().journal.events if event.ts < until]


def test_a_parent_is_worked_inside_a_bar_and_over_several() -> None:
    drawn: list[Drawn] = [(10_000, 10_010, 9_990, 10_000, 5)] * 10
    case = Case(drawn, ("twap", {"slices": 12}), 120_000, 1, 240.0, {"half_spread_bps": 1.0})
    result = case.run()
    (parent,) = result.kernel.books.parents.values()
    assert (parent.status, parent.filled) == (ParentStatus.FILLED, 120_000)
    touched = {(fill.ts_event - BEGIN) // MINUTE_NS for fill in result.fills}
    assert touched == {2, 3, 4, 5}
    assert len(result.fills) == 12
