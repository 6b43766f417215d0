"""The life of a run as a table: from every state there is a legal way to a final one."""

from __future__ import annotations

from typing import Final

from apps.core.errors import IllegalTransition

TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    "draft": frozenset({"validating", "stopped"}),
    "validating": frozenset({"starting", "failed", "stopping"}),
    "starting": frozenset({"running", "failed", "stopping"}),
    "running": frozenset({"healthy", "failed", "stopping"}),
    # A run that was healthy and is so no longer stays deployed, for the loop itself decides whether it may trade.
    "healthy": frozenset({"running", "failed", "stopping"}),
    "stopping": frozenset({"stopped", "failed"}),
    "stopped": frozenset(),
    "failed": frozenset(),
}
FINAL: Final = frozenset(state for state, following in TRANSITIONS.items() if not following)
STOPPABLE: Final = frozenset({"validating", "starting", "running", "healthy"})


def check_transition(state: str, following: str) -> None:
    """Raise IllegalTransition unless ``state`` may become ``following``."""
    if following not in TRANSITIONS[state]:
        raise IllegalTransition(f"a run that is {state} cannot become {following}", state=state, wanted=following)


def allowed(state: str) -> frozenset[str]:
    """What a person may order in ``state``."""
    return frozenset({"stop"}) if state in STOPPABLE or state == "draft" else frozenset()
