"""Results by scope add up to the books' own, whatever was traded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.trading.domain.attribution import Execution, Flow, attribute, lines, net_of

START = datetime(2026, 1, 5, tzinfo=UTC)
MARKS = {"A": Decimal("101.5"), "B": Decimal("7.25")}
fills = st.lists(
    st.tuples(
        st.sampled_from(["run-1", "run-2", ""]),
        st.sampled_from(["A", "B"]),
        st.sampled_from([1, -1]),
        st.integers(1, 500),
        st.integers(100, 20_000),
        st.integers(0, 50),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


def flow(fill: tuple[Any, ...]) -> Flow:
    run, symbol, sign, lots, cents, fee, in_base = fill
    quantity, price = Decimal(lots) / 100, Decimal(cents) / 100
    notional, taken = quantity * price, Decimal(fee) / 10_000
    return Flow(
        run_id=run,
        symbol=symbol,
        quantity=sign * quantity - (taken if in_base else 0),
        cash=-sign * notional - (0 if in_base else taken),
        fees=taken * price if in_base else taken,
        volume=notional,
        fills=1,
    )


@settings(max_examples=60, deadline=None)
@given(fills)
def test_every_scope_adds_up_to_the_same_result(traded: list[tuple[Any, ...]]) -> None:
    flows = [flow(fill) for fill in traded]
    cash = sum((each.cash for each in flows), Decimal(0))
    worth = sum((each.quantity * MARKS[each.symbol] for each in flows), Decimal(0))
    for key in (lambda each: each.run_id, lambda each: each.symbol, lambda _each: "desk"):
        rows = attribute(flows, MARKS, key)
        total = net_of(rows)
        assert total is not None
        assert abs(total - cash - worth) < Decimal("0.000001")
        assert sum(row["fills"] for row in rows) == len(traded)
        assert all(Decimal(row["before_fees"]) - Decimal(row["net"]) == Decimal(row["fees"]) for row in rows)
        assert [row["net"] for row in rows] == sorted((row["net"] for row in rows), key=Decimal, reverse=True)


@settings(max_examples=40, deadline=None)
@given(fills, st.integers(0, 40))
def test_a_line_ends_where_the_flows_end_wherever_it_begins(traded: list[tuple[Any, ...]], cut: int) -> None:
    flows = [flow(fill) for fill in traded]
    prices: dict[str, Decimal] = {fill[1]: Decimal(fill[4]) / 100 for fill in traded[:cut]}
    later = [
        Execution(
            START + timedelta(seconds=index), "desk", each.symbol, each.quantity, each.cash, Decimal(fill[4]) / 100
        )
        for index, (each, fill) in enumerate(zip(flows, traded, strict=True))
    ][cut:]
    found = lines([("desk", each) for each in flows[:cut]], later, prices)
    if not later:
        assert found == {}
        return
    last = {fill[1]: Decimal(fill[4]) / 100 for fill in traded}
    expected = sum((each.cash + each.quantity * last[each.symbol] for each in flows), Decimal(0))
    assert abs(found["desk"][1][-1] - expected) < Decimal("0.000001")
    assert len(found["desk"][0]) == len(later)


def test_what_is_held_without_a_mark_has_no_result() -> None:
    rows = attribute([flow(("r", "A", 1, 100, 500, 0, False))], {}, lambda each: each.symbol)
    assert (rows[0]["net"], rows[0]["net_bps"], rows[0]["fills"]) == (None, None, 1)
    assert net_of(rows) is None
