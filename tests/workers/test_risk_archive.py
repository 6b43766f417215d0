"""Named windows from the store: daily closes of what was imported, and no number where a window is not whole."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from workers.adapters.store.grid import Grid
from workers.adapters.store.parquet_store import SeriesKey, Store
from workers.adapters.store.schema import DAY_NS, Kind
from workers.engine.risk.stress import WINDOWS, Outcome, Prices, Window, historical_window
from workers.live.risk_archive import stored_closes

HOUR_NS = DAY_NS // 24
MARCH = next(window for window in WINDOWS if window.name.startswith("March 2020"))
HELD = {"BTCUSDT": 1000.0}


def write(root: Path, instrument: str, interval: str, starts: range, closes: list[int]) -> None:
    column = np.array(closes, np.int64)
    arrays = dict.fromkeys(("open", "high", "low", "close"), column)
    arrays |= {"start_ns": np.array(list(starts), np.int64), "volume": column, "trades": np.ones_like(column)}
    Store(root).write(
        SeriesKey(Kind.BARS, "binanceus", instrument, interval), arrays, Grid(Decimal("0.01"), Decimal("0.001"))
    )


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    """Hourly bars of the whole window that fall by one dollar an hour from 9,000."""
    starts = range(MARCH.start, MARCH.end + DAY_NS, HOUR_NS)
    write(tmp_path, "BTC-USDT", "1h", starts, [900_000 - 100 * i for i in range(len(starts))])
    return tmp_path


def test_hours_become_days_and_answer_the_window(imported: Path) -> None:
    archive = stored_closes(["BTCUSDT", "ETHUSDT"], WINDOWS, imported)
    assert set(archive) == {"BTCUSDT"}
    prices = archive["BTCUSDT"]
    assert prices.times[0] == MARCH.start + DAY_NS
    assert prices.closes[:2] == [9000.0 - 23, 9000.0 - 47]
    found = historical_window(MARCH, HELD, archive)
    assert found.outcome is Outcome.DONE
    days = (MARCH.end - MARCH.start) // DAY_NS
    assert found.total == pytest.approx(1000 * ((9000 - 23 - 24 * (days - 1)) / (9000 - 23) - 1))
    others = [historical_window(window, HELD, archive).outcome for window in WINDOWS if window is not MARCH]
    assert set(others) == {Outcome.NO_DATA}


def test_coarser_bars_are_read_first_and_others_fill_in(imported: Path) -> None:
    write(imported, "BTCUSDT", "1d", range(WINDOWS[2].start, WINDOWS[2].end, DAY_NS), [100] * 26)
    archive = stored_closes(["BTCUSDT"], WINDOWS, imported)
    assert historical_window(WINDOWS[2], HELD, archive).total == 0.0
    assert historical_window(MARCH, HELD, archive).outcome is Outcome.DONE


@pytest.mark.parametrize("kept", [slice(0, 10), slice(10, None)])
def test_half_a_window_is_none(kept: slice) -> None:
    times = [MARCH.start + day * DAY_NS for day in range(30)][kept]
    found = historical_window(MARCH, HELD, {"BTCUSDT": Prices(times=times, closes=[1.0] * len(times))})
    assert found.outcome is Outcome.NO_DATA
    assert "for the whole window; there are: 2020-03" in found.detail


def test_a_long_weekend_is_no_gap() -> None:
    window = Window(name="short", start=0, end=20 * DAY_NS)
    prices = Prices(times=[day * DAY_NS for day in range(3, 18)], closes=[float(100 - day) for day in range(15)])
    found = historical_window(window, {"X": 100.0}, {"X": prices})
    assert found.total == pytest.approx(-14.0)
