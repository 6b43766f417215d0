"""From the outbox to the stream ``gekko:events`` and to the live hubs.

One publisher works at a time; an advisory lock in PostgreSQL says which. Delivery is at least once: a message gets its
sequence in one transaction, is published, and is marked published in another; a crash in between publishes it again
with the same sequence and message id.
"""

from __future__ import annotations

import json
import threading
from typing import Any, Final

import psycopg
import redis
import structlog
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection, transaction
from django.db.models import Max
from prometheus_client import Counter, Gauge

from apps.core.clock import SYSTEM_CLOCK
from apps.core.models import OutboxMessage
from apps.core.outbox import NOTIFY_CHANNEL
from apps.streaming.hub import GROUP
from apps.streaming.replay import of_row

log = structlog.get_logger(__name__)

STREAM: Final = "gekko:events"
STREAM_LENGTH: Final = 10_000
BATCH: Final = 500
POLL_S: Final = 1.0
RETRY_S: Final = 1.0
LEADER_LOCK: Final = 0x6765_6B6B_6F01
"""Key of the advisory lock; any fixed number that nothing else in the database uses."""

PUBLISHED = Counter("gekko_outbox_published_total", "Outbox messages published", ["topic"])
LAG = Gauge("gekko_outbox_lag_seconds", "Age of the oldest message of the last batch when it was published")


class OutboxPublisher:
    """``run`` until told to stop; ``published`` counts, ``leading`` tells whether this process holds the lock."""

    def __init__(self, stop: threading.Event) -> None:
        self.published = 0
        self.leading = False
        self._stop = stop
        self._redis = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=5)

    def run(self) -> None:
        """Lead, publish, and begin anew whenever PostgreSQL or Valkey went away."""
        while not self._stop.is_set():
            try:
                with self._listening() as listener:
                    self._lead(listener)
            except (DatabaseError, psycopg.Error, redis.RedisError, OSError) as error:
                log.warning("relay interrupted", error=f"{type(error).__name__}: {error}")
                self.leading = False
                close_old_connections()
                self._stop.wait(RETRY_S)

    def _listening(self) -> psycopg.Connection[Any]:
        """A connection of its own for the lock and the wake-up calls; its end frees the lock."""
        parameters = connection.get_connection_params()
        for own in ("cursor_factory", "context", "prepare_threshold"):
            parameters.pop(own, None)
        return psycopg.connect(**parameters, autocommit=True)

    def _lead(self, listener: psycopg.Connection[Any]) -> None:
        while not self._stop.is_set():
            row = listener.execute("SELECT pg_try_advisory_lock(%s)", [LEADER_LOCK]).fetchone()
            if row is not None and row[0]:
                break
            self._stop.wait(POLL_S)
        self.leading = True
        listener.execute(f"LISTEN {NOTIFY_CHANNEL}")
        while not self._stop.is_set():
            while self.publish_batch() == BATCH:
                pass
            # Wakes at the first call; the poll is for a call that was lost with a connection.
            for _ in listener.notifies(timeout=POLL_S, stop_after=1):
                pass

    def publish_batch(self) -> int:
        """Publish up to ``BATCH`` waiting messages in order; returns how many."""
        rows = number_waiting()
        if not rows:
            return 0
        self._send(rows)
        OutboxMessage.objects.filter(pk__in=[row.pk for row in rows]).update(published_at=SYSTEM_CLOCK.now())
        self.published += len(rows)
        for row in rows:
            PUBLISHED.labels(row.topic).inc()
        LAG.set((SYSTEM_CLOCK.now() - rows[0].created_at).total_seconds())
        return len(rows)

    def _send(self, rows: list[OutboxMessage]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for row in rows:
            body = {"id": str(row.message_id), "kind": row.kind, "trace_id": row.trace_id, "envelope": of_row(row)}
            pipeline.xadd(STREAM, {"data": json.dumps(body)}, maxlen=STREAM_LENGTH, approximate=True)
        pipeline.execute()
        layer: Any = get_channel_layer()
        async_to_sync(layer.group_send)(GROUP, {"type": "live", "messages": [of_row(row) for row in rows]})


def number_waiting() -> list[OutboxMessage]:
    """The next messages to publish, each with its sequence: gapless and rising per topic."""
    with transaction.atomic():
        waiting = OutboxMessage.objects.select_for_update().filter(published_at=None).order_by("seq", "id")
        rows = list(waiting[:BATCH])
        fresh = [row for row in rows if row.seq is None]
        topics = {row.topic for row in fresh}
        newest = OutboxMessage.objects.filter(topic__in=topics).values("topic").annotate(newest=Max("seq"))
        last = {found["topic"]: found["newest"] or 0 for found in newest}
        for row in fresh:
            row.seq = last[row.topic] = last[row.topic] + 1
        OutboxMessage.objects.bulk_update(fresh, ["seq"])
    return rows
