"""The store: imports of every kind, exactly and once; gaps are told; a venue's candles come page by page."""

from __future__ import annotations

import gzip
import re
import time
import zipfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import paper_venue
from workers.adapters.feeds import Endpoints
from workers.adapters.store import (
    Kind,
    SeriesKey,
    Store,
    StoreError,
    instrument_of,
    load_bars,
    load_quotes,
    load_trades,
)
from workers.adapters.store.check import check
from workers.adapters.store.download import download
from workers.adapters.store.importer import ImportPlan, import_file, on_grid
from workers.live.data_commands import data

MINUTE = 60 * 10**9
PLAN = ImportPlan(venue="x", instrument="BTC-USD")
KEY = SeriesKey(Kind.BARS, "x", "BTC-USD", "1m")
HEAD = "timestamp,open,high,low,close,volume\n"
ROWS = (
    "2024-01-01 23:58:00,100.5,101,100.25,100.75,1.5\n"
    "2024-01-01 23:59:00,100.75,101,100.5,100.5,2\n"
    "2024-01-02 00:02:00,100.5,100.5,100.5,100.5,0.125\n"
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def csv_file(tmp_path: Path, text: str, name: str = "bars.csv") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def files(store: Store) -> dict[str, bytes]:
    return {str(path.relative_to(store.root)): path.read_bytes() for path in store.root.rglob("*.parquet")}


# -- exactness

DECIMALS = st.decimals(min_value=Decimal("0.00000001"), max_value=Decimal(99_999), places=8)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    prices=st.lists(DECIMALS, min_size=1, max_size=12),
    sizes=st.lists(DECIMALS, min_size=12, max_size=12),
    cut=st.integers(0, 12),
)
def test_what_is_stored_is_what_was_written_whatever_the_grids(
    tmp_path_factory: pytest.TempPathFactory, prices: list[Decimal], sizes: list[Decimal], cut: int
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    key = SeriesKey(Kind.TRADES, "v", "A-B")
    rows: list[list[int | Decimal]] = [[1_000 + n, n + 1, price, sizes[n], 1, 0] for n, price in enumerate(prices)]
    for part in (rows[:cut], rows[cut:], rows):
        if part:
            arrays, grid, rounded = on_grid(Kind.TRADES, part, "test")
            assert rounded == 0
            store.write(key, arrays, grid)
    one = instrument_of("v", "A-B", root=store.root)
    back = [(t.trade_id, one.price(t.price), one.quantity(t.lots)) for t in load_trades("v", "A-B", root=store.root)]
    assert back == [(row[1], row[2], row[3]) for row in rows]
    queried = store.query("SELECT trade_id, price, lots FROM trades ORDER BY trade_id")
    assert [(row["trade_id"], row["price"], row["lots"]) for row in queried] == back


# -- files of every kind


@pytest.mark.parametrize("kind", ["csv", "gz", "zip", "feather", "parquet"])
def test_every_kind_of_file_gives_the_same_bars(tmp_path: Path, store: Store, kind: str) -> None:
    path = csv_file(tmp_path, HEAD + ROWS)
    if kind == "gz":
        path = tmp_path / "bars.csv.gz"
        path.write_bytes(gzip.compress((HEAD + ROWS).encode()))
    elif kind == "zip":
        path = tmp_path / "bars.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inside.csv", HEAD + ROWS)
    elif kind in ("feather", "parquet"):
        path = tmp_path / f"bars.{kind}"
        lines = [row.split(",") for row in ROWS.splitlines()]
        names = HEAD.strip().split(",")
        columns: dict[str, pa.Array] = {
            name: pa.array([float(line[place]) for line in lines]) for place, name in enumerate(names) if place
        }
        times = pa.array([line[0] for line in lines]).cast(pa.timestamp("ms"))
        table = pa.table({"timestamp": times, **columns})
        (pq.write_table if kind == "parquet" else pyarrow.feather.write_feather)(table, str(path))
    imported = import_file(store, path, PLAN)
    assert imported.key == KEY
    assert imported.written[:3] == (3, 0, 0)
    before = files(store)
    assert sorted(before) == [
        "bars/venue=x/instrument=BTC-USD/interval=1m/date=2024-01-01/data.parquet",
        "bars/venue=x/instrument=BTC-USD/interval=1m/date=2024-01-02/data.parquet",
    ]
    assert import_file(store, path, PLAN).written[:3] == (0, 3, 0)
    assert files(store) == before
    one = instrument_of("x", "BTC-USD", "1m", root=store.root)
    assert (one.tick, one.lot) == (Decimal("0.01"), Decimal("0.001"))
    bars = list(load_bars("x", "BTC-USD", None, None, "1m", root=store.root))
    first = bars[0]
    assert (first.open, first.high, first.low, first.close, first.volume) == (10050, 10100, 10025, 10075, 1500)
    assert [bar.start // MINUTE % 60 for bar in bars] == [58, 59, 2]
    middle = list(load_bars("x", "BTC-USD", bars[1].start, bars[2].start, MINUTE, root=store.root))
    assert middle == [bars[1]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2024-01-01 00:00,1,2,0.5,oops,1\n", "bars.csv line 3: expected a positive decimal as close, was 'oops'"),
        ("2024-01-01 00:00,1,2,0.5,nan,1\n", "line 3: expected a positive decimal as close, was 'nan'"),
        ("2024-01-01 00:00,1,2,0.5,-1,1\n", "line 3: expected a positive decimal as close, was '-1'"),
        ("2024-01-01 00:00,1,2,1.5,1.7,1\n", "line 3: expected low <= open and close <= high"),
        ("yesterday,1,2,0.5,1,1\n", "line 3: expected a time, was 'yesterday'"),
        ("2024-01-01 00:00,1,2\n", "line 3: expected 6 columns, was '2024-01-01 00:00,1,2'"),
        ("2024-01-01 00:00,1,2,0.5,1.123456789,1\n", "expected prices of at most 8 decimals, was 1.123456789"),
    ],
)
def test_a_bad_value_is_named_with_its_place_and_nothing_is_stored(
    tmp_path: Path, store: Store, row: str, message: str
) -> None:
    path = csv_file(tmp_path, HEAD + ROWS.splitlines(keepends=True)[0] + row)
    with pytest.raises(StoreError, match=re.escape(message)):
        import_file(store, path, PLAN)
    assert files(store) == {}


def test_columns_are_mapped_and_missing_ones_listed(tmp_path: Path, store: Store) -> None:
    path = csv_file(tmp_path, "opened,o,h,l,last\n1704067200,1,2,1,2\n1704067260,2,2,1,1\n")
    with pytest.raises(StoreError, match=r"expected a column time or .* found opened, o, h, l, last; map it with"):
        import_file(store, path, PLAN)
    plan = ImportPlan(venue="x", instrument="BTC-USD", columns={"time": "opened", "close": "last"})
    assert import_file(store, path, plan).written.added == 2


def test_a_bar_that_contradicts_a_stored_one_is_refused_unless_asked_for(tmp_path: Path, store: Store) -> None:
    import_file(store, csv_file(tmp_path, HEAD + ROWS), PLAN)
    before = files(store)
    changed = csv_file(tmp_path, HEAD + ROWS.replace("100.25,100.75,1.5", "100.25,100.8,1.5"))
    with pytest.raises(StoreError, match=r"2024-01-01 23:58:00: stored .*close 100.75.* new .*close 100.8"):
        import_file(store, changed, PLAN)
    assert files(store) == before
    assert import_file(store, changed, PLAN, replace=True).written[:3] == (0, 2, 1)
    assert next(load_bars("x", "BTC-USD", None, None, "1m", root=store.root)).close == 10_080


def test_real_files_are_read_and_their_gaps_told(market_data: Path, store: Store) -> None:
    btc = import_file(
        store,
        market_data / "ohlcv" / "btc-perp-20211231-20220201_1m.csv.gz",
        ImportPlan(venue="ftx", instrument="BTC-PERP"),
    )
    assert (btc.rows, btc.written.added, btc.rounded) == (45_031, 45_031, 6)
    report = check(store, btc.key)
    assert (report.rows, report.gaps, report.bad) == (45_031, [], [])
    ticks = import_file(
        store,
        market_data / "fx" / "oanda-xauusd-tick-20140501.zip",
        ImportPlan(venue="oanda", instrument="XAU_USD"),
    )
    first = next(load_quotes("oanda", "XAU_USD", root=store.root))
    assert (first.bid, first.ask, first.ts_event) == (1_291_677, 1_292_033, 1_398_902_400_043_142_000)
    assert ticks.rows == sum(1 for _ in load_quotes("oanda", "XAU_USD", root=store.root)) == 129_744


def test_hourly_fx_with_both_sides_knows_its_weekends(market_data: Path, store: Store) -> None:
    path = market_data / "fx" / "oanda-eurusd-hour.zip"
    key = import_file(store, path, ImportPlan(venue="oanda", instrument="EUR_USD", price="mid")).key
    assert key.interval == "1h"
    bar = next(load_bars("oanda", "EUR_USD", None, None, "1h", root=store.root))
    assert instrument_of("oanda", "EUR_USD", "1h", root=store.root).price(bar.close) == Decimal("1.31985")
    report = check(store, key)
    assert (report.rows, report.bad) == (74_439, [])
    assert sum(gap.weekend for gap in report.gaps) > 550
    assert report.missing == sum(gap.missing for gap in report.gaps if not gap.weekend) > 0


# -- gaps and damage


def test_missing_bars_are_told_over_the_end_of_a_day(tmp_path: Path, store: Store) -> None:
    import_file(store, csv_file(tmp_path, HEAD + ROWS), PLAN)
    (gap,) = check(store, KEY).gaps
    assert (gap.missing, gap.end_ns - gap.start_ns, gap.weekend) == (2, 2 * MINUTE, False)
    stored = store.files(KEY)[1].path
    stored.write_bytes(stored.read_bytes()[:100])
    report = check(store, KEY)
    assert len(report.bad) == 1
    assert "cannot be read" in report.bad[0]
    with pytest.raises(StoreError, match="cannot be read"):
        list(load_bars("x", "BTC-USD", None, None, "1m", root=store.root))


def test_a_series_that_is_not_there_says_what_is(tmp_path: Path, store: Store) -> None:
    import_file(store, csv_file(tmp_path, HEAD + ROWS), PLAN)
    with pytest.raises(StoreError, match=r"expected x BTC-USD bars 5m in .*, which has x BTC-USD bars 1m"):
        next(load_bars("x", "BTC-USD", None, None, "5m", root=store.root))


def test_commands_say_what_they_did(tmp_path: Path, store: Store) -> None:
    path = csv_file(tmp_path, HEAD + ROWS)
    run = CliRunner()
    base = ["--store", str(store.root)]
    words = ["import", str(path), "--venue", "x", "--instrument", "BTC-USD"]
    done = run.invoke(data, [*base, *words], catch_exceptions=False)
    assert "x BTC-USD bars 1m: 3 rows added, 0 were there" in done.output
    assert "0 rows added, 3 were there" in run.invoke(data, [*base, *words]).output
    assert "BTC-USD       bars    1m" in run.invoke(data, [*base, "list"]).output
    told = run.invoke(data, [*base, "check"])
    assert told.exit_code == 0
    assert "1 gaps, 2 missing" in told.output
    assert "nothing from 2024-01-02 00:00:00 to 2024-01-02 00:02:00, 2" in told.output
    assert run.invoke(data, [*base, "check", "--strict"]).exit_code == 1
    wrong = run.invoke(data, [*base, *words, "--column", "time"])
    assert wrong.exit_code == 2
    assert "expected OURS=THEIRS" in wrong.output


# -- downloads


async def test_candles_of_the_paper_venue_are_stored_once(tmp_path: Path, store: Store) -> None:
    async with paper_venue.running(tmp_path / "venue", preroll_s=60.0) as venue:
        now = time.time_ns()
        where = Endpoints(f"{venue.url}/api.binance.us", "")
        key = SeriesKey(Kind.BARS, "paper", "BTCUSDT", "1s")
        start, end = now - 40 * 10**9, now - 10**9
        steps: list[tuple[int, int]] = []
        done = await download(
            store, key, where, start_ns=start, end_ns=end, advance=lambda at, of: steps.append((at, of))
        )
        assert done.added >= 35
        assert steps == [(1, 1)]
        again = await download(store, key, where, start_ns=start, end_ns=end)
        assert (again.added, again.same) == (0, done.added)
    report = check(store, key)
    assert (report.rows, report.gaps, report.bad) == (done.added, [], [])
