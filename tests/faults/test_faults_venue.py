"""A venue that answers wrongly, late, twice or not at all."""

from __future__ import annotations

import pytest

from tests.support.desk import Desk
from tests.support.stack import Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.fault]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"order_500_after_accept": 2}, id="error-after-accepting"),
        pytest.param({"lose_ack": 2}, id="lost-answer"),
        pytest.param({"duplicate_reports": 6}, id="duplicate-reports"),
        pytest.param({"reject_orders": 2}, id="rejects"),
    ],
)
def test_wrong_answers(fault: dict[str, int], trading: Stack) -> None:
    trading.fault(**fault)
    eventually(lambda: not any(trading.fault()[name] for name in fault), f"{fault} is used up", 45)


def test_late_answers(trading: Stack, desk: Desk) -> None:
    """Later than the loop waits for an answer: what became of the orders is told by the account's stream, or asked."""
    trading.fault(order_ack_delay_ms=4500)
    try:
        desk.wait_for_orders(3, "while answers are late", 45)
    finally:
        trading.fault(order_ack_delay_ms=0)


def test_cut_streams(trading: Stack, desk: Desk) -> None:
    for _ in range(2):
        trading.fault(drop_websockets=True)
        desk.wait_for_orders(1, "after the streams were cut", 45)
