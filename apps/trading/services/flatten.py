"""Close positions: one reduce-only parent order each, which the loop takes up, works through the gate and remembers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import transaction

from apps.accounts.domain.roles import Capability
from apps.accounts.permissions import require
from apps.accounts.services.stepup import consume_grant
from apps.audit import services as audit
from apps.core.context import ActorKind, Context
from apps.core.money import plain
from apps.trading.domain import flatten as plans
from apps.trading.domain.control import checked_reason
from apps.trading.domain.flatten import Closing
from apps.trading.models import Instrument, ParentOrder, TradingControl
from apps.trading.selectors import get_control
from apps.trading.selectors_flatten import closings
from apps.trading.services.parents import request_parent

ACTION: Final = "trading.flatten"


def grant_object(venue: str, wanted: Sequence[Mapping[str, str]]) -> str:
    """What leave to close is given for: these positions on this venue, as they were shown, and nothing else."""
    return f"{venue}:{plans.digest(wanted)}"


@transaction.atomic
def flatten(
    ctx: Context, *, venue: str, wanted: Sequence[Mapping[str, str]], reason: str, grant: UUID | None
) -> list[ParentOrder]:
    """Close ``wanted``, {symbol, side, quantity} as the preview showed them; return the orders that do it.

    Needs TRADING_ORDER and, of a person, a fresh code for ``trading.flatten`` on exactly these positions. Never more
    is sent than was shown. Conflict when a position is not what was shown any more; IllegalTransition while a halt
    covers it, or for a position that is being closed already.
    """
    require(ctx, Capability.TRADING_ORDER, object_type="venue", object_id=venue)
    reason = checked_reason(reason)
    if ctx.actor.kind is not ActorKind.SERVICE:
        ctx = consume_grant(ctx, grant_id=grant, action=ACTION, object_id=grant_object(venue, wanted))
    # Two people who close at the same moment must not both be let through.
    TradingControl.objects.select_for_update().get(pk=get_control(venue).pk)
    found = plans.agreed(closings(venue, {each["symbol"] for each in wanted}), wanted)
    parents = [_order(ctx, venue, closing, quantity, reason) for closing, quantity in found]
    audit.record(
        ctx.because(reason),
        event="trading.flatten.ordered",
        object_type="venue",
        object_id=venue,
        after={"positions": [dict(each) for each in wanted], "parents": [parent.parent_id for parent in parents]},
    )
    return parents


def _order(ctx: Context, venue: str, closing: Closing, quantity: Decimal, reason: str) -> ParentOrder:
    order = {
        "symbol": closing.instrument.symbol,
        "side": closing.side,
        "quantity": plain(quantity),
        "algorithm": "twap",
        "params": {"slices": 1, "style": "take", "offset_ticks": plans.OFFSET_TICKS},
        "duration_s": plans.PATIENCE_S,
        "reduce_only": True,
        "displaces": True,
    }
    instrument = Instrument.objects.get(venue_id=venue, symbol=closing.instrument.symbol)
    return request_parent(ctx, instrument, order, f"Flatten: {reason}"[: plans.REASON_LIMIT])
