"""Makes the routing decisions of a journal again from the inputs that were kept with them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from workers.engine.events import JournalEvent, RouteDecided
from workers.engine.execution.routing.router import RouteDecision, decide


def check(events: Iterable[JournalEvent]) -> tuple[int, list[str]]:
    """(decisions looked at, what differs in words) over the events; nothing differs when every decision replays."""
    looked, differs = 0, list[str]()
    for event in events:
        if type(event) is RouteDecided:
            looked += 1
            if (found := difference(event.decision)) is not None:
                differs.append(f"decision {event.number} of parent {event.parent_id}: {found}")
    return looked, differs


def difference(stored: RouteDecision) -> str | None:
    """What is not as it was when the decision is made again; None when all is."""
    try:
        again = decide(stored.inputs)
    except ValueError as error:
        return f"its inputs decide nothing: {error}"
    if again == stored:
        return None
    names = [name for name in stored.__struct_fields__ if getattr(again, name) != getattr(stored, name)]
    return "; ".join(f"{name} was {getattr(stored, name)!r}, is {getattr(again, name)!r}" for name in names)
