"""Publishing checkpoints: signed in the database, and once more in a file outside it."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import transaction

from apps.audit.domain.canonical import utc_text
from apps.audit.domain.checkpoints import Malformed, Signed, Statement, sign
from apps.audit.domain.merkle import Frontier
from apps.audit.domain.verification import Finding, Kind
from apps.audit.models import AuditEntry, AuditHead, Checkpoint
from apps.audit.services.keys import signing_key
from apps.core.context import Context

SENSITIVE: Final = frozenset(
    {
        "accounts.recovery_code.used",
        "accounts.role.assigned",
        "accounts.role.removed",
        "accounts.step_up.granted",
        "accounts.step_up.refused",
        "accounts.token.issued",
        "accounts.totp.enrolled",
        "accounts.user.created",
        "accounts.user.credentials_reset",
        "policies.approval.set",
        "policies.limits.published",
        "trading.halt.automatic",
        "trading.halt.ordered",
        "trading.orders.cancel_all",
        "trading.resume.ordered",
        "trading.resume.requested",
        "policies.override.approved",
        "trading.scope.halted",
        "trading.scope.halted_itself",
        "trading.scope.resume_requested",
        "trading.scope.resumed",
    }
)
"""What somebody would most like to make unhappened: signed within seconds, not within the minute."""


def file_path() -> Path:
    folder: Path = settings.GEKKO_STATE_DIR
    return folder / "audit" / "checkpoints.jsonl"


def publish_checkpoint(ctx: Context) -> Checkpoint | None:
    """Sign the present root; the newest checkpoint again when nothing was added, None while the trail is empty.

    The file is written after the commit; should that fail, the next call writes what is missing.
    """
    with transaction.atomic():
        head = AuditHead.objects.select_for_update().filter(pk=1).first()
        if head is None or head.size == 0:
            return None
        newest = Checkpoint.objects.order_by("-size").first()
        made = newest if newest is not None and newest.size == head.size else _sign(ctx, head)
        transaction.on_commit(write_outside)
    return made


def publish_if_sensitive(ctx: Context) -> Checkpoint | None:
    """A checkpoint when a sensitive entry waits for one, else None.

    It is asked for by the clock and not by who writes the entry: a halt must not wait for a queue, and entries that are
    written on the command line count too.
    """
    signed = Checkpoint.objects.order_by("-size").values_list("size", flat=True).first() or 0
    waits = AuditEntry.objects.filter(seq__gt=signed, event__in=SENSITIVE).exists()
    return publish_checkpoint(ctx) if waits else None


def _sign(ctx: Context, head: AuditHead) -> Checkpoint:
    now = ctx.now()
    root = Frontier.unpack(head.size, bytes(head.frontier)).root()
    statement = Statement(size=head.size, root=root, chain_hash=bytes(head.chain_hash), at=utc_text(now))
    signed = sign(statement, signing_key(), "database")
    return Checkpoint.objects.create(
        size=head.size,
        root=root,
        chain_hash=statement.chain_hash,
        at=now,
        key_id=signed.key_id,
        signature=signed.signature,
    )


def as_signed(row: Checkpoint) -> Signed:
    said = Statement(size=row.size, root=bytes(row.root), chain_hash=bytes(row.chain_hash), at=utc_text(row.at))
    return Signed(statement=said, key_id=row.key_id, signature=bytes(row.signature), source="database")


def write_outside() -> int:
    """Append to the file the checkpoints that are newer than its last line; how many there were."""
    path = file_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = max((signed.statement.size for signed in _parse(file.read())[0]), default=0)
        missing = [as_signed(row) for row in Checkpoint.objects.filter(size__gt=last).order_by("size")]
        for signed in missing:
            file.write(json.dumps(signed.as_json(), sort_keys=True).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return len(missing)


def read_outside() -> tuple[list[Signed], list[Finding]]:
    """The file's checkpoints and a finding for each line that is none."""
    path = file_path()
    return _parse(path.read_bytes()) if path.exists() else ([], [])


def _parse(content: bytes) -> tuple[list[Signed], list[Finding]]:
    good: list[Signed] = []
    bad: list[Finding] = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            good.append(Signed.from_json(json.loads(line), "file"))
        except (ValueError, Malformed) as error:
            bad.append(Finding(Kind.CHECKPOINT_DAMAGED, 0, f"line {number} of the checkpoint file: {error}"))
    return good, bad
