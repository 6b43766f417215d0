"""What tests need to do to the audit tables that nobody else may."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import connection

TABLES = ("audit_auditentry", "audit_checkpoint", "audit_verificationrun", "audit_auditreport")


def allow_truncate() -> None:
    """Let the test database be emptied between tests: without this every transactional test would fail at its end."""
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER gekko_no_truncate")


@contextlib.contextmanager
def tampering() -> Iterator[None]:
    """What somebody can do who owns the database: the triggers sleep for the block."""
    with connection.cursor() as cursor:
        # Inside a test's transaction, foreign keys that wait for its end would keep the tables from being altered.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER gekko_no_change")
        try:
            yield
        finally:
            for table in TABLES:
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER gekko_no_change")
