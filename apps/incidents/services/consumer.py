"""Where incidents come from: signals in the outbox, heartbeats in Redis, and the passing of time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q

from apps.core import heartbeats
from apps.core.context import Context
from apps.core.errors import DomainError, Unavailable
from apps.core.models import InboxMessage, OutboxMessage
from apps.incidents.choices import Kind, Severity, State
from apps.incidents.domain import plans, watch
from apps.incidents.models import Incident, ProcessSighting
from apps.incidents.services.lifecycle import clear, open_incident, resolve_cleared
from apps.policies.services_overrides import expire_overrides
from apps.policies.services_publications import expire_publications
from apps.trading.services import expire_requests

CONSUMER: Final = "incidents"
AUDIT_FINGERPRINT: Final = "audit_verification_failed:trail"
BATCH: Final = 200
LOOK_BACK: Final = timedelta(days=1)

log = structlog.get_logger(__name__)


def handle_message(ctx: Context, message: OutboxMessage) -> bool:
    """Act on one message exactly once; False when it was handled before, or is of no concern to incidents.

    A message that cannot be understood is logged and counts as handled: it must not stop those behind it. Raises
    Unavailable when acting is impossible now, and then it counts as not handled.
    """
    act = _ACTIONS.get((message.topic, message.kind))
    if act is None:
        return False
    with transaction.atomic():
        try:
            with transaction.atomic():
                InboxMessage.objects.create(consumer=CONSUMER, message_id=message.message_id, handled_at=ctx.now())
        except IntegrityError:
            return False
        try:
            with transaction.atomic():
                act(ctx, message.data)
        except Unavailable:
            raise
        except (DomainError, KeyError, TypeError) as error:
            log.warning("signal not understood", message_id=str(message.message_id), error=str(error))
    return True


def _requested(ctx: Context, data: dict[str, Any]) -> None:
    open_incident(
        ctx,
        kind=data["kind"],
        fingerprint=data["fingerprint"],
        severity=data["severity"],
        title=data["title"],
        detail=data["detail"],
        source=data.get("source", ""),
        evidence=data.get("evidence") or {},
    )


def _cleared(ctx: Context, data: dict[str, Any]) -> None:
    clear(ctx, data["fingerprint"])


def _trail_verified(ctx: Context, data: dict[str, Any]) -> None:
    """A sound verification clears; the failed ones have a message of their own."""
    if data["ok"]:
        clear(ctx, AUDIT_FINGERPRINT)


def _trail_broken(ctx: Context, data: dict[str, Any]) -> None:
    findings = data["findings"]
    first = findings[0]["detail"] if findings else "none was named"
    open_incident(
        ctx,
        kind=Kind.AUDIT_VERIFICATION_FAILED,
        fingerprint=AUDIT_FINGERPRINT,
        severity=Severity.CRITICAL,
        title="The audit trail was altered",
        detail=f"Verification {data['id']} of {data['size']} entries found {len(findings)} faults; the first: {first}",
        source="audit",
        evidence={"run": data["id"], "findings": findings[:20]},
    )


_ACTIONS: Final[dict[tuple[str, str], Callable[[Context, dict[str, Any]], None]]] = {
    ("signals", "incident.requested"): _requested,
    ("signals", "incident.cleared"): _cleared,
    ("audit", "verification.completed"): _trail_verified,
    ("audit", "audit.verification_failed"): _trail_broken,
}


def sweep(ctx: Context, *, watching_since: datetime | None = None) -> int:
    """Handle waiting signals, look at heartbeats, and close what is over; return how many signals were handled.

    ``watching_since`` is when the process that calls this started.
    """
    handled = _consume(ctx)
    _watch_processes(ctx, watching_since)
    _clear_quiet(ctx)
    resolve_cleared(ctx)
    expire_requests(ctx)
    expire_overrides(ctx)
    expire_publications(ctx)
    return handled


def _consume(ctx: Context) -> int:
    """By receipts, not by a cursor: a message of a slow transaction appears behind younger ones, and still counts."""
    receipt = InboxMessage.objects.filter(consumer=CONSUMER, message_id=OuterRef("message_id"))
    kinds = Q(*(Q(topic=topic, kind=kind) for topic, kind in _ACTIONS), _connector=Q.OR)
    waiting = OutboxMessage.objects.filter(kinds, created_at__gte=ctx.now() - LOOK_BACK).filter(~Exists(receipt))
    handled = 0
    # Sorted here: asked for the first ids, PostgreSQL would read the whole outbox by its key instead of two topics.
    for message in sorted(waiting, key=lambda message: message.pk)[:BATCH]:
        try:
            handled += handle_message(ctx, message)
        except Unavailable as error:
            log.warning("signal kept for later", message_id=str(message.message_id), error=error.detail)
    return handled


def _watch_processes(ctx: Context, since: datetime | None) -> None:
    try:
        beats = heartbeats.read()
    except Unavailable as error:
        log.warning("heartbeats not seen", error=error.detail)
        return
    supervised = _supervised(beats.get("supervisor"), ctx)
    known = dict(ProcessSighting.objects.values_list("name", "restarts"))
    verdict = watch.judge(
        beats={name: watch.Beat(at=beat.at, pid=beat.pid) for name, beat in beats.items()},
        supervised=supervised,
        known=known,
        now=ctx.now(),
        since=since,
    )
    for name in verdict.lost:
        _lost(ctx, name, beats[name])
    for name in verdict.alive:
        clear(ctx, _lost_fingerprint(name))
    for name, count in verdict.restarted:
        _restarted(ctx, name, count)
    for name, process in supervised.items():
        if known.get(name) != process.restarts:
            changes = {"restarts": process.restarts, "seen_at": ctx.now()}
            ProcessSighting.objects.update_or_create(name=name, defaults=changes)


def _supervised(beat: heartbeats.Heartbeat | None, ctx: Context) -> dict[str, watch.Supervised]:
    """What a living supervisor says of its processes; nothing when there is none."""
    if beat is None or not beat.fresh(ctx.now()):
        return {}
    told = beat.detail.get("processes") or {}
    return {
        str(name): watch.Supervised(
            pid=process.get("pid"), alive=bool(process.get("alive")), restarts=int(process.get("restarts") or 0)
        )
        for name, process in told.items()
    }


def _lost_fingerprint(name: str) -> str:
    return "venue_unreachable:venue" if name == "venue" else f"worker_lost:{name}"


def _lost(ctx: Context, name: str, beat: heartbeats.Heartbeat) -> None:
    fingerprint = _lost_fingerprint(name)
    known = Incident.objects.filter(fingerprint=fingerprint, source_cleared_at=None).exclude(state=State.RESOLVED)
    if known.exists():
        return
    venue = name == "venue"
    open_incident(
        ctx,
        kind=Kind.VENUE_UNREACHABLE if venue else Kind.WORKER_LOST,
        fingerprint=fingerprint,
        severity=Severity.CRITICAL if name in ("venue", "execution") else Severity.WARNING,
        title="The venue is unreachable" if venue else f"Process {name} is lost",
        detail=f"{name} showed its last heartbeat at {beat.at:%H:%M:%S} UTC (process id {beat.pid}).",
        source=f"process:{name}",
        evidence={"process": name, "pid": beat.pid, "last_heartbeat": beat.at.isoformat()},
    )


def _restarted(ctx: Context, name: str, count: int) -> None:
    open_incident(
        ctx,
        kind=Kind.PROCESS_RESTARTED,
        fingerprint=f"process_restarted:{name}",
        severity=Severity.WARNING,
        title=f"Process {name} was restarted",
        detail=f"{name} ended unexpectedly and was started again ({count} restarts since the desk started).",
        source="supervisor",
        evidence={"process": name, "restarts": count},
    )


def _clear_quiet(ctx: Context) -> None:
    """Sightings without an end of their own count as cleared when there was none for a while."""
    quiet = Incident.objects.filter(
        kind__in=[Kind.LIMIT_BREACH, Kind.PROCESS_RESTARTED],
        severity=Severity.WARNING,
        source_cleared_at=None,
        last_seen_at__lte=ctx.now() - plans.QUIET,
    ).exclude(state=State.RESOLVED)
    for fingerprint in list(quiet.values_list("fingerprint", flat=True)):
        clear(ctx, fingerprint)
