"""Drafting risk limits, and setting how many people an action needs. Publishing is in ``services_publications``."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings
from django.db import transaction
from django.db.models import Max

from apps.accounts.domain.roles import Capability
from apps.accounts.permissions import require
from apps.audit import services as audit
from apps.core import outbox
from apps.core.context import Context
from apps.core.errors import IllegalTransition, Invalid, NotFound, StaleVersion
from apps.policies.choices import LimitsState, PublicationState
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
    lock_numbers()
    newest = RiskLimits.objects.aggregate(top=Max("number"))["top"] or 0
    row = RiskLimits.objects.create(
        number=newest + 1,
        limits=good,
        digest=rules.digest(good),
        note=note[:500],
        created_by=ctx.actor.name,
        created_at=ctx.now(),
    )
    record_limits(ctx, row, event="policies.limits.drafted", kind="limits.drafted")
    return row


@transaction.atomic
def update_draft(
    ctx: Context, *, number: int, expected_version: int, limits: dict[str, Any], note: str | None = None
) -> RiskLimits:
    """Replace the content of a draft. StaleVersion when it moved on.

    IllegalTransition once it was published, and while people are asked to publish it as it is.
    """
    require(ctx, Capability.POLICY_EDIT, object_type="risk_limits", object_id=str(number))
    good = rules.checked(limits)
    row = locked_limits(number)
    _must_be_free_draft(ctx, row, expected_version)
    before = {"digest": row.digest, "limits": row.limits}
    row.limits, row.digest, row.version = good, rules.digest(good), row.version + 1
    row.note = row.note if note is None else note[:500]
    row.save()
    record_limits(ctx, row, event="policies.limits.edited", kind="limits.edited", before=before)
    return row


@transaction.atomic
def discard_draft(ctx: Context, *, number: int, expected_version: int, reason: str) -> RiskLimits:
    """Throw a draft away; it stays on record and its number is not used again. Needs POLICY_EDIT.

    IllegalTransition unless it is a draft that nobody asked to publish, StaleVersion when it moved on.
    """
    require(ctx, Capability.POLICY_EDIT, object_type="risk_limits", object_id=str(number))
    text = " ".join(reason.split())
    if not 0 < len(text) <= 500:
        raise Invalid("say why, in at most 500 characters", reason=["expected 1 to 500 characters"])
    row = locked_limits(number)
    _must_be_free_draft(ctx, row, expected_version)
    row.state, row.version = LimitsState.DISCARDED, row.version + 1
    row.discarded_by, row.discarded_at, row.discard_reason = ctx.actor.name, ctx.now(), text
    row.save()
    before = {"digest": row.digest, "state": LimitsState.DRAFT}
    record_limits(ctx.because(text), row, event="policies.limits.discarded", kind="limits.discarded", before=before)
    return row


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


def lock_numbers() -> None:
    """Let one transaction at a time give out numbers or change which version is in force."""
    with transaction.get_connection().cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_NUMBERS_LOCK])


def locked_limits(number: int) -> RiskLimits:
    """The version, locked; NotFound."""
    row = RiskLimits.objects.select_for_update().filter(number=number).first()
    if row is None:
        raise NotFound(f"there are no risk limits of version {number}")
    return row


def must_be_draft(row: RiskLimits) -> None:
    """IllegalTransition for a version that was published or thrown away."""
    if row.state != LimitsState.DRAFT:
        raise IllegalTransition(f"limits {row.number} are {row.state}; make a new draft", state=row.state)


def _must_be_free_draft(ctx: Context, row: RiskLimits, expected_version: int) -> None:
    must_be_draft(row)
    if row.version != expected_version:
        raise StaleVersion(
            f"you saw version {expected_version} of limits {row.number}, it is at {row.version} by now",
            expected=expected_version,
            actual=row.version,
        )
    if row.publications.filter(state=PublicationState.PENDING, expires_at__gt=ctx.now()).exists():
        raise IllegalTransition(
            f"another person is asked to publish limits {row.number} as they are; withdraw that first", state="pending"
        )


def record_limits(
    ctx: Context,
    row: RiskLimits,
    *,
    event: str,
    kind: str,
    before: dict[str, Any] | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Tell the live topic and the audit trail what became of a version, in the caller's transaction."""
    outbox.publish(ctx, topic="policies", kind=kind, key=str(row.number), data=limits_row(row))
    audit.record(
        ctx,
        event=event,
        object_type="risk_limits",
        object_id=str(row.number),
        before=before,
        after={"digest": row.digest, "limits": row.limits, "state": row.state, **(detail or {})},
    )
