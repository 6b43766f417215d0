"""The live topic of rebalances: who heard every message since a snapshot holds what a fresh snapshot says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apps.accounts.permissions import Capability
from apps.core.clock import FrozenClock
from apps.core.context import service_context
from apps.core.models import OutboxMessage
from apps.streaming.topics import TOPICS
from apps.trading import models
from apps.trading.services import executions, rebalance_schedules, rebalances
from tests.apps.test_rebalance_executions import BUY, SELL, approve, book, done_run, end_parent
from tests.factories.people import Person, make_person, signed_in
from workers.tasks.portfolio import look_after

pytestmark = pytest.mark.django_db
TOPIC = TOPICS["rebalances"]
PORTFOLIO = service_context("portfolio")
Held = dict[str, dict[str, Any]]


def heard(held: Held, since: int) -> Held:
    """``held`` after every message behind ``since``, taken as a browser takes them: by key, never an older version."""
    now = dict(held)
    for message in OutboxMessage.objects.filter(topic="rebalances", id__gt=since).order_by("id"):
        if message.key not in now or now[message.key]["version"] <= message.data["version"]:
            now[message.key] = message.data
    return now


def newest() -> int:
    return int(getattr(OutboxMessage.objects.order_by("id").last(), "id", 0))


class Listener:
    """Takes a snapshot at each step and checks at the next ones that messages alone keep it true."""

    def __init__(self) -> None:
        self.began = [(dict(TOPIC.snapshot()), newest())]

    def follows(self, step: Callable[[], object]) -> Held:
        before = newest()
        step()
        assert newest() > before, "the step told nobody"
        fresh = dict(TOPIC.snapshot())
        for held, since in self.began:
            assert heard(held, since) == fresh
        self.began.append((fresh, newest()))
        return fresh


def of(held: Held, kind: str) -> dict[str, Any]:
    [row] = [row for row in held.values() if row["object"] == kind]
    return row


@pytest.fixture
def ann() -> Person:
    book()
    return make_person("ann", "operator")


def test_everybody_who_may_look_at_trading_hears_it_without_gaps() -> None:
    assert (TOPIC.capability, TOPIC.lossless) == (Capability.TRADING_VIEW, True)


def test_a_run_its_orders_and_their_end_come_as_messages(ann: Person) -> None:
    listener, browser = Listener(), signed_in(ann)
    held = listener.follows(lambda: done_run(PORTFOLIO, SELL, BUY))
    run = models.RebalanceRun.objects.get()
    assert (of(held, "run")["state"], of(held, "run")["version"]) == ("done", run.version)
    assert "execution" not in of(held, "run"), "it has a version of its own"
    held = listener.follows(lambda: approve(browser, ann, run))
    execution = of(held, "execution")
    assert (execution["run"], execution["state"]) == (str(run.pk), "working")
    assert [(leg["state"], leg["filled_quantity"]) for leg in execution["legs"]] == [
        ("working", None),
        ("waiting", "0"),
    ]
    end_parent("BTCUSDT", cash="74975")
    held = listener.follows(lambda: executions.look_after_executions(PORTFOLIO))
    sold, bought = of(held, "execution")["legs"]
    assert (sold["state"], sold["filled_quantity"], bought["state"]) == ("done", "0.5", "working")
    end_parent("ETHUSDT", share="0.5", cash="44975")
    held = listener.follows(lambda: executions.look_after_executions(PORTFOLIO))
    assert (of(held, "execution")["state"], of(held, "execution")["legs"][1]["filled_quantity"]) == ("partial", "10")


def test_cancelling_and_what_fails_are_told_too(ann: Person) -> None:
    listener, browser = Listener(), signed_in(ann)
    run = done_run(PORTFOLIO, SELL, BUY)
    listener.follows(lambda: approve(browser, ann, run))
    path = f"/api/v1/rebalances/{run.pk}/cancel/"
    held = listener.follows(lambda: browser.send(path, {"reason": "enough"}))
    assert of(held, "execution")["state"] == "cancelling"
    end_parent("BTCUSDT", share="0")
    held = listener.follows(lambda: executions.look_after_executions(PORTFOLIO))
    assert (of(held, "execution")["state"], of(held, "execution")["cancel_by"]) == ("cancelled", "ann")


def test_a_run_that_no_worker_ends_is_told_to_have_failed(ann: Person) -> None:
    listener = Listener()
    made = rebalances.request_rebalance(PORTFOLIO, venue="paper", policy={})
    held = listener.follows(lambda: rebalances.begin_rebalance(PORTFOLIO, run_id=made.pk))
    assert of(held, "run")["state"] == "running"
    clock = FrozenClock(PORTFOLIO.now())
    clock.advance(seconds=200)
    late = service_context("portfolio", clock=clock)
    held = listener.follows(lambda: rebalances.look_after_rebalances(late))
    assert of(held, "run")["state"] == "failed"


def test_a_standing_policy_is_told_when_it_is_set_asks_and_ends(ann: Person) -> None:
    listener = Listener()
    policy = {"schedule": {"every_s": 3600}}
    held = listener.follows(
        lambda: rebalance_schedules.set_schedule(PORTFOLIO, venue="paper", policy=policy, reason="hourly", grant=None)
    )
    assert (of(held, "schedule")["active"], of(held, "schedule")["last_run"]) == (True, None)
    held = listener.follows(look_after)
    assert of(held, "schedule")["last_run"] == of(held, "run")["id"]
    found = models.RebalanceSchedule.objects.get()
    held = listener.follows(lambda: rebalance_schedules.end_schedule(PORTFOLIO, schedule_id=found.pk, reason="enough"))
    assert (of(held, "schedule")["active"], of(held, "schedule")["ended_reason"]) == (False, "enough")
