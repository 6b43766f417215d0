"""What an execution cost, and why: the published split, its sum, its signs, and mark-outs."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.parents import COARSE, MIDDLE, Bench
from workers.engine import events as e
from workers.engine.execution.tca import against, shortfall
from workers.engine.vocabulary import FeedState

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


def test_a_market_that_is_not_seen_gives_no_markout() -> None:
    bench = Bench(COARSE)
    bench.start("twap", 100, 10, slices=1, style="take")
    bench.run(0.5)
    bench.rig.feed("BTCUSDT", FeedState.STALE)
    for _ in range(140):
        bench.wait(0.25)
    assert not [x for x in bench.rig.journal if isinstance(x, e.ParentMeasured)]
    assert not bench.rig.kernel.desk.parents.busy
