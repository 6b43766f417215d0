"""Halting, and what must hold over kills, restarts and a power cut."""

from __future__ import annotations

import time

import psutil
import pytest

from tests.support.desk import RESTING, Desk
from tests.support.stack import Stack, eventually
from tests.support.truth import MS, Checker, events, of_journal
from workers.engine.events import CancelRequested

pytestmark = [pytest.mark.stack, pytest.mark.fault]


@pytest.fixture
def resting(desk: Desk) -> Desk:
    """A desk whose orders rest at the venue."""
    desk.stop_run("make room for resting orders")
    desk.start_run(RESTING)
    return desk


def test_a_halt_holds_over_kill_restart_and_power_cut(stack: Stack, resting: Desk, checker: Checker) -> None:
    desk = resting
    eventually(lambda: _open(stack), "an order rests at the venue", 60, every=0.05)
    desk.halt("fault test")
    desk.wait_observed("HALTED")
    eventually(lambda: not _open(stack), "all orders are cancelled", 20)
    halted = time.time_ns() // MS
    checker.exact()
    assert any(type(e) is CancelRequested and "halted" in e.reason for e in events(checker.folder)[-200:])
    assert "trading_halted:paper" in desk.incidents()

    pid = stack.kill("execution")
    stack.wait_restarted("execution", pid)
    assert desk.control()["observed_state"] == "HALTED"
    checker.exact()
    books = of_journal(events(checker.folder))

    assert stack.stop() == 0
    stack.start()
    assert desk.control()["observed_state"] == "HALTED"
    checker.exact()
    assert of_journal(events(checker.folder)).balances == books.balances
    assert checker.newest_order_ms() <= halted, "an order reached the venue after the halt"

    desk.resume("fault test over")
    desk.wait_observed("ACTIVE")
    desk.wait_for_orders(2, "after the halt")
    checker.nothing_lost()

    orders, points = len(stack.truth()["orders"]), desk.get("trading/pnl/")["total"]
    left = {name: stack.pid(name) for name in stack.processes()}
    stack.kill_supervisor()
    assert psutil.pid_exists(left["execution"])
    stack.start()
    assert "ended what an earlier run left behind" in stack.screen
    assert not any(psutil.pid_exists(pid) for pid in left.values())
    stack.kill_everything()
    stack.start()
    checker.nothing_lost()
    assert len(stack.truth()["orders"]) >= orders
    assert desk.get("trading/pnl/")["total"] >= points
    desk.wait_for_orders(1, "after the power cut")


def _open(stack: Stack) -> list[str]:
    return [row["clientOrderId"] for row in stack.truth()["orders"] if row["status"] in ("NEW", "PARTIALLY_FILLED")]
