"""A line of results ends where everything traded ends, wherever it begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.trading.domain.scope_lines import Execution, Flow, lines

START = datetime(2026, 1, 5, tzinfo=UTC)
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
    )


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
