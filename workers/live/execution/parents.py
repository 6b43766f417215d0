"""Parent orders in the live loop: what people want of them, and how far they are."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import structlog

from workers.adapters.venue import VenueError
from workers.engine.execution.parent import Parent, ParentRequest
from workers.live.execution.loop import TradingLoop

log = structlog.get_logger(__name__)


class ParentsWanted:
    """Brings the loop's parents to what the control plane's tables say. Belongs to the loop's thread."""

    def __init__(self, loop: TradingLoop) -> None:
        self._loop = loop

    async def take(self, wanted: Sequence[Mapping[str, Any]]) -> list[str]:
        """Start those that are not known, cancel those that are to end; return what could not be done, in words.

        The same look again does nothing. What cannot be done now is tried again with the next look.
        """
        problems: list[str] = []
        for one in wanted:
            try:
                await self._take(one)
            except (ValueError, KeyError, VenueError) as error:
                problems.append(f"parent {one.get('parent_id')}: {error}")
            except Exception as error:  # told and logged: one bad request must not keep others from being cancelled
                log.exception("parent order cannot be taken on", parent_id=one.get("parent_id"))
                problems.append(f"parent {one.get('parent_id')}: {type(error).__name__}: {error}")
        return problems

    async def _take(self, wanted: Mapping[str, Any]) -> None:
        loop, kernel = self._loop, self._loop.kernel
        parent_id, cancelled = str(wanted["parent_id"]), str(wanted["cancelled"] or "")
        if parent_id not in kernel.books.parents:
            request = msgspec.convert(wanted["request"], ParentRequest)
            if not cancelled and request.algorithm == "vwap" and "curve" not in request.params:
                await loop.learn_volume(request.symbol)
            # The look may have been overtaken while the history was read.
            if parent_id not in kernel.books.parents:
                by = str(wanted["by"])
                started = kernel.start_parent(time.time_ns(), request, parent_id=parent_id, by=by, cancelled=cancelled)
                loop.apply(started)
                log.info("parent order taken on", parent_id=parent_id, by=by, algorithm=request.algorithm)
        elif cancelled and parent_id in kernel.books.working:
            loop.apply(kernel.cancel_parent(time.time_ns(), parent_id=parent_id, reason=cancelled))


def plain(value: Decimal) -> str:
    """A decimal without exponent and trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def parent_row(loop: TradingLoop, parent: Parent) -> dict[str, Any]:
    """How far a working parent is: what its schedule has released, what is done, and what it waits for."""
    parents, instrument = loop.kernel.desk.parents, loop.kernel.books.lines[parent.symbol].instrument
    released = parents.released(parent)
    resting = parents.open_lots(parent)
    return {
        "venue": loop.config.venue,
        "parent_id": parent.parent_id,
        "symbol": parent.symbol,
        "status": parent.status.value,
        "quantity": plain(instrument.quantity(parent.lots)),
        "filled_quantity": plain(instrument.quantity(parent.filled)),
        "open_quantity": plain(instrument.quantity(resting)),
        "scheduled_quantity": plain(instrument.quantity(released)),
        "filled": round(parent.filled / parent.lots, 4) if parent.lots else None,
        "scheduled": round(released / parent.lots, 4) if parent.lots else None,
        "children": parent.children,
        "why": parents.why(parent.parent_id),
        "at_ms": time.time_ns() // 1_000_000,
    }
