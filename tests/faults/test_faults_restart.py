"""Halting, and what must hold over kills, restarts and a power cut."""

from __future__ import annotations

import signal
import time

import psutil
import pytest

from tests.support.desk import VENUE, Desk
from tests.support.stack import Stack, eventually
from tests.support.truth import MS, Checker, events, of_journal

pytestmark = [pytest.mark.stack, pytest.mark.fault]


def halt_while_an_order_rests(stack: Stack, desk: Desk) -> None:
    """Halt at a moment when the venue has an open order, which its market leaves alone for that moment."""
    grant = desk.step_up("trading.halt", VENUE)

    def rests() -> list[str]:
        if not _open(stack):
            return []
        stack.fault(pause_feed_ms=4000)
        return _open(stack)

    resting = eventually(rests, "an order rests at the venue", 60, every=0.02)
    desk.halt("fault test", grant)
    desk.wait_observed("HALTED")
    eventually(lambda: not _open(stack), "all orders are cancelled", 20)
    ended = {row["clientOrderId"]: row["status"] for row in stack.truth()["orders"]}
    # Until the halt arrived, what rested could still be taken away by an order of ours on the other side.
    statuses = {ended[client_id] for client_id in resting}
    assert "CANCELED" in statuses
    assert statuses <= {"CANCELED", "EXPIRED_IN_MATCH"}


def test_a_halt_holds_over_kill_restart_and_power_cut(trading: Stack, desk: Desk, checker: Checker) -> None:
    """With parents at work, whose children rest at the venue."""
    stack = trading
    halt_while_an_order_rests(stack, desk)
    halted = time.time_ns() // MS
    checker.exact()
    eventually(lambda: "trading_halted:paper" in desk.incidents(), "the halt is an incident", 20)

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
    for name in ("postgres", "valkey", "execution", "venue"):
        stack.signal(name, signal.SIGKILL)
    stack.start()
    assert "ended what an earlier run left behind" in " ".join(stack.screen.split())
    assert not any(psutil.pid_exists(pid) for pid in left.values())
    checker.nothing_lost()
    assert len(stack.truth()["orders"]) >= orders
    assert desk.get("trading/pnl/")["total"] >= points


def _open(stack: Stack) -> list[str]:
    return [row["clientOrderId"] for row in stack.truth()["orders"] if row["status"] in ("NEW", "PARTIALLY_FILLED")]
