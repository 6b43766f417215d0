"""Backtests: bars and recordings through the whole kernel, and the same EMA cross in engines from PyPI, side by side.

Run with ``python -m tests.perf.bench_backtest``. The other engines live in an environment of their own,
``.venv-peers``, made on the first run from ``tests/perf/peers/requirements.txt``; without a package index they are left
out, and said so.
Data: SYNTHETIC one-minute bars of a geometric Brownian motion, seed 7. Rates are per second of CPU time.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from workers.backtest import BarSeries, load_bars, load_recording, run
from workers.backtest.screen import average, crosses, ema_grid

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".venv-peers"
REQUIREMENTS = Path(__file__).parent / "peers" / "requirements.txt"
DATA = Path(os.environ.get("GEKKO_DATA", ROOT.parent / "shared" / "data"))
MINUTE_NS = 60_000_000_000
START_NS = 1_700_000_000 * 10**9 // MINUTE_NS * MINUTE_NS
COUNT = 100_000
ROUNDS = 3
COMPARED = ("backtesting", "backtrader")
"""Engines that fill on the next open, whose trades must be ours."""
TIMED = (*COMPARED, "nautilus_trader")

Trades = list[tuple[int, int, float, float]]


def brownian(count: int, seed: int = 7) -> dict[str, Any]:
    """Columns of one-minute bars in cents; each opens where the one before it closed, give or take a cent."""
    rng = np.random.default_rng(seed)
    closes = np.round(100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.0005, count))), 2)
    opens = np.round(np.concatenate([[100.0], closes[:-1]]) + rng.integers(-1, 2, count) * 0.01, 2)
    return {
        "start": START_NS + np.arange(count, dtype=np.int64) * MINUTE_NS,
        "open": opens,
        "high": np.maximum(opens, closes),
        "low": np.minimum(opens, closes),
        "close": closes,
        "volume": np.full(count, 1000.0),
    }


def series_of(columns: dict[str, Any]) -> BarSeries:
    """The columns as bars of a made-up instrument, ready to trade."""
    series = load_bars(columns, symbol="SYNUSD", tick="0.01")
    assert len(series.bars) == len(columns["start"])
    return series


def main() -> None:
    """Print the tables."""
    print(f"load average {os.getloadavg()[0]:.1f}, best of {ROUNDS}, per second of CPU time")
    columns = brownian(500_000)
    bars(columns)
    recordings()
    screening(columns)
    peers({name: values[:COUNT] for name, values in columns.items()})


def bars(columns: dict[str, Any]) -> None:
    """EMA crosses of several lengths: every bar through gate, order states, matching, ledger and journal chain."""
    best: dict[tuple[int, int, int], tuple[float, int]] = {}
    longest = series_of(columns)
    sizes = [(COUNT, 10, 20), (50_000, 5, 10), (500_000, 5, 10)]
    parts = {count: longest.part(0, count) for count, _, _ in sizes}
    for part in parts.values():
        assert part.bars
    for _ in range(ROUNDS):
        for count, fast, slow in sizes:
            gc.collect()
            begun = time.process_time()
            result = run("ema_cross", parts[count], {"fast": fast, "slow": slow, "fraction": 0.02})
            assert result.fingerprint
            rate = count / (time.process_time() - begun)
            key = (count, fast, slow)
            best[key] = max(best.get(key, (0.0, 0)), (rate, len(result.kernel.books.orders)))
    for (count, fast, slow), (rate, orders) in best.items():
        print(f"  EMA {fast}/{slow} on {count:>7,} bars with result {rate:>12,.0f} bars/s {orders:>7,} orders")
    ratio = best[500_000, 5, 10][0] / best[50_000, 5, 10][0]
    print(f"  rate at 500,000 bars over rate at 50,000: {ratio:.2f}")


def recordings() -> None:
    """A recorded order book through decoder, matching, quality gate, book, bars, strategy, risk and ledger."""
    path = DATA / "recordings" / "binance-spot" / "btcusdt_20240808.gz"
    if not path.is_file():
        print(f"  no recording at {path}; set GEKKO_DATA")
        return
    decoded = load_recording(path, decoded=True)
    for words, replay in (("decoded input", decoded), ("raw recording", load_recording(path))):
        best, result = 0.0, None
        for _ in range(ROUNDS):
            gc.collect()
            begun = time.process_time()
            result = run("ema_cross", replay, {})
            best = max(best, result.events / (time.process_time() - begun))
        assert result is not None
        print(f"  L2 {words:<15} {result.events:>8,} events {best:>12,.0f} events/s {len(result.fills):>7,} fills")


def screening(columns: dict[str, Any]) -> None:
    """Whole arrays: one pair of averages with its trades, and a grid of pairs."""
    series = series_of(columns)
    for words, fast, slow in (("one pair", [10], [20]), ("100 pairs", range(5, 15), range(20, 40, 2))):
        best, pairs = 0.0, 0
        for _ in range(ROUNDS):
            begun = time.process_time()
            pairs = len(ema_grid(series, fast, slow))
            best = max(best, len(series) * pairs / (time.process_time() - begun))
        print(f"  screening {words:<10} {len(series):>8,} bars x {pairs:<4} {best:>14,.0f} bars/s")


def peers(columns: dict[str, Any]) -> None:
    """The same trades in other engines, in the same run on the same data."""
    python = environment()
    if python is None:
        return
    series = series_of(columns)
    ours, rate = best_of_ours(series)
    print(f"  {'engine':<16} {'bars/s':>10} {'closed trades':>14}   trades equal to ours")
    print(f"  {'gekko':<16} {rate:>10,.0f} {len(ours):>14,}")
    assert ours == screened(series), "screening and backtest must trade alike"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "bars.npz"
        np.savez(source, **columns)
        for name in TIMED:
            found = measured(python, name, source)
            if found is None:
                continue
            trades, spent = found
            equal = "yes, every one" if trades == ours else difference(ours, trades)
            told = equal if name in COMPARED else "not compared: it fills on the close that decided"
            print(f"  {name:<16} {len(series) / spent:>10,.0f} {len(trades):>14,}   {told}")
            if name in COMPARED:
                assert trades == ours, f"{name}: {equal}"


def best_of_ours(series: BarSeries) -> tuple[Trades, float]:
    """Our closed trades and the best rate, result and fingerprint included."""
    best, result = 0.0, None
    for _ in range(ROUNDS):
        gc.collect()
        begun = time.process_time()
        result = run("ema_cross", series, {"fraction": 0.02})
        assert result.fingerprint
        best = max(best, len(series) / (time.process_time() - begun))
    assert result is not None
    first = int(series.start[0])
    return [
        (
            (trade.entry_ns - first) // MINUTE_NS,
            (trade.exit_ns - first) // MINUTE_NS,
            round(trade.entry_price / 100, 2),
            round(trade.exit_price / 100, 2),
        )
        for trade in result.closed
    ], best


def screened(series: BarSeries, fast: int = 10, slow: int = 20) -> Trades:
    """The trades of the vectorised screen."""
    closes = series.close.astype(np.float64)
    entries, exits = crosses(average(closes, fast), average(closes, slow), slow)
    pairs = zip(entries.tolist(), exits.tolist(), strict=False)
    return [(a, b, round(int(series.open[a]) / 100, 2), round(int(series.open[b]) / 100, 2)) for a, b in pairs]


def difference(ours: Trades, theirs: Trades) -> str:
    """The first trade that is not the same."""
    place = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    return f"NO, first at trade {place}: ours {ours[place : place + 1]}, theirs {theirs[place : place + 1]}"


def environment() -> Path | None:
    """Python of ``.venv-peers``, made when it is missing; None, with the reason printed, when it cannot be."""
    python, stamp = PEERS / "bin" / "python", PEERS / ".complete"
    wanted = REQUIREMENTS.read_text()
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    print("  installing other engines into .venv-peers (once)", flush=True)
    steps = (
        [sys.executable, "-m", "venv", str(PEERS)],
        [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(REQUIREMENTS)],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"  no other engines to compare with: {done.stderr.strip().splitlines()[-1]}")
            return None
    stamp.write_text(wanted)
    return python


def measured(python: Path, name: str, source: Path) -> tuple[Trades, float] | None:
    """Trades and CPU seconds of one engine in a process of its own."""
    script, target = Path(__file__).parent / "peers" / "engines.py", source.with_suffix(f".{name}.json")
    command = [str(python), str(script), name, str(source), str(target), "10", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""})
    if done.returncode:
        print(f"  {name:<16} failed: {done.stderr.strip().splitlines()[-1]}")
        return None
    found = json.loads(target.read_text())
    trades = [(int(a), int(b), round(float(c), 2), round(float(d), 2)) for a, b, c, d in found["trades"]]
    return trades, float(found["cpu_s"])


if __name__ == "__main__":
    main()
