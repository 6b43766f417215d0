"""What an execution cost, and why: the published split, its sum, its signs, and mark-outs."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.kernels import Rig, make_fill
from tests.support.parents import COARSE, MIDDLE, Bench
from workers.engine import events as e
from workers.engine.execution.tca import against, shortfall
from workers.engine.vocabulary import FeedState, Side

prices = st.decimals(min_value=1, max_value=1000, places=2)


def test_the_split_is_the_published_one(market_data: Path) -> None:
    known = json.loads((market_data / "reference" / "cases.json").read_text())["cases"]
    case = next(one for one in known if one["id"] == "tca-is-47")
    given_ = {name: Decimal(str(value)) for name, value in case["inputs"].items()}
    found = shortfall(
        sign=1,
        quantity=given_["order"],
        filled=given_["filled"],
        decision=given_["decision"],
        arrival=given_["prev_close"],
        average=given_["exec"],
        end=given_["cancel"],
        fees=given_["commission"],
    )
    split = {
        "explicit": found.explicit,
        "realised": found.impact,
        "delay": found.delay,
        "missed": found.missed,
        "total": found.total,
    }
    for name, expected in case["expected"].items():
        assert float(split[name] * 100) == pytest.approx(expected, abs=case["abs_tol"]), name


@given(prices, prices, prices, prices, st.integers(1, 1000), st.integers(0, 1000), st.sampled_from([1, -1]))
@settings(max_examples=100, deadline=None)
def test_the_parts_add_up_to_paper_less_real(
    decision: Decimal, arrival: Decimal, average: Decimal, end: Decimal, whole: int, part: int, sign: int
) -> None:
    quantity, filled, fees = Decimal(whole), Decimal(min(part, whole)), Decimal("1.5")
    found = shortfall(
        sign=sign, quantity=quantity, filled=filled, decision=decision, arrival=arrival, average=average, end=end,
        fees=fees,
    )  # fmt: skip
    paper = sign * quantity * (end - decision)
    real = sign * filled * (end - average) - fees
    assert float(found.total) == pytest.approx(float((paper - real) / (quantity * decision)), abs=1e-12)


def test_what_cannot_be_judged_is_refused() -> None:
    one = Decimal(1)
    with pytest.raises(ValueError, match="above 0"):
        shortfall(
            sign=1, quantity=one, filled=one, decision=one * 0, arrival=one, average=one, end=one, fees=one
        )  # fmt: skip
    with pytest.raises(ValueError, match="above 0"):
        against(1, one, one * 0)
    assert against(-1, Decimal(99), Decimal(100)) == Decimal("0.01"), "sold cheaper than the market: a cost"


def test_the_kernel_records_what_a_parent_is_judged_by() -> None:
    bench = Bench(COARSE)
    parent = bench.start("twap", 100, 10, slices=2, style="take")
    bench.trade(500)
    bench.run(10)
    assert parent.status.value == "FILLED"
    (ended,) = [x for x in bench.rig.journal if isinstance(x, e.ParentEnded)]
    assert (ended.mid, ended.volume, ended.turnover) == (MIDDLE, 500, 500 * MIDDLE)
    assert parent.begun == MIDDLE
    bench.run(40, move=1)
    (measured,) = [x for x in bench.rig.journal if isinstance(x, e.ParentMeasured)]
    assert set(measured.markouts) == {"1", "5", "30"}
    assert {lots for _, lots in measured.markouts.values()} == {100}
    # Crossed two ticks above the middle; the market rose by a tick each quarter of a second from second 10 on.
    assert measured.markouts["1"][0] == -2 * 100
    assert measured.markouts["30"][0] > measured.markouts["5"][0]
    assert not bench.rig.kernel.desk.parents.busy
    bench.rig.check_replay()


def restarted(bench: Bench, down_s: float) -> None:
    """Another worker takes the journal after so many seconds, and sees the market again."""
    records = [e.Record(seq=n, hash="", event=event) for n, event in enumerate(bench.rig.journal)]  # type: ignore[arg-type]  # all are Journalled
    again = Rig((bench.item,))
    again.now, again.journal = bench.rig.now, bench.rig.journal
    again.kernel.recover(records)
    again.wait(down_s)
    again.take(again.kernel.open_session(again.now, epoch=2, venue="paper", worker="test", instruments=[bench.item]))
    again.reconcile()
    again.feed("BTCUSDT", FeedState.LIVE)
    bench.rig = again
    bench.quote()


def measured_after_a_restart(down_s: float) -> dict[str, tuple[int, int]]:
    """Mark-outs of a parent that was filled 2 s before a worker was gone for so long."""
    bench = Bench(COARSE)
    bench.start("twap", 100, 10, slices=1, style="take")
    bench.run(2.25)
    restarted(bench, down_s)
    bench.run(40, move=1)
    assert not bench.rig.kernel.desk.parents.busy
    bench.rig.check_replay()
    (measured,) = [x for x in bench.rig.journal if isinstance(x, e.ParentMeasured)]
    return measured.markouts


@pytest.mark.parametrize(
    ("down_s", "seen"), [(0.5, {"1", "5", "30"}), (3.5, {"1", "5", "30"}), (10, {"1", "30"}), (60, {"1"})]
)
def test_looks_that_are_to_come_survive_a_restart_and_those_nobody_took_are_not_made_up(
    down_s: float, seen: set[str]
) -> None:
    markouts = measured_after_a_restart(down_s)
    assert set(markouts) == seen
    assert {lots for _, lots in markouts.values()} == {100}
    # Crossed two ticks above the middle, which moved only after the restart.
    assert markouts["1"][0] == -2 * 100
    assert all(markouts[seconds][0] > markouts["1"][0] for seconds in seen - {"1"})


def test_a_parent_that_nobody_looked_after_is_forgotten() -> None:
    bench = Bench(COARSE)
    bench.start("twap", 100, 10, slices=1, style="take")
    bench.run(0.5)
    restarted(bench, 60)
    assert not bench.rig.kernel.desk.parents.busy
    bench.run(40)
    assert not [x for x in bench.rig.journal if isinstance(x, e.ParentMeasured)]
    bench.rig.check_replay()


def test_a_fill_that_was_found_out_late_is_looked_after_from_the_venues_time_on() -> None:
    bench = Bench(COARSE)
    parent = bench.start("twap", 100, 10, slices=1, style="rest")
    (client_id,) = parent.open
    bench.rig.accept(client_id)
    filled = make_fill(client_id, "BTCUSDT", Side.BUY, 100, MIDDLE - 1, 1, bench.rig.now)
    bench.rig.wait(3)
    bench.quote()
    bench.rig.report(msgspec.structs.replace(filled, ts=bench.rig.now))
    for _ in range(130):
        bench.wait(0.25)
        bench.quote()
    (measured,) = [x for x in bench.rig.journal if isinstance(x, e.ParentMeasured)]
    assert measured.markouts == {"5": (100, 100), "30": (100, 100)}


def test_a_market_that_is_not_seen_gives_no_markout() -> None:
    bench = Bench(COARSE)
    bench.start("twap", 100, 10, slices=1, style="take")
    bench.run(0.5)
    bench.rig.feed("BTCUSDT", FeedState.STALE)
    for _ in range(140):
        bench.wait(0.25)
    assert not [x for x in bench.rig.journal if isinstance(x, e.ParentMeasured)]
    assert not bench.rig.kernel.desk.parents.busy
