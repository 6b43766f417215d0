"""Appending to the chain.

The head row is locked from the append to the end of the caller's transaction, which is what keeps ``seq`` gapless
and the chain without forks. Callers therefore record last, after their own row locks: the order "own rows, then
head" is the same everywhere, so writers never wait for each other in a circle.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from django.db import OperationalError, connection, connections, transaction

from apps.audit.domain.canonical import GENESIS, Entry, chain_hash, clean_text, plain_json
from apps.audit.domain.merkle import Frontier
from apps.audit.models import AuditEntry, AuditHead
from apps.audit.redaction import redact
from apps.audit.registry import event as declared_event
from apps.core.context import Context
from apps.core.errors import Unavailable

DENIAL_LOCK_TIMEOUT_MS: Final = 3000
DENIAL_TURN_S: Final = 5.0
_DENIAL_TURN: Final = threading.Lock()
OUTCOMES: Final = frozenset({"success", "failure", "denied"})


class AuditUnavailable(Unavailable):
    """The trail cannot be written, so the action cannot happen."""

    code, title = "audit_unavailable", "The audit trail cannot be written"


def record(
    ctx: Context,
    *,
    event: str,
    object_type: str,
    object_id: str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    outcome: str = "success",
) -> AuditEntry:
    """Append one entry inside the caller's transaction; call it last.

    Raises UnknownEvent for an undeclared name, NotAuditable for values without a declared form and
    TransactionManagementError outside a transaction; each of them makes the change fail.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(f"audit entry {event} needs the transaction of its change")
    if outcome not in OUTCOMES:
        raise ValueError(f"expected an outcome of {sorted(OUTCOMES)}, was {outcome!r}")
    known = declared_event(event)
    old, new = plain_json(redact(before)), plain_json(redact(after))
    head = _locked_head()
    entry = Entry(
        seq=head.size + 1,
        at=ctx.now(),
        actor_kind=str(ctx.actor.kind),
        actor_id=clean_text(ctx.actor.id)[:128],
        actor_name=clean_text(ctx.actor.name)[:150],
        roles=list(ctx.actor.roles),
        mfa=str(ctx.mfa),
        evidence=clean_text(ctx.evidence)[:64],
        session=clean_text(ctx.session)[:64],
        ip=clean_text(ctx.ip)[:64],
        origin=clean_text(ctx.origin)[:32],
        request_id=str(ctx.request_id),
        trace_id=clean_text(ctx.trace_id)[:64],
        event=known.name,
        code=known.code,
        object_type=clean_text(object_type)[:64],
        object_id=clean_text(str(object_id))[:128],
        before=old,
        after=new,
        reason=clean_text(ctx.reason),
        outcome=outcome,
    )
    return _append(head, entry)


def _locked_head() -> AuditHead:
    head = AuditHead.objects.select_for_update().filter(pk=1).first()
    if head is None:
        AuditHead.objects.bulk_create([AuditHead(pk=1, chain_hash=GENESIS)], ignore_conflicts=True)
        head = AuditHead.objects.select_for_update().get(pk=1)
        # Asked only under the lock: another first writer may have just been and gone.
        if head.size == 0 and AuditEntry.objects.exists():
            raise AuditUnavailable("the head of the audit chain is missing; verify the trail before going on")
    return head


def _append(head: AuditHead, entry: Entry) -> AuditEntry:
    previous, leaf = bytes(head.chain_hash), entry.leaf_hash()
    columns = {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
    row = AuditEntry(**columns, prev_hash=previous, leaf_hash=leaf)
    row.save(force_insert=True)
    frontier = Frontier.unpack(head.size, bytes(head.frontier))
    frontier.append(leaf)
    AuditHead.objects.filter(pk=1).update(
        size=entry.seq, chain_hash=chain_hash(previous, leaf), frontier=frontier.pack()
    )
    return row


def record_denied(
    ctx: Context,
    *,
    event: str,
    object_type: str,
    object_id: str,
    reason: str,
    fields: dict[str, Any] | None = None,
) -> None:
    """Append a refusal that stays when the caller's transaction rolls back, which a refusal makes it do.

    Inside a transaction the entry is written over a connection of its own, from a thread of its own, because
    PostgreSQL has no autonomous transactions. If the caller has already appended to the chain in the open
    transaction, its own lock would be waited for; that ends after three seconds with AuditUnavailable: check
    permissions before recording.
    """

    def write() -> None:
        with transaction.atomic():
            record(
                ctx.because(reason),
                event=event,
                object_type=object_type,
                object_id=object_id,
                after=fields,
                outcome="denied",
            )

    if not connection.in_atomic_block or _in_test_transaction():
        write()
    else:
        _apart(write)


def _in_test_transaction() -> bool:
    """Whether the outermost block belongs to a test case; its rows are invisible elsewhere, so write beside them.

    Django's own durable blocks make the same exception.
    """
    return bool(connection.atomic_blocks) and getattr(connection.atomic_blocks[0], "_from_testcase", False)


def _apart(write: Callable[[], None]) -> None:
    """Write outside the pool, one at a time: callers hold its connections, and would wait for each other there."""
    failure: list[BaseException] = []
    if not _DENIAL_TURN.acquire(timeout=DENIAL_TURN_S):
        raise AuditUnavailable("a refusal could not be recorded: too many others are being recorded")
    try:
        _run_apart(write, failure)
    finally:
        _DENIAL_TURN.release()
    if failure:
        if isinstance(failure[0], OperationalError):
            raise AuditUnavailable(
                "a refusal could not be recorded: the audit chain is locked, perhaps by this very transaction"
            ) from failure[0]
        raise failure[0]


def _run_apart(write: Callable[[], None], failure: list[BaseException]) -> None:
    settings = connection.settings_dict
    options = {name: value for name, value in settings["OPTIONS"].items() if name != "pool"}

    def run() -> None:
        try:
            connections["default"] = connections.create_connection("default")
            connections["default"].settings_dict = {**settings, "OPTIONS": options}
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(f"SET LOCAL lock_timeout = {DENIAL_LOCK_TIMEOUT_MS}")
                write()
        except Exception as error:  # noqa: BLE001 - carried to the calling thread and raised there
            failure.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run, name="audit-denial")
    thread.start()
    thread.join()
