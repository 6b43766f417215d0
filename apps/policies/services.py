"""Drafting and publishing risk limits, and setting how many people an action needs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings
from django.db import transaction
from django.db.models import Max

from apps.accounts.domain.roles import Capability
from apps.accounts.permissions import require
from apps.accounts.services.stepup import consume_grant
from apps.audit import services as audit
from apps.core import outbox
from apps.core.context import ActorKind, Context
from apps.core.dispatch import send_after_commit
from apps.core.errors import IllegalTransition, Invalid, NotFound, StaleVersion
from apps.policies.choices import LimitsState
from apps.policies.domain import limits as rules
from apps.policies.domain.signatures import signed_bytes
from apps.policies.models import ApprovalRule, RiskLimits
from apps.policies.rows import limits_row

_NUMBERS_LOCK = 4_771_001
"""Advisory lock that makes version numbers gapless under concurrent drafts."""


@transaction.atomic
def create_draft(ctx: Context, *, limits: dict[str, Any], note: str = "") -> RiskLimits:
    """A new version that does not hold yet. Needs POLICY_EDIT; raises Invalid with a message per wrong field."""
    require(ctx, Capability.POLICY_EDIT, object_type="risk_limits", object_id="new")
    good = rules.checked(limits)
    _lock_numbers()
    newest = RiskLimits.objects.aggregate(top=Max("number"))["top"] or 0
    row = RiskLimits.objects.create(
        number=newest + 1,
        limits=good,
        digest=rules.digest(good),
        note=note[:500],
        created_by=ctx.actor.name,
        created_at=ctx.now(),
    )
    _finish(ctx, row, event="policies.limits.drafted", kind="limits.drafted")
    return row


@transaction.atomic
def update_draft(
    ctx: Context, *, number: int, expected_version: int, limits: dict[str, Any], note: str | None = None
) -> RiskLimits:
    """Replace the content of a draft. IllegalTransition once it was published, StaleVersion when it moved on."""
    require(ctx, Capability.POLICY_EDIT, object_type="risk_limits", object_id=str(number))
    good = rules.checked(limits)
    row = _locked(number)
    _must_be_draft(row)
    if row.version != expected_version:
        raise StaleVersion(
            f"you saw version {expected_version} of limits {number}, it is at {row.version} by now",
            expected=expected_version,
            actual=row.version,
        )
    before = {"digest": row.digest, "limits": row.limits}
    row.limits, row.digest, row.version = good, rules.digest(good), row.version + 1
    row.note = row.note if note is None else note[:500]
    row.save()
    _finish(ctx, row, event="policies.limits.edited", kind="limits.edited", before=before)
    return row


@transaction.atomic
def publish(ctx: Context, *, number: int, grant: UUID | None) -> RiskLimits:
    """Make a draft the limits that hold; what held before is retired. Repeating it is harmless.

    Needs POLICY_EDIT and a fresh code for ``policies.publish`` on this number; the commands that set a desk up
    need no code.
    """
    require(ctx, Capability.POLICY_EDIT, object_type="risk_limits", object_id=str(number))
    if ctx.actor.kind is not ActorKind.SERVICE:
        ctx = consume_grant(ctx, grant_id=grant, action="policies.publish", object_id=str(number))
    _lock_numbers()
    row = _locked(number)
    if row.state == LimitsState.ACTIVE:
        return row
    _must_be_draft(row)
    before = _retire_active(ctx)
    row.state, row.published_by, row.published_at = LimitsState.ACTIVE, ctx.actor.name, ctx.now()
    row.signature = sign(number, row.digest)
    row.version += 1
    row.save()
    _finish(ctx, row, event="policies.limits.published", kind="limits.published", before=before)
    send_after_commit(
        "gekko.execution.activate_limits",
        version=number,
        digest=row.digest,
        limits=row.limits,
        signature=row.signature,
    )
    return row


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


@transaction.atomic
def set_approval(ctx: Context, *, action: str, mode: str, people: int) -> ApprovalRule:
    """Say how many people ``action`` needs in ``mode``. Live trading is never resumed by one person alone."""
    require(ctx, Capability.POLICY_EDIT, object_type="approval_rule", object_id=f"{action}:{mode}")
    least = 2 if mode == "live" else 1
    if not least <= people <= 5:
        raise Invalid(f"expected {least} to 5 people for {action} on {mode}, was {people}", field="people")
    rule, _ = ApprovalRule.objects.select_for_update().get_or_create(
        action=action, mode=mode, defaults={"people": people}
    )
    before = {"people": rule.people}
    rule.people = people
    rule.save()
    audit.record(
        ctx,
        event="policies.approval.set",
        object_type="approval_rule",
        object_id=f"{action}:{mode}",
        before=before,
        after={"people": people},
    )
    return rule


def sign(number: int, digest: str) -> str:
    """Ed25519 signature in hex with the desk's signing key, so that a worker can tell published from planted."""
    return sign_bytes(signed_bytes(number, digest))


def sign_bytes(content: bytes) -> str:
    """Ed25519 signature in hex over ``content`` with the desk's signing key."""
    key = load_pem_private_key(settings.GEKKO_AUDIT_SIGNING_KEY.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"expected an Ed25519 key in {settings.GEKKO_AUDIT_SIGNING_KEY}, was {type(key).__name__}")
    return key.sign(content).hex()


def _lock_numbers() -> None:
    with transaction.get_connection().cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_NUMBERS_LOCK])


def _locked(number: int) -> RiskLimits:
    row = RiskLimits.objects.select_for_update().filter(number=number).first()
    if row is None:
        raise NotFound(f"there are no risk limits of version {number}")
    return row


def _must_be_draft(row: RiskLimits) -> None:
    if row.state != LimitsState.DRAFT:
        raise IllegalTransition(f"limits {row.number} are {row.state}; make a new draft", state=row.state)


def _retire_active(ctx: Context) -> dict[str, Any] | None:
    active = RiskLimits.objects.select_for_update().filter(state=LimitsState.ACTIVE).first()
    if active is None:
        return None
    active.state, active.retired_at, active.version = LimitsState.RETIRED, ctx.now(), active.version + 1
    active.save()
    outbox.publish(ctx, topic="policies", kind="limits.retired", key=str(active.number), data=limits_row(active))
    return {"active": active.number, "digest": active.digest}


def _finish(ctx: Context, row: RiskLimits, *, event: str, kind: str, before: dict[str, Any] | None = None) -> None:
    outbox.publish(ctx, topic="policies", kind=kind, key=str(row.number), data=limits_row(row))
    audit.record(
        ctx,
        event=event,
        object_type="risk_limits",
        object_id=str(row.number),
        before=before,
        after={"digest": row.digest, "limits": row.limits, "state": row.state},
    )
