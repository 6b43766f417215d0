"""Answers that stand on many rows: P&L by strategy over 100,000 fills, and the list of backtests beside 20,000 trials.

Real PostgreSQL without fsync, SYNTHETIC rows: 100,000 fills of 60 runs in four instruments over 60 days, 20,000 trials
and 2,000 runs of backtests, 5,000 files of bars. Run with ``python -m tests.perf.bench_reads``.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import django

FILLS, DAYS, RUNS = 100_000, 60, 60
TRIALS, BACKTESTS, FILES = 20_000, 2_000, 5_000
ROUNDS = 20
SYMBOLS = {"BTCUSDT": 50_000, "ETHUSDT": 3_000, "SOLUSDT": 150, "XRPUSDT": 2}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings.test")
    django.setup()
    from django.conf import settings
    from django.db import connection

    from controlplane.secrets import text_secret
    from tests.support.services import running_services

    password = text_secret(settings.SECRETS, "valkey_password")
    with (
        tempfile.TemporaryDirectory() as folder,
        running_services(settings.GEKKO_STATE_DIR, settings.GEKKO_VALKEY_PORT, password),
    ):
        settings.GEKKO_DATA = Path(folder)
        name = connection.settings_dict["NAME"]
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        try:
            _measure_all(Path(folder))
        finally:
            connection.creation.destroy_test_db(name, verbosity=0)


def _measure_all(folder: Path) -> None:
    from django.db import connection

    from apps.core.context import service_context
    from apps.trading import selectors_backtests, selectors_pnl

    now = service_context("bench").now()
    _trade(now)
    _backtests(folder, now)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    day, year = now - timedelta(days=1), now - timedelta(days=365)
    print(f"{'answer':<34} {'count':>6} {'p50 ms':>8} {'p99 ms':>8} {'load':>6}")
    _measure("P&L by strategy, a day", lambda: selectors_pnl.scope_lines("paper", "strategy", start=day, end=now))
    _measure("P&L by strategy, everything", lambda: selectors_pnl.scope_lines("paper", "strategy", start=year, end=now))
    _measure("P&L by instrument, a day", lambda: selectors_pnl.scope_lines("paper", "instrument", start=day, end=now))
    _measure("names of data", selectors_backtests.data_names)
    _measure("newest 50 backtests", lambda: list(selectors_backtests.backtests()[:50]))


def _measure(what: str, ask: Callable[[], object]) -> None:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        ask()
        times.append((time.perf_counter() - began) * 1000)
    p99 = statistics.quantiles(times, n=100)[98]
    print(f"{what:<34} {ROUNDS:>6} {statistics.median(times):>8.2f} {p99:>8.2f} {os.getloadavg()[0]:>6.1f}")


def _trade(now: datetime) -> None:
    from apps.trading.models import Fill, Instrument, RunObservation, Venue
    from apps.trading.services import books

    rng = random.Random(1)
    venue = Venue.objects.create(name="paper", created_at=now)
    grid = {"tick": "0.01", "lot": "0.00001", "min_lots": 1, "max_lots": 10**9, "min_notional": 5}
    grid |= {"maker_fee": 0, "taker_fee": 0}
    Instrument.objects.bulk_create(
        Instrument(venue=venue, symbol=symbol, base=symbol[:3], quote="USDT", **grid) for symbol in SYMBOLS
    )
    runs = [
        RunObservation(run_id=f"run-{number}", venue=venue, strategy=f"strategy-{number % 3}", started_at=now)
        for number in range(RUNS)
    ]
    RunObservation.objects.bulk_create(runs)
    step = timedelta(days=DAYS) / FILLS
    fills = []
    for number in range(FILLS):
        symbol = rng.choice(list(SYMBOLS))
        price, quantity = Decimal(SYMBOLS[symbol]), Decimal(rng.randrange(1, 1000)) / 1000
        at = now - timedelta(days=DAYS) + step * number
        fills.append(
            Fill(
                venue=venue, symbol=symbol, trade_id=number, client_id=f"c-{number}",
                run_id=f"run-{number * RUNS // FILLS}", side=rng.choice(["BUY", "SELL"]), quantity=quantity,
                price=price, notional=price * quantity, fee=quantity * price / 1000, fee_asset="USDT",
                executed_at=at, recorded_at=at, seq=number,
            )
        )  # fmt: skip
    began = time.perf_counter()
    for start in range(0, FILLS, 1000):
        books.save_fills(venue, fills[start : start + 1000])
    print(f"{FILLS} fills written in {time.perf_counter() - began:.1f} s, in batches of 1,000")


def _backtests(folder: Path, now: datetime) -> None:
    from apps.trading.models import Backtest

    common = {"strategy": "ema_cross", "requested_by": "ann", "state": "done", "summary": {"sharpe": 1.0}}
    Backtest.objects.bulk_create(
        Backtest(
            data=f"bars/{number % 200:04}.csv", requested_at=now - timedelta(minutes=number), sent_at=now, **common
        )
        for number in range(BACKTESTS)
    )
    search = Backtest.objects.create(kind="search", data="bars/0000.csv", requested_at=now, sent_at=now, **common)
    Backtest.objects.bulk_create(
        Backtest(kind="trial", search=search, number=number, data=search.data, requested_at=now, sent_at=now, **common)
        for number in range(TRIALS)
    )
    (folder / "bars").mkdir()
    for number in range(FILES):
        (folder / "bars" / f"{number:04}.csv").touch()


if __name__ == "__main__":
    main()
