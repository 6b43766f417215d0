"""Publishing after commit: a row in the transaction now, a message on the wire when the relay has seen it."""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction

from apps.core.context import Context
from apps.core.models import OutboxMessage

NOTIFY_CHANNEL = "gekko_outbox"


def publish(ctx: Context, *, topic: str, kind: str, key: str, data: dict[str, Any]) -> OutboxMessage:
    """Book a message on ``topic``; ``data`` is the object's whole public row, so that clients upsert by ``key``.

    Must run inside ``transaction.atomic``: outside one there is no change that the message could belong to.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(f"outbox message {topic}/{kind} needs a transaction")
    message = OutboxMessage.objects.create(
        topic=topic, kind=kind, key=key, data=data, trace_id=ctx.trace_id, created_at=ctx.now()
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [NOTIFY_CHANNEL])
    return message
