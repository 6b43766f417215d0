"""Housekeeping of core's own records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db import transaction

from apps.core.context import Context
from apps.core.models import IdempotencyRecord, InboxMessage, OutboxMessage

OUTBOX_KEPT: Final = timedelta(days=7)
"""A client that was away for longer takes a fresh snapshot instead of a replay."""
INBOX_KEPT: Final = timedelta(days=14)
"""Longer than the outbox, so that no replayed message is taken for a new one."""
IDEMPOTENCY_KEPT: Final = timedelta(hours=24)
_BATCH: Final = 5000


@dataclass(frozen=True, kw_only=True)
class Swept:
    """How many rows went."""

    outbox: int
    inbox: int
    idempotency: int


def sweep(ctx: Context, *, batch: int = _BATCH) -> Swept:
    """Remove what is past its keeping time, at most ``batch`` rows of each kind; unpublished messages always stay."""
    now = ctx.now()
    with transaction.atomic():
        # The newest message of a topic stays for ever: the next sequence number is counted from it.
        newest = OutboxMessage.objects.exclude(seq=None).order_by("topic", "-seq").distinct("topic").values("pk")
        old = OutboxMessage.objects.filter(published_at__lt=now - OUTBOX_KEPT).exclude(pk__in=newest)
        outbox = old.values("pk")[:batch]
        inbox = InboxMessage.objects.filter(handled_at__lt=now - INBOX_KEPT).values("pk")[:batch]
        answers = IdempotencyRecord.objects.filter(created_at__lt=now - IDEMPOTENCY_KEPT).values("pk")[:batch]
        return Swept(
            outbox=OutboxMessage.objects.filter(pk__in=outbox).delete()[0],
            inbox=InboxMessage.objects.filter(pk__in=inbox).delete()[0],
            idempotency=IdempotencyRecord.objects.filter(pk__in=answers).delete()[0],
        )
