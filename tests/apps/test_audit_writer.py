"""Appending to the trail: same transaction, gapless under concurrency, refusals that survive."""

from __future__ import annotations

import contextlib
import threading
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from apps.audit.domain.canonical import NotAuditable, chain_hash
from apps.audit.models import AuditEntry, AuditHead
from apps.audit.registry import UnknownEvent
from apps.audit.services import record, record_denied
from apps.audit.services.writer import AuditUnavailable
from apps.core.context import service_context

EVENT = "accounts.user.created"


def write(**more: Any) -> AuditEntry:
    return record(service_context("test"), event=EVENT, object_type="user", object_id="1", **more)


def assert_chain() -> int:
    previous = bytes(32)
    rows = list(AuditEntry.objects.order_by("seq"))
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        assert bytes(row.prev_hash) == previous
        assert bytes(row.leaf_hash) == row.entry().leaf_hash()
        previous = chain_hash(previous, bytes(row.leaf_hash))
    return len(rows)


@pytest.mark.django_db
def test_an_entry_holds_who_what_and_why() -> None:
    ctx = service_context("test").because("because I say so")
    record(ctx, event=EVENT, object_type="user", object_id="1", after={"roles": ["viewer"], "size": Decimal("1.50")})
    row = AuditEntry.objects.get()
    row.refresh_from_db()
    assert (row.seq, row.actor_name, row.reason, row.outcome) == (1, "test", "because I say so", "success")
    assert row.after == {"roles": ["viewer"], "size": "1.50"}
    assert row.code.startswith("ACC")
    assert bytes(row.leaf_hash) == row.entry().leaf_hash()


@pytest.mark.django_db(transaction=True)
def test_without_a_transaction_nothing_is_written() -> None:
    with pytest.raises(transaction.TransactionManagementError, match="needs the transaction"):
        write()


@pytest.mark.django_db(transaction=True)
def test_a_change_that_rolls_back_leaves_no_entry() -> None:
    with contextlib.suppress(RuntimeError), transaction.atomic():
        write()
        raise RuntimeError
    assert AuditEntry.objects.count() == 0
    with transaction.atomic():
        write()
    assert AuditHead.objects.get().size == 1


@pytest.mark.django_db
def test_an_undeclared_event_is_refused() -> None:
    with pytest.raises(UnknownEvent, match="not declared"):
        record(service_context("test"), event="accounts.user.levitated", object_type="user", object_id="1")


@pytest.mark.django_db
@pytest.mark.parametrize("value", [b"bytes", object(), float("nan"), float("inf"), {1, 2}, {"deep": [b"x"]}])
def test_values_without_a_declared_form_are_refused(value: object) -> None:
    with pytest.raises(NotAuditable, match="cannot audit"):
        write(after={"value": value})


@pytest.mark.django_db
def test_secrets_are_redacted_at_any_depth() -> None:
    row = write(before={"password": "hunter2"}, after={"nested": [{"api_key": "k", "Totp-Secret": "s", "name": "n"}]})
    assert row.before == {"password": "[redacted]"}
    assert row.after == {"nested": [{"api_key": "[redacted]", "Totp-Secret": "[redacted]", "name": "n"}]}


@pytest.mark.django_db
def test_text_that_postgresql_cannot_store_is_escaped() -> None:
    row = write(after={"text": "a\x00b\ud800"})
    row.refresh_from_db()
    assert row.after == {"text": "a\\x00b\\ud800"}
    assert bytes(row.leaf_hash) == row.entry().leaf_hash()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditentry SET reason = 'x'",
        "DELETE FROM audit_auditentry",
        "UPDATE audit_checkpoint SET size = 9",
    ],
)
def test_the_database_refuses_to_change_the_trail(statement: str) -> None:
    with transaction.atomic():
        write()
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO audit_checkpoint (size, root, chain_hash, at, key_id, signature)"
                " VALUES (1, '', '', now(), '', '')"
            )
    with pytest.raises(IntegrityError, match="append-only"), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db(transaction=True)
def test_the_database_refuses_to_empty_the_trail() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditentry ENABLE ALWAYS TRIGGER gekko_no_truncate")
        try:
            with pytest.raises(IntegrityError, match="append-only"):
                cursor.execute("TRUNCATE audit_auditentry CASCADE")
        finally:
            cursor.execute("ALTER TABLE audit_auditentry DISABLE TRIGGER gekko_no_truncate")


def in_threads(count: int, work) -> list[Exception]:
    failures: list[Exception] = []
    start = threading.Barrier(count)

    def run(index: int) -> None:
        try:
            start.wait()
            work(index)
        except Exception as error:  # noqa: BLE001 - told to the main thread
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


@pytest.mark.django_db(transaction=True)
def test_twenty_writers_at_once_leave_a_gapless_chain() -> None:
    def work(index: int) -> None:
        for _ in range(5):
            with transaction.atomic():
                write(after={"writer": index})

    assert in_threads(20, work) == []
    assert assert_chain() == 100


@pytest.mark.django_db(transaction=True)
def test_a_refusal_survives_the_rollback_that_it_causes() -> None:
    ctx = service_context("test")
    with contextlib.suppress(RuntimeError), transaction.atomic():
        record_denied(ctx, event="accounts.permission.denied", object_type="x", object_id="1", reason="no")
        raise RuntimeError
    row = AuditEntry.objects.get()
    assert (row.outcome, row.reason) == ("denied", "no")
    assert_chain()


@pytest.mark.django_db(transaction=True)
def test_a_refusal_after_an_entry_of_the_same_transaction_fails_loudly() -> None:
    ctx = service_context("test")

    def wrong_order() -> None:
        with transaction.atomic():
            write()
            record_denied(ctx, event="accounts.permission.denied", object_type="x", object_id="1", reason="no")

    with pytest.raises(AuditUnavailable, match="locked"):
        wrong_order()
    assert AuditEntry.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_many_refusals_do_not_wait_for_each_other_in_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    pool = {"min_size": 0, "max_size": 2, "timeout": 4}
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", pool)
    failures: list[BaseException] = []

    def refuse() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                record_denied(service_context("test"), event=EVENT, object_type="user", object_id="1", reason="no")
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=refuse) for _ in range(48)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        pooled: Any = connection
        pooled.close_pool()
        monkeypatch.undo()
    assert failures == []
    assert assert_chain() == 48
