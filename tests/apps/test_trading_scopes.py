"""Halting and resuming by scope, and cancelling a part."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction

from apps.accounts.domain.roles import Role
from apps.accounts.services import stepup
from apps.audit.models import AuditEntry
from apps.core.context import Context, service_context
from apps.core.errors import IllegalTransition, Invalid, NotFound, PermissionRefused, StepUpRequired
from apps.core.models import OutboxMessage
from apps.policies.domain.limits import default_limits
from apps.policies.services import create_draft
from apps.policies.services_publications import publish
from apps.trading import models, selectors, selectors_scopes
from apps.trading import services as trading
from apps.trading.services import scopes as services
from tests.factories import journal
from tests.factories.people import Person, make_person, signed_in
from workers.engine import events as ev

pytestmark = pytest.mark.django_db
PROCESS = service_context("projector")
STRATEGY = "strategy:ema_cross"


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
    return trading.ensure_venue(PROCESS, name="paper", mode="paper")


@pytest.fixture
def live() -> models.Venue:
    return trading.ensure_venue(PROCESS, name="real", mode="live")


def granted(who: Person, action: str, object_id: str) -> tuple[Context, UUID]:
    ctx = who.context()
    return ctx, stepup.grant(ctx, code=who.fresh_code(), action=action, object_id=object_id).pk


def halted(who: Person, scope: str = STRATEGY) -> models.ScopeControl:
    ctx, grant = granted(who, "trading.halt", scope)
    return services.halt_scope(ctx, scope=scope, reason="looks wrong", grant=grant)


def wish(who: Person, scope: str = STRATEGY) -> tuple[models.ScopeControl, models.ScopeHalt]:
    ctx, grant = granted(who, "trading.resume", scope)
    return services.resume_scope(ctx, scope=scope, reason="checked", grant=grant)


def test_one_person_halts_a_scope_and_it_is_wanted_audited_published_and_sent(
    paper: models.Venue, sent: list[tuple[str, dict[str, Any]]], django_capture_on_commit_callbacks: Any
) -> None:
    ann = make_person("ann", Role.OPERATOR)
    with django_capture_on_commit_callbacks(execute=True):
        assert halted(ann).version == halted(ann).version == 1
    wanted = {"scope": STRATEGY, "halted": True, "reason": "looks wrong", "by": "ann", "version": 1}
    assert selectors_scopes.desired_scopes() == [wanted]
    assert sent == [("gekko.execution.set_scopes", {"scopes": [wanted]})]
    entry = AuditEntry.objects.get(event="trading.scope.halted")
    assert (entry.actor_name, entry.mfa, entry.reason, entry.object_id) == ("ann", "step_up", "looks wrong", STRATEGY)
    message = OutboxMessage.objects.filter(topic="halts").latest("id")
    assert (message.key, message.data["object"], message.data["halted"]) == (f"scope:{STRATEGY}", "scope", True)
    assert dict(selectors.snapshot("halts", "paper"))[message.key] == message.data


def test_one_person_resumes_on_paper_and_two_where_a_venue_is_live(paper: models.Venue, live: models.Venue) -> None:
    ann, bob = make_person("ann", Role.OPERATOR), make_person("bob", Role.RISK_OFFICER)
    halted(ann, "venue:paper")
    control, _ = wish(ann, "venue:paper")
    assert not control.halted
    halted(ann)
    control, halt = wish(ann)
    assert control.halted
    ctx, grant = granted(ann, "trading.resume", STRATEGY)
    with pytest.raises(PermissionRefused, match="another person"), transaction.atomic():
        services.approve_scope_resume(ctx, halt_id=halt.pk, grant=grant)
    ctx, grant = granted(bob, "trading.resume", STRATEGY)
    assert not services.approve_scope_resume(ctx, halt_id=halt.pk, grant=grant).halted
    entry = AuditEntry.objects.filter(event="trading.scope.resumed").latest("seq")
    assert entry.after is not None
    assert (entry.after["requested_by"], entry.after["approved_by"]) == ("ann", "bob")
    ctx, grant = granted(bob, "trading.resume", STRATEGY)
    with pytest.raises(IllegalTransition, match="not halted"), transaction.atomic():
        services.approve_scope_resume(ctx, halt_id=halt.pk, grant=grant)


def test_the_database_itself_wants_two_people(live: models.Venue) -> None:
    ann = make_person("ann", Role.OPERATOR)
    halted(ann)
    _, halt = wish(ann)
    halt.approved_by = halt.requested_by
    with pytest.raises(IntegrityError, match="scope_resume_two_people"), transaction.atomic():
        halt.save()


def test_a_wish_to_resume_runs_out(live: models.Venue) -> None:
    ann, bob = make_person("ann", Role.OPERATOR), make_person("bob", Role.RISK_OFFICER)
    halted(ann)
    _, halt = wish(ann)
    assert halt.request_expires_at is not None
    models.ScopeHalt.objects.update(request_expires_at=halt.requested_at)
    ctx, grant = granted(bob, "trading.resume", STRATEGY)
    with pytest.raises(IllegalTransition, match="ran out of time"), transaction.atomic():
        services.approve_scope_resume(ctx, halt_id=halt.pk, grant=grant)


def test_a_slip_in_a_name_is_no_halt(paper: models.Venue) -> None:
    for scope, error in (
        ("planet:mars", Invalid),
        ("account", Invalid),
        ("venue:papre", NotFound),
        ("instrument:BTCUSTD", NotFound),
        ("desk:alpha", NotFound),
        ("strategy:ema_corss", NotFound),
    ):
        with pytest.raises(error), transaction.atomic():
            services.halt_scope(PROCESS, scope=scope, reason="x", grant=None)
    setup = service_context("bootstrap")
    limits = {**default_limits(), "desks": {"alpha": ["ema_cross"]}}
    publish(setup, number=create_draft(setup, limits=limits).number, grant=None)
    assert services.halt_scope(PROCESS, scope="desk:alpha", reason="x", grant=None).halted
    with pytest.raises(StepUpRequired), transaction.atomic():
        services.halt_scope(make_person("ann", Role.OPERATOR).context(), scope="firm", reason="x", grant=None)


def scope_event(version: int, *, on: bool = True) -> ev.ScopeStateChanged:
    return ev.ScopeStateChanged(
        ts=journal.START, scope=STRATEGY, halted=on, reason="daily loss limit reached", by="risk", version=version
    )


def test_a_halt_of_the_loop_itself_is_adopted_with_an_incident() -> None:
    records = journal.records([*journal.opening(), scope_event(0)])
    trading.project(PROCESS, worker="w", records=records)
    control = models.ScopeControl.objects.get()
    assert (control.halted, control.version, control.by) == (True, 1, "risk")
    assert models.ScopeHalt.objects.get().automatic
    assert AuditEntry.objects.filter(event="trading.scope.halted_itself").count() == 1
    signal = OutboxMessage.objects.get(topic="signals", kind="incident.requested")
    assert (signal.data["kind"], signal.data["severity"]) == ("trading_halted", "critical")
    assert STRATEGY in signal.data["title"]


def test_an_ordered_halt_is_seen_to_take_effect_and_resuming_clears_the_incident(paper: models.Venue) -> None:
    ann = make_person("ann", Role.OPERATOR)
    halted(ann)
    trading.project(PROCESS, worker="w", records=journal.records([*journal.opening(), scope_event(1)]))
    assert models.ScopeHalt.objects.get().effective_at is not None
    records = journal.records([*journal.opening(), scope_event(1), scope_event(2, on=False)])
    trading.project(PROCESS, worker="w", records=records)
    assert OutboxMessage.objects.filter(topic="signals", kind="incident.cleared").latest("id").key.endswith(STRATEGY)


def test_a_part_of_the_orders_is_ordered_to_be_cancelled(
    paper: models.Venue, sent: list[tuple[str, dict[str, Any]]], django_capture_on_commit_callbacks: Any
) -> None:
    ctx = make_person("ann", Role.OPERATOR).context()
    trading.project(PROCESS, worker="w", records=journal.records(journal.opening()))
    chosen = {"side": "SELL", "symbol": "BTCUSDT"}
    with django_capture_on_commit_callbacks(execute=True):
        order = services.cancel_orders(ctx, venue="paper", selection=chosen, reason="clean up")
    full = {"scope": "firm", "symbol": "BTCUSDT", "strategy": "", "side": "SELL", "client_id": ""}
    arguments = {"number": order.pk, "selection": full, "reason": "clean up", "by": "ann"}
    assert sent == [("gekko.execution.cancel_some", arguments)]
    assert selectors_scopes.desired_cancels("paper", now=ctx.now()) == [{**arguments, "at": order.at}]
    assert selectors_scopes.desired_cancels("paper", now=ctx.now() + timedelta(minutes=6)) == []
    for wrong in ({"side": "BOTH"}, {"scope": "planet:mars"}):
        with pytest.raises(Invalid), transaction.atomic():
            services.cancel_orders(ctx, venue="paper", selection=wrong, reason="x")
    with pytest.raises(NotFound), transaction.atomic():
        services.cancel_orders(ctx, venue="nowhere", selection={}, reason="x")
    for slip, known in (
        ({"scope": "strategy:ema_corss"}, "ema_cross"),
        ({"strategy": "ema_corss"}, "ema_cross"),
        ({"symbol": "BTCUSTD"}, "BTCUSDT"),
        ({"scope": "venue:papre"}, "paper"),
    ):
        with pytest.raises(NotFound, match=f"known: .*{known}"), transaction.atomic():
            services.cancel_orders(ctx, venue="paper", selection=slip, reason="x")
    assert AuditEntry.objects.filter(event="trading.orders.cancel_some").count() == 1


def test_scopes_over_http(paper: models.Venue, settings: Any) -> None:
    settings.GEKKO_VENUE_NAME = "paper"
    ann = make_person("ann", Role.OPERATOR)
    browser, base = signed_in(ann), "/api/v1/trading"
    order = {"scope": "firm", "reason": "looks wrong"}
    assert browser.send(f"{base}/scope-halts/", order).status_code == 403
    step = {"code": ann.fresh_code(), "action": "trading.halt", "object_id": "firm"}
    grant = browser.send("/api/v1/auth/step-up/", step).json()["grant"]
    assert browser.send(f"{base}/scope-halts/", {**order, "grant": grant}).json()["halted"]
    assert [row["scope"] for row in browser.get(f"{base}/scopes/").json()["results"]] == ["firm"]
    halts = browser.get(f"{base}/scope-halts/?open=true&scope=firm").json()["results"]
    assert [halt["halted_by"] for halt in halts] == ["ann"]
    step = {"code": ann.fresh_code(), "action": "trading.resume", "object_id": "firm"}
    grant = browser.send("/api/v1/auth/step-up/", step).json()["grant"]
    resumed = browser.send(f"{base}/scope-resume/", {**order, "grant": grant})
    assert (resumed.status_code, resumed.json()["resumed"]) == (200, True)
    cancelled = browser.send(f"{base}/cancel/", {"reason": "x", "side": "BUY"})
    assert (cancelled.status_code, cancelled.json()["selection"]["side"]) == (202, "BUY")
    wrong = browser.send(f"{base}/cancel/", {"reason": "x", "scope": "planet:mars"})
    assert (wrong.status_code, "expected one of firm" in wrong.json()["detail"]) == (400, True)
