"""What is wrong with stored history: holes, contradictions, files that cannot be read. It tells and changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec
import numpy as np

from workers.adapters.store.parquet_store import Arrays, SeriesKey, Store
from workers.adapters.store.schema import DAY_NS, SECOND_NS, Kind, StoreError, interval_ns, time_column

SILENCE_NS: Final = 60 * SECOND_NS
FRIDAY, SUNDAY = 4, 6


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing between the end of one row and the start of the next; ``missing`` is a count of bars or trades, or 0."""

    start_ns: int
    end_ns: int
    missing: int
    weekend: bool
    """It begins on a Friday or Saturday and ends on a Sunday or Monday (UTC), as where a market closes."""


class Report(msgspec.Struct, kw_only=True):
    """Findings about one series."""

    key: SeriesKey
    rows: int = 0
    files: int = 0
    first_ns: int = 0
    last_ns: int = 0
    gaps: list[Gap] = []
    bad: list[str] = []
    """Rows and files that cannot be right, in words."""

    @property
    def missing(self) -> int:
        """Bars or trades that are not there, weekends left out."""
        return sum(gap.missing for gap in self.gaps if not gap.weekend)


def check(store: Store, key: SeriesKey, *, silence_ns: int = SILENCE_NS) -> Report:
    """Go through a whole series. ``silence_ns``: how long quotes may stay away."""
    report = Report(key=key)
    last: dict[str, int] = {}
    for stored in store.files(key):
        report.files += 1
        try:
            arrays, _ = store.read(key, stored.path)
        except StoreError as error:
            report.bad.append(str(error))
            continue
        times = arrays[time_column(key.kind)]
        report.rows += len(times)
        report.first_ns = report.first_ns or int(times[0])
        report.last_ns = int(times[-1])
        report.bad += _disorder(key, stored.date, arrays)
        report.gaps += _gaps(key, arrays, last, silence_ns)
        last = {name: int(column[-1]) for name, column in arrays.items()}
    return report


def _disorder(key: SeriesKey, date: str, arrays: Arrays) -> list[str]:
    times = arrays[time_column(key.kind)]
    found = []
    if (np.diff(times) < 0).any():
        found.append(f"{date}: rows are not in order of time")
    if key.kind is Kind.BARS:
        if (np.diff(times) == 0).any():
            found.append(f"{date}: two bars of one start")
        low, high = arrays["low"], arrays["high"]
        inside = np.minimum(arrays["open"], arrays["close"]), np.maximum(arrays["open"], arrays["close"])
        wrong = ~((low > 0) & (low <= inside[0]) & (inside[1] <= high))
        found += [f"{date}: bar at {_when(int(at))} has open or close outside low and high" for at in times[wrong][:5]]
        off = times % interval_ns(key.interval) != 0
        found += [f"{date}: bar at {_when(int(at))} does not start on its interval" for at in times[off][:5]]
    elif key.kind is Kind.QUOTES:
        crossed = arrays["bid"] > arrays["ask"]
        found += [f"{date}: bid above ask at {_when(int(at))}" for at in times[crossed][:5]]
    return found


def _gaps(key: SeriesKey, arrays: Arrays, last: dict[str, int], silence_ns: int) -> list[Gap]:
    times = _with_last(arrays[time_column(key.kind)], last.get(time_column(key.kind)))
    if key.kind is Kind.TRADES:
        ids = _with_last(arrays["trade_id"], last.get("trade_id"))
        steps = np.diff(ids)
        holes = np.flatnonzero((steps > 1) & (ids[:-1] > 0))
        return [_gap(int(times[i]), int(times[i + 1]), int(steps[i]) - 1) for i in holes.tolist()]
    length = interval_ns(key.interval) if key.kind is Kind.BARS else 0
    steps = np.diff(times)
    holes = np.flatnonzero(steps > (length or silence_ns))
    return [
        _gap(int(times[i]) + length, int(times[i + 1]), int(steps[i]) // length - 1 if length else 0)
        for i in holes.tolist()
    ]


def _with_last(
    column: np.ndarray[tuple[int, ...], np.dtype[np.int64]], last: int | None
) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return column if last is None else np.concatenate([np.array([last], np.int64), column])


def _gap(start_ns: int, end_ns: int, missing: int) -> Gap:
    days = [datetime.fromtimestamp(at // SECOND_NS, UTC).weekday() for at in (start_ns, end_ns)]
    weekend = days[0] in (FRIDAY, FRIDAY + 1) and days[1] in (SUNDAY, 0) and end_ns - start_ns < 4 * DAY_NS
    return Gap(start_ns=start_ns, end_ns=end_ns, missing=missing, weekend=weekend)


def _when(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // SECOND_NS, UTC):%Y-%m-%d %H:%M:%S}"
