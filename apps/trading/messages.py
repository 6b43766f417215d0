"""Bulk publishing: many outbox rows in one statement, and one wake-up of the relay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connection, transaction

from apps.core.context import Context
from apps.core.models import OutboxMessage
from apps.core.outbox import NOTIFY_CHANNEL


def message(ctx: Context, *, topic: str, kind: str, key: str, data: dict[str, Any]) -> OutboxMessage:
    """An unsaved outbox row, as ``apps.core.outbox.publish`` would write."""
    return OutboxMessage(topic=topic, kind=kind, key=key, data=data, trace_id=ctx.trace_id, created_at=ctx.now())


def publish_all(messages: Iterable[OutboxMessage]) -> int:
    """Book ``messages`` in their order within the caller's transaction; return how many."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("outbox messages need a transaction")
    rows = OutboxMessage.objects.bulk_create(messages)
    if rows:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [NOTIFY_CHANNEL])
    return len(rows)
