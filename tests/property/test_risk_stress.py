"""Exposure, stress scenarios and the report: sums agree, scenarios have the right sign, what is missing is said."""

from __future__ import annotations

import gzip
import math
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.trading.domain import risk as rules
from tests.support.risk import MINUTE_NS, NOW, book, holding, inputs
from tests.unit.test_risk_cases import table
from workers.engine.risk import stress
from workers.engine.risk.exposure import ExposureError, exposure
from workers.engine.risk.measures.conventions import MeasureError
from workers.engine.risk.report import METHODS, Settings, assess, build_model, snapshot_of

FEW = settings(max_examples=50, deadline=None)
AMOUNTS = st.decimals(-1000, 1000, places=4, allow_nan=False)


@FEW
@given(st.lists(st.tuples(AMOUNTS, st.decimals("0.01", 1000, places=2)), min_size=1, max_size=6))
def test_exposures_add_up(held: list[tuple[Decimal, Decimal]]) -> None:
    made = [holding(f"A{i}USDT", str(quantity), str(mark)) for i, (quantity, mark) in enumerate(held)]
    found = exposure(made, {"USDT": Decimal(100)}, "USDT")
    assert found.gross == found.long + found.short == sum(found.venues.values(), Decimal(0))
    assert found.net == found.long - found.short == sum(found.instruments.values(), Decimal(0))
    assert sum(found.currencies.values()) == found.net + 100
    spread = found.concentration
    if found.gross:
        lowest = Decimal(1) / len(found.instruments)
        assert lowest - Decimal("0.000001") <= spread.herfindahl <= spread.largest_share <= 1
        assert abs(found.instruments[spread.largest]) == max(map(abs, found.instruments.values()))


def test_the_same_asset_at_two_venues_is_one_concentration_and_each_venue_may_go_out() -> None:
    abroad = msgspec.structs.replace(holding("BTCUSDT@beta", "-1", "100"), venue="beta", base="BTC")
    held = [holding("BTCUSDT", "3", "100"), abroad, holding("ETHUSDT", "1", "200")]
    found = exposure(held, {}, "USDT")
    assert found.venues == {"paper": 500, "beta": 100}
    assert (found.concentration.largest, found.concentration.largest_share) == ("BTCUSDT", Decimal("0.5"))
    assert (found.base_concentration.largest_share, found.base_concentration.herfindahl) == (
        Decimal("0.5"),
        Decimal("0.5"),
    )
    made = inputs()
    away = msgspec.structs.replace(made.holdings[1], venue="beta")
    report = assess(msgspec.structs.replace(made, holdings=(made.holdings[0], away)), Settings())
    outages = {row["name"]: row["positions"] for row in report["stress"] if row["kind"] == "outage"}
    assert {name: list(parts) for name, parts in outages.items()} == {
        "paper is out for 4 h": ["BTCUSDT"],
        "beta is out for 4 h": ["ETHUSDT"],
    }
    assert all(float(loss) < 0 for parts in outages.values() for loss in parts.values())


def test_what_cannot_be_added_up_is_refused() -> None:
    euro = msgspec.structs.replace(holding("BTCUSDT", "1", "10"), quote="EUR")
    with pytest.raises(ExposureError, match=r"prices in USDT, was EUR \(paper:BTCUSDT\)"):
        exposure([euro], {}, "USDT")
    with pytest.raises(ExposureError, match="cash in USDT, was 5 BNB"):
        exposure([], {"USDT": Decimal(1), "BNB": Decimal(5)}, "USDT")


@FEW
@given(quantity=st.floats(-60, 60).filter(lambda q: abs(q) > 1e-6), wider=st.floats(1, 5), thinner=st.floats(1, 8))
def test_a_thinner_and_wider_book_never_costs_less(quantity: float, wider: float, thinner: float) -> None:
    depth = book(50_000)
    cost, rest = stress.liquidation_cost(quantity, depth)
    worse, more_left = stress.liquidation_cost(quantity, depth, wider=wider, thinner=thinner)
    assert 0 < cost <= worse * (1 + 1e-12)
    assert rest <= more_left + 1e-9
    assert worse >= wider * cost * (1 - 1e-12)
    other, _ = stress.liquidation_cost(-quantity, depth)
    assert other == pytest.approx(cost, rel=1e-9)
    half, _ = stress.liquidation_cost(quantity / 2, depth)
    assert 2 * half <= cost * (1 + 1e-12)


def test_liquidation_walks_the_book() -> None:
    depth = stress.Depth(bids=[(99.0, 1.0), (98.0, 2.0)], asks=[(101.0, 1.0)])
    assert stress.liquidation_cost(2.0, depth) == (1.0 + 2.0, 0.0)
    cost, rest = stress.liquidation_cost(2.0, depth, wider=2, thinner=2)
    assert (cost, rest) == (0.5 * 2 + 1.0 * 4 + 0.5 * 4, 0.5)
    with pytest.raises(MeasureError, match="bids and asks"):
        stress.liquidation_cost(1.0, stress.Depth(bids=[], asks=[(1.0, 1.0)]))
    thin = stress.liquidity("all", {"X": 4.0}, {"X": depth}, wider=1, thinner=1)
    assert (thin.outcome, thin.total) == (stress.Outcome.PARTIAL, -7.0)
    assert "25% of X" in thin.detail
    assert stress.liquidity("all", {"Y": 1.0}, {"X": depth}, wider=1, thinner=1).total is None


def test_a_window_needs_prices_of_every_holding(market_data: Path) -> None:
    prices = table(market_data / "reference" / "sp500_dataset.csv.gz")
    packed = (market_data / "reference" / "sp500_dataset.csv.gz").read_bytes()
    days = [line.split(",", 1)[0] for line in gzip.decompress(packed).decode().splitlines()[1:]]
    times = [int(np.datetime64(day, "ns").astype(np.int64)) for day in days]
    history = {name: stress.Prices(times=times, closes=prices[name].tolist()) for name in ("AAPL", "JPM")}
    held = {"AAPL": 10_000.0, "JPM": 20_000.0}
    october = next(window for window in stress.WINDOWS if window.name.startswith("October 2008"))
    found = stress.historical_window(october, held, history)
    assert found.outcome is stress.Outcome.DONE
    inside = [i for i, at in enumerate(times) if october.start <= at <= october.end]
    paths = [[held[name] * (prices[name][i] / prices[name][inside[0]] - 1) for name in held] for i in inside]
    worst = min(paths, key=math.fsum)
    assert list(found.positions.values()) == pytest.approx(worst)
    assert found.total == pytest.approx(math.fsum(worst))
    assert found.total is not None
    assert found.total < -3000
    lacking = stress.historical_window(october, {**held, "BTC": 1.0}, history)
    assert (lacking.outcome, lacking.total) == (stress.Outcome.NO_DATA, None)
    assert "no prices of BTC" in lacking.detail
    ftx = next(window for window in stress.WINDOWS if "FTX" in window.name)
    before = {name: stress.Prices(times=times[:5000], closes=prices[name][:5000].tolist()) for name in held}
    assert stress.historical_window(ftx, held, before).outcome is stress.Outcome.NO_DATA


def test_the_worst_stretch_is_the_worst() -> None:
    returns = np.array([[0.01], [-0.02], [-0.03], [0.05], [-0.01]])
    found = stress.worst_stretch("two", {"X": 100.0}, returns, 2)
    assert found.total == pytest.approx(100 * (0.98 * 0.97 - 1))
    assert "periods 2 to 3" in found.detail
    short = stress.worst_stretch("two", {"X": -100.0}, returns, 2)
    assert short.total == pytest.approx(-100 * (1.05 * 0.99 - 1))
    assert stress.worst_stretch("ten", {"X": 1.0}, returns, 10).outcome is stress.Outcome.NO_DATA


def test_a_report_s_parts_agree() -> None:
    made = inputs()
    report = assess(made, Settings())
    assert [row["name"] for row in report["methods"]] == list(METHODS)
    assert all(float(row["es"]) >= float(row["var"]) for row in report["methods"] if row["var"] is not None)
    parts = sum(float(row["var"]) for row in report["components"])
    assert parts == pytest.approx(float(report["var"]), rel=1e-6)
    together = {row["name"]: row for row in report["stress"]}
    assert -float(together["Correlations of one"]["total"]) >= float(report["var"])
    for row in report["stress"]:
        if row["total"] is not None:
            assert math.fsum(map(float, row["positions"].values())) == pytest.approx(float(row["total"]), abs=1e-6)
    assert assess(made, Settings()) == report
    longer = assess(made, Settings(horizon_ns=4 * 86_400_000_000_000))
    assert float(longer["var"]) == pytest.approx(2 * float(report["var"]), rel=1e-6)
    model = build_model(made, Settings())
    gate = snapshot_of(model, made, Settings()).value_at_risk({"BTCUSDT": 50_000.0, "ETHUSDT": -15_000.0})
    assert gate == pytest.approx(float(report["var"]), rel=1e-9)


def test_a_flat_book_risks_nothing_and_a_strange_one_is_named() -> None:
    flat = assess(inputs(btc="0", eth="0"), Settings())
    assert (flat["status"], flat["var"], flat["components"]) == ("ok", "0", [])
    strange = inputs()
    lost = msgspec.structs.replace(strange, history={"BTCUSDT": strange.history["BTCUSDT"]})
    assert assess(lost, Settings())["detail"] == "no price history of ETHUSDT, which is held"


@FEW
@given(
    st.lists(
        st.tuples(st.sampled_from(["BTCUSDT", "ETHUSDT"]), st.sampled_from([1, -1]), st.integers(1, 50)), max_size=4
    )
)
def test_orders_and_their_opposites_change_nothing(orders: list[tuple[str, int, int]]) -> None:
    before = inputs(count=80)
    there = [rules.Proposed(symbol=s, side=side, quantity=Decimal(q) / 10) for s, side, q in orders]
    back = [rules.Proposed(symbol=one.symbol, side=-one.side, quantity=one.quantity) for one in there]
    assert rules.with_orders(before, [*there, *back]) == before


def test_what_an_order_adds_is_the_difference() -> None:
    before = inputs()
    hedge = [rules.Proposed(symbol="BTCUSDT", side=-1, quantity=Decimal(1), price=Decimal(49_000))]
    after = rules.with_orders(before, hedge)
    assert after.cash["USDT"] == Decimal(59_000)
    answer = rules.compare(before, after, Settings(paths=200))
    assert float(answer["incremental_var"]) == pytest.approx(
        float(answer["after"]["var"]) - float(answer["before"]["var"]), abs=1e-6
    )
    assert float(answer["incremental_var"]) < 0
    assert answer["after"]["exposure"]["instruments"] == {"ETHUSDT": "-15000"}
    with pytest.raises(rules.ProposalError, match=r"orders\[0\].symbol: expected an instrument with a price"):
        rules.with_orders(before, [rules.Proposed(symbol="XRPUSDT", side=1, quantity=Decimal(1))])


def test_results_are_compared_only_with_what_was_just_foreseen() -> None:
    before = inputs()
    later = msgspec.structs.replace(before, at=NOW + MINUTE_NS)
    assert rules.result_since(before, later, MINUTE_NS) == 0
    assert rules.result_since(before, msgspec.structs.replace(before, at=NOW + 4 * MINUTE_NS), MINUTE_NS) is None
    assert rules.result_since(before, msgspec.structs.replace(later, holdings=()), MINUTE_NS) is None
    assert rules.is_breach(Decimal(-11), Decimal(10)) is True
    assert rules.is_breach(Decimal(-10), Decimal(10)) is False
    assert rules.is_breach(Decimal(-10), Decimal(0)) is None
    assert rules.coverage([], 0.99)["zone"] is None
