"""Execution algorithms: published cases, schedules, the tactic, and what pauses or ends a parent."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.kernels import BTC, Rig, make_bar
from tests.support.parents import COARSE, MIDDLE, ROOMY, Bench
from workers.engine import events as e
from workers.engine.config import DAY_NS, SECOND_NS
from workers.engine.execution.algorithms import AlgorithmError, Twap, build, check_params, cut
from workers.engine.execution.impact import adapted, expected_cost, held, holdings, kappa
from workers.engine.execution.parent import PREFIX, Parent, ParentRequest, ParentStatus
from workers.engine.execution.progress import pressure
from workers.engine.execution.volume import TAPE_POINTS, Tape, Variance, VolumeCurve, learn
from workers.engine.risk.scopes import Selection
from workers.engine.vocabulary import FeedState, Side, TimeInForce, TradingState

MINUTE_NS = 60 * SECOND_NS


@pytest.fixture
def cases(market_data: Path) -> dict[str, Any]:
    known = json.loads((market_data / "reference" / "cases.json").read_text())["cases"]
    return {case["id"]: case for case in known}


def a_parent(algorithm: str, lots: int, seconds: float, **params: Any) -> Parent:
    """A parent outside of any books, from second 0 on."""
    return Parent(
        parent_id="p", run_id="", by="x", symbol="BTCUSDT", side=Side.BUY, lots=lots, algorithm=algorithm,
        params=params, start=SECOND_NS, end=SECOND_NS + int(seconds * SECOND_NS), limit_price=0, reduce_only=False,
        seed=7, arrival=0, created=0, updated=0,
    )  # fmt: skip


# -- published cases


def test_almgren_chriss_urgency_is_the_published_one(cases: dict[str, Any]) -> None:
    case = cases["exec-ac-44"]
    given = case["inputs"]
    found = kappa(
        risk_aversion=given["lam"],
        sigma=given["sigma"],
        eta=given["eta"],
        gamma=given["gamma"],
        tau=given["T_days"] / given["N"],
    )
    assert found == pytest.approx(case["expected"][0], abs=case["abs_tol"])


def test_twap_slices_are_the_published_ones(cases: dict[str, Any]) -> None:
    given, expected = cases["exec-twap-50"]["inputs"], cases["exec-twap-50"]["expected"]
    lots = BTC.lots(given["qty"])
    twap = build(a_parent("twap", lots, given["horizon"], interval_s=given["interval"]))
    assert isinstance(twap, Twap)
    sums = [cut(lots, twap.slices, number) for number in range(twap.slices + 1)]
    assert [BTC.quantity(b - a) for a, b in pairwise(sums)] == [Decimal(x) for x in expected]


def test_twap_has_no_fence_post_more_than_intervals(cases: dict[str, Any]) -> None:
    """Another engine makes one order more, at both ends of the horizon; given its number, the sizes are its own."""
    case = cases["exec-twap-53"]
    given, expected = case["inputs"], case["expected"]
    twap = build(a_parent("twap", given["total_quote"], given["duration"], interval_s=given["interval"]))
    assert isinstance(twap, Twap)
    assert twap.slices == expected["orders"] - 1
    sums = [cut(given["total_quote"], expected["orders"], number) for number in range(expected["orders"] + 1)]
    assert [b - a for a, b in pairwise(sums)] == [expected["each"]] * expected["orders"]


# -- schedules


def test_the_optimal_trajectory_costs_less_than_its_neighbours() -> None:
    steps, tau, sigma, risk = 10, 0.5, 0.95, 1e-6
    impact = {"eta": 2.5e-6, "gamma": 2.5e-7, "epsilon": 0.0625, "tau": tau}

    def cost(urgency: float) -> float:
        path = holdings(1e6, urgency=urgency, steps=steps)
        trades = [a - b for a, b in pairwise(path)]
        risked = sigma * sigma * tau * sum(left * left for left in path[1:])
        return expected_cost(trades, **impact) + risk * risked

    best = kappa(risk_aversion=risk, sigma=sigma, eta=2.5e-6, gamma=2.5e-7, tau=tau) * steps * tau
    assert cost(best) < min(cost(best * 0.8), cost(best * 1.25), cost(0.0))


def test_holdings_fall_from_all_to_nothing_at_any_urgency() -> None:
    assert held(0.0, 0.25) == 0.75
    assert held(800.0, 0.001) == pytest.approx(math.exp(-0.8))
    for urgency in (0.0, 1e-7, 1.0, 30.0, 900.0):
        path = holdings(100.0, urgency=urgency, steps=50)
        assert path[0] == 100.0
        assert path[-1] == pytest.approx(0.0, abs=1e-9)
        assert path == sorted(path, reverse=True)
    with pytest.raises(ValueError, match="eta above"):
        kappa(risk_aversion=1e-6, sigma=1.0, eta=1e-9, gamma=1.0, tau=1.0)


def test_urgency_grows_with_volatility_and_volume_within_bounds() -> None:
    assert adapted(2.0, volatility_ratio=1.0, volume_ratio=1.0) == 2.0
    assert adapted(2.0, volatility_ratio=3.0, volume_ratio=4.0) == 12.0
    assert adapted(2.0, volatility_ratio=99.0, volume_ratio=0.0) == 2.0 * 4.0 * 0.5


def test_twap_times_are_late_by_less_than_an_interval_and_the_same_each_time() -> None:
    parent = a_parent("twap", 1000, 60, slices=6, jitter=1.0)
    twap = build(parent)
    assert isinstance(twap, Twap)
    times = [twap.time_of(number) for number in range(6)]
    assert times == [build(parent).time_of(number) for number in range(6)]  # type: ignore[attr-defined]  # a Twap
    late = [ts - parent.start - number * 10 * SECOND_NS for number, ts in enumerate(times)]
    assert all(0 <= one < 10 * SECOND_NS for one in late)
    assert len(set(late)) == 6


def test_a_volume_curve_is_learned_from_history_and_repeats() -> None:
    hour = 3_600 * SECOND_NS
    history = [(day * DAY_NS + hour * h, 100 if h == 9 else 20) for day in range(3) for h in (9, 10)]
    curve = learn(history, bin_ns=hour)
    assert (curve.weights[9], curve.weights[10], curve.weights[0]) == (100, 20, 60)
    nine = 5 * DAY_NS + 9 * hour
    assert curve.expected(nine, nine + 2 * hour) == pytest.approx(120)
    assert curve.share(nine, nine + 2 * hour, nine + hour) == pytest.approx(100 / 120)
    assert curve.share(nine, nine + 2 * hour, nine + hour // 2) == pytest.approx(50 / 120)
    assert curve.share(nine, nine + hour, nine + 3 * hour) == 1.0
    for bad in (lambda: learn([], bin_ns=hour), lambda: learn(history, bin_ns=7), lambda: VolumeCurve(1, (0, 0))):
        with pytest.raises(ValueError, match="expected"):
            bad()


def test_a_tape_knows_what_traded_until_when() -> None:
    tape = Tape(0)
    for ts in range(1, TAPE_POINTS + 10):
        tape.add(ts, 2)
    assert tape.total == 2 * (TAPE_POINTS + 9)
    assert tape.until(TAPE_POINTS) == 2 * TAPE_POINTS
    assert tape.until(TAPE_POINTS // 2 - 5) == TAPE_POINTS, "of what is forgotten, the sum is known"
    bars = Tape(MINUTE_NS)
    first, second = make_bar("BTCUSDT", 100, MINUTE_NS, MINUTE_NS), make_bar("BTCUSDT", 100, 2 * MINUTE_NS, MINUTE_NS)
    for bar in (first, second, second):
        bars.add_bar(2 * MINUTE_NS, bar)
    assert (bars.total, bars.turnover) == (1, 100), "a bar from before the tape, or told twice, counts for nothing"


def test_variance_finds_the_volatility_of_a_walk() -> None:
    variance, price = Variance(600.0), 100.0
    for second in range(1, 2000):
        price *= 1.001 if second % 2 else 1 / 1.001
        variance.add(second * SECOND_NS, price)
    assert math.sqrt(variance.value) == pytest.approx(0.001, rel=0.01)


def test_the_book_says_when_to_hurry() -> None:
    ours = pressure(Side.BUY, bid_lots=90, ask_lots=10, spread=2, usual_spread=2.0)
    theirs = pressure(Side.BUY, bid_lots=10, ask_lots=90, spread=2, usual_spread=2.0)
    assert theirs < 0 < ours
    assert pressure(Side.SELL, bid_lots=10, ask_lots=90, spread=2, usual_spread=2.0) == ours
    assert pressure(Side.BUY, bid_lots=50, ask_lots=50, spread=1, usual_spread=4.0) > 0
    assert pressure(Side.BUY, bid_lots=50, ask_lots=50, spread=9, usual_spread=2.0) == -0.5


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("magic", {}, "known are adaptive"),
        ("twap", {}, "slices or interval_s"),
        ("twap", {"slices": 3, "interval_s": 5}, "slices or interval_s"),
        ("twap", {"slices": 0}, "slices"),
        ("twap", {"interval_s": 1e-10}, ">= 0.001"),
        ("twap", {"slices": 3, "jitter": float("nan")}, "jitter"),
        ("adaptive", {"volatility_bps": 1e200}, "volatility_bps"),
        ("adaptive", {"expected_lots": 10**19}, "expected_lots"),
        ("iceberg", {"display_lots": 10**30}, "display_lots"),
        ("vwap", {"curve": {"bin_ns": 1, "weights": [10**400]}}, "weights"),
        ("vwap", {"curve": {"bin_ns": 10**9, "weights": [1] * 86_400}}, "at most 10080 bins, was 86400"),
        ("pov", {"rate": 1.5}, "rate"),
        ("pov", {"speed": 1}, "speed"),
        ("vwap", {"curve": {"bin_ns": 5, "weights": [0]}}, "volume"),
        ("iceberg", {}, "display_lots"),
    ],
)
def test_what_an_algorithm_cannot_use_is_named(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(AlgorithmError, match=message):
        check_params(name, params)


# -- in the kernel


def test_a_twap_sends_each_slice_in_its_time_and_the_remainder_with_the_last() -> None:
    bench = Bench()
    parent = bench.start("twap", 100_003, 40, slices=4, style="take")
    bench.run(41)
    lots = [x.lots for x in bench.intents(parent)]
    assert lots == [25_000, 25_001, 25_001, 25_001]
    late = [(x.ts - parent.start) / SECOND_NS for x in bench.intents(parent)]
    assert late == pytest.approx([0.0, 10.0, 20.0, 30.0], abs=0.26)
    assert (parent.status, parent.detail) == (ParentStatus.FILLED, "")


def test_a_slice_rests_and_is_crossed_for_when_it_waited_too_long() -> None:
    bench = Bench()
    parent = bench.start("twap", 30_000, 60, slices=3, patience_s=4.0)
    first = bench.books.orders[parent.open[0]]
    assert (first.tif, first.price) == (TimeInForce.GTC, MIDDLE)
    bench.rig.accept(first.client_id)
    bench.wait(3.9)
    assert not first.cancel_requested
    bench.wait(0.2)
    assert first.cancel_requested
    bench.rig.end(first.client_id)
    second = bench.books.orders[parent.open[0]]
    assert (second.tif, second.price, second.lots) == (TimeInForce.IOC, MIDDLE + 2, first.lots)


def test_a_resting_child_follows_the_market() -> None:
    bench = Bench()
    parent = bench.start("iceberg", 30_000, 60, display_lots=10_000, reprice_s=1.0)
    first = bench.books.orders[parent.open[0]]
    bench.rig.accept(first.client_id)
    bench.rig.wait(2)
    bench.quote(-5)
    assert not first.cancel_requested, "it is the best bid"
    bench.quote(25)
    assert first.cancel_requested
    bench.rig.end(first.client_id)
    assert bench.books.orders[parent.open[0]].price == bench.middle


def test_pov_stays_behind_the_volume_and_catches_up_within_its_limit() -> None:
    bench = Bench(COARSE)
    parent = bench.start("pov", 10_000, 0, end=0, rate=0.1, lookback_s=10.0, catch_up=1.5, style="take")
    bench.trade(1000)
    assert [x.lots for x in bench.intents(parent)] == [100]
    bench.answer()
    bench.rig.reconcile(ok=False)
    for _ in range(20):
        bench.rig.wait(1)
        bench.trade(1000)
    assert parent.filled == 100
    bench.rig.reconcile()
    bench.rig.take(bench.rig.kernel.confirm_limits(bench.rig.now, version=1))
    bench.quote()
    assert bench.intents(parent)[-1].lots == 1500, "150 % of a tenth of what traded in ten seconds, not of all"


def test_buckets_carry_what_they_missed_up_to_their_limit() -> None:
    bench = Bench(COARSE)
    parent = bench.start("buckets", 4000, 40, buckets=4, catch_up=0.5, style="rest", finish_s=0.0)
    bench.wait(11)
    bench.quote()
    first = bench.books.orders[parent.open[0]]
    assert first.lots == 1000
    bench.rig.accept(first.client_id)
    bench.rig.take(bench.rig.kernel.cancel_all(bench.rig.now, reason="x", by="y", parents=False))
    bench.rig.end(first.client_id)
    assert bench.books.orders[parent.open[0]].lots == 1500, "its own quota and half of it more"


def test_an_iceberg_shows_little_and_refills_when_filled() -> None:
    bench = Bench(COARSE)
    parent = bench.start("iceberg", 1000, 0, end=0, display_lots=100, vary=0.2, limit_price=MIDDLE + 3)
    shown = []
    while parent.status is ParentStatus.ACTIVE:
        order = bench.books.orders[parent.open[0]]
        assert order.price == MIDDLE + 3
        shown.append(order.lots)
        bench.rig.accept(order.client_id)
        bench.rig.fill(order.client_id, order.lots, order.price)
    assert sum(shown) == 1000
    assert len(set(shown)) > 3
    assert all(80 <= lots <= 120 for lots in shown[:-1])
    assert shown[-1] <= 130, "a remainder below the venue's minimum goes with the last"


def test_a_denial_pauses_the_parent_with_its_reason_and_does_not_spin() -> None:
    bench = Bench(limits={**ROOMY, "max_position": {"BTCUSDT": "0.05"}})
    parent = bench.start("twap", 30_000, 60, slices=3, style="take")
    bench.run(20)
    denied = [x for x in bench.rig.journal if isinstance(x, e.OrderDenied)]
    assert 3 <= len(denied) <= 8
    assert all(x.parent_id == parent.parent_id for x in denied)
    assert parent.detail == "denied: POSITION_ABOVE_LIMIT"
    assert bench.rig.kernel.desk.parents.why(parent.parent_id) == parent.detail
    bench.run(45)
    assert parent.status is ParentStatus.EXPIRED
    assert parent.detail == "30000 lots left: denied: POSITION_ABOVE_LIMIT"


def test_a_rejecting_venue_is_asked_less_and_less() -> None:
    bench = Bench()
    parent = bench.start("twap", 30_000, 60, slices=1, style="take")
    for _ in range(80):
        bench.answer(3)
        bench.quote()
        bench.wait(0.25)
    assert 4 <= parent.children <= 9
    assert "rejected" in parent.detail


def test_a_parent_waits_beyond_its_limit_price_and_says_so_at_the_end() -> None:
    bench = Bench()
    parent = bench.start("twap", 30_000, 20, slices=2, style="take", limit_price=MIDDLE - 50)
    bench.run(21)
    assert (parent.status, parent.children) == (ParentStatus.EXPIRED, 0)
    assert parent.detail == "30000 lots left: the market is beyond the limit price"


def test_children_stay_within_the_limits_per_order() -> None:
    bench = Bench(limits={**ROOMY, "max_order_qty": {"BTCUSDT": "0.2"}})
    parent = bench.start("twap", 95_000, 20, slices=1, style="take")
    bench.run(3)
    assert [x.lots for x in bench.intents(parent)] == [20_000, 20_000, 20_000, 20_000, 15_000]


def test_a_halt_ends_parents_and_a_lost_feed_makes_them_wait() -> None:
    bench = Bench()
    parent = bench.start("twap", 30_000, 60, slices=3)
    bench.rig.accept(parent.open[0])
    bench.rig.feed("BTCUSDT", FeedState.STALE)
    child = bench.books.orders[parent.open[0]]
    assert child.cancel_requested
    bench.rig.end(child.client_id)
    assert parent.open == []
    bench.rig.feed("BTCUSDT", FeedState.LIVE)
    bench.quote()
    assert len(parent.open) == 1
    bench.rig.state(TradingState.HALTED, 2)
    assert parent.status is ParentStatus.CANCELLING
    bench.answer(1)
    assert (parent.status, parent.detail) == (ParentStatus.CANCELED, "halted: test")
    bench.rig.check_replay()


def test_a_strategy_s_parent_ends_with_its_run_and_a_person_s_does_not() -> None:
    bench = Bench()
    theirs = bench.start("twap", 30_000, 60, slices=3)
    request = ParentRequest(
        symbol="BTCUSDT", side=Side.BUY, lots=20_000, algorithm="pov", params={"rate": 0.1, "lookback_s": 9}
    )
    parent_id = bench.rig.kernel.desk.execute(request)
    assert parent_id is not None
    assert parent_id.startswith(PREFIX)
    assert bench.rig.kernel.desk.execute(ParentRequest(**{**_fields(request), "symbol": "NONE"})) is None
    bench.rig.take(bench.rig.kernel.stop_run(bench.rig.now, reason="done"))
    assert bench.books.parents[parent_id].status is ParentStatus.CANCELED
    assert theirs.status is ParentStatus.ACTIVE
    assert not bench.books.orders[theirs.open[0]].cancel_requested
    assert bench.rig.kernel.desk.execute(request) is None, "no run is on"
    bench.rig.check_replay()


def _fields(request: ParentRequest) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__struct_fields__}


@pytest.mark.parametrize(
    ("algorithm", "lots", "seconds", "fields", "why"),
    [
        ("magic", 10, 60, {}, "unknown algorithm 'magic'"),
        ("twap", 0, 60, {"slices": 2}, "more than 0 lots"),
        ("twap", 10, 60, {"slices": 2, "end": 0}, "needs an end"),
        ("twap", 10, -5, {"slices": 2}, "end after its start"),
        ("vwap", 10, 60, {}, "curve"),
        ("twap", 10, 60, {"slices": 2, "start": 1}, "ask anew"),
    ],
)
def test_a_parent_that_cannot_be_worked_is_refused_with_the_reason(
    algorithm: str, lots: int, seconds: float, fields: dict[str, Any], why: str
) -> None:
    bench = Bench()
    parent = bench.start(algorithm, lots, seconds, **fields)
    assert (parent.status, parent.children) == (ParentStatus.REFUSED, 0)
    assert why in parent.detail
    bench.rig.check_replay()


def test_an_overfill_is_seen_and_nothing_more_is_sent() -> None:
    bench = Bench()
    parent = bench.start("twap", 30_000, 60, slices=1, style="take")
    child = parent.open[0]
    bench.rig.accept(child)
    bench.rig.fill(child, 30_010, MIDDLE + 1)
    assert (parent.status, parent.detail) == (ParentStatus.FILLED, "overfilled by 10 lots")
    assert [x.kind for x in bench.books.anomalies] == ["overfill", "parent_overfill"]
    bench.run(5)
    assert parent.children == 1


def test_the_history_of_the_host_makes_the_curve_of_a_vwap() -> None:
    bench = Bench(COARSE)
    bench.rig.kernel.desk.parents.curves["BTCUSDT"] = VolumeCurve(10 * SECOND_NS, (30, 10))
    parent = bench.start("vwap", 4000, 20, track=0.0, style="take", finish_s=0.0)
    assert parent.params["curve"] == {"bin_ns": 10 * SECOND_NS, "weights": [30, 10]}
    bench.run(10)
    # The curve is gone through a second before the end, so that the last lots find a market: 30 of 39 by now.
    assert parent.filled == pytest.approx(3076, abs=40)
    bench.run(11)
    assert parent.status is ParentStatus.FILLED


def test_a_halt_of_a_scope_and_a_cancel_of_a_part_end_the_parents_in_it() -> None:
    bench = Bench()
    kernel, rig = bench.rig.kernel, bench.rig
    buying = bench.start("twap", 30_000, 60, slices=3)
    rig.report(e.BalanceAdopted(ts=rig.now, asset="BTC", total=10**11))
    selling = bench.start("twap", 30_000, 60, slices=3, side=Side.SELL)
    rig.take(kernel.cancel_some(rig.now, selection=Selection(side=Side.SELL), reason="no sells", by="ann"))
    assert (buying.status, selling.status) == (ParentStatus.ACTIVE, ParentStatus.CANCELLING)
    wanted = {"scope": "instrument:BTCUSDT", "halted": True, "reason": "odd prices", "by": "ann", "version": 1}
    rig.take(kernel.set_scopes(rig.now, [wanted]))
    assert buying.status is ParentStatus.CANCELLING
    bench.answer(1)
    assert (buying.status, buying.detail) == (ParentStatus.CANCELED, "instrument:BTCUSDT halted: odd prices")
    rig.check_replay()


def test_what_is_released_lot_by_lot_makes_no_swarm_of_children() -> None:
    bench = Bench(COARSE)
    parent = bench.start("pov", 5000, 0, end=0, rate=0.1, style="take")
    bench.run(60, volume=21)
    lots = [x.lots for x in bench.intents(parent)]
    assert lots
    assert min(lots) >= 50


def test_a_crash_between_refusing_and_ending_lets_no_child_out() -> None:
    bench = Bench()
    bench.start("twap", 30_000, 60, slices=3, start=1)
    assert isinstance(bench.rig.journal.pop(), e.ParentEnded)
    records = [e.Record(seq=n, hash="", event=event) for n, event in enumerate(bench.rig.journal)]  # type: ignore[arg-type]  # all are Journalled
    again = Rig((bench.item,))
    again.now, again.journal = bench.rig.now, bench.rig.journal
    again.kernel.recover(records)
    again.take(again.kernel.open_session(again.now, epoch=2, venue="paper", worker="test", instruments=[bench.item]))
    again.take(again.kernel.on_timer(again.now))
    (parent,) = again.books.parents.values()
    assert (parent.status, parent.children) == (ParentStatus.CANCELED, 0)
    assert "ask anew" in parent.detail
    again.check_replay()
