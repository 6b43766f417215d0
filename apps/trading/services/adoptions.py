"""Adopting the venue's balance where ours truly differs: a person's decision, in live trading two persons'.

What is wanted is a row that the trading loop reads every second. It adopts only what it finds to differ exactly as it
was signed for, at its own reconciliation, which then ends the break.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import transaction

from apps.accounts.permissions import Capability, require
from apps.accounts.services.stepup import consume_grant
from apps.audit import services as audit
from apps.core.context import Context
from apps.core.errors import Conflict, NotFound
from apps.core.money import plain
from apps.policies.selectors import approvals_needed
from apps.trading.domain.adoptions import LIVES, BalanceBreak
from apps.trading.domain.control import check_approval, checked_reason
from apps.trading.models import TradingControl
from apps.trading.models.adoptions import OPEN_ADOPTIONS, AdoptionState, BalanceAdoption
from apps.trading.selectors import get_control
from apps.trading.selectors_adoptions import current_breaks

ACTION: Final = "trading.adopt_balance"
CLOSABLE: Final = (AdoptionState.APPROVED, AdoptionState.EXPIRED)
"""The worker may have carried out, in its last second, what has expired here before its word came."""


@transaction.atomic
def adopt_balance(
    ctx: Context, *, venue: str, asset: str, ours: Decimal, theirs: Decimal, reason: str, grant: UUID | None
) -> BalanceAdoption:
    """Take the venue's balance ``theirs`` of ``asset`` for ours, or ask for it where policy wants another person.

    Needs TRADING_RESUME and a fresh code for ``trading.adopt_balance`` on exactly this difference. Conflict when it is
    not what the newest reconciliation found, or a decision on the asset is open.
    """
    require(ctx, Capability.TRADING_RESUME, object_type="venue", object_id=venue)
    reason, wanted = checked_reason(reason), BalanceBreak(asset, ours, theirs)
    ctx = consume_grant(ctx, grant_id=grant, action=ACTION, object_id=f"{venue}:{wanted.digest}")
    control = TradingControl.objects.select_for_update().select_related("venue").get(pk=get_control(venue).pk)
    if wanted not in current_breaks(venue):
        raise Conflict(f"{asset} does not differ as was shown any more; look at it again", asset=asset)
    _expire(ctx, venue)
    if BalanceAdoption.objects.filter(venue_id=venue, asset=asset, state__in=OPEN_ADOPTIONS).exists():
        raise Conflict(f"a decision on {asset} is open already", asset=asset)
    alone = approvals_needed(ACTION, control.venue.mode) <= 1
    made = BalanceAdoption.objects.create(
        venue_id=venue,
        asset=asset,
        ours=ours,
        theirs=theirs,
        state=AdoptionState.APPROVED if alone else AdoptionState.PENDING,
        reason=reason,
        requested_by=ctx.actor.user,
        requested_by_name=ctx.actor.name,
        requested_at=ctx.now(),
        expires_at=ctx.now() + LIVES,
        approved_at=ctx.now() if alone else None,
    )
    _record(
        ctx.because(reason), made, "trading.balance.adoption_ordered" if alone else "trading.balance.adoption_asked"
    )
    return made


@transaction.atomic
def approve_adoption(ctx: Context, *, adoption_id: UUID, grant: UUID | None) -> BalanceAdoption:
    """Let another person's decision be carried out. Needs TRADING_RESUME, a fresh code, and not to be who asked."""
    known = BalanceAdoption.objects.filter(pk=adoption_id).first()
    if known is None:
        raise NotFound(f"there is no balance adoption {adoption_id}")
    require(ctx, Capability.TRADING_RESUME, object_type="venue", object_id=known.venue_id)
    wanted = BalanceBreak(known.asset, known.ours, known.theirs)
    ctx = consume_grant(ctx, grant_id=grant, action=ACTION, object_id=f"{known.venue_id}:{wanted.digest}")
    row = BalanceAdoption.objects.select_for_update(of=("self",)).get(pk=adoption_id)
    check_approval(
        state=row.state,
        requested_by=str(row.requested_by_id),
        approver=str(ctx.actor.user.pk) if ctx.actor.user else "",
        expires_at=row.expires_at,
        now=ctx.now(),
    )
    row.state, row.approved_by, row.approved_by_name = AdoptionState.APPROVED, ctx.actor.user, ctx.actor.name
    row.approved_at, row.expires_at = ctx.now(), ctx.now() + LIVES
    _save(row)
    _record(ctx, row, "trading.balance.adoption_ordered")
    return row


@transaction.atomic
def look_after_adoptions(ctx: Context) -> int:
    """Close decisions that the worker carried out, and those whose time is over; return how many."""
    closed = 0
    carried_out = BalanceAdoption.objects.select_for_update(skip_locked=True, of=("self",)).filter(
        state__in=CLOSABLE, carried_out_at__isnull=False
    )
    for row in carried_out:
        row.state, row.done_at = AdoptionState.DONE, row.carried_out_at
        _save(row)
        _record(ctx, row, "trading.balance.adopted")
        closed += 1
    return closed + _expire(ctx)


def _expire(ctx: Context, venue: str = "") -> int:
    late = BalanceAdoption.objects.select_for_update(of=("self",)).filter(
        state__in=OPEN_ADOPTIONS, expires_at__lte=ctx.now()
    )
    rows = list(late.filter(venue_id=venue) if venue else late)
    for row in rows:
        row.state = AdoptionState.EXPIRED
        _save(row)
        _record(ctx, row, "trading.balance.adoption_expired")
    return len(rows)


def _save(row: BalanceAdoption) -> None:
    row.version += 1
    row.save()


def _record(ctx: Context, row: BalanceAdoption, event: str) -> None:
    audit.record(
        ctx,
        event=event,
        object_type="balance_adoption",
        object_id=str(row.pk),
        after={
            "venue": row.venue_id,
            "asset": row.asset,
            "ours": plain(row.ours),
            "theirs": plain(row.theirs),
            "state": row.state,
            "requested_by": row.requested_by_name,
            "approved_by": row.approved_by_name,
        },
    )
