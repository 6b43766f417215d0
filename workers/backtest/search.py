"""Searching parameters with Optuna, and walking forward: search on one part of the data, judge on the next."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import optuna

from workers.backtest import stats
from workers.backtest.config import BacktestConfig, BacktestError
from workers.backtest.data import BarSeries
from workers.backtest.result import Result
from workers.backtest.run import run
from workers.engine.strategies.catalog import card

METRICS: Final = ("sharpe", "sortino", "calmar", "total_return", "max_drawdown", "profit_factor")
"""What a search may maximise."""
WORST: Final = -1e9
"""Score of a run whose metric is not defined, such as one without trades."""
WARM: Final = 500
"""Bars before a judged part that fill indicators."""

Space = Mapping[str, Sequence[Any]]
"""By parameter: a tuple (low, high) of numbers, or a list of the values to choose from."""


class Trial(NamedTuple):
    """One tried set of parameters."""

    number: int
    params: dict[str, Any]
    score: float
    fingerprint: str


class Fold(NamedTuple):
    """One step of walking forward."""

    number: int
    params: dict[str, Any]
    score: float | None
    """On the part that the parameters were searched on; None without a search."""
    result: Result


def parse_space(strategy: str, ranges: Mapping[str, str]) -> dict[str, Sequence[Any]]:
    """``{"fast": "5:50", "style": "take|rest"}`` as a space; BacktestError names what does not fit the parameter."""
    known = {parameter.name: parameter for parameter in card(strategy).params}
    space: dict[str, Sequence[Any]] = {}
    for name, text in ranges.items():
        if name not in known:
            raise BacktestError(f"{strategy} has no parameter {name!r}; it has {', '.join(known) or 'none'}")
        kind = int if known[name].type == "int" else float
        try:
            if "|" in text:
                words = text.split("|")
                space[name] = words if known[name].type in ("choice", "str") else [kind(word) for word in words]
                continue
            low, high = (kind(part) for part in text.split(":"))
        except ValueError:
            raise BacktestError(f"range of {name}: expected low:high or a|b|c, was {text!r}") from None
        if not low < high:
            raise BacktestError(f"range of {name}: expected low below high, was {text!r}")
        space[name] = (low, high)
    return space


def score_of(result: Result, metric: str) -> float:
    """The metric as a finite number; ``WORST`` where it is not defined. A drawdown counts as it is: less is better."""
    if metric not in METRICS:
        raise BacktestError(f"expected a metric of {', '.join(METRICS)}, was {metric!r}")
    value = result.summary.get(metric)
    traded = result.summary["trades"] or result.summary["open_positions"]
    return float(value) if value is not None and math.isfinite(value) and traded else WORST


def new_study(seed: int, told: Sequence[tuple[dict[str, Any], float]], space: Space) -> optuna.Study:
    """A study that knows earlier trials; parameters that differ at all are sampled by a tree-structured estimator."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Every trial is drawn from a seed of its own: the next one does not depend on which process asks.
    sampler = optuna.samplers.TPESampler(seed=(seed * 10_007 + len(told)) % 2**32)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = {name: _distribution(values) for name, values in space.items()}
    for params, score in told:
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=score))
    return study


def next_params(seed: int, told: Sequence[tuple[dict[str, Any], float]], space: Space) -> dict[str, Any]:
    """Parameters to try after ``told``: the same for the same seed and history."""
    study = new_study(seed, told, space)
    trial = study.ask({name: _distribution(values) for name, values in space.items()})
    return dict(trial.params)


def _distribution(values: Sequence[Any]) -> Any:
    if isinstance(values, list):
        return optuna.distributions.CategoricalDistribution(tuple(values))
    kind = optuna.distributions.IntDistribution if type(values[0]) is int else optuna.distributions.FloatDistribution
    return kind(*values)


def search(
    config: BacktestConfig,
    series: BarSeries,
    space: Space,
    *,
    trials: int,
    metric: str = "sharpe",
    progress: Callable[[float], None] | None = None,
) -> list[Trial]:
    """Try ``trials`` sets of parameters, best first; ties keep their order. The config's own parameters stay below."""
    done: list[Trial] = []
    for number in range(trials):
        found = next_params(config.seed, [(trial.params, trial.score) for trial in done], space)
        result = run(msgspec.structs.replace(config, params={**config.params, **found}), series)
        done.append(Trial(number, found, score_of(result, metric), result.fingerprint))
        if progress is not None:
            progress((number + 1) / trials)
    return sorted(done, key=lambda trial: -trial.score)


def walk_forward(
    config: BacktestConfig,
    series: BarSeries,
    *,
    folds: int,
    space: Space | None = None,
    trials: int = 20,
    metric: str = "sharpe",
    progress: Callable[[float], None] | None = None,
) -> list[Fold]:
    """Cut the bars into ``folds + 1`` parts; search on all parts before each and judge on it.

    Without a space the given parameters are judged on every part but the first.
    """
    size = len(series) // (folds + 1)
    if folds < 1 or size < 2:
        raise BacktestError(f"expected at least 1 fold of 2 bars, was {folds} folds of {size} bars")
    done = []
    for number in range(1, folds + 1):
        before, last = number * size, len(series) if number == folds else (number + 1) * size
        params, score = dict(config.params), None
        if space:
            best = search(config, series.part(0, before), space, trials=trials, metric=metric)[0]
            params, score = {**params, **best.params}, best.score
        warm = min(WARM, before)
        judged = msgspec.structs.replace(config, params=params, warm=warm)
        done.append(Fold(number, params, score, run(judged, series.part(before - warm, last))))
        if progress is not None:
            progress(number / folds)
    return done


def combined(folds: Sequence[Fold]) -> dict[str, Any]:
    """Figures over all judged parts: their returns one after another."""
    growth = [1.0 + float(fold.result.summary["total_return"]) for fold in folds]
    returns = np.concatenate([stats.returns_of(fold.result.equity) for fold in folds])
    profits = sum(change > 1.0 for change in growth)
    return {
        "folds": len(folds),
        "total_return": math.prod(growth) - 1.0,
        "profitable_folds": profits,
        "trades": sum(fold.result.summary["trades"] for fold in folds),
        "volatility_per_bar": float(returns.std(ddof=1)) if len(returns) > 1 else None,
        "fingerprints": [fold.result.fingerprint for fold in folds],
    }


def parse_words(words: Sequence[str]) -> dict[str, str]:
    """``k=v`` words as a mapping; BacktestError for one that is none."""
    pairs: dict[str, str] = {}
    for word in words:
        found = re.fullmatch(r"([A-Za-z_]\w*)=(.*)", word)
        if found is None:
            raise BacktestError(f"expected name=value, was {word!r}")
        pairs[found.group(1)] = found.group(2)
    return pairs
