"""Data that cannot be used, strategies that look ahead, searches, and the command with its files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tests.support.backtests import columns, walk
from workers.backtest import BacktestConfig, BacktestError, load_bars, run
from workers.backtest.__main__ import main
from workers.backtest.lookahead import check_lookahead
from workers.backtest.search import combined, next_params, parse_space, search, walk_forward
from workers.backtest.sources import below
from workers.backtest.stats import drawdowns, var_series
from workers.backtest.tearsheet import tear_sheet
from workers.engine.desk import Desk
from workers.engine.events import Bar
from workers.engine.strategy import Params, Strategy, StrategyError, aim, register


class ThresholdParams(Params, frozen=True):
    """Long above ``level``."""

    level: float = 0.0


@register("test_threshold", ThresholdParams)
class Threshold(Strategy[ThresholdParams]):
    def on_bar(self, desk: Desk, bar: Bar) -> None:
        if not desk.busy(bar.symbol):
            wanted = 0.1 if bar.close > self.params.level else 0.0
            if (desk.position(bar.symbol) > 0) != (wanted > 0):
                aim(desk, bar.symbol, wanted)


class PeekParams(Params, frozen=True):
    """``file``: bars that the strategy reads by itself."""

    file: str = ""


@register("test_peek", PeekParams)
class Peek(Strategy[PeekParams]):
    """Cheats: buys before the file's next bar rises."""

    def on_start(self, desk: Desk) -> None:
        self.bars = load_bars(self.params.file, symbol="SYNUSD", tick="0.01")

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        place = int(np.searchsorted(self.bars.start, bar.start)) + 1
        rises = place < len(self.bars) and int(self.bars.close[place]) > bar.close
        if not desk.busy(bar.symbol) and rises != (desk.position(bar.symbol) > 0):
            aim(desk, bar.symbol, 0.1 if rises else 0.0)


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    frame = pd.DataFrame(columns(600))
    frame["timestamp"] = pd.to_datetime(frame["timestamp"])
    frame.to_csv(tmp_path / "synusd.csv", index=False)
    return tmp_path / "synusd.csv"


class TestLookahead:
    @pytest.mark.parametrize("name", ["ema_cross", "mean_reversion"])
    def test_honest_strategies_pass(self, name):
        found = check_lookahead(BacktestConfig(strategy=name), walk(1500), cuts=3)
        assert found.ok
        assert found.decisions > 10

    def test_a_parameter_fitted_on_the_whole_series_is_caught(self):
        config = BacktestConfig(strategy="test_threshold")
        found = check_lookahead(config, walk(), prepare=lambda part: {"level": float(part.close.mean())})
        assert not found.ok
        assert re.match(r"knowing the future: .*(SYNUSD|nothing).*; without it: ", found.first)

    def test_a_parameter_fitted_on_its_beginning_is_not(self):
        config = BacktestConfig(strategy="test_threshold")
        assert check_lookahead(config, walk(), prepare=lambda part: {"level": float(part.close[:100].mean())}).ok

    def test_a_strategy_that_reads_the_file_ahead_is_caught(self, csv):
        config = BacktestConfig(strategy="test_peek", params={"file": str(csv)})
        found = check_lookahead(config, load_bars(csv, symbol="SYNUSD", tick="0.01"), source=csv)
        assert not found.ok
        assert "without it" in found.first


class TestData:
    def test_files_of_all_kinds_hold_the_same_bars(self, tmp_path, csv):
        frame = pd.read_csv(csv)
        frame.to_parquet(tmp_path / "synusd.parquet")
        frame.to_feather(tmp_path / "synusd.feather")
        digests = {load_bars(path, symbol="SYNUSD").digest for path in sorted(tmp_path.glob("synusd.*"))}
        assert digests == {walk(600).digest}

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"close": [np.nan, 100.0]}, "row 1: expected finite positive close, was nan"),
            ({"high": [1.0, 101.0]}, r"row 1: expected 0 < low <= open, close <= high, was open 10000, high 100"),
            ({"timestamp": [2, 1]}, "row 2: expected times that rise"),
            ({"close": None}, "expected columns open, high, low, close"),
            ({"timestamp": None}, "expected a time in a column"),
        ],
    )
    def test_bad_bars_are_named(self, change, words):
        prices = {name: [100.0, 100.0] for name in ("open", "high", "low", "close")}
        frame: dict[str, Any] = {"timestamp": [1, 2], **prices, **change}
        with pytest.raises(BacktestError, match=re.escape(words) if "<=" in words else words):
            load_bars({name: values for name, values in frame.items() if values is not None})

    def test_the_tick_is_found(self):
        series = load_bars(
            {"time": [60, 120], **{name: [1.23456, 1.23457] for name in ("open", "high", "low", "close")}}
        )
        assert str(series.instrument.tick) == "0.00001"
        assert series.open.tolist() == [123456, 123457]

    def test_data_outside_its_folder_is_refused(self, tmp_path):
        (tmp_path / "inside").mkdir()
        (tmp_path / "secret.csv").write_text("x")
        with pytest.raises(BacktestError, match="no data named"):
            below(tmp_path / "inside", "../secret.csv")


class TestSearch:
    def test_the_same_seed_finds_the_same(self):
        config, space = BacktestConfig(strategy="ema_cross", seed=4), parse_space("ema_cross", {"fast": "3:30"})
        one, again = (search(config, walk(800), space, trials=4) for _ in range(2))
        assert one == again
        assert one[0].score == max(trial.score for trial in one)

    def test_choices_and_ranges(self):
        space = parse_space("forecast_portfolio", {"style": "take|rest", "band": "0.1:0.5", "offset_ticks": "1|3"})
        assert space == {"style": ["take", "rest"], "band": (0.1, 0.5), "offset_ticks": [1, 3]}
        found = next_params(1, [], space)
        assert found["style"] in ("take", "rest")
        assert 0.1 <= found["band"] <= 0.5

    @pytest.mark.parametrize(("name", "text"), [("fast", "9:3"), ("fast", "few"), ("quick", "1:2")])
    def test_ranges_that_do_not_fit_are_named(self, name, text):
        with pytest.raises(BacktestError, match=name):
            parse_space("ema_cross", {name: text})

    def test_walking_forward_judges_only_what_comes_after(self):
        series = walk(1200)
        folds = walk_forward(
            BacktestConfig(strategy="ema_cross"),
            series,
            folds=3,
            space={"fast": (3, 12)},
            trials=2,
            metric="total_return",
        )
        starts = [int(fold.result.times[0]) for fold in folds]
        assert starts == [int(series.start[300 * number]) + series.interval_ns for number in (1, 2, 3)]
        assert combined(folds)["trades"] == sum(len(fold.result.closed) for fold in folds)


class TestFigures:
    def test_drawdowns(self):
        assert drawdowns(np.array([100.0, 110.0, 99.0, 121.0])).tolist() == [0.0, 0.0, pytest.approx(-0.1), 0.0]

    def test_value_at_risk_looks_only_back(self):
        returns = np.random.default_rng(1).normal(size=200)
        changed = returns.copy()
        changed[150:] = 5.0
        assert np.array_equal(var_series(returns)[:151], var_series(changed)[:151], equal_nan=True)


class TestCommand:
    def invoke(self, *words: str) -> Any:
        return CliRunner().invoke(main, list(words))

    def test_it_writes_the_same_bytes_twice(self, csv, tmp_path):
        for name in ("one", "two"):
            done = self.invoke("ema_cross", "--data", str(csv), "--param", "fast=5", "--out", str(tmp_path / name))
            assert done.exit_code == 0, done.output
            assert "fingerprint" in done.output
        files = sorted(path.name for path in (tmp_path / "one").iterdir())
        assert files == ["equity.csv", "orders.csv", "result.json", "tearsheet.html", "trades.csv"]
        for name in files:
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()

    def test_it_answers_in_json(self, csv):
        done = self.invoke("ema_cross", "--data", str(csv), "--json", "--fee-bps", "5", "--latency-ms", "20")
        body = json.loads(done.stdout)
        assert body["config"]["taker_fee"] == "0.0005"
        assert body["config"]["latency"]["entry"]["constant_ns"] == 20_000_000
        assert len(body["summary"]["fingerprint"]) == 64

    def test_a_part_of_the_data(self, csv):
        done = self.invoke(
            "ema_cross", "--data", str(csv), "--json", "--from", "2023-11-15", "--to", "2023-11-15T02:00"
        )
        assert json.loads(done.stdout)["summary"]["events"] == 120

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["ema_cross", "--data", "nothing.csv"], "no data named"),
            (["no_such"], "unknown strategy 'no_such'; known are"),
            (["ema_cross", "--param", "fast=-1"], "parameters of ema_cross"),
            (["ema_cross", "--param", "fast"], "expected name=value, was 'fast'"),
            (["ema_cross", "--capital", "lots"], "--capital: expected a number"),
            (["ema_cross", "--from", "yesterday!"], "--from: expected a time"),
        ],
    )
    def test_what_is_wrong_is_said(self, csv, words, said):
        done = self.invoke(*words, *([] if "--data" in words else ["--data", str(csv)]))
        assert done.exit_code == 1
        assert said in done.output

    def test_a_cheat_fails_the_command(self, csv):
        done = self.invoke("test_peek", "--data", str(csv), "--param", f"file={csv}", "--check-lookahead")
        assert done.exit_code == 1
        assert "LOOK-AHEAD" in done.output

    def test_walk_forward_and_search(self, csv, tmp_path):
        words = ("--data", str(csv), "--range", "fast=3:9", "--search", "2", "--out", str(tmp_path / "w"))
        assert self.invoke("ema_cross", *words, "--walk-forward", "2").exit_code == 0
        assert len(json.loads((tmp_path / "w" / "walkforward.json").read_text())["folds"]) == 2
        assert self.invoke("ema_cross", *words).exit_code == 0
        assert len(json.loads((tmp_path / "w" / "search.json").read_text())["trials"]) == 2


def test_the_tear_sheet_needs_nothing_from_outside():
    page = tear_sheet(run("ema_cross", walk()))
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=|url\(|https?://", page)
    assert [
        title for title in ("Equity", "Drawdown", "Exposure", "Trades", "Costs", "VaR breaches") if title not in page
    ] == []
    assert page.count("<svg") == 6


def test_a_strategy_that_is_not_there_is_named():
    with pytest.raises(StrategyError, match="unknown strategy"):
        run("nothing", walk(50))
