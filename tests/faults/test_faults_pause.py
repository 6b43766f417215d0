"""SIGSTOP and SIGCONT: who wakes late must not act on what it knew."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from tests.support.desk import Desk
from tests.support.stack import Stack, eventually
from tests.support.truth import MS, Checker, events
from workers.engine.events import FeedChanged, OrderIntended

pytestmark = [pytest.mark.stack, pytest.mark.fault]

# Longer than a heartbeat may be missing.
PAUSE_S = 7


def pause(stack: Stack, name: str) -> tuple[int, int]:
    """Stop the process for ``PAUSE_S``; returns when it stopped and when it woke, in ms."""
    stack.signal(name, signal.SIGSTOP)
    stopped = time.time_ns() // MS
    time.sleep(PAUSE_S)
    woke = time.time_ns() // MS
    stack.signal(name, signal.SIGCONT)
    return stopped, woke


def wait_seen(desk: Desk, fingerprint: str, since_ms: int) -> None:
    """Until the incident was seen since then."""

    def seen() -> bool:
        incident = desk.incidents().get(fingerprint)
        return incident is not None and incident["last_seen_at"] >= _iso(since_ms)

    eventually(seen, f"incident {fingerprint}", 30)


def _iso(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms / 1000))


def test_execution_worker_that_wakes_late_does_not_trade_on_what_it_knew(
    trading: Stack, desk: Desk, checker: Checker
) -> None:
    stopped, woke = pause(trading, "execution")
    wait_seen(desk, "worker_lost:execution", stopped)
    desk.wait_for_orders(1, "after the pause", 60)
    told = events(checker.folder)
    decided = {event.client_id: event.ts // MS for event in told if type(event) is OrderIntended}
    for row in trading.truth()["orders"]:
        if row["time"] >= woke:
            assert decided.get(row["clientOrderId"], woke) >= woke, f"{row} was decided before the pause"
    paused = [e for e in told if type(e) is FeedChanged and e.ts // MS >= woke and "paused" in e.detail]
    assert paused, "the loop did not notice that it had been stopped"


def test_venue_paused(trading: Stack, desk: Desk) -> None:
    """Orders sent to a venue that sleeps are unknown until it wakes, and by then too old for it to take."""
    stopped, _ = pause(trading, "venue")
    wait_seen(desk, "venue_unreachable:venue", stopped)


@pytest.mark.parametrize("name", ["valkey", "postgres"])
def test_storage_paused(name: str, trading: Stack) -> None:
    """The loop waits for neither."""
    before = len(trading.truth()["orders"])
    trading.signal(name, signal.SIGSTOP)
    try:
        eventually(lambda: len(trading.truth()["orders"]) > before + 2, f"orders while {name} stands still", 30)
    finally:
        trading.signal(name, signal.SIGCONT)


def test_a_halt_needs_no_cache(trading: Stack, desk: Desk) -> None:
    """Sign-in, fresh code, order, and the loop's own obedience while Valkey stands still."""
    trading.signal("valkey", signal.SIGSTOP)
    try:
        desk.sign_in()
        desk.halt("the cache is gone")
        eventually(lambda: _never_more(trading), "no open order and no new one while Valkey stands still", 30)
    finally:
        trading.signal("valkey", signal.SIGCONT)
    desk.wait_observed("HALTED")
    desk.resume("the cache is back")
    desk.wait_observed("ACTIVE")


def _never_more(stack: Stack) -> bool:
    """True when nothing rests at the venue and nothing new arrived in two seconds."""
    before = len(stack.truth()["orders"])
    time.sleep(2)
    orders = stack.truth()["orders"]
    return len(orders) == before and not any(row["status"] in ("NEW", "PARTIALLY_FILLED") for row in orders)


def test_a_crowd_of_refused_halts_holds_nobody_else_up(trading: Stack, desk: Desk) -> None:
    """Denials are recorded beside the pool of connections: who reads meanwhile is answered as ever."""
    with ThreadPoolExecutor(48) as crowd:
        refused = [crowd.submit(_refused_halt, desk, number) for number in range(48)]
        begun = time.monotonic()
        assert desk.control()["state"] == "ACTIVE"
        assert time.monotonic() - begun < 10
        assert {done.result() for done in refused} == {403}
    assert desk.control()["state"] == "ACTIVE"


def _refused_halt(desk: Desk, number: int) -> int:
    headers = {
        "X-CSRFToken": desk.http.cookies.get("csrftoken") or "",
        "Idempotency-Key": f"crowd-{number}-{time.time_ns()}",
    }
    order = {"reason": "no grant", "grant": str(uuid4())}
    return desk.http.post("trading/halts/", json=order, headers=headers).status_code
