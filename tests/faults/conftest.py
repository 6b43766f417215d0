"""A desk that trades briskly, before every fault, and is looked over after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.desk import Desk, Row
from tests.support.stack import Stack
from tests.support.truth import Checker

WORKING: Row = {"strategy": "working", "params": {"parents": 2, "notional": 200.0, "every": 20}}
"""Orders all the time, and two parents at work on every instrument; see ``support/strategies``."""


@pytest.fixture
def trading(stack: Stack, desk: Desk, checker: Checker) -> Iterator[Stack]:
    """The stack with working parents; afterwards it must trade again, and nothing may be lost or doubled."""
    desk.ensure_trading(WORKING)
    desk.wait_for_orders(1, "before the fault")
    yield stack
    desk.wait_for_orders(2, "after the fault", 90)
    checker.nothing_lost()
