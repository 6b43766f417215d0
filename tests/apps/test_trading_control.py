"""Halting, resuming and cancelling everything."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import redis
from celery import current_app
from django.db import connection, transaction
from kombu.exceptions import OperationalError

from apps.accounts.domain.roles import Role
from apps.accounts.services import stepup
from apps.audit.models import AuditEntry
from apps.core.clock import FrozenClock
from apps.core.context import Context, service_context
from apps.core.dispatch import send_after_commit
from apps.core.errors import IllegalTransition, Invalid, NotFound, PermissionRefused, StepUpRequired
from apps.core.models import OutboxMessage
from apps.trading import models, selectors, services
from tests.factories import journal
from tests.factories.people import Person, make_person
from workers.engine import events as ev
from workers.engine.vocabulary import TradingState

pytestmark = pytest.mark.django_db
PROCESS = service_context("projector")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Commands that went to the broker, instead of a broker."""
    found: list[tuple[str, dict[str, Any]]] = []

    def send_task(name: str, kwargs: dict[str, Any], **options: Any) -> None:
        found.append((name, kwargs))

    monkeypatch.setattr("apps.core.dispatch.current_app.send_task", send_task)
    return found


@pytest.fixture
def paper() -> models.Venue:
    return services.ensure_venue(PROCESS, name="paper", mode="paper")


@pytest.fixture
def live() -> models.Venue:
    venue = services.ensure_venue(PROCESS, name="real", mode="live")
    models.TradingControl.objects.filter(venue=venue).update(desired_state="ACTIVE")
    return venue


def granted(who: Person, action: str, object_id: str) -> tuple[Context, UUID]:
    ctx = who.context()
    return ctx, stepup.grant(ctx, code=who.fresh_code(), action=action, object_id=object_id).pk


def halted(who: Person, venue: str) -> models.TradingControl:
    ctx, grant = granted(who, "trading.halt", venue)
    return services.halt(ctx, venue=venue, reason="looks wrong", grant=grant)


def wish(who: Person, venue: str) -> models.TradingControl | models.ResumeRequest:
    ctx, grant = granted(who, "trading.resume", venue)
    return services.resume(ctx, venue=venue, reason="checked", grant=grant)


def test_halt_is_wanted_audited_published_and_sent(
    paper: models.Venue, sent: list[tuple[str, dict[str, Any]]], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        control = halted(make_person("ann", Role.OPERATOR), "paper")
    assert (control.desired_state, control.version, control.by) == ("HALTED", 2, "ann")
    wanted = selectors.desired_control("paper")
    assert (wanted["state"], wanted["version"], wanted["reason"], wanted["by"]) == ("HALTED", 2, "looks wrong", "ann")
    entry = AuditEntry.objects.get(event="trading.halt.ordered")
    assert (entry.actor_name, entry.mfa, entry.reason) == ("ann", "step_up", "looks wrong")
    message = OutboxMessage.objects.filter(topic="halts").latest("id")
    assert (message.kind, message.key, message.data["state"]) == ("control.changed", "paper", "HALTED")
    arguments = {"state": "HALTED", "reason": "looks wrong", "by": "ann", "control_version": 2}
    assert sent == [("gekko.execution.set_trading_state", arguments)]
    assert models.Halt.objects.get().resumed_at is None


def test_halting_twice_changes_nothing(paper: models.Venue) -> None:
    ann = make_person("ann", Role.OPERATOR)
    assert halted(ann, "paper").version == halted(ann, "paper").version == 2
    assert models.Halt.objects.count() == 1


def test_halt_works_while_the_broker_is_down(
    paper: models.Venue, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("apps.core.dispatch.current_app.send_task", refuse)
    with django_capture_on_commit_callbacks(execute=True):
        halted(make_person("ann", Role.OPERATOR), "paper")
    assert selectors.desired_control("paper")["state"] == "HALTED"


def test_commands_reach_the_queue_of_their_worker(valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        client.delete("execution")
        with transaction.atomic():
            send_after_commit("gekko.execution.cancel_all", reason="x", by="ann")
        connection.run_on_commit[-1][1]()
        sent = client.lrange("execution", 0, -1)
        client.delete("execution")
    assert [json.loads(message)["headers"]["task"] for message in sent] == ["gekko.execution.cancel_all"]


def test_a_broker_that_refuses_is_given_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app.conf, "broker_write_url", "redis://127.0.0.1:1/0")
    began = time.monotonic()
    with transaction.atomic():
        send_after_commit("gekko.nobody", reason="x")
    connection.run_on_commit[-1][1]()
    assert time.monotonic() - began < 2


def test_a_person_needs_a_fresh_code_for_this_very_venue(paper: models.Venue, live: models.Venue) -> None:
    ann = make_person("ann", Role.OPERATOR)
    with pytest.raises(StepUpRequired), transaction.atomic():
        services.halt(ann.context(), venue="paper", reason="x", grant=None)
    ctx, grant = granted(ann, "trading.halt", "real")
    with pytest.raises(StepUpRequired), transaction.atomic():
        services.halt(ctx, venue="paper", reason="x", grant=grant)
    with pytest.raises(StepUpRequired), transaction.atomic():
        services.resume(ctx, venue="paper", reason="x", grant=grant)
    assert selectors.desired_control("paper")["state"] == "ACTIVE"


def test_a_process_may_halt_and_never_resume(paper: models.Venue) -> None:
    guard = service_context("execution")
    assert services.halt(guard, venue="paper", reason="loss", grant=None).desired_state == "HALTED"
    with pytest.raises(StepUpRequired), transaction.atomic():
        services.resume(guard, venue="paper", reason="x", grant=None)


@pytest.mark.django_db(transaction=True)
def test_a_viewer_may_not_halt_and_the_attempt_is_recorded(paper: models.Venue) -> None:
    with pytest.raises(PermissionRefused):
        services.halt(make_person("vic", Role.VIEWER).context(), venue="paper", reason="x", grant=None)
    denial = AuditEntry.objects.get(outcome="denied")
    assert (denial.actor_name, denial.object_type, denial.object_id) == ("vic", "venue", "paper")


def test_bad_orders_are_refused_with_the_reason(paper: models.Venue) -> None:
    with pytest.raises(Invalid, match="must not be empty"):
        services.halt(PROCESS, venue="paper", reason="  ", grant=None)
    with pytest.raises(NotFound, match="'nowhere'"):
        services.halt(PROCESS, venue="nowhere", reason="x", grant=None)
    with pytest.raises(IllegalTransition, match="nothing to resume"):
        wish(make_person("ann", Role.OPERATOR), "paper")


def test_one_person_resumes_on_paper(paper: models.Venue) -> None:
    ann = make_person("ann", Role.OPERATOR)
    halted(ann, "paper")
    control = wish(ann, "paper")
    assert isinstance(control, models.TradingControl)
    assert (control.desired_state, control.version) == ("ACTIVE", 3)
    record = models.Halt.objects.get()
    assert (record.resumed_by, record.resume_reason) == ("ann", "checked")


def test_live_trading_takes_two_people_to_resume(live: models.Venue) -> None:
    ann, bob = make_person("ann", Role.OPERATOR), make_person("bob", Role.RISK_OFFICER)
    halted(ann, "real")
    request = wish(ann, "real")
    assert isinstance(request, models.ResumeRequest)
    assert selectors.desired_control("real")["state"] == "HALTED"
    ctx, grant = granted(ann, "trading.resume", "real")
    with pytest.raises(PermissionRefused, match="another person"), transaction.atomic():
        services.approve_resume(ctx, request_id=request.pk, grant=grant)
    ctx, grant = granted(bob, "trading.resume", "real")
    services.approve_resume(ctx, request_id=request.pk, grant=grant)
    assert selectors.desired_control("real")["state"] == "ACTIVE"
    entry = AuditEntry.objects.get(event="trading.resume.ordered")
    assert entry.after is not None
    assert (entry.after["requested_by"], entry.after["approved_by"]) == ("ann", "bob")
    ctx, grant = granted(bob, "trading.resume", "real")
    with pytest.raises(IllegalTransition, match="approved already"), transaction.atomic():
        services.approve_resume(ctx, request_id=request.pk, grant=grant)


def test_the_halts_topic_replays_to_its_snapshot(live: models.Venue) -> None:
    ann, bob = make_person("ann", Role.OPERATOR), make_person("bob", Role.OPERATOR)
    held = dict(selectors.snapshot("halts", "real"))
    since = OutboxMessage.objects.order_by("id").last()
    halted(ann, "real")
    wish(ann, "real")
    request = wish(ann, "real")
    ctx, grant = granted(bob, "trading.resume", "real")
    services.approve_resume(ctx, request_id=request.pk, grant=grant)
    services.cancel_all(ann.context(), venue="real", reason="x")
    for message in OutboxMessage.objects.filter(topic="halts", id__gt=since.pk if since else 0).order_by("id"):
        held[message.key] = message.data
    assert held == dict(selectors.snapshot("halts", "real"))
    assert {row["object"] for row in held.values()} == {"control", "resume_request"}


def test_a_newer_wish_replaces_the_older_and_old_ones_expire(live: models.Venue) -> None:
    ann = make_person("ann", Role.OPERATOR)
    halted(ann, "real")
    first, second = wish(ann, "real"), wish(ann, "real")
    assert isinstance(first, models.ResumeRequest)
    assert isinstance(second, models.ResumeRequest)
    first.refresh_from_db()
    assert (first.state, second.state) == ("superseded", "pending")
    late = service_context("incidents", clock=FrozenClock(second.expires_at + timedelta(seconds=1)))
    assert services.expire_requests(late) == 1
    second.refresh_from_db()
    assert second.state == "expired"


def test_a_live_venue_starts_halted() -> None:
    services.ensure_venue(PROCESS, name="real", mode="live")
    assert selectors.desired_control("real")["state"] == "HALTED"


def test_cancel_all_counts_up_and_trading_goes_on(paper: models.Venue) -> None:
    ctx = make_person("ann", Role.OPERATOR).context()
    services.cancel_all(ctx, venue="paper", reason="clean up")
    services.cancel_all(ctx, venue="paper", reason="again")
    assert models.TradingControl.objects.get(venue="paper").cancel_at is not None
    wanted = selectors.desired_control("paper")
    assert (wanted["state"], wanted["cancel_version"], wanted["cancel_reason"]) == ("ACTIVE", 2, "again")


def state(value: TradingState, version: int, reason: str = "r") -> ev.TradingStateChanged:
    return ev.TradingStateChanged(ts=journal.START, state=value, reason=reason, by="loop", control_version=version)


def test_a_halt_of_the_loop_itself_becomes_what_is_wanted() -> None:
    loss = state(TradingState.HALTED, 0, "daily loss 2001 of 2000")
    services.project(PROCESS, worker="w", records=journal.records([*journal.opening(), loss]))
    wanted = selectors.desired_control("paper")
    assert (wanted["state"], wanted["version"], wanted["reason"]) == ("HALTED", 2, "daily loss 2001 of 2000")
    record = models.Halt.objects.get()
    assert record.automatic
    assert record.effective_at is not None
    assert AuditEntry.objects.filter(event="trading.halt.automatic").count() == 1


def test_an_ordered_halt_is_seen_to_take_effect(paper: models.Venue) -> None:
    halted(make_person("ann", Role.OPERATOR), "paper")
    obeyed = state(TradingState.HALTED, 2, "looks wrong")
    services.project(PROCESS, worker="w", records=journal.records([*journal.opening(), obeyed]))
    control = selectors.get_control("paper")
    assert (control.observed_state, control.observed_version, control.version) == ("HALTED", 2, 2)
    assert models.Halt.objects.get().effective_at is not None
