"""SIGKILL of every process while the desk trades."""

from __future__ import annotations

import random
import time

import httpx
import pytest

from tests.support.desk import Desk
from tests.support.stack import Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.fault]

SEED, ROUNDS = 20261122, 2


def wait_told(desk: Desk, fingerprint: str, count: int = 1) -> None:
    """Until the operator can read of it."""

    def told() -> bool:
        incident = desk.incidents().get(fingerprint)
        return incident is not None and incident["evidence"].get("restarts", count) >= count

    eventually(told, f"incident {fingerprint}", 30)


def test_execution_worker_killed_again_and_again(trading: Stack, desk: Desk) -> None:
    """At moments of no choosing: before, on and after the way of an order to the venue."""
    moments = random.Random(SEED)
    for _ in range(ROUNDS):
        pid = trading.kill("execution")
        trading.wait_restarted("execution", pid)
        desk.wait_for_orders(1, "between two kills", 90)
        time.sleep(moments.uniform(0.0, 1.5))
    wait_told(desk, "process_restarted:execution", ROUNDS)


def test_execution_worker_killed_while_an_order_waits_for_its_answer(trading: Stack, desk: Desk) -> None:
    """The venue has the order and we never heard: the next process must ask, not send again."""
    trading.fault(order_ack_delay_ms=60_000)
    try:
        taken = len(trading.truth()["orders"])
        eventually(lambda: len(trading.truth()["orders"]) > taken, "the venue took an order", 30, every=0.02)
        pid = trading.kill("execution")
    finally:
        trading.fault(order_ack_delay_ms=0)
    trading.wait_restarted("execution", pid)
    desk.wait_for_orders(1, "after the lost answer", 90)


def test_venue_killed(trading: Stack, desk: Desk) -> None:
    pid = trading.kill("venue")
    trading.wait_restarted("venue", pid)
    wait_told(desk, "process_restarted:venue")


def test_postgres_killed(trading: Stack, desk: Desk) -> None:
    """The loop trades on by its journal; what was shown late is shown in the end."""
    before = len(trading.truth()["orders"])
    pid = trading.kill("postgres")
    trading.wait_restarted("postgres", pid)
    eventually(lambda: len(trading.truth()["orders"]) > before, "orders while records were away", 30)
    eventually(lambda: httpx.get(f"{trading.web_url}/readyz", timeout=10).status_code == 200, "web is ready again", 60)
    wait_told(desk, "process_restarted:postgres")


def test_valkey_killed(trading: Stack, desk: Desk) -> None:
    pid = trading.kill("valkey")
    trading.wait_restarted("valkey", pid)
    eventually(lambda: httpx.get(f"{trading.web_url}/readyz", timeout=10).status_code == 200, "web is ready again", 60)
    wait_told(desk, "process_restarted:valkey")


def test_everything_around_the_loop_killed_at_once(trading: Stack, desk: Desk) -> None:
    names = ("web", "control", "gpu", "projector", "relay")
    before = len(trading.truth()["orders"])
    pids = {name: trading.kill(name) for name in names}
    eventually(lambda: len(trading.truth()["orders"]) > before, "orders without anything around the loop", 30)
    for name, pid in pids.items():
        trading.wait_restarted(name, pid)
    for name in names:
        wait_told(desk, f"process_restarted:{name}")
