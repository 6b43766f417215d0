"""Projecting the execution journal into PostgreSQL: records per second and time per batch, on a SYNTHETIC journal.

Real PostgreSQL without fsync, one transaction per batch, orders, fills, positions, equity, outbox and audit anchor
included. Run with ``python -m tests.perf.bench_projection``.
"""

from __future__ import annotations

import os
import statistics
import time

import django

BATCHES = {1: 200, 20: 100, 100: 50, 500: 20}
"""Rounds by batch size."""


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings.test")
    django.setup()
    from django.conf import settings
    from django.db import connection

    from controlplane.secrets import text_secret
    from tests.support.services import running_services

    password = text_secret(settings.SECRETS, "valkey_password")
    with running_services(settings.GEKKO_STATE_DIR, settings.GEKKO_VALKEY_PORT, password):
        name = connection.settings_dict["NAME"]
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        try:
            _measure_all()
        finally:
            connection.creation.destroy_test_db(name, verbosity=0)


def _measure_all() -> None:
    from apps.core.context import service_context
    from apps.trading.services import project
    from tests.factories import journal

    wanted = sum(size * rounds for size, rounds in BATCHES.items())
    whole = journal.records(journal.trading_day(seed=1, orders=wanted // 3))
    ctx, start = service_context("projector"), 0
    print(f"{'batch':>6} {'batches':>8} {'records':>8} {'records/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'load':>6}")
    for size, rounds in BATCHES.items():
        times = []
        for _ in range(rounds):
            batch = whole[start : start + size]
            start += size
            began = time.perf_counter()
            project(ctx, worker="bench", records=batch)
            times.append(time.perf_counter() - began)
        p99 = statistics.quantiles(times, n=100)[98] * 1000
        rate = size * rounds / sum(times)
        p50 = statistics.median(times) * 1000
        print(
            f"{size:>6} {rounds:>8} {size * rounds:>8} {rate:>10.0f} {p50:>8.2f} {p99:>8.2f} {os.getloadavg()[0]:>6.1f}"
        )


if __name__ == "__main__":
    main()
