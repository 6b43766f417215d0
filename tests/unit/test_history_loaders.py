"""Loading history: every source says what it is, and refuses what is not a price."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from workers.adapters import history
from workers.adapters.history import HistoryError, Series
from workers.adapters.training_data import Source, TrainSpec, gather
from workers.engine.forecast.windows import DataError

MINUTE = 60_000_000_000
START_MS = 1_700_000_040_000


def venue(bars: int, asked: list[httpx.URL]) -> httpx.Client:
    """A venue whose klines end with the bar that is still open: close i is 100 + i."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        end = int(request.url.params.get("endTime", START_MS + bars * 60_000))
        rows: list[list[Any]] = [[START_MS + i * 60_000, "1", "1", "1", str(100 + i), "1"] for i in range(bars)]
        return httpx.Response(200, json=[row for row in rows if int(row[0]) <= end][-1000:])

    return httpx.Client(transport=httpx.MockTransport(answer))


def test_klines_are_paged_backwards_and_the_open_bar_is_left_out() -> None:
    asked: list[httpx.URL] = []
    series = history.from_venue("http://venue", "BTCUSDT", "1m", bars=2500, client=venue(4000, asked))
    assert series.closes.tolist() == [100.0 + i for i in range(1499, 3999)]
    assert asked[0].path == "/api.binance.us/api/v3/klines"
    assert len(asked) == 3
    assert (series.provenance.rows, series.provenance.interval_ns) == (2500, MINUTE)
    assert series.provenance.end - series.provenance.start == 2500 * MINUTE


def test_a_venue_with_less_gives_all_it_has() -> None:
    series = history.from_venue("http://venue", "BTCUSDT", "1m", bars=2500, client=venue(30, []))
    assert len(series.closes) == 29


@pytest.mark.parametrize(
    "reply", [httpx.Response(500), httpx.Response(200, text="no json"), httpx.Response(200, json={"code": -1})]
)
def test_a_venue_that_answers_nonsense_is_named(reply: httpx.Response) -> None:
    client = httpx.Client(transport=httpx.MockTransport(lambda _: reply))
    with pytest.raises(HistoryError, match=r"klines of BTCUSDT"):
        history.from_venue("http://venue", "BTCUSDT", "1m", client=client)


def test_an_interval_that_no_venue_knows_is_refused() -> None:
    with pytest.raises(HistoryError, match="was '7m'"):
        history.from_venue("http://venue", "BTCUSDT", "7m")


def write(path: Path, text: str) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


CSV = "timestamp,open,high,low,close,volume\n2024-01-01 00:00:00,1,1,1,1.5,1\n2024-01-01 00:05:00,1,1,1,1.25,1\n"


@pytest.mark.parametrize("name", ["bars.csv", "bars.csv.gz"])
def test_a_csv_is_read_with_its_interval_range_and_hash(tmp_path: Path, name: str) -> None:
    series = history.from_csv(write(tmp_path / name, CSV))
    assert series.closes.tolist() == [1.5, 1.25]
    facts = series.provenance
    assert facts.interval_ns == 5 * MINUTE
    assert facts.end - facts.start == 10 * MINUTE
    assert facts.sha256 == hashlib.sha256(np.array([1.5, 1.25], "<f8").tobytes()).hexdigest()


@pytest.mark.parametrize("bad", ["nan", "-1", "0", "inf"])
def test_a_close_that_is_no_price_is_named(tmp_path: Path, bad: str) -> None:
    path = write(tmp_path / "bars.csv", f"{CSV}2024-01-01 00:10:00,1,1,1,{bad},1\n")
    with pytest.raises(DataError, match=r"bar 2 of bars.csv"):
        history.from_csv(path)


@pytest.mark.parametrize(("close", "line"), [("abc", 4), ("", 4)])
def test_a_close_that_is_no_number_is_named_with_its_line(tmp_path: Path, close: str, line: int) -> None:
    path = write(tmp_path / "bars.csv", f"{CSV}2024-01-01 00:10:00,1,1,1,{close},1\n")
    with pytest.raises(DataError, match=rf"{close!r} \(bars.csv:{line}\)"):
        history.from_csv(path)


def test_files_that_are_missing_or_without_closes_are_named(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="there is no file"):
        history.from_csv(tmp_path / "none.csv")
    with pytest.raises(HistoryError, match="column 'close'"):
        history.from_csv(write(tmp_path / "other.csv", "time,price\n"))
    with pytest.raises(HistoryError, match="GEKKO_DATA"):
        history.from_folder(tmp_path)


def test_a_time_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="was 'soon'"):
        history.from_csv(write(tmp_path / "bars.csv", "timestamp,close\nsoon,1\n"))


def frame(at_ms: int, price: str) -> str:
    return f'1 {{"stream":"btcusdt@trade","data":{{"e":"trade","p":"{price}","T":{at_ms}}}}}\n'


def test_a_recording_gives_closes_and_carries_them_over_silent_bars(tmp_path: Path) -> None:
    text = frame(1000, "5") + frame(1900, "6") + '1 {"stream":"btcusdt@bookTicker","data":{}}\n' + frame(4100, "7")
    series = history.from_recording(write(tmp_path / "btcusdt_day.gz", text), "1s")
    assert series.closes.tolist() == [6.0, 6.0, 6.0, 7.0]
    assert (series.provenance.name, series.provenance.start, series.provenance.end) == ("BTCUSDT", 10**9, 5 * 10**9)


def test_a_recording_without_trades_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="no trades"):
        history.from_recording(write(tmp_path / "x_day.gz", '1 {"stream":"x@depth"}\n'), "1s")


def test_the_sample_is_a_year_of_hourly_eurusd() -> None:
    series = history.from_sample()
    assert (series.provenance.name, series.provenance.rows) == ("EURUSD", 6225)
    assert series.provenance.interval_ns == 3600 * 10**9
    assert 1.0 < series.closes.min() < series.closes.max() < 1.3


def test_the_real_recordings_and_bars_are_read(market_data: Path) -> None:
    recording = market_data / "recordings" / "binance-spot" / "btcusdt_20240808.gz"
    assert history.from_recording(recording, "1s").provenance.rows == 347
    assert history.from_folder(market_data)[0].provenance.rows == 45031


def test_a_training_takes_the_sample_when_there_is_nothing_else(tmp_path: Path) -> None:
    spec = TrainSpec(sources=(Source(kind="auto", symbols=("BTCUSDT",)),))
    found = gather(spec, venue_url="http://127.0.0.1:1", data_folder=tmp_path)
    assert [series.provenance.name for series in found] == ["EURUSD"]


def test_a_training_looks_no_further_when_the_venue_has_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closes = np.linspace(1, 2, 5000)
    given: Series = history.from_closes(closes, name="BTCUSDT", source="klines 1m", interval_ns=MINUTE)
    monkeypatch.setattr(history, "from_venue", lambda *args, **kwargs: given)
    spec = TrainSpec(sources=(Source(kind="auto", symbols=("BTCUSDT",)),))
    assert gather(spec, venue_url="", data_folder=tmp_path) == [given]


def test_a_training_on_too_little_says_how_much_it_needs(tmp_path: Path) -> None:
    spec = TrainSpec(sources=(Source(kind="csv", path=str(write(tmp_path / "bars.csv", CSV))),))
    with pytest.raises(HistoryError, match=r"at least \d+ bars, the longest of 1 has 2"):
        gather(spec, venue_url="", data_folder=tmp_path)
