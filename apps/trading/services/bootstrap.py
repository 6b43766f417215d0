"""First records: the venue and the row that controls it."""

from __future__ import annotations

from django.db import transaction

from apps.audit import services as audit
from apps.core.context import Context
from apps.trading.models import TradingControl, Venue
from workers.engine.vocabulary import TradingState


@transaction.atomic
def ensure_venue(
    ctx: Context, *, name: str, mode: str | None = None, market: str | None = None, label: str | None = None
) -> Venue:
    """Create the venue with its control row, or bring what is given up to date; return it.

    A live venue starts HALTED: nothing trades real money because a row was created.
    """
    venue, created = Venue.objects.get_or_create(
        name=name,
        defaults={"mode": mode or "paper", "market": market or "", "label": label or "", "created_at": ctx.now()},
    )
    wanted = {"mode": mode, "market": market, "label": label}
    changed = {key: value for key, value in wanted.items() if value is not None and getattr(venue, key) != value}
    if created:
        paper = venue.mode == "paper"
        TradingControl.objects.create(
            venue=venue,
            desired_state=(TradingState.ACTIVE if paper else TradingState.HALTED).value,
            reason="first start",
            by=ctx.actor.name,
            changed_at=ctx.now(),
        )
    elif changed:
        for key, value in changed.items():
            setattr(venue, key, value)
        venue.save(update_fields=list(changed))
    if created or changed:
        audit.record(
            ctx,
            event="trading.venue.created" if created else "trading.venue.changed",
            object_type="venue",
            object_id=venue.name,
            after={"mode": venue.mode, "market": venue.market, "label": venue.label},
        )
    return venue
