"""A client that took a snapshot and applies every message since holds exactly a fresh snapshot."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core.clock import FrozenClock
from apps.core.context import service_context
from apps.core.models import OutboxMessage
from apps.incidents import selectors as incidents
from apps.incidents import services as incident_services
from apps.trading import selectors, services
from tests.factories import journal

CTX = service_context("projector", clock=FrozenClock())


def after_messages(state: dict[str, Any], topic: str, since: int) -> dict[str, Any]:
    """``state`` with the topic's messages applied as a client does: upsert by key, never backwards."""
    held = dict(state)
    for message in OutboxMessage.objects.filter(topic=topic, id__gt=since).order_by("id"):
        if message.key not in held or held[message.key]["version"] <= message.data["version"]:
            held[message.key] = message.data
    return held


@pytest.mark.django_db
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**20), orders=st.integers(0, 30), cut=st.floats(0, 1))
def test_orders_fills_and_halts(seed: int, orders: int, cut: float) -> None:
    day = journal.records(journal.trading_day(seed, orders))
    middle = max(1, int(len(day) * cut))
    with transaction.atomic():
        services.project(CTX, worker="w", records=day[:middle])
        since = getattr(OutboxMessage.objects.order_by("id").last(), "id", 0)
        before = {topic: dict(selectors.snapshot(topic, "paper")) for topic in ("orders", "fills", "halts")}
        for start in range(middle, len(day), 7):
            services.project(CTX, worker="w", records=day[start : start + 7])
        for topic, state in before.items():
            assert after_messages(state, topic, since) == dict(selectors.snapshot(topic, "paper"))
        transaction.set_rollback(True)


STEPS = st.lists(
    st.tuples(st.sampled_from(["open", "clear", "ack", "resolve", "note"]), st.integers(0, 2)), max_size=20
)


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=STEPS, then=STEPS)
def test_incidents(first: list[tuple[str, int]], then: list[tuple[str, int]]) -> None:
    with transaction.atomic():
        for step in first:
            take(*step)
        since = getattr(OutboxMessage.objects.order_by("id").last(), "id", 0)
        before = dict(incidents.snapshot())
        for step in then:
            take(*step)
        assert after_messages(before, "incidents", since) == dict(incidents.snapshot())
        transaction.set_rollback(True)


def take(verb: str, which: int) -> None:
    """Do one legal thing to the incident of a fingerprint, if there is one."""
    fingerprint = f"feed_stale:paper:{which}"
    if verb == "open":
        incident_services.open_incident(
            CTX, kind="feed_stale", fingerprint=fingerprint, severity="warning", title="t", detail="d", source="s"
        )
        return
    if verb == "clear":
        incident_services.clear(CTX, fingerprint)
        return
    found = incidents.incidents(open_only=True).filter(fingerprint=fingerprint).first()
    if found is None or (verb == "ack" and found.state != "triggered"):
        return
    if verb == "note":
        incident_services.add_note(CTX, incident_id=found.pk, text="looked")
        return
    act = incident_services.acknowledge if verb == "ack" else incident_services.resolve
    act(CTX, incident_id=found.pk, expected_version=found.version, comment="seen")
