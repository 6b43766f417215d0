"""The audit trail: appends per second, alone and by several writers, and the rate of verification.

Run: ``python -m tests.perf.bench_audit``. Uses a state folder and servers of its own.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable

APPENDS, WRITERS, FILLED = 1000, 4, 10_000
Row = tuple[str, str, str, str]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="gekko-bench-") as folder:
        os.environ["GEKKO_TEST_STATE"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "controlplane.settings.test"
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command

        from controlplane.secrets import text_secret
        from tests.support.services import running_services

        password = text_secret(settings.SECRETS, "valkey_password")
        with running_services(settings.GEKKO_STATE_DIR, settings.GEKKO_VALKEY_PORT, password):
            call_command("migrate", verbosity=0)
            rows = [_one_writer(), _several_writers(), _checkpoint(), _verification()]
            _close()
    _print(rows)


def _append() -> None:
    from django.db import transaction

    from apps.audit.services import record
    from apps.core.context import service_context

    with transaction.atomic():
        record(
            service_context("bench"),
            event="accounts.role.assigned",
            object_type="user",
            object_id="01999999-0000-7000-8000-000000000000",
            before={"roles": ["viewer"]},
            after={"roles": ["operator", "viewer"]},
        )


def _timed(count: int, work: Callable[[], None], spent: list[float]) -> None:
    for _ in range(count):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)


def _one_writer() -> Row:
    _timed(100, _append, [])
    spent: list[float] = []
    began = time.perf_counter()
    _timed(APPENDS, _append, spent)
    rate = APPENDS / (time.perf_counter() - began)
    return ("append, one writer", f"{rate:,.0f}/s", _spread(spent), f"{APPENDS}")


def _several_writers() -> Row:
    from django.db import connection

    spent: list[float] = []

    def run() -> None:
        _timed(APPENDS // WRITERS, _append, spent)
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(WRITERS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(spent) / (time.perf_counter() - began)
    return (f"append, {WRITERS} writers", f"{rate:,.0f}/s", _spread(spent), f"{len(spent)}")


def _checkpoint() -> Row:
    from apps.audit.services import publish_checkpoint
    from apps.core.context import service_context

    began = time.perf_counter()
    made = publish_checkpoint(service_context("bench"))
    took = time.perf_counter() - began
    return ("sign a checkpoint", f"{took * 1000:.1f} ms", "", f"{made.size if made else 0} entries")


def _verification() -> Row:
    from django.db import transaction

    from apps.audit.models import AuditHead
    from apps.audit.services.verification import check_trail

    while AuditHead.objects.get().size < FILLED:
        # In small transactions: a row that one transaction updates thousands of times gets slow to read.
        with transaction.atomic():
            for _ in range(50):
                _append()
    began, cpu = time.perf_counter(), time.process_time()
    result = check_trail()
    took, used = time.perf_counter() - began, time.process_time() - cpu
    if not result.ok:
        raise SystemExit(f"the trail of the benchmark is broken: {result.findings}")
    return ("verify the whole trail", f"{result.size / took:,.0f} rows/s", f"{used:.2f} s CPU", f"{result.size}")


def _close() -> None:
    from django.db import connections

    connections.close_all()


def _spread(spent: list[float]) -> str:
    ordered = sorted(spent)
    return f"p50 {ordered[len(ordered) // 2] * 1000:.2f} ms, p99 {ordered[len(ordered) * 99 // 100] * 1000:.2f} ms"


def _print(rows: list[Row]) -> None:
    out = sys.stdout.write
    out(f"{'audit trail':<28} {'rate':>16} {'spread':>32} {'count':>14}\n")
    for name, rate, spread, count in rows:
        out(f"{name:<28} {rate:>16} {spread:>32} {count:>14}\n")
    out(f"load average {' '.join(f'{value:.2f}' for value in os.getloadavg())}\n")


if __name__ == "__main__":
    main()
