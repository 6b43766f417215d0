"""Step-up: a fresh code buys leave for one action on one object, used once within two minutes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import connection, transaction

from apps.accounts.models import StepUpGrant
from apps.accounts.services.factors import check_totp
from apps.audit.services import record, record_denied
from apps.core.context import ActorKind, Context, MfaLevel
from apps.core.errors import Invalid, StepUpRequired

LIFETIME: Final = timedelta(seconds=120)
ACTIONS: Final = frozenset(
    {
        "trading.halt",
        "trading.resume",
        "trading.order",
        "trading.flatten",
        "trading.rebalance",
        "trading.adopt_balance",
        "deployments.start",
        "policies.publish",
        "policies.override",
        "users.manage",
    }
)


def grant(ctx: Context, *, code: str, action: str, object_id: str) -> StepUpGrant:
    """Check a fresh authenticator code and issue a grant for ``action`` on ``object_id`` in this session.

    Call outside transactions (a miss has to be counted). Raises WrongCode, Throttled, Invalid for an unknown
    action, StepUpRequired for a caller who is not a person in a signed-in session.
    """
    if action not in ACTIONS:
        raise Invalid(f"no action {action!r} takes a fresh code; expected one of {sorted(ACTIONS)}", field="action")
    if ctx.actor.kind is not ActorKind.USER or ctx.actor.user is None or not ctx.session:
        raise StepUpRequired("only a person in a signed-in session can give a fresh code", action=action)
    check_totp(ctx, user=ctx.actor.user, code=code)
    now = ctx.now()
    with transaction.atomic():
        made = StepUpGrant.objects.create(
            user=ctx.actor.user,
            session=ctx.session,
            action=action,
            object_id=object_id,
            created_at=now,
            expires_at=now + LIFETIME,
        )
        record(
            ctx,
            event="accounts.step_up.granted",
            object_type="step_up",
            object_id=str(made.pk),
            after={"action": action, "object_id": object_id, "expires_at": made.expires_at},
        )
    return made


def consume_grant(ctx: Context, *, grant_id: UUID | str | None, action: str, object_id: str) -> Context:
    """Use the grant up inside the action's transaction; the context that comes back says so and names the grant.

    No entry of its own is recorded: the action's entry carries ``mfa=step_up`` and the grant as ``evidence``, and
    the chain stays unlocked while the action takes its own row locks.

    Raises StepUpRequired, which is recorded, when the grant is missing, another's, for something else, used or late.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("a grant is used in the transaction of its action")
    found = _locked(grant_id)
    why = _refusal(ctx, found, action, object_id)
    if why or found is None:
        record_denied(
            ctx,
            event="accounts.step_up.refused",
            object_type="step_up",
            object_id=str(grant_id or ""),
            reason=why,
            fields={"action": action, "object_id": object_id},
        )
        raise StepUpRequired(f"{why}; give a fresh code", action=action, object_id=object_id)
    found.consumed_at = ctx.now()
    found.save(update_fields=["consumed_at"])
    return replace(ctx, mfa=MfaLevel.STEP_UP, evidence=f"step_up:{found.pk}")


def _locked(grant_id: UUID | str | None) -> StepUpGrant | None:
    try:
        key = UUID(str(grant_id))
    except ValueError:
        return None
    return StepUpGrant.objects.select_for_update().filter(pk=key).first()


def _refusal(ctx: Context, found: StepUpGrant | None, action: str, object_id: str) -> str:
    """Why the grant does not allow this, or an empty text."""
    if found is None or ctx.actor.user is None or found.user_id != ctx.actor.user.pk:
        return "this action needs a fresh code"
    if found.session != ctx.session or ctx.actor.kind is not ActorKind.USER:
        return "the fresh code was given in another session"
    if (found.action, found.object_id) != (action, str(object_id)):
        return f"the fresh code was given for {found.action} on {found.object_id}"
    if found.consumed_at is not None:
        return "the fresh code was used already"
    if ctx.now() >= found.expires_at:
        return "the fresh code is too old"
    return ""
