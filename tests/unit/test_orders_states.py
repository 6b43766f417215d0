"""The table of an order's life, and ids that come once."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.engine.execution.client_ids import base36, client_order_id, is_ours
from workers.engine.execution.orders import ENDED, TRANSITIONS, Report, next_status
from workers.engine.vocabulary import OPEN_STATUSES, OrderStatus


def reachable(start: OrderStatus) -> set[OrderStatus]:
    seen, todo = {start}, [start]
    while todo:
        for status in TRANSITIONS[todo.pop()].values():
            if status not in seen:
                seen.add(status)
                todo.append(status)
    return seen


def test_every_status_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(OrderStatus)
    assert reachable(OrderStatus.INTENT) == set(OrderStatus) - {OrderStatus.DENIED}


@pytest.mark.parametrize("status", sorted(reachable(OrderStatus.INTENT)))
def test_every_reachable_state_has_a_way_to_an_end(status: OrderStatus) -> None:
    assert any(not end.is_open for end in reachable(status))


@pytest.mark.parametrize("status", sorted(OPEN_STATUSES))
@pytest.mark.parametrize("report", [Report.ALL_FILLED, Report.CANCELED, Report.EXPIRED, Report.REJECTED])
def test_the_venues_last_word_ends_every_open_state(status: OrderStatus, report: Report) -> None:
    assert not next_status(status, report).is_open


@pytest.mark.parametrize(
    ("status", "report", "after"),
    [
        (OrderStatus.FILLED, Report.ACCEPTED, OrderStatus.FILLED),
        (OrderStatus.PARTIALLY_FILLED, Report.ACCEPTED, OrderStatus.PARTIALLY_FILLED),
        (OrderStatus.WORKING, Report.SENT, OrderStatus.WORKING),
        (OrderStatus.CANCELED, Report.ALL_FILLED, OrderStatus.FILLED),
        (OrderStatus.CANCELED, Report.PART_FILLED, OrderStatus.CANCELED),
        (OrderStatus.FILLED, Report.CANCELED, OrderStatus.FILLED),
        (OrderStatus.UNKNOWN, Report.ACCEPTED, OrderStatus.WORKING),
        (OrderStatus.UNKNOWN, Report.SENT, OrderStatus.UNKNOWN),
        (OrderStatus.UNKNOWN, Report.NOT_SENT, OrderStatus.CANCELED),
        (OrderStatus.WORKING, Report.UNKNOWN, OrderStatus.WORKING),
        (OrderStatus.REJECTED, Report.PART_FILLED, OrderStatus.PARTIALLY_FILLED),
    ],
)
def test_late_and_repeated_reports(status: OrderStatus, report: Report, after: OrderStatus) -> None:
    assert next_status(status, report) is after


@given(st.lists(st.sampled_from(Report), max_size=12))
def test_no_order_of_reports_breaks_the_table(reports: list[Report]) -> None:
    status = OrderStatus.INTENT
    for report in reports:
        status = next_status(status, report)
        assert status is not OrderStatus.DENIED
    assert next_status(status, Report.ALL_FILLED) is OrderStatus.FILLED


def test_an_unknown_order_never_ends_without_an_answer() -> None:
    answers = set(TRANSITIONS[OrderStatus.UNKNOWN])
    assert answers == {*ENDED.values(), Report.ACCEPTED, Report.NOT_SENT, Report.PART_FILLED, Report.ALL_FILLED}


keys = st.tuples(st.text(max_size=60), st.integers(0, 36**7 - 1), st.integers(0, 36**11 - 1))


@given(st.lists(keys, unique=True, min_size=2, max_size=20))
def test_client_ids_are_unique_short_and_recognised(wanted: list[tuple[str, int, int]]) -> None:
    made = [client_order_id(*key) for key in wanted]
    assert len(set(made)) == len(made)
    assert made == [client_order_id(*key) for key in wanted]
    for client_id in made:
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,36}", client_id)
        assert is_ours(client_id)


@pytest.mark.parametrize("client_id", ["", "web_1234", "gk1-", "gk1-0123456789ab-1-", "gk2-0123456789ab-1-1", "x-1"])
def test_foreign_ids_are_not_ours(client_id: str) -> None:
    assert not is_ours(client_id)


@given(st.integers(0, 10**18))
def test_base36_is_what_int_reads(number: int) -> None:
    assert int(base36(number), 36) == number


def test_an_id_that_would_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 36"):
        client_order_id("run", 36**9, 36**12)
    with pytest.raises(ValueError, match="non-negative"):
        base36(-1)
