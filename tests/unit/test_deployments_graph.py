"""The table of run states as a graph, and the decisions of a step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.core.errors import IllegalTransition
from apps.deployments.domain.plan import DEADLINES, CheckResult, Move, Seen, after_check, next_move
from apps.deployments.domain.states import FINAL, STOPPABLE, TRANSITIONS, allowed, check_transition

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def reachable(state: str) -> set[str]:
    found, edge = {state}, [state]
    while edge:
        for following in TRANSITIONS[edge.pop()]:
            if following not in found:
                found.add(following)
                edge.append(following)
    return found


@pytest.mark.parametrize("state", TRANSITIONS)
def test_every_state_leads_to_an_end(state: str) -> None:
    assert reachable(state) & FINAL


def test_every_state_is_reached_from_the_first() -> None:
    assert reachable("draft") == set(TRANSITIONS)


@pytest.mark.parametrize("state", sorted(STOPPABLE))
def test_whatever_runs_can_be_stopped(state: str) -> None:
    check_transition(state, "stopping")
    assert allowed(state) == {"stop"}


@pytest.mark.parametrize("state", sorted(FINAL))
def test_nothing_follows_an_end(state: str) -> None:
    assert allowed(state) == frozenset()
    with pytest.raises(IllegalTransition, match="cannot become"):
        check_transition(state, "starting")


@pytest.mark.parametrize("state", sorted(DEADLINES))
def test_no_state_waits_for_ever(state: str) -> None:
    """With nothing ever observed, the deadline ends each waiting state."""
    seen = Seen(now=NOW + DEADLINES[state], changed_at=NOW)
    if state == "validating":
        waiting = CheckResult(outcome="waiting", detail="d", evidence={})
        assert after_check(waiting, last=False, seen=seen).state == "failed"
    else:
        assert next_move(state, seen).state in FINAL


@pytest.mark.parametrize("state", TRANSITIONS)
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("observed", [False, True])
@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize("was_healthy", [False, True])
def test_every_decision_is_a_legal_transition(
    state: str, late: bool, observed: bool, stopped: bool, marked: bool, was_healthy: bool
) -> None:
    seen = Seen(
        now=NOW + timedelta(hours=1 if late else 0),
        changed_at=NOW,
        observed=observed,
        stopped_at=NOW if stopped else None,
        mark_at=NOW + timedelta(hours=1 if late else 0) if marked else None,
        was_healthy=was_healthy,
    )
    decision = next_move(state, seen)
    assert decision == Move() or decision.state in TRANSITIONS[state]
