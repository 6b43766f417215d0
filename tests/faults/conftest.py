"""A desk that trades briskly, before every fault, and is looked over after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.desk import BRISK, Desk
from tests.support.stack import Stack
from tests.support.truth import Checker


@pytest.fixture(scope="session")
def brisk(desk: Desk) -> Desk:
    """The desk with a run that orders about once a second, in the place of the calm first one."""
    desk.stop_run("make room for a brisk one")
    desk.start_run(BRISK)
    return desk


@pytest.fixture
def trading(stack: Stack, brisk: Desk, checker: Checker) -> Iterator[Stack]:
    """The stack while it trades. Afterwards it must trade again, and nothing may be lost or doubled."""
    brisk.wait_for_orders(1, "before the fault")
    yield stack
    brisk.wait_for_orders(2, "after the fault", 90)
    checker.nothing_lost()
