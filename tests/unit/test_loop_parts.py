"""Parts that stand and fall together."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from workers.live.execution import parts
from workers.live.execution.parts import together


async def broken() -> None:
    raise ZeroDivisionError("by a part")


async def test_a_part_that_loses_a_cancellation_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "END_S", 0.01)
    lost: list[str] = []

    async def deaf() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        lost.append("a cancellation")
        await asyncio.Event().wait()

    with pytest.raises(ZeroDivisionError, match="by a part"):
        await asyncio.wait_for(together({"deaf": deaf(), "broken": broken()}, of="a test"), 5)
    assert lost == ["a cancellation"]


async def test_the_end_of_one_part_ends_the_others_without_an_error() -> None:
    ended: list[str] = []

    async def waiting() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waiting")

    async def done() -> None:
        await asyncio.sleep(0)

    await together({"waiting": waiting(), "done": done()}, of="a test")
    assert ended == ["waiting"]
