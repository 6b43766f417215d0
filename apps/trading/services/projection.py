"""Projecting the execution journal into records: exactly once, by a cursor that moves in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from django.db import connection, transaction

from apps.audit import services as audit
from apps.core.context import Context
from apps.core.errors import Conflict
from apps.core.models import OutboxMessage
from apps.trading import messages
from apps.trading.domain import projection
from apps.trading.domain.states import Signal, at
from apps.trading.models import Fill, JournalCursor, Order, ParentOrder, Venue
from apps.trading.rows import fill_key, fill_row, order_row
from apps.trading.rows_parents import parent_row
from apps.trading.services import books as rows
from apps.trading.services import ledger
from apps.trading.services.bootstrap import ensure_venue
from apps.trading.services.observed import observe_control, observe_scopes
from apps.trading.services.parents import save_parents, save_routes
from workers.engine.events import Record, SessionOpened

ANCHOR_RECORDS: Final = 500
ANCHOR_AFTER: Final = timedelta(seconds=60)


class JournalMismatch(Conflict):
    code, title = "journal_mismatch", "The journal does not continue what was projected"


@transaction.atomic
def project(ctx: Context, *, worker: str, records: Sequence[Record]) -> int:
    """Fold ``records`` of ``worker``'s journal into the tables; return how many were new.

    Records up to the cursor are skipped, so a batch may be delivered twice. Raises JournalMismatch for a gap, for a
    journal that differs from the projected one at the cursor, and for one that does not begin with a session.
    """
    _commit_lazily()
    cursor = _locked_cursor(worker)
    fresh = _fresh(cursor, records)
    if not fresh:
        return 0
    venue = _venue(ctx, cursor, fresh)
    books = rows.load(venue, fresh)
    posted = ledger.begin(venue, books, fresh)
    for record in fresh:
        projection.apply(books, record)
    ledger.post(posted, fresh)
    orders, fills = rows.save(venue, books)
    save_routes(venue, books.routes)
    parents = save_parents(venue, [books.parents[parent_id] for parent_id in books.changed_parents])
    _publish(ctx, books, orders, fills, parents)
    observe_control(ctx, venue=venue, books=books)
    observe_scopes(ctx, books=books)
    _advance(ctx, cursor, fresh)
    return len(fresh)


def _commit_lazily() -> None:
    """Leave the disk to the journal: a crash of the database takes rows and cursor back together.

    What it takes back is projected again. Whatever commits later, the relay's numbering or an audit checkpoint, brings
    everything before it to disk first.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit TO off")


def _locked_cursor(worker: str) -> JournalCursor:
    JournalCursor.objects.get_or_create(worker=worker)
    return JournalCursor.objects.select_for_update().get(worker=worker)


def _fresh(cursor: JournalCursor, records: Sequence[Record]) -> list[Record]:
    """The records behind the cursor, checked to continue it without a gap."""
    fresh: list[Record] = []
    expected = cursor.seq + 1
    for record in records:
        if record.seq == cursor.seq and record.hash != cursor.hash:
            raise JournalMismatch(
                f"journal {cursor.worker} has {record.hash[:12]} at record {record.seq}, but {cursor.hash[:12]} was "
                "projected; restore the journal that belongs to this database",
                worker=cursor.worker,
                seq=record.seq,
            )
        if record.seq <= cursor.seq:
            continue
        if record.seq != expected:
            raise JournalMismatch(
                f"journal {cursor.worker} continues at record {expected}, was given {record.seq}",
                worker=cursor.worker,
                expected=expected,
                actual=record.seq,
            )
        fresh.append(record)
        expected += 1
    return fresh


def _venue(ctx: Context, cursor: JournalCursor, fresh: list[Record]) -> Venue:
    """The journal's venue: known from the cursor, else from the session that opens the journal."""
    if cursor.venue is not None:
        return cursor.venue
    first = fresh[0].event
    if not isinstance(first, SessionOpened):
        raise JournalMismatch(
            f"expected journal {cursor.worker} to begin with SessionOpened, was {type(first).__name__}",
            worker=cursor.worker,
        )
    cursor.venue = ensure_venue(ctx, name=first.venue)
    return cursor.venue


def _publish(
    ctx: Context,
    books: projection.Books,
    orders: list[Order],
    fills: list[Fill],
    parents: list[ParentOrder],
) -> None:
    outgoing = [
        messages.message(ctx, topic="orders", kind="order.updated", key=order.client_id, data=order_row(order))
        for order in orders
    ]
    outgoing += [
        messages.message(ctx, topic="fills", kind="fill.recorded", key=fill_key(fill), data=fill_row(fill))
        for fill in fills
    ]
    outgoing += [
        messages.message(ctx, topic="parents", kind="parent.updated", key=parent.parent_id, data=parent_row(parent))
        for parent in parents
    ]
    outgoing += [signal_message(ctx, books.venue, signal) for signal in books.signals.values()]
    messages.publish_all(outgoing)


def signal_message(ctx: Context, venue: str, signal: Signal) -> OutboxMessage:
    """What the incidents app consumes from topic ``signals``."""
    kind = "incident.requested" if signal.raised else "incident.cleared"
    data = {
        "kind": signal.kind,
        "fingerprint": signal.fingerprint,
        "severity": signal.severity,
        "title": signal.title,
        "detail": signal.detail,
        "source": f"trading:{venue}",
        "evidence": signal.evidence,
    }
    return messages.message(ctx, topic="signals", kind=kind, key=signal.fingerprint, data=data)


def _advance(ctx: Context, cursor: JournalCursor, fresh: list[Record]) -> None:
    last, now = fresh[-1], ctx.now()
    sessions = [record.event.epoch for record in fresh if isinstance(record.event, SessionOpened)]
    cursor.seq, cursor.hash, cursor.projected_at, cursor.event_at = last.seq, last.hash, now, at(last.event.ts)
    cursor.epoch = max([cursor.epoch, *sessions])
    old = cursor.anchored_at is None or now - cursor.anchored_at >= ANCHOR_AFTER
    if old or last.seq - cursor.anchored_seq >= ANCHOR_RECORDS:
        cursor.anchored_seq, cursor.anchored_at = last.seq, now
        audit.record(
            ctx,
            event="trading.journal.anchored",
            object_type="journal",
            object_id=cursor.worker,
            after={"seq": last.seq, "hash": last.hash, "epoch": cursor.epoch},
        )
    cursor.save()
