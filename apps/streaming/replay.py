"""From the database to a client: where a topic stands, a snapshot, or the messages since a sequence."""

from __future__ import annotations

from typing import Final

from django.db.models import Max

from apps.core.context import Context
from apps.core.models import OutboxMessage
from apps.streaming.domain.envelopes import Envelope, envelope
from apps.streaming.topics import TOPICS, Topic

REPLAY_LIMIT: Final = 1000
"""A client that missed more starts from a snapshot."""


def last_seq(topic: str) -> int:
    """Sequence of the newest published message; 0 when there was none."""
    newest = OutboxMessage.objects.filter(topic=topic).aggregate(newest=Max("seq"))["newest"]
    return int(newest or 0)


def of_row(row: OutboxMessage) -> Envelope:
    """The envelope of a message of a lossless topic."""
    return envelope(
        topic=row.topic, kind="event", seq=row.seq or 0, ts=row.created_at.isoformat(), key=row.key, data=row.data
    )


def missed(topic: str, since: int, upto: int) -> list[Envelope] | None:
    """Messages after ``since`` up to ``upto``; None when they are not all kept, or too many."""
    if since > upto or upto - since > REPLAY_LIMIT:
        return None
    rows = OutboxMessage.objects.filter(topic=topic, seq__gt=since, seq__lte=upto).order_by("seq")
    messages = [of_row(row) for row in rows]
    return messages if len(messages) == upto - since else None


def newest_published() -> dict[str, int]:
    """Sequence of the newest message of each lossless topic that was handed to the channel layer."""
    names = [topic.name for topic in TOPICS.values() if topic.lossless]
    sent = OutboxMessage.objects.filter(topic__in=names, published_at__isnull=False)
    found = {row["topic"]: row["newest"] for row in sent.values("topic").annotate(newest=Max("seq"))}
    return {name: int(found.get(name) or 0) for name in names}


def newest_upto(topic: str, since: int, upto: int) -> list[Envelope]:
    """The newest messages after ``since`` up to ``upto``, oldest first, at most ``REPLAY_LIMIT``."""
    rows = OutboxMessage.objects.filter(topic=topic, seq__gt=since, seq__lte=upto).order_by("-seq")[:REPLAY_LIMIT]
    return [of_row(row) for row in reversed(rows)]


def catch_up(ctx: Context, topic: Topic, since: int | None) -> list[Envelope]:
    """What brings a client from ``since`` (None: from nothing) to now.

    The sequence is read before the rows: what commits in between is in the rows and comes again as an event, which
    changes nothing, because rows carry versions.
    """
    upto = last_seq(topic.name) if topic.lossless else 0
    if topic.lossless and since is not None:
        messages = missed(topic.name, since, upto)
        if messages is not None:
            return messages
    now = ctx.now().isoformat()
    return [envelope(topic=topic.name, kind="snapshot", seq=upto, ts=now, data=dict(topic.snapshot()))]
