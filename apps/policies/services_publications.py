"""Publishing limits: one person's act, or asked for by one and consented to by others where policy wants more."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts.domain.roles import Capability
from apps.accounts.models import User
from apps.accounts.permissions import require
from apps.accounts.services.stepup import consume_grant
from apps.audit.services import record_denied
from apps.core import outbox
from apps.core.context import ActorKind, Context
from apps.core.dispatch import send_after_commit
from apps.core.errors import Conflict, IllegalTransition, NotFound, PermissionRefused
from apps.policies.choices import LimitsState, PublicationState
from apps.policies.domain import limits as rules
from apps.policies.domain.publications import ACTION, REQUEST_LIVES, check_consent, meant
from apps.policies.models import LimitsPublication, PublicationConsent, RiskLimits
from apps.policies.rows import limits_row, publication_row
from apps.policies.selectors import get_limits, publishing_rule
from apps.policies.services import create_draft, lock_numbers, locked_limits, must_be_draft, record_limits, sign


@transaction.atomic
def publish(ctx: Context, *, number: int, grant: UUID | None) -> RiskLimits:
    """Make a draft the limits that hold, or, where policy wants more people, ask for it: then it stays a draft.

    Needs POLICY_EDIT and a fresh code for ``policies.publish`` on exactly this content. What held before is retired;
    repeating it is harmless. Conflict while others are asked already. The commands that set a desk up need no code,
    and alone may not replace limits in force where policy wants more people.
    """
    require(ctx, Capability.POLICY_EDIT, object_type="risk_limits", object_id=str(number))
    seen, needed = get_limits(number), publishing_rule()["people"]
    person = ctx.actor.kind is not ActorKind.SERVICE
    if person:
        ctx = consume_grant(ctx, grant_id=grant, action=ACTION, object_id=meant(number, seen.digest))
    lock_numbers()
    row = locked_limits(number)
    if row.state == LimitsState.ACTIVE:
        return row
    must_be_draft(row)
    if row.digest != seen.digest:
        raise IllegalTransition(f"draft {number} was changed at this moment; look at it again", state="changed")
    if needed > 1 and person:
        _ask(ctx, row, needed)
    elif needed > 1 and RiskLimits.objects.filter(state=LimitsState.ACTIVE).exists():
        raise PermissionRefused(f"policy wants {needed} people to replace the limits in force")
    else:
        _refuse_while_asked(ctx, row)
        _put_in_force(ctx, row)
    return row


@transaction.atomic
def consent(ctx: Context, *, publication_id: UUID, grant: UUID | None) -> RiskLimits:
    """Consent to what another person asked to publish; with the last consent that is wanted it holds.

    Needs POLICY_EDIT, a fresh code for ``policies.publish`` on exactly that content, and not to have consented before,
    as the one who asked has.
    """
    known = LimitsPublication.objects.select_related("limits").filter(pk=publication_id).first()
    if known is None:
        raise NotFound(f"there is no request {publication_id} to publish limits")
    require(ctx, Capability.POLICY_EDIT, object_type="risk_limits", object_id=str(known.limits.number))
    ctx = consume_grant(ctx, grant_id=grant, action=ACTION, object_id=meant(known.limits.number, known.digest))
    lock_numbers()
    row = locked_limits(known.limits.number)
    asked = _locked(publication_id)
    _check_consent(ctx, row, asked)
    must_be_draft(row)
    _add_consent(ctx, asked)
    if asked.consents.count() < asked.people:
        _save(asked)
        _tell(ctx, row, asked, "consented")
        return row
    _decide(ctx, asked, PublicationState.APPROVED)
    _put_in_force(ctx, row, asked)
    return row


@transaction.atomic
def reject_publication(ctx: Context, *, publication_id: UUID) -> RiskLimits:
    """Refuse a request, or withdraw one's own; the draft may then be changed again. Needs POLICY_EDIT."""
    known = LimitsPublication.objects.select_related("limits").filter(pk=publication_id).first()
    if known is None:
        raise NotFound(f"there is no request {publication_id} to publish limits")
    require(ctx, Capability.POLICY_EDIT, object_type="risk_limits", object_id=str(known.limits.number))
    row = locked_limits(known.limits.number)
    asked = _locked(publication_id)
    if asked.state != PublicationState.PENDING:
        raise IllegalTransition(f"the request is {asked.state} already", state=asked.state)
    _decide(ctx, asked, PublicationState.REJECTED)
    _tell(ctx, row, asked, "rejected")
    return row


@transaction.atomic
def expire_publications(ctx: Context) -> int:
    """Close requests that too few consented to in time; return how many."""
    late = LimitsPublication.objects.filter(state=PublicationState.PENDING, expires_at__lte=ctx.now())
    return sum(_expire(ctx, locked_limits(number)) for number in late.values_list("limits__number", flat=True))


@transaction.atomic
def ensure_default_limits(
    ctx: Context, *, quantities: dict[str, tuple[str, str]] | None = None, overrides: dict[str, Any] | None = None
) -> RiskLimits:
    """The limits that hold; where there are none, publish the defaults for a paper account of 100,000.

    ``quantities`` as in ``domain.limits.default_limits``; ``overrides`` replaces single fields.
    """
    active = RiskLimits.objects.filter(state=LimitsState.ACTIVE).first()
    if active is not None:
        return active
    content = {**rules.default_limits(quantities), **(overrides or {})}
    draft = create_draft(ctx, limits=content, note="Defaults for a paper account of 100,000")
    return publish(ctx, number=draft.number, grant=None)


def _person(ctx: Context) -> User:
    if ctx.actor.user is None:
        raise PermissionRefused("only a person can consent to publishing limits")
    return ctx.actor.user


def _ask(ctx: Context, row: RiskLimits, needed: int) -> None:
    _refuse_while_asked(ctx, row)
    asked = LimitsPublication.objects.create(
        limits=row,
        digest=row.digest,
        people=needed,
        requested_by=_person(ctx),
        requested_by_name=ctx.actor.name,
        requested_at=ctx.now(),
        expires_at=ctx.now() + REQUEST_LIVES,
    )
    _add_consent(ctx, asked)
    _tell(ctx, row, asked, "requested")


def _refuse_while_asked(ctx: Context, row: RiskLimits) -> None:
    """Conflict while a request for ``row`` waits; one whose time is over is closed first."""
    _expire(ctx, row)
    waiting = row.publications.filter(state=PublicationState.PENDING).first()
    if waiting is not None:
        raise Conflict(
            f"{waiting.requested_by_name} asked to publish limits {row.number} already; others are to consent to that",
            publication=str(waiting.pk),
        )


def _expire(ctx: Context, row: RiskLimits) -> int:
    """Close what waits for ``row``, which is locked, past its time; return how many."""
    late = row.publications.select_for_update().filter(state=PublicationState.PENDING, expires_at__lte=ctx.now())
    closed = 0
    for asked in late:
        asked.state, asked.decided_at = PublicationState.EXPIRED, ctx.now()
        _save(asked)
        _tell(ctx, row, asked, "expired")
        closed += 1
    return closed


def _check_consent(ctx: Context, row: RiskLimits, asked: LimitsPublication) -> None:
    """Raise unless the caller may consent now; that somebody wanted to count twice stays on the trail."""
    try:
        check_consent(
            state=asked.state,
            asked=asked.digest,
            digest=row.digest,
            consented={str(user) for user in asked.consents.values_list("user", flat=True)},
            person=str(ctx.actor.user.pk) if ctx.actor.user else "",
            expires_at=asked.expires_at,
            now=ctx.now(),
        )
    except PermissionRefused as refused:
        record_denied(
            ctx,
            event="policies.publication.refused",
            object_type="risk_limits",
            object_id=str(row.number),
            reason=refused.detail,
            fields={"publication": str(asked.pk)},
        )
        raise


def _locked(publication_id: UUID) -> LimitsPublication:
    return LimitsPublication.objects.select_for_update(of=("self",)).select_related("limits").get(pk=publication_id)


def _add_consent(ctx: Context, asked: LimitsPublication) -> None:
    PublicationConsent.objects.create(publication=asked, user=_person(ctx), name=ctx.actor.name, at=ctx.now())


def _decide(ctx: Context, asked: LimitsPublication, state: PublicationState) -> None:
    asked.state, asked.decided_by_name, asked.decided_at = state, ctx.actor.name, ctx.now()
    _save(asked)


def _save(asked: LimitsPublication) -> None:
    asked.version += 1
    asked.save()


def _tell(ctx: Context, row: RiskLimits, asked: LimitsPublication, what: str) -> None:
    """The version's row carries its newest request: it moves on with it."""
    row.version += 1
    row.save()
    record_limits(
        ctx,
        row,
        event=f"policies.publication.{what}",
        kind=f"limits.publication_{what}",
        detail={"publication": publication_row(asked)},
    )


def _put_in_force(ctx: Context, row: RiskLimits, asked: LimitsPublication | None = None) -> None:
    before = _retire_active(ctx)
    row.state, row.published_by, row.published_at = LimitsState.ACTIVE, ctx.actor.name, ctx.now()
    row.signature = sign(row.number, row.digest)
    row.version += 1
    row.save()
    detail = None if asked is None else {"publication": publication_row(asked)}
    event = "policies.limits.published"
    record_limits(ctx, row, event=event, kind="limits.published", before=before, detail=detail)
    send_after_commit(
        "gekko.execution.activate_limits",
        version=row.number,
        digest=row.digest,
        limits=row.limits,
        signature=row.signature,
    )


def _retire_active(ctx: Context) -> dict[str, Any] | None:
    active = RiskLimits.objects.select_for_update().filter(state=LimitsState.ACTIVE).first()
    if active is None:
        return None
    active.state, active.retired_at, active.version = LimitsState.RETIRED, ctx.now(), active.version + 1
    active.save()
    outbox.publish(ctx, topic="policies", kind="limits.retired", key=str(active.number), data=limits_row(active))
    return {"active": active.number, "digest": active.digest}
