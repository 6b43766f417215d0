"""Every kind of tampering is found, and the first bad row is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection, transaction

from apps.audit.domain.canonical import chain_hash
from apps.audit.domain.merkle import Frontier
from apps.audit.models import AuditEntry, AuditHead, Checkpoint, VerificationRun
from apps.audit.registry import events
from apps.audit.services import publish_checkpoint, record, verify
from apps.audit.services.checkpoints import SENSITIVE, file_path, publish_if_sensitive, write_outside
from apps.audit.services.verification import check_trail
from apps.core.clock import FrozenClock
from apps.core.context import service_context
from apps.core.models import OutboxMessage
from tests.support.audit import tampering

pytestmark = pytest.mark.django_db(transaction=True)

CLOCK = FrozenClock()


def append(count: int) -> None:
    for index in range(count):
        CLOCK.advance(seconds=1)
        ctx = service_context("test", clock=CLOCK)
        with transaction.atomic():
            record(ctx, event="accounts.user.created", object_type="user", object_id=str(index), after={"n": index})


@pytest.fixture
def trail() -> Iterator[None]:
    """Twelve entries with checkpoints at 5 and 10."""
    file_path().unlink(missing_ok=True)
    append(5)
    publish_checkpoint(service_context("test", clock=CLOCK))
    append(5)
    publish_checkpoint(service_context("test", clock=CLOCK))
    append(2)
    yield
    file_path().unlink(missing_ok=True)


def sql(statement: str, *params: int | bytes) -> None:
    with tampering(), connection.cursor() as cursor:
        cursor.execute(statement, params)


def first() -> tuple[str, int]:
    result = check_trail()
    assert not result.ok
    return result.findings[0].kind.value, result.findings[0].seq


def swap(a: int, b: int) -> None:
    sql("UPDATE audit_auditentry SET seq = -1 WHERE seq = %s", a)
    sql("UPDATE audit_auditentry SET seq = %s WHERE seq = %s", a, b)
    sql("UPDATE audit_auditentry SET seq = %s WHERE seq = -1", b)


def shift_down(after: int) -> None:
    """Close the gap that a deleted row leaves, as somebody would who hides it."""
    for row in AuditEntry.objects.filter(seq__gt=after).order_by("seq").values_list("seq", flat=True):
        sql("UPDATE audit_auditentry SET seq = %s WHERE seq = %s", row - 1, row)


def rewrite(*, from_seq: int) -> None:
    """Recompute every hash from ``from_seq`` on and the head with them: a forger who knows the format."""
    rows = list(AuditEntry.objects.order_by("seq"))
    chain, frontier = bytes(32), Frontier()
    for row in rows:
        leaf = row.entry().leaf_hash()
        if row.seq >= from_seq:
            sql("UPDATE audit_auditentry SET leaf_hash = %s, prev_hash = %s WHERE seq = %s", leaf, chain, row.seq)
        chain = chain_hash(chain, leaf)
        frontier.append(leaf)
    AuditHead.objects.update(size=len(rows), chain_hash=chain, frontier=frontier.pack())


def test_an_intact_trail_is_ok(trail: None) -> None:
    result = check_trail()
    assert (result.ok, result.size, result.checkpoints, result.warnings) == (True, 12, 4, [])
    assert result.root == Frontier.unpack(12, bytes(AuditHead.objects.get().frontier)).root()


def test_an_empty_trail_is_ok() -> None:
    file_path().unlink(missing_ok=True)
    assert check_trail().ok


@pytest.mark.parametrize(
    "change",
    [
        "reason = 'another'",
        "actor_name = 'somebody else'",
        "at = at + interval '1 microsecond'",
        "after = '{\"n\": 99}'",
        "before = '{}'",
        "roles = '[\"administrator\"]'",
        "outcome = 'denied'",
        "leaf_hash = sha256('x')",
        "mfa = 'step_up'",
        "ip = '10.0.0.1'",
        "event = 'accounts.user.disabled'",
    ],
)
def test_an_edited_row_is_named(trail: None, change: str) -> None:
    sql(f"UPDATE audit_auditentry SET {change} WHERE seq = 7")
    assert first() == ("edited", 7)


def test_a_deleted_row_is_named(trail: None) -> None:
    sql("DELETE FROM audit_auditentry WHERE seq = 4")
    assert first() == ("deleted", 4)


def test_a_deleted_row_whose_gap_was_closed_is_named(trail: None) -> None:
    sql("DELETE FROM audit_auditentry WHERE seq = 4")
    shift_down(4)
    assert first() == ("deleted", 4)


def test_an_inserted_row_is_named(trail: None) -> None:
    for seq in range(12, 5, -1):
        sql("UPDATE audit_auditentry SET seq = %s WHERE seq = %s", seq + 1, seq)
    copied = AuditEntry.objects.get(seq=5)
    copied.seq, copied.reason = 6, "forged"
    copied.prev_hash = chain_hash(bytes(copied.prev_hash), bytes(copied.leaf_hash))
    copied.leaf_hash = copied.entry().leaf_hash()
    copied.save(force_insert=True)
    assert first() == ("inserted", 6)


def test_a_row_beyond_the_head_is_named(trail: None) -> None:
    row = AuditEntry.objects.get(seq=12)
    row.seq = 13
    row.prev_hash = chain_hash(bytes(row.prev_hash), bytes(row.leaf_hash))
    row.leaf_hash = row.entry().leaf_hash()
    row.save(force_insert=True)
    assert first() == ("inserted", 13)


@pytest.mark.parametrize(("a", "b"), [(6, 7), (3, 9), (11, 12)])
def test_rows_that_changed_places_are_named(trail: None, a: int, b: int) -> None:
    swap(a, b)
    assert first() == ("reordered", a)


def test_a_truncated_trail_is_named(trail: None) -> None:
    sql("DELETE FROM audit_auditentry WHERE seq > 8")
    assert first() == ("truncated", 9)


def test_truncation_with_the_head_set_back_is_found_by_the_checkpoints(trail: None) -> None:
    sql("DELETE FROM audit_auditentry WHERE seq > 8")
    rewrite(from_seq=99)
    assert first() == ("truncated", 9)


def test_truncation_with_head_and_checkpoint_rows_is_found_by_the_file(trail: None) -> None:
    sql("DELETE FROM audit_auditentry WHERE seq > 8")
    rewrite(from_seq=99)
    sql("DELETE FROM audit_checkpoint WHERE size > 8")
    assert first() == ("truncated", 9)


def test_a_rewritten_history_is_found_by_the_next_checkpoint(trail: None) -> None:
    sql("UPDATE audit_auditentry SET reason = 'rewritten' WHERE seq = 3")
    rewrite(from_seq=3)
    assert first() == ("forked", 5)


def test_a_rewritten_tail_with_a_stale_head_is_a_fork(trail: None) -> None:
    AuditHead.objects.update(chain_hash=bytes(32))
    assert first() == ("forked", 12)


def test_a_lost_head_is_found(trail: None) -> None:
    AuditHead.objects.all().delete()
    assert first()[0] == "truncated"


def test_a_forged_signature_is_found(trail: None) -> None:
    sql("UPDATE audit_checkpoint SET signature = sha512('x') WHERE size = 5")
    assert first() == ("bad_signature", 5)


def test_a_signature_by_another_key_is_found(trail: None) -> None:
    sql("UPDATE audit_checkpoint SET key_id = 'ffffffffffffffff' WHERE size = 10")
    assert first() == ("bad_signature", 10)


def test_a_checkpoint_lost_from_the_database_is_found(trail: None) -> None:
    sql("DELETE FROM audit_checkpoint WHERE size = 5")
    assert first() == ("checkpoint_missing", 5)


def test_a_checkpoint_lost_from_the_file_is_found(trail: None) -> None:
    lines = file_path().read_text().splitlines()
    file_path().write_text(lines[1] + "\n")
    assert first() == ("checkpoint_missing", 5)


def test_a_damaged_line_of_the_file_is_found(trail: None) -> None:
    file_path().write_text(file_path().read_text() + '{"size": "x"\n')
    assert first()[0] == "checkpoint_damaged"


def test_a_changed_root_in_the_file_is_found(trail: None) -> None:
    lines = [json.loads(line) for line in file_path().read_text().splitlines()]
    lines[0]["root"] = "00" * 32
    file_path().write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert first() == ("forked", 5)


def test_a_clock_that_went_back_is_a_warning(trail: None) -> None:
    CLOCK.at -= timedelta(hours=1)
    append(1)
    result = check_trail()
    assert result.ok
    assert [(found.kind.value, found.seq) for found in result.warnings] == [("clock_backwards", 13)]


def test_the_file_catches_up_when_a_write_to_it_was_lost(trail: None) -> None:
    kept = file_path().read_text()
    file_path().write_text(kept.splitlines()[0] + "\n")
    assert check_trail().ok
    assert write_outside() == 1
    assert file_path().read_text() == kept


def test_a_checkpoint_is_not_repeated_while_nothing_is_added(trail: None) -> None:
    ctx = service_context("test", clock=CLOCK)
    made, again = publish_checkpoint(ctx), publish_checkpoint(ctx)
    assert made == again
    assert Checkpoint.objects.count() == 3


def test_a_verification_is_recorded_and_published(trail: None) -> None:
    run = verify(service_context("audit", clock=CLOCK))
    assert run.ok
    assert AuditEntry.objects.latest("seq").event == "audit.trail.verified"
    assert list(OutboxMessage.objects.values_list("topic", "kind")) == [("audit", "verification.completed")]
    assert check_trail().ok


def test_a_failed_verification_tells_the_incidents(trail: None) -> None:
    sql("UPDATE audit_auditentry SET reason = 'x' WHERE seq = 7")
    run = verify(service_context("audit", clock=CLOCK))
    assert not run.ok
    assert VerificationRun.objects.get().findings[0]["seq"] == 7
    message = OutboxMessage.objects.get(kind="audit.verification_failed")
    assert message.data["findings"][0]["kind"] == "edited"
    assert AuditEntry.objects.latest("seq").outcome == "failure"


def test_a_checkpoint_that_is_late_is_a_warning_of_its_own(trail: None) -> None:
    written = AuditEntry.objects.get(seq=11).at
    assert check_trail(written + timedelta(minutes=3)).warnings == []
    result = check_trail(written + timedelta(minutes=4))
    assert (result.ok, [(found.kind.value, found.seq) for found in result.warnings]) == (
        True,
        [("checkpoint_overdue", 11)],
    )
    publish_checkpoint(service_context("test", clock=CLOCK))
    assert check_trail(written + timedelta(days=1)).warnings == [], "nothing waits, so none is due"


def test_the_warning_is_in_the_kept_run(trail: None) -> None:
    late = service_context("test", clock=FrozenClock(CLOCK.now() + timedelta(minutes=9)))
    run = verify(late)
    assert run.ok
    assert [finding["kind"] for finding in run.findings] == ["checkpoint_overdue"]


def test_sensitive_entries_do_not_wait_for_the_minute(trail: None) -> None:
    ctx = service_context("test", clock=CLOCK)
    publish_checkpoint(ctx)
    with transaction.atomic():
        record(ctx, event="accounts.session.ended", object_type="session", object_id="1")
    assert publish_if_sensitive(ctx) is None
    with transaction.atomic():
        record(ctx, event="trading.halt.ordered", object_type="venue", object_id="paper")
    made = publish_if_sensitive(ctx)
    assert made is not None
    assert made.size == 14
    assert publish_if_sensitive(ctx) is None
    sql("DELETE FROM audit_auditentry WHERE seq = 14")
    rewrite(from_seq=1)
    assert first() == ("truncated", 14)


def test_what_is_called_sensitive_is_declared() -> None:
    assert set(events()) >= SENSITIVE
