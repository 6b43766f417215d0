"""Tasks that stand and fall together, since half a loop must not trade."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Final

import structlog

END_S: Final = 1.0

log = structlog.get_logger(__name__)


async def together(parts: Mapping[str, Coroutine[Any, Any, None]], *, of: str) -> None:
    """Run all until the first ends or until cancelled; the others are cancelled then. Raises what a part raised."""
    tasks = [asyncio.create_task(work, name=name) for name, work in parts.items()]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        running = set(tasks)
        while running:
            # More than once: a part that loses a cancellation must not keep the others from ending.
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=END_S)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for task, outcome in zip(tasks, outcomes, strict=True):
        if isinstance(outcome, Exception):
            log.error("part of the trading loop failed", part=task.get_name(), of=of, error=repr(outcome))
            raise outcome
