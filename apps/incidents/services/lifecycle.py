"""Opening, acknowledging and resolving incidents."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Max

from apps.accounts.permissions import Capability, require
from apps.audit import services as audit
from apps.core import outbox
from apps.core.context import Context
from apps.core.errors import Invalid, NotFound
from apps.incidents.choices import Kind, Severity, State
from apps.incidents.domain import plans
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.rows import incident_row

COMMENT_LIMIT: Final = 2000
_NUMBERS_LOCK: Final = 4_771_004


def open_incident(
    ctx: Context,
    *,
    kind: str,
    fingerprint: str,
    severity: str,
    title: str,
    detail: str,
    source: str,
    evidence: dict[str, Any] | None = None,
) -> Incident:
    """The open incident of ``fingerprint``: a new one, or the one that is there, counted once more.

    Two callers at once make one incident: the database holds a fingerprint open at most once. A resolved incident
    stays resolved; the next sighting opens a new one. For the desk's own processes; raises Invalid for an unknown
    kind or severity.
    """
    if kind not in Kind.values or severity not in Severity.values:
        raise Invalid(
            f"expected a known kind and severity, was {kind!r} and {severity!r}", kind=kind, severity=severity
        )
    values = {"severity": severity, "title": title[:200], "detail": detail, "evidence": evidence or {}}
    for _ in range(3):
        with transaction.atomic():
            known = _open(fingerprint)
            if known is not None:
                return _seen_again(ctx, known, values)
            try:
                with transaction.atomic():
                    return _create(ctx, kind=kind, fingerprint=fingerprint[:200], source=source[:100], values=values)
            except IntegrityError:
                # Another transaction opened it between our look and our insert: count it on the next round.
                continue
    raise Invalid(f"incident {fingerprint} could not be opened in three attempts", fingerprint=fingerprint)


@transaction.atomic
def acknowledge(ctx: Context, *, incident_id: UUID, expected_version: int, comment: str = "") -> Incident:
    """Take an incident on. The same person's second acknowledgement changes nothing; needs INCIDENT_ACK.

    StaleVersion says who was faster; IllegalTransition when it was acknowledged or resolved already.
    """
    require(ctx, Capability.INCIDENT_ACK, object_type="incident", object_id=str(incident_id))
    text = _checked(comment)
    incident = _locked(incident_id)
    if incident.state == State.ACKNOWLEDGED and incident.acknowledged_by == ctx.actor.name:
        return incident
    _check_version(incident, expected_version)
    plans.check_transition(incident.state, State.ACKNOWLEDGED.value)
    incident.state = State.ACKNOWLEDGED
    incident.acknowledged_by, incident.acknowledged_at = ctx.actor.name, ctx.now()
    _finish(ctx, incident, verb="acknowledged", text=text)
    return incident


@transaction.atomic
def resolve(ctx: Context, *, incident_id: UUID, expected_version: int, comment: str = "") -> Incident:
    """Close an incident for good; a new sighting opens a new one. Needs INCIDENT_RESOLVE."""
    require(ctx, Capability.INCIDENT_RESOLVE, object_type="incident", object_id=str(incident_id))
    text = _checked(comment)
    incident = _locked(incident_id)
    if incident.state == State.RESOLVED and incident.resolved_by == ctx.actor.name:
        return incident
    _check_version(incident, expected_version)
    _resolve(ctx, incident, text)
    return incident


@transaction.atomic
def add_note(ctx: Context, *, incident_id: UUID, text: str) -> Incident:
    """Add a line to the timeline, in any state. Needs INCIDENT_ACK."""
    require(ctx, Capability.INCIDENT_ACK, object_type="incident", object_id=str(incident_id))
    note = _checked(text)
    if not note:
        raise Invalid("the note is empty", field="text")
    incident = _locked(incident_id)
    _finish(ctx, incident, verb="noted", text=note)
    return incident


@transaction.atomic
def clear(ctx: Context, fingerprint: str) -> Incident | None:
    """Note that the source of an open incident is well again; None when none is open or it was noted before."""
    incident = _open(fingerprint)
    if incident is None or incident.source_cleared_at is not None:
        return None
    incident.source_cleared_at = ctx.now()
    _finish(ctx, incident, verb="cleared", text="The source has cleared.")
    return incident


@transaction.atomic
def resolve_cleared(ctx: Context) -> int:
    """Resolve what has been clear for long enough and needs nobody; return how many."""
    waiting = Incident.objects.select_for_update(skip_locked=True).exclude(state=State.RESOLVED)
    over = [
        incident
        for incident in waiting.filter(source_cleared_at__lte=ctx.now() - plans.HOLD)
        if plans.resolves_by_itself(kind=incident.kind, cleared_at=incident.source_cleared_at, now=ctx.now())
    ]
    for incident in over:
        _resolve(ctx, incident, f"Clear since {incident.source_cleared_at:%H:%M:%S} UTC; resolved by itself.")
    return len(over)


def _open(fingerprint: str) -> Incident | None:
    found = Incident.objects.select_for_update().filter(fingerprint=fingerprint[:200])
    return found.exclude(state=State.RESOLVED).first()


def _locked(incident_id: UUID) -> Incident:
    incident = Incident.objects.select_for_update().filter(pk=incident_id).first()
    if incident is None:
        raise NotFound(f"there is no incident {incident_id}")
    return incident


def _check_version(incident: Incident, expected: int) -> None:
    resolved = incident.state == State.RESOLVED
    plans.check_version(
        expected=expected,
        actual=incident.version,
        state=incident.state,
        by=incident.resolved_by if resolved else incident.acknowledged_by,
        at=incident.resolved_at if resolved else incident.acknowledged_at,
    )


def _create(ctx: Context, *, kind: str, fingerprint: str, source: str, values: dict[str, Any]) -> Incident:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_NUMBERS_LOCK])
    incident = Incident(
        number=(Incident.objects.aggregate(top=Max("number"))["top"] or 0) + 1,
        kind=kind,
        fingerprint=fingerprint,
        source=source,
        opened_at=ctx.now(),
        last_seen_at=ctx.now(),
        version=0,
        **values,
    )
    _finish(ctx, incident, verb="opened", text=incident.detail)
    return incident


def _seen_again(ctx: Context, incident: Incident, values: dict[str, Any]) -> Incident:
    returned = incident.source_cleared_at is not None
    incident.count += 1
    incident.last_seen_at, incident.source_cleared_at = ctx.now(), None
    incident.detail, incident.evidence = values["detail"], values["evidence"]
    before = incident.severity
    if values["severity"] == Severity.CRITICAL:
        incident.severity = Severity.CRITICAL
    if incident.severity != before:
        _finish(ctx, incident, verb="escalated", text=f"{before} -> {Severity.CRITICAL.value}: {incident.detail}")
        return incident
    if returned:
        _finish(ctx, incident, verb="returned", text=incident.detail)
        return incident
    incident.version += 1
    incident.save()
    outbox.publish(ctx, topic="incidents", kind="incident.seen", key=str(incident.pk), data=incident_row(incident))
    return incident


def _resolve(ctx: Context, incident: Incident, text: str) -> None:
    plans.check_transition(incident.state, State.RESOLVED.value)
    incident.state = State.RESOLVED
    incident.resolved_by, incident.resolved_at = ctx.actor.name, ctx.now()
    _finish(ctx, incident, verb="resolved", text=text)


def _finish(ctx: Context, incident: Incident, *, verb: str, text: str) -> None:
    """Save with the next version, with its timeline line, message and audit entry."""
    incident.version += 1
    incident.save()
    TimelineEntry.objects.create(incident=incident, at=ctx.now(), kind=verb, by=ctx.actor.name, text=text)
    outbox.publish(ctx, topic="incidents", kind=f"incident.{verb}", key=str(incident.pk), data=incident_row(incident))
    audit.record(
        ctx.because(text) if text else ctx,
        event=f"incidents.incident.{verb}",
        object_type="incident",
        object_id=str(incident.pk),
        after={
            "number": incident.number,
            "kind": incident.kind,
            "fingerprint": incident.fingerprint,
            "state": incident.state,
            "version": incident.version,
        },
    )


def _checked(comment: str) -> str:
    text = comment.strip()
    if len(text) > COMMENT_LIMIT:
        raise Invalid(f"expected at most {COMMENT_LIMIT} characters, was {len(text)}", field="comment")
    return text
