"""Opening, acknowledging, resolving; and where incidents come from."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.db import connection, transaction

from apps.accounts.domain.roles import Role
from apps.audit.models import AuditEntry
from apps.core import heartbeats, outbox
from apps.core.clock import FrozenClock
from apps.core.context import service_context
from apps.core.errors import IllegalTransition, Invalid, PermissionRefused, StaleVersion, Unavailable
from apps.core.models import InboxMessage, OutboxMessage
from apps.incidents import models, selectors, services
from apps.incidents.services.lifecycle import resolve_cleared
from apps.trading import services as trading
from tests.factories import journal
from tests.factories.people import make_person
from workers.engine import events as ev
from workers.engine.vocabulary import FeedState

pytestmark = pytest.mark.django_db
CLOCK = FrozenClock()
CTX = service_context("incidents", clock=CLOCK)


@pytest.fixture(autouse=True)
def clock() -> None:
    CLOCK.at = FrozenClock().at


@pytest.fixture(autouse=True)
def forget_heartbeats(valkey_url: str) -> Iterator[None]:
    yield
    with redis.Redis.from_url(valkey_url) as client:
        client.delete(heartbeats.KEY)


def raised(fingerprint: str = "feed_stale:paper:BTCUSDT", **changes: Any) -> models.Incident:
    values = {"kind": "feed_stale", "severity": "warning", "title": "stale", "detail": "silent", "source": "test"}
    return services.open_incident(CTX, fingerprint=fingerprint, **{**values, **changes})


def test_one_incident_is_open_per_fingerprint_and_sightings_count() -> None:
    first = raised()
    again = raised(detail="still silent", severity="critical")
    assert (again.pk, again.count, again.severity, again.detail) == (first.pk, 2, "critical", "still silent")
    assert raised("feed_stale:paper:ETHUSDT").number == first.number + 1


def test_a_resolved_incident_stays_resolved_and_a_new_sighting_opens_a_new_one() -> None:
    first = raised()
    services.resolve(CTX, incident_id=first.pk, expected_version=1, comment="fixed")
    second = raised()
    assert (second.pk != first.pk, second.state, second.number) == (True, "triggered", first.number + 1)


@pytest.mark.django_db(transaction=True)
def test_twenty_sightings_at_once_make_one_incident() -> None:
    def see(_: int) -> None:
        try:
            raised()
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(see, range(20)))
    assert models.Incident.objects.get().count == 20


def test_acknowledging_names_who_and_why() -> None:
    incident = raised()
    ctx = make_person("ann", Role.OPERATOR).context()
    taken = services.acknowledge(ctx, incident_id=incident.pk, expected_version=1, comment="looking")
    assert (taken.state, taken.acknowledged_by, taken.version) == ("acknowledged", "ann", 2)
    assert [(e.kind, e.by, e.text) for e in taken.timeline.all()] == [
        ("opened", "incidents", "silent"),
        ("acknowledged", "ann", "looking"),
    ]
    entry = AuditEntry.objects.get(event="incidents.incident.acknowledged")
    assert (entry.actor_name, entry.reason) == ("ann", "looking")
    message = OutboxMessage.objects.filter(topic="incidents").latest("id")
    assert (message.kind, message.data["acknowledged_by"]) == ("incident.acknowledged", "ann")


def test_the_same_person_may_repeat_and_another_learns_who_was_faster() -> None:
    incident = raised()
    ann, bob = make_person("ann", Role.OPERATOR).context(), make_person("bob", Role.OPERATOR).context()
    services.acknowledge(ann, incident_id=incident.pk, expected_version=1)
    assert services.acknowledge(ann, incident_id=incident.pk, expected_version=1).version == 2
    with pytest.raises(StaleVersion, match="ann has acknowledged it") as caught, transaction.atomic():
        services.acknowledge(bob, incident_id=incident.pk, expected_version=1)
    assert (caught.value.fields["by"], caught.value.fields["actual"]) == ("ann", 2)
    with pytest.raises(IllegalTransition), transaction.atomic():
        services.acknowledge(bob, incident_id=incident.pk, expected_version=2)


def test_notes_are_kept_in_any_state_and_bad_ones_refused() -> None:
    incident = raised()
    services.resolve(CTX, incident_id=incident.pk, expected_version=1)
    noted = services.add_note(CTX, incident_id=incident.pk, text="cause: cable")
    assert noted.timeline.order_by("-id")[0].text == "cause: cable"
    for text in (" ", "x" * 2001):
        with pytest.raises(Invalid), transaction.atomic():
            services.add_note(CTX, incident_id=incident.pk, text=text)


@pytest.mark.django_db(transaction=True)
def test_a_viewer_may_not_acknowledge_and_the_attempt_is_recorded() -> None:
    incident = raised()
    with pytest.raises(PermissionRefused):
        services.acknowledge(make_person("vic").context(), incident_id=incident.pk, expected_version=1)
    assert AuditEntry.objects.get(outcome="denied").object_id == str(incident.pk)


def test_a_cleared_feed_resolves_by_itself_only_after_holding() -> None:
    incident = raised()
    services.clear(CTX, incident.fingerprint)
    assert services.clear(CTX, incident.fingerprint) is None
    CLOCK.advance(seconds=119)
    assert resolve_cleared(CTX) == 0
    raised()
    CLOCK.advance(seconds=10)
    assert resolve_cleared(CTX) == 0, "it returned: the wait begins anew"
    services.clear(CTX, incident.fingerprint)
    CLOCK.advance(seconds=121)
    assert resolve_cleared(CTX) == 1
    incident.refresh_from_db()
    assert (incident.state, incident.count, incident.resolved_by) == ("resolved", 2, "incidents")


def test_a_broken_book_waits_for_a_person() -> None:
    incident = raised("reconciliation_break:paper", kind="reconciliation_break", severity="critical")
    services.clear(CTX, incident.fingerprint)
    CLOCK.advance(hours=2)
    assert resolve_cleared(CTX) == 0


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(Invalid, match="'fire'"):
        raised(kind="fire")


def test_signals_of_the_journal_become_incidents_once() -> None:
    ts = journal.START
    stale = ev.FeedChanged(ts=ts, symbol="ETHUSDT", state=FeedState.STALE, detail="silent for 3 s")
    broken = ev.ReconciliationDone(ts=ts, ok=False, orders_checked=2, fills_adopted=0, breaks=("BTC: 1 and 2",))
    trading.project(CTX, worker="w", records=journal.records([*journal.opening(), stale, broken]))
    assert services.sweep(CTX) == 5
    assert services.sweep(CTX) == 0
    found = {incident.kind: incident for incident in selectors.incidents(open_only=True)}
    assert set(found) == {"feed_stale", "reconciliation_break"}
    assert found["reconciliation_break"].detail == "BTC: 1 and 2"
    assert sorted(incident.severity for incident in found.values()) == ["critical", "warning"]


def test_a_message_delivered_twice_counts_once_and_a_senseless_one_blocks_nothing() -> None:
    good = {"kind": "feed_stale", "fingerprint": "f", "severity": "info", "title": "t", "detail": "d"}
    with transaction.atomic():
        for data in ({"kind": "what"}, {**good, "kind": "fire"}, good):
            outbox.publish(CTX, topic="signals", kind="incident.requested", key="k", data=data)
    messages = list(OutboxMessage.objects.order_by("id"))
    assert [services.handle_message(CTX, message) for message in messages] == [True, True, True]
    assert services.handle_message(CTX, messages[-1]) is False
    assert models.Incident.objects.get().count == 1
    assert InboxMessage.objects.count() == 3


def beat(url: str, name: str, age: float = 0, **detail: Any) -> None:
    value = {"name": name, "pid": 7, "ts": CLOCK.now().timestamp() - age, "detail": detail}
    with redis.Redis.from_url(url) as client:
        client.hset(heartbeats.KEY, name, json.dumps(value))


def test_silent_processes_are_lost_and_found(valkey_url: str) -> None:
    beat(valkey_url, "execution", age=6)
    beat(valkey_url, "venue", age=6)
    beat(valkey_url, "web", age=1)
    beat(valkey_url, "old", age=600)
    with redis.Redis.from_url(valkey_url) as client:
        client.hset(heartbeats.KEY, "junk", b"{not json")
    services.sweep(CTX)
    services.sweep(CTX)
    found = {incident.fingerprint: incident for incident in selectors.incidents()}
    assert set(found) == {"worker_lost:execution", "venue_unreachable:venue"}
    lost = found["worker_lost:execution"]
    assert (lost.severity, lost.count) == ("critical", 1)
    beat(valkey_url, "execution")
    services.sweep(CTX)
    lost.refresh_from_db()
    assert lost.source_cleared_at == CLOCK.now()


def test_a_restart_is_told_once_and_a_new_supervisor_starts_from_zero(valkey_url: str) -> None:
    for restarts, told in ((0, 0), (1, 1), (1, 1), (2, 2), (0, 2), (1, 3)):
        beat(valkey_url, "supervisor", processes={"gpu": {"pid": 7, "alive": True, "restarts": restarts}})
        services.sweep(CTX)
        incident = selectors.incidents().filter(kind="process_restarted").first()
        assert (incident.count if incident else 0) == told
    assert incident is not None
    CLOCK.advance(minutes=6)
    services.sweep(CTX)
    incident.refresh_from_db()
    assert (incident.source_cleared_at, incident.state) == (CLOCK.now(), "triggered")


def test_heartbeats_of_an_earlier_start_are_left_alone_while_the_desk_starts(valkey_url: str) -> None:
    since = CLOCK.now()
    beat(valkey_url, "gpu", age=20)
    CLOCK.advance(seconds=30)
    services.sweep(CTX, watching_since=since)
    assert not models.Incident.objects.exists()
    beat(valkey_url, "web", age=6)
    services.sweep(CTX, watching_since=since)
    assert models.Incident.objects.get().fingerprint == "worker_lost:web", "it lived since, and went"
    CLOCK.advance(seconds=20)
    services.sweep(CTX, watching_since=since)
    assert models.Incident.objects.filter(fingerprint="worker_lost:gpu").exists()


@pytest.mark.parametrize(
    ("age", "process", "lost"),
    [
        (4, {"pid": 7, "alive": True}, False),
        (6, {"pid": 7, "alive": True}, True),
        (9000, {"pid": 7, "alive": True}, True),
        (9000, {"pid": 7, "alive": False}, True),
        (60, {"pid": 8, "alive": True}, False),
        (60, None, True),
        (9000, None, False),
    ],
    ids=["fresh", "stopped", "stopped long ago", "dead", "just started anew", "unsupervised", "forgotten"],
)
def test_who_counts_as_lost(valkey_url: str, age: float, process: dict[str, Any] | None, lost: bool) -> None:
    beat(valkey_url, "gpu", age=age)
    beat(valkey_url, "supervisor", processes={"gpu": process} if process else {})
    services.sweep(CTX)
    assert models.Incident.objects.filter(fingerprint="worker_lost:gpu").exists() is lost


def test_a_sweep_without_redis_still_handles_signals(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    raised()
    with transaction.atomic():
        data = {"fingerprint": "feed_stale:paper:BTCUSDT"}
        outbox.publish(CTX, topic="signals", kind="incident.cleared", key=uuid.uuid4().hex, data=data)
    assert services.sweep(CTX) == 1


def test_a_watch_that_stood_still_says_so_and_the_next_heartbeat_clears_it(valkey_url: str) -> None:
    lookout = services.Lookout()
    for now in (100.0, 102.0, 106.5):
        lookout.look(CTX, now)
        lookout.rest(now + 1)
    assert not models.Incident.objects.exists()
    lookout.look(CTX, 115.5)
    lookout.rest(115.5)
    incident = models.Incident.objects.get()
    assert (incident.kind, incident.fingerprint) == ("worker_lost", "worker_lost:control")
    assert "control stood still for 8 s" in incident.detail
    beat(valkey_url, "control")
    services.sweep(CTX)
    lookout.look(CTX, 117.5)
    incident.refresh_from_db()
    assert (incident.source_cleared_at, incident.count) == (CLOCK.now(), 1)


def test_a_long_look_is_no_absence(valkey_url: str) -> None:
    lookout = services.Lookout()
    lookout.look(CTX, 100.0)
    lookout.rest(130.0)
    lookout.look(CTX, 132.0)
    assert not models.Incident.objects.exists()


def test_valkey_that_cannot_be_read_is_lost_after_three_looks_and_found_again(valkey_url: str, settings: Any) -> None:
    lookout = services.Lookout()
    lookout.look(CTX, 100.0)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    lookout.look(CTX, 102.0)
    lookout.look(CTX, 104.0)
    assert not models.Incident.objects.exists(), "it may only be restarting"
    for now in (106.0, 108.0, 110.0):
        lookout.look(CTX, now)
    incident = models.Incident.objects.get()
    assert (incident.fingerprint, incident.severity, incident.count) == ("worker_lost:valkey", "critical", 1)
    settings.REDIS_URL = valkey_url
    services.Lookout().look(CTX, 112.0)
    incident.refresh_from_db()
    assert incident.source_cleared_at == CLOCK.now()


def test_an_altered_trail_opens_an_incident_and_a_sound_one_clears_it() -> None:
    broken = {
        "id": "1",
        "ok": False,
        "size": 9,
        "findings": [{"kind": "leaf", "seq": 4, "detail": "entry 4 was changed"}],
    }
    sound = {"id": "2", "ok": True, "size": 9, "findings": []}
    with transaction.atomic():
        outbox.publish(CTX, topic="audit", kind="verification.completed", key="1", data=broken)
        outbox.publish(CTX, topic="audit", kind="audit.verification_failed", key="1", data=broken)
    assert services.sweep(CTX) == 2
    incident = models.Incident.objects.get()
    assert (incident.kind, incident.severity) == ("audit_verification_failed", "critical")
    assert "entry 4 was changed" in incident.detail
    with transaction.atomic():
        outbox.publish(CTX, topic="audit", kind="verification.completed", key="2", data=sound)
    services.sweep(CTX)
    incident.refresh_from_db()
    assert (incident.source_cleared_at is None, incident.state) == (False, "triggered")


def test_what_cannot_be_recorded_now_is_handled_later(monkeypatch: pytest.MonkeyPatch) -> None:
    good = {"kind": "feed_stale", "fingerprint": "f", "severity": "info", "title": "t", "detail": "d"}
    with transaction.atomic():
        outbox.publish(CTX, topic="signals", kind="incident.requested", key="k", data=good)

    def refuse(*_: Any, **__: Any) -> None:
        raise Unavailable("the audit trail cannot be written")

    with monkeypatch.context() as patch:
        patch.setattr("apps.incidents.services.lifecycle.audit.record", refuse)
        assert services.sweep(CTX) == 0
    assert services.sweep(CTX) == 1


def test_a_rise_in_severity_is_written_down_once() -> None:
    first = raised()
    raised(severity="critical")
    raised(severity="critical")
    assert list(first.timeline.values_list("kind", flat=True)).count("escalated") == 1
    assert AuditEntry.objects.filter(event="incidents.incident.escalated").count() == 1
