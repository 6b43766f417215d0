"""Records that every app leans on: the outbox, consumer inboxes and idempotency keys."""

from __future__ import annotations

from django.db import models

from apps.core.ids import new_id


class OutboxMessage(models.Model):
    """A fact to be published, written in the transaction of the change that it tells of.

    The relay gives ``seq``, gapless per topic, when it publishes; replay to a client goes by it.
    """

    id = models.BigAutoField(primary_key=True)
    message_id = models.UUIDField(default=new_id, unique=True, editable=False)
    topic = models.CharField(max_length=64)
    kind = models.CharField(max_length=64)
    key = models.CharField(max_length=128)
    data = models.JSONField()
    trace_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()
    seq = models.BigIntegerField(null=True)
    published_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["topic", "seq"], name="outbox_topic_seq")]
        indexes = [
            models.Index(fields=["id"], condition=models.Q(published_at=None), name="outbox_unpublished"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.kind} {self.key}"


class InboxMessage(models.Model):
    """A message that a consumer has handled: the second delivery finds its row and does nothing."""

    id = models.BigAutoField(primary_key=True)
    consumer = models.CharField(max_length=64)
    message_id = models.UUIDField()
    handled_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["consumer", "message_id"], name="inbox_once")]

    def __str__(self) -> str:
        return f"{self.consumer} {self.message_id}"


class IdempotencyRecord(models.Model):
    """The answer that was given to a changing request, for the same caller's repeat of it.

    The row commits together with the change, so a crash leaves both or neither. The body is sealed: an answer may
    hold a secret that is shown once.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    actor = models.CharField(max_length=128)
    key = models.CharField(max_length=128)
    request_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    headers = models.JSONField(default=dict)
    body = models.BinaryField()
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["actor", "key"], name="idempotency_once")]

    def __str__(self) -> str:
        return f"{self.actor} {self.key}"
