"""Faults in a row, chosen by a seed, faster than the desk recovers from them."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable

import httpx
import pytest

from tests.support.desk import Desk
from tests.support.stack import Stack, eventually
from tests.support.truth import Checker

pytestmark = [pytest.mark.stack, pytest.mark.fault]

KILLED = (
    "execution",
    "execution",
    "venue",
    "projector",
    "postgres",
    "valkey",
    "web",
    "relay",
    "control",
    "gpu",
    "backtest",
)
PAUSED = ("execution", "venue", "postgres", "valkey")
VENUE = (
    {"order_500_after_accept": 1},
    {"lose_ack": 1},
    {"duplicate_reports": 5},
    {"drop_websockets": True},
    {"reject_orders": 1},
)
ALGORITHMS = {"adaptive", "buckets", "iceberg", "pov", "twap", "vwap"}


def kill(stack: Stack, chance: random.Random) -> str:
    name = chance.choice(KILLED)
    stack.kill(name)
    return f"kill {name}"


def pause(stack: Stack, chance: random.Random) -> str:
    name, seconds = chance.choice(PAUSED), chance.uniform(0.5, 4.0)
    stack.signal(name, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        stack.signal(name, signal.SIGCONT)
    return f"pause {name} for {seconds:.1f} s"


def misbehave(stack: Stack, chance: random.Random) -> str:
    what = chance.choice(VENUE)
    try:
        stack.fault(**what)
    except httpx.HTTPError:
        return "none: the venue was down"
    return f"venue {what}"


FAULTS: tuple[Callable[[Stack, random.Random], str], ...] = (kill, pause, misbehave)


def worked(checker: Checker) -> set[str]:
    """Algorithms of the parents that have done something."""
    return {parent.algorithm for parent in checker.books().parents.values() if parent.filled}


def test_a_row_of_random_faults(trading: Stack, desk: Desk, checker: Checker) -> None:
    """``GEKKO_FAULTS`` many, 8 by default, in the lives of parents; ``GEKKO_FAULT_SEED`` chooses another row."""
    count = int(os.environ.get("GEKKO_FAULTS") or 8)
    seed = int(os.environ.get("GEKKO_FAULT_SEED") or 19706)
    chance, done = random.Random(seed), []
    for number in range(1, count + 1):
        done.append(chance.choice(FAULTS)(trading, chance))
        sys.stdout.write(f"seed {seed}, fault {number}: {done[-1]}\n")
        time.sleep(chance.uniform(0.0, 1.0))
        if number % 10 == 0:
            desk.wait_for_orders(1, f"after {done[-10:]} (seed {seed})", 120)
            checker.nothing_lost()
    desk.wait_for_orders(3, f"after {done} (seed {seed})", 120)
    eventually(lambda: worked(checker) >= ALGORITHMS, "every algorithm has worked", 60)
    desk.halt(f"look at the books after {count} faults")
    desk.wait_observed("HALTED", 60)
    checker.exact()
    assert not trading.leaks()
    desk.resume("books agree")
    desk.wait_observed("ACTIVE", 60)
