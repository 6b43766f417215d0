"""Running one backtest, from market data to a result."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import msgspec

from workers.backtest.bars import BarDriver, Progress
from workers.backtest.books import BookDriver, Replay
from workers.backtest.config import BacktestConfig, BacktestError
from workers.backtest.data import BarSeries
from workers.backtest.result import Result
from workers.backtest.simulator import Forecaster, Simulator
from workers.engine.instruments import Instrument

Data = BarSeries | Sequence[BarSeries] | Replay


def run(
    strategy: str | BacktestConfig,
    data: Data,
    params: Mapping[str, Any] | None = None,
    *,
    forecaster: Forecaster | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Result:
    """Trade ``strategy`` on ``data`` and return what came of it.

    ``settings`` are the fields of ``BacktestConfig``; a ready config may take the strategy's place. Several series of
    bars trade together in one account. Raises BacktestError, StrategyError and LimitsError for what cannot be run.

        result = run("ema_cross", load_bars("btc.csv"), {"fast": 10, "slow": 20}, capital=50_000)
    """
    config = strategy if isinstance(strategy, BacktestConfig) else make_config(strategy, params or {}, **settings)
    if isinstance(data, Replay):
        return _replay(config, data, forecaster, progress)
    series = (data,) if isinstance(data, BarSeries) else tuple(data)
    _check(series, config)
    simulator = Simulator(config, [priced(one.instrument, config) for one in series], bars=True, forecaster=forecaster)
    driver, bars = BarDriver(simulator, config), [one.bars for one in series]
    with collector_off() as cpu_s:
        driver.run(bars, progress)
    return Result.of_bars(simulator, config, series, cpu_s=cpu_s())


def _replay(config: BacktestConfig, data: Replay, forecaster: Forecaster | None, progress: Progress | None) -> Result:
    instruments = [priced(one, config) for one in data.instruments]
    simulator = Simulator(config, instruments, bars=False, forecaster=forecaster)
    driver = BookDriver(simulator, config)
    with collector_off() as cpu_s:
        driver.run(data, progress)
    return Result.of_replay(simulator, config, data, events=driver.events, cpu_s=cpu_s())


@contextmanager
def collector_off() -> Iterator[Callable[[], float]]:
    """Run without the cycle collector, which would walk every kept event again and again; yields the CPU seconds."""
    was, begun = gc.isenabled(), time.process_time()
    gc.disable()
    try:
        yield lambda: time.process_time() - begun
    finally:
        if was:
            gc.enable()


def make_config(strategy: str, params: Mapping[str, Any], **settings: Any) -> BacktestConfig:
    """A config from loose values: numbers may be numbers or text; BacktestError names what does not fit."""
    for name in ("capital", "maker_fee", "taker_fee"):
        if name in settings:
            # 100000, "100000.00" and 1e5 are one capital, and one digest of the inputs.
            settings[name] = Decimal(f"{Decimal(str(settings[name])).normalize():f}")
    try:
        config = BacktestConfig(strategy=strategy, params=dict(params), **settings)
        return msgspec.convert(msgspec.to_builtins(config), BacktestConfig)
    except (TypeError, msgspec.ValidationError) as error:
        raise BacktestError(f"settings of the backtest: {error}") from error


def priced(instrument: Instrument, config: BacktestConfig) -> Instrument:
    """The instrument with the fees of the backtest."""
    return msgspec.structs.replace(instrument, maker_fee=config.maker_fee, taker_fee=config.taker_fee)


def _check(series: Sequence[BarSeries], config: BacktestConfig) -> None:
    if not series:
        raise BacktestError("expected at least one series of bars")
    intervals = {one.interval_ns for one in series}
    if len(intervals) > 1:
        raise BacktestError(f"expected bars of one interval, was {sorted(intervals)} ns")
    short = min(series, key=len)
    if config.warm >= len(short):
        raise BacktestError(f"expected more than {config.warm} warm-up bars of {short.instrument.symbol}")
