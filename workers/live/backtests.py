"""One backtest for the control plane: from its record to its result. Runs in a process that may take its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pandas as pd
import structlog
from django.conf import settings

from apps.core.context import Context
from apps.trading.models.backtests import Backtest, BacktestKind, BacktestState
from apps.trading.selectors_backtests import get_backtest, trials_of
from apps.trading.services import backtests as services
from workers.adapters.store import StoreError
from workers.backtest import sources
from workers.backtest.books import Replay
from workers.backtest.config import BacktestConfig, BacktestError, Delay, Latency
from workers.backtest.data import BarSeries
from workers.backtest.run import make_config, run
from workers.backtest.search import next_params, parse_space, score_of
from workers.backtest.tearsheet import tear_sheet
from workers.engine.risk.limits import LimitsError
from workers.engine.strategy import StrategyError

log = structlog.get_logger(__name__)

REPORT_EVERY_S: Final = 1.0
REFUSALS: Final = (BacktestError, StrategyError, LimitsError, StoreError)


class Cancelled(RuntimeError):
    """Somebody wants the run to end."""


def work(ctx: Context, run_id: str) -> str:
    """Do the run, or the next trial of the search, that ``run_id`` names; returns its state afterwards."""
    asked = get_backtest(run_id)
    search = asked.kind == BacktestKind.SEARCH
    taken = services.begin_trial(ctx, search_id=run_id) if search else services.begin(ctx, run_id=run_id)
    if taken is None:
        return asked.state
    try:
        _trade(ctx, taken)
    except Cancelled:
        return services.fail(ctx, run_id=taken.pk, attempt=taken.attempts, detail="cancelled", cancelled=True).state
    except REFUSALS as error:
        return services.fail(ctx, run_id=taken.pk, attempt=taken.attempts, detail=str(error)).state
    except Exception as error:
        # A strategy may raise anything, and a run that nobody ends would be tried again and again.
        log.exception("backtest_broke", run=str(taken.pk), strategy=taken.strategy)
        detail = f"{type(error).__name__}: {error}"
        return services.fail(ctx, run_id=taken.pk, attempt=taken.attempts, detail=detail).state
    return get_backtest(taken.pk).state


def _trade(ctx: Context, taken: Backtest) -> None:
    trial = taken.kind == BacktestKind.TRIAL
    params = {**taken.settings.get("base", {}), **draw(taken)} if trial else taken.params
    config = config_of(taken.strategy, params, taken.settings)
    result = run(config, market(taken), progress=_reporter(ctx, taken))
    services.finish(
        ctx,
        run_id=taken.pk,
        attempt=taken.attempts,
        summary=result.summary,
        score=score_of(result, str(taken.settings.get("metric") or "sharpe")) if trial else None,
        params=params,
        sheet="" if trial else tear_sheet(result),
    )


def draw(trial: Backtest) -> dict[str, Any]:
    """Parameters for a trial: drawn after those of its search that are over, under the search's seed and its number."""
    space = parse_space(trial.strategy, trial.settings["ranges"])
    seed = int(trial.settings.get("seed", 0)) * services.MOST_TRIALS + trial.number
    done = trials_of(trial.search_id).filter(state=BacktestState.DONE)
    told = [({name: one.params[name] for name in space}, float(one.score or 0.0)) for one in done]
    return next_params(seed, told, space)


def market(taken: Backtest) -> BarSeries | Replay:
    """The data of a run, cut to its period."""
    data = sources.named(Path(settings.GEKKO_DATA), taken.data)
    period = {name: taken.settings.get(name) for name in ("start", "end")}
    if not any(period.values()):
        return data
    if isinstance(data, Replay):
        raise BacktestError(f"{taken.data} is a recording, which is replayed as a whole; leave start and end out")
    return data.between(*(_moment(text) for text in period.values()))


def _moment(text: str | None) -> int | None:
    return None if text is None else int(pd.to_datetime(text, utc=True).as_unit("ns").value)


def config_of(strategy: str, params: Mapping[str, Any], asked: Mapping[str, Any]) -> BacktestConfig:
    """The settings of a record as a config."""
    way = Delay(constant_ns=int(float(asked.get("latency_ms", 0)) * 1_000_000))
    taker = Decimal(str(asked.get("fee_bps", "10"))) / 10_000
    maker = Decimal(str(asked["maker_fee_bps"])) / 10_000 if "maker_fee_bps" in asked else taker
    return make_config(
        strategy,
        params,
        capital=asked.get("capital", "100000"),
        maker_fee=maker,
        taker_fee=taker,
        latency=Latency(entry=way, response=way),
        seed=int(asked.get("seed", 0)),
        warm=int(asked.get("warm", 0)),
    )


def _reporter(ctx: Context, taken: Backtest) -> Callable[[float], None]:
    due = time.monotonic() + REPORT_EVERY_S

    def told(done: float) -> None:
        nonlocal due
        if time.monotonic() < due:
            return
        due = time.monotonic() + REPORT_EVERY_S
        if not services.report_progress(ctx, run_id=taken.pk, attempt=taken.attempts, done=done):
            raise Cancelled

    return told
