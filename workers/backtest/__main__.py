"""The command ``gekko backtest``; also ``python -m workers.backtest``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import msgspec
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from workers.backtest import sources
from workers.backtest.books import Replay
from workers.backtest.config import BacktestConfig, BacktestError, Delay, Latency
from workers.backtest.data import BarSeries
from workers.backtest.lookahead import check_lookahead
from workers.backtest.result import Result
from workers.backtest.run import make_config, run
from workers.backtest.search import METRICS, combined, parse_space, parse_words, search, walk_forward
from workers.backtest.simulator import Forecaster
from workers.backtest.tearsheet import CARDS, show, tear_sheet
from workers.engine.risk.limits import LimitsError
from workers.engine.strategy import StrategyError

MS = 1_000_000
LOCAL_ONLY = (
    "folder",
    "folds",
    "check_lookahead",
    "feed_latency_ms",
    "jitter_ms",
    "symbol",
    "tick",
    "lot",
    "limits_file",
)
out = Console()
aside = Console(stderr=True)


@click.command("backtest", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("strategy")
@click.option("--data", "data_name", required=True, help="A file of bars or a recording, or a name below GEKKO_DATA.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the strategy.")
@click.option("--from", "start", help="First time, ISO, UTC.")
@click.option("--to", "end", help="Last time (excluded), ISO, UTC.")
@click.option("--capital", default="100000", show_default=True, help="In the quote asset.")
@click.option("--fee-bps", default="10", show_default=True, help="Taker fee in basis points of notional.")
@click.option("--maker-fee-bps", default=None, help="Maker fee; the taker fee when it is not given.")
@click.option("--latency-ms", default=0.0, show_default=True, help="Delay of order entry and of its response, each.")
@click.option("--feed-latency-ms", default=0.0, show_default=True, help="Delay of market data beyond the recorded one.")
@click.option("--jitter-ms", default=0.0, show_default=True, help="Median of a lognormal delay on top, sigma 0.5.")
@click.option("--warm", default=0, show_default=True, help="Bars at the start that only fill indicators.")
@click.option("--interval", default="", help="Bars built from a recording: 1s (if not given), 1m, 1h ...")
@click.option("--symbol", default="", help="Symbol of the data, where its name does not say.")
@click.option("--tick", default="", help="Price step, where it is not to be found in the data.")
@click.option("--lot", default="", help="Quantity step.")
@click.option("--limits", "limits_file", type=click.Path(exists=True, path_type=Path), help="Risk limits, JSON.")
@click.option("--model", default="", help="Digest of a stored model, for strategies that use forecasts.")
@click.option("--seed", default=0, show_default=True, help="Of latencies and of searches.")
@click.option("--out", "folder", type=click.Path(file_okay=False, path_type=Path), help="Where results are written.")
@click.option("--walk-forward", "folds", default=0, metavar="N", help="Judge on N later parts of the data.")
@click.option("--check-lookahead", is_flag=True, help="Does cutting the future away change a past decision?")
@click.option("--search", "trials", default=0, metavar="N", help="Try N sets of parameters of the --range options.")
@click.option("--range", "ranges", multiple=True, metavar="NAME=LOW:HIGH", help="Values to search; or NAME=a|b|c.")
@click.option("--metric", default="sharpe", show_default=True, type=click.Choice(METRICS), help="What a search raises.")
@click.option("--remote", is_flag=True, help="Run on the workers of the running desk; shown on its page Backtests.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def main(**asked: Any) -> None:
    """Trade STRATEGY on recorded data with the kernel of live trading, and say what came of it."""
    try:
        _run(asked)
    except (BacktestError, StrategyError, LimitsError) as error:
        raise click.ClickException(str(error)) from error


def _run(asked: dict[str, Any]) -> None:
    if asked["remote"]:
        _remote(asked)
        return
    data = _between(_load(asked), asked)
    config = config_of(asked)
    if asked["check_lookahead"]:
        _lookahead(config, _bars(data), asked)
    elif asked["folds"]:
        _walk(config, _bars(data), asked)
    elif asked["trials"]:
        _search(config, _bars(data), asked)
    else:
        with progress(f"{config.strategy} on {asked['data_name']}") as told:
            result = run(config, data, forecaster=_forecaster(config), progress=told)
        _finish(result, asked)


def _remote(asked: dict[str, Any]) -> None:
    """The same by the running desk: what it knows of the options goes into the run's record."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings.dev")
    from workers.live.backtest_remote import run_remote  # noqa: PLC0415 - only here is a desk needed

    left_out = [name for name in LOCAL_ONLY if asked[name] not in (None, False, 0, 0.0, "")]
    if left_out:
        raise BacktestError(f"--remote cannot be combined with --{', --'.join(left_out).replace('_', '-')}")
    settings = {name: asked[name] for name in ("capital", "fee_bps", "maker_fee_bps", "latency_ms", "seed", "warm")}
    settings |= {"start": asked["start"], "end": asked["end"]}
    if asked["trials"]:
        settings |= {"ranges": parse_words(asked["ranges"]), "trials": asked["trials"], "metric": asked["metric"]}
    with progress(f"{asked['strategy']} on the workers") as told:
        row = run_remote(
            strategy=asked["strategy"],
            data=asked["data_name"],
            params=parse_words(asked["params"]),
            settings={name: value for name, value in settings.items() if value is not None},
            told=told,
        )
    if asked["as_json"]:
        click.echo(json.dumps(row, indent=2, sort_keys=True))
        return
    _figures(f"{row['strategy']} on {row['data']}", row["summary"])
    out.print(f"parameters {row['params']}, run {row['id']}", highlight=False, soft_wrap=True)
    out.print(f"fingerprint {row['fingerprint']}", highlight=False, soft_wrap=True)


def _figures(title: str, summary: Mapping[str, Any]) -> None:
    table = Table(title=title, show_header=False)
    table.add_column("figure", style="dim")
    table.add_column("value", justify="right")
    for key, words, kind in CARDS:
        table.add_row(words, show(summary.get(key), kind))
    out.print(table)


def _forecaster(config: BacktestConfig) -> Forecaster | None:
    if not config.model:
        return None
    from workers.backtest.forecasts import forecaster_of  # noqa: PLC0415 - torch takes seconds to load

    return forecaster_of(config.model)


def config_of(asked: dict[str, Any]) -> BacktestConfig:
    """The options as a config; BacktestError names the one that does not fit."""
    median = int(asked["jitter_ms"] * MS)
    way = Delay(constant_ns=int(asked["latency_ms"] * MS), median_ns=median, sigma=0.5 if median else 0.0)
    feed = Delay(constant_ns=int(asked["feed_latency_ms"] * MS))
    taker = _bps(asked["fee_bps"], "--fee-bps")
    maker = taker if asked["maker_fee_bps"] is None else _bps(asked["maker_fee_bps"], "--maker-fee-bps")
    limits = json.loads(asked["limits_file"].read_text()) if asked["limits_file"] else None
    return make_config(
        asked["strategy"],
        parse_words(asked["params"]),
        capital=_decimal(asked["capital"], "--capital"),
        maker_fee=maker,
        taker_fee=taker,
        latency=Latency(feed=feed, entry=way, response=way),
        seed=asked["seed"],
        warm=asked["warm"],
        model=asked["model"],
        limits=limits,
        interval_ns=pd.Timedelta(asked["interval"]).value if asked["interval"] else 0,
    )


def _decimal(text: str, option: str) -> str:
    try:
        if float(text) >= 0:
            return text
    except ValueError:
        pass
    raise BacktestError(f"{option}: expected a number of zero or more, was {text!r}")


def _bps(text: str, option: str) -> str:
    return str(Decimal(_decimal(text, option)) / 10_000)


def _load(asked: dict[str, Any]) -> BarSeries | Replay:
    """The data: a file as it is named, else of the store or below GEKKO_DATA."""
    name, grid = asked["data_name"], {key: asked[key] for key in ("symbol", "tick", "lot")}
    if Path(name).is_file():
        return sources.load(Path(name), **grid)
    folder = Path(os.environ.get("GEKKO_DATA", Path(__file__).parents[3] / "shared" / "data"))
    return sources.named(folder, name, **grid)


def _between(data: BarSeries | Replay, asked: dict[str, Any]) -> BarSeries | Replay:
    if not asked["start"] and not asked["end"]:
        return data
    return _bars(data).between(_moment(asked["start"], "--from"), _moment(asked["end"], "--to"))


def _moment(text: str | None, option: str) -> int | None:
    if not text:
        return None
    try:
        return int(pd.to_datetime(text, utc=True).as_unit("ns").value)
    except ValueError as error:
        raise BacktestError(f"{option}: expected a time such as 2024-08-08T12:00, was {text!r}") from error


def _bars(data: BarSeries | Replay) -> BarSeries:
    if isinstance(data, Replay):
        raise BacktestError("this needs bars, and the data is a recording; give a file of bars")
    return data


class progress:  # noqa: N801 - used like a function in a with statement
    """A progress bar on the error stream; its value is what to call with the part that is done."""

    def __init__(self, words: str) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=aside, transient=True)
        self._words = words

    def __enter__(self) -> Callable[[float], None]:
        self._bar.start()
        task = self._bar.add_task(self._words, total=1.0)
        return lambda done: self._bar.update(task, completed=done)

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()


def _finish(result: Result, asked: dict[str, Any]) -> None:
    files = write(result, asked["folder"]) if asked["folder"] else []
    if asked["as_json"]:
        click.echo(result.to_json().decode(), nl=False)
        return
    _figures(f"{result.config.strategy} on {result.label}", result.summary)
    denied = result.summary["denied"]
    if denied:
        out.print("denied by the gate: " + ", ".join(f"{reason} {count}" for reason, count in denied.items()))
    if result.gaps:
        out.print(f"missing bars: {result.gaps:,}; nothing was filled in")
    out.print(f"{result.events:,} events in {result.cpu_s:.2f} s of CPU, {result.events / result.cpu_s:,.0f} a second")
    out.print(f"fingerprint {result.fingerprint}", highlight=False, soft_wrap=True)
    for file in files:
        out.print(f"wrote {file}", highlight=False, soft_wrap=True)


def write(result: Result, folder: Path) -> list[Path]:
    """Write result.json, tearsheet.html, trades.csv, orders.csv and equity.csv; the same bytes for the same inputs."""
    folder.mkdir(parents=True, exist_ok=True)
    bodies = {
        "result.json": result.to_json(),
        "tearsheet.html": tear_sheet(result).encode(),
        "trades.csv": result.trades.to_csv(index=False).encode(),
        "orders.csv": result.orders.to_csv(index=False).encode(),
        "equity.csv": result.equity_frame.to_csv().encode(),
    }
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    return [folder / name for name in bodies]


def _lookahead(config: BacktestConfig, series: BarSeries, asked: dict[str, Any]) -> None:
    with progress("looking ahead") as told:
        found = check_lookahead(config, series, source=Path(asked["data_name"]), progress=told)
    if asked["as_json"]:
        click.echo(json.dumps(found._asdict(), indent=2))
    elif found.ok:
        out.print(
            f"no look-ahead: {found.decisions:,} decisions are the same with the future cut away at {found.cuts} places"
        )
    else:
        out.print(f"LOOK-AHEAD: the first decision that changed, {found.first}", highlight=False, soft_wrap=True)
    sys.exit(0 if found.ok else 1)


def _walk(config: BacktestConfig, series: BarSeries, asked: dict[str, Any]) -> None:
    space = parse_space(config.strategy, parse_words(asked["ranges"])) if asked["ranges"] else None
    with progress("walking forward") as told:
        folds = walk_forward(
            config,
            series,
            folds=asked["folds"],
            space=space,
            trials=asked["trials"] or 20,
            metric=asked["metric"],
            progress=told,
        )
    together = combined(folds)
    rows = [
        {"fold": fold.number, "params": fold.params, "searched": fold.score, **_few(fold.result.summary)}
        for fold in folds
    ]
    body = {"folds": rows, "combined": together}
    _write_json(asked, "walkforward.json", body)
    if asked["folder"]:
        for fold in folds:
            write(fold.result, asked["folder"] / f"fold-{fold.number}")
    if not asked["as_json"]:
        _table("walk forward", rows)
        out.print(f"together: {together['total_return']:.2%} over {together['trades']:,} trades")


def _search(config: BacktestConfig, series: BarSeries, asked: dict[str, Any]) -> None:
    space = parse_space(config.strategy, parse_words(asked["ranges"]))
    if not space:
        raise BacktestError("a search needs at least one --range NAME=LOW:HIGH")
    with progress(f"{asked['trials']} trials") as told:
        found = search(config, series, space, trials=asked["trials"], metric=asked["metric"], progress=told)
    rows = [{"trial": trial.number, asked["metric"]: trial.score, **trial.params} for trial in found]
    _write_json(asked, "search.json", {"trials": [trial._asdict() for trial in found]})
    if not asked["as_json"]:
        _table(f"best of {len(found)}", rows[:10])
    best = msgspec.structs.replace(config, params={**config.params, **found[0].params})
    _finish(run(best, series), asked)


def _few(summary: dict[str, Any]) -> dict[str, Any]:
    return {name: summary.get(name) for name in ("total_return", "sharpe", "max_drawdown", "trades")}


def _write_json(asked: dict[str, Any], name: str, body: dict[str, Any]) -> None:
    text = json.dumps(body, indent=2, sort_keys=True)
    if asked["folder"]:
        asked["folder"].mkdir(parents=True, exist_ok=True)
        (asked["folder"] / name).write_text(text + "\n", encoding="utf-8")
    if asked["as_json"] and name != "search.json":
        click.echo(text)


def _table(title: str, rows: Sequence[dict[str, Any]]) -> None:
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    out.print(table)


if __name__ == "__main__":
    main()
