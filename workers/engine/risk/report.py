"""One account's risk at one moment: value at risk, its parts, exposure, stress. Pure; the result is in types of JSON.

Prices come as bars of one interval. A value at risk is made for one bar and scaled to the horizon by the root of time,
which the report states; figures in money are decimal strings in the quote asset.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import numpy as np

from workers.engine.config import DAY_NS
from workers.engine.risk import stress
from workers.engine.risk.exposure import Exposure, Holding, exposure, plain_exposure
from workers.engine.risk.measures import portfolio, tail, volatility
from workers.engine.risk.measures.conventions import Floats, MeasureError
from workers.engine.risk.measures.filtered import Filter, filtered_historical
from workers.engine.risk.measures.montecarlo import monte_carlo
from workers.engine.risk.measures.tail import TailRisk
from workers.engine.risk.var_snapshot import VarSnapshot

HEADLINE: Final = "ewma"
"""The method that limits are compared with: the same covariance that the pre-trade gate gets."""
METHODS: Final[dict[str, str]] = {
    "historical": "Historical",
    "gaussian": "Gaussian",
    "cornish_fisher": "Cornish-Fisher",
    "ewma": "EWMA",
    "filtered_ewma": "Filtered historical, EWMA",
    "filtered_garch": "Filtered historical, GARCH",
    "monte_carlo": "Monte Carlo, normal",
    "monte_carlo_t": "Monte Carlo, t",
}
SHOCKS: Final = (-0.2, -0.1, 0.1)
STRETCHES: Final = (1, 10)
LIQUIDITY: Final = ((1.0, 1.0), (3.0, 4.0))
OUTAGE_HOURS: Final = 4.0
_PLACES: Final = 8


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the report is made. ``least`` periods of history are needed for any value at risk."""

    confidence: float = 0.99
    horizon_ns: int = DAY_NS
    step_ns: int = 60_000_000_000
    """Time to the next report, whose result is compared with a value at risk of its own."""
    decay: float = volatility.DECAY
    paths: int = 10_000
    degrees: float = 4.0
    seed: int = 1
    least: int = 60


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is made of, at ``at`` ns. ``holdings`` lists every instrument with a mark, flat ones too.

    ``history`` holds bars of ``interval_ns`` by symbol, ``archive`` older closes for the named windows.
    """

    at: int
    venue: str
    quote: str
    holdings: tuple[Holding, ...]
    cash: dict[str, Decimal]
    interval_ns: int
    history: dict[str, stress.Prices]
    archive: dict[str, stress.Prices] = {}
    books: dict[str, stress.Depth] = {}


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Returns of ``symbols``, shape (periods, symbols), and the EWMA covariance of one bar."""

    symbols: tuple[str, ...]
    returns: Any
    covariance: Any
    interval_ns: int

    @property
    def periods(self) -> int:
        return int(self.returns.shape[0])


def money_text(number: float) -> str:
    """A float of money as a canonical decimal string."""
    text = f"{round(number, _PLACES):.{_PLACES}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def build_model(inputs: Inputs, settings: Settings) -> Model:
    """Returns between the times that all instruments share; MeasureError names the instrument that has too few."""
    symbols = tuple(holding.symbol for holding in inputs.holdings if holding.symbol in inputs.history)
    missing = [one.symbol for one in inputs.holdings if one.quantity and one.symbol not in symbols]
    if missing:
        raise MeasureError(f"no price history of {', '.join(missing)}, which is held")
    if not symbols:
        raise MeasureError("no price history of any instrument yet")
    closes = [dict(zip(inputs.history[s].times, inputs.history[s].closes, strict=True)) for s in symbols]
    shared = sorted(set.intersection(*(set(one) for one in closes)))
    if len(shared) <= settings.least:
        shortest = min(symbols, key=lambda symbol: len(inputs.history[symbol].times))
        raise MeasureError(
            f"{max(len(shared) - 1, 0)} periods of history are at hand, {settings.least} are needed ({shortest})"
        )
    prices = np.array([[one[at] for one in closes] for at in shared], np.float64)
    if not (np.isfinite(prices) & (prices > 0)).all():
        raise MeasureError(f"expected positive prices, the lowest was {prices.min()}")
    returns = prices[1:] / prices[:-1] - 1.0
    covariance = portfolio.ewma_covariance(returns, decay=settings.decay)
    covariance = (covariance + covariance.T) / 2.0
    return Model(symbols=symbols, returns=returns, covariance=covariance, interval_ns=inputs.interval_ns)


def snapshot_of(model: Model, inputs: Inputs, settings: Settings) -> VarSnapshot:
    """What the pre-trade gate needs for the value at risk of a proposed order: the covariance over the horizon."""
    scaled = model.covariance * (settings.horizon_ns / model.interval_ns)
    return VarSnapshot(
        symbols=model.symbols,
        covariance=tuple(tuple(float(value) for value in row) for row in scaled),
        horizon_ns=settings.horizon_ns,
        confidence=settings.confidence,
        as_of=inputs.at,
    )


def worth(holdings: Sequence[Holding], symbols: Sequence[str]) -> Floats:
    """Values of ``symbols`` as floats, 0 for what is not held."""
    held = {one.symbol: float(one.value) for one in holdings}
    return np.array([held.get(symbol, 0.0) for symbol in symbols], np.float64)


def tails(model: Model, values: Floats, settings: Settings) -> dict[str, TailRisk | str]:
    """Per method the value at risk and shortfall of one bar, or in words why there is none."""
    results = model.returns @ values
    confidence, common = settings.confidence, {"paths": settings.paths, "seed": settings.seed}

    def simulated(degrees: float | None) -> TailRisk:
        sample = portfolio.sample_covariance(model.returns)
        return monte_carlo(sample, values, confidence, degrees=degrees, **common)

    made: dict[str, Callable[[], TailRisk]] = {
        "historical": lambda: tail.historical(results, confidence),
        "gaussian": lambda: tail.gaussian(results, confidence),
        "cornish_fisher": lambda: _bent(results, confidence),
        "ewma": lambda: portfolio.parametric(values, model.covariance, confidence),
        "filtered_ewma": lambda: filtered_historical(results, confidence, decay=settings.decay),
        "filtered_garch": lambda: filtered_historical(results, confidence, by=Filter.GARCH),
        "monte_carlo": lambda: simulated(None),
        "monte_carlo_t": lambda: simulated(settings.degrees),
    }
    return {name: _tried(make) for name, make in made.items()}


def _bent(results: Floats, confidence: float) -> TailRisk:
    shape = tail.moments(results)
    if not tail.is_monotone(shape):
        raise MeasureError(
            f"skewness {shape.skew:.2f} and excess kurtosis {shape.kurtosis:.2f} are outside the expansion's domain"
        )
    return tail.cornish_fisher(shape, confidence)


def _tried(make: Callable[[], TailRisk]) -> TailRisk | str:
    try:
        return make()
    except MeasureError as error:
        return str(error)


def stresses(inputs: Inputs, model: Model | None, settings: Settings) -> list[stress.StressResult]:
    """Every scenario for the holdings; without a model only those that need none."""
    held = {one.symbol: float(one.value) for one in inputs.holdings if one.quantity}
    quantities = {one.symbol: float(one.quantity) for one in inputs.holdings if one.quantity}
    made = [stress.historical_window(window, held, inputs.archive) for window in stress.WINDOWS]
    if model is not None:
        made += _modelled(model, held, settings) + _outages(inputs, model, settings)
    for move in SHOCKS:
        made.append(stress.factor_shock(f"All prices {move:+.0%}", held, dict.fromkeys(held, move)))
    for wider, thinner in LIQUIDITY:
        normal = wider == thinner == 1.0
        name = "Close all now" if normal else f"Close all, spread x {wider:g}, depth / {thinner:g}"
        made.append(stress.liquidity(name, quantities, inputs.books, wider=wider, thinner=thinner))
    return made


def _modelled(model: Model, held: Mapping[str, float], settings: Settings) -> list[stress.StressResult]:
    places = [model.symbols.index(symbol) for symbol in held]
    returns = model.returns[:, places]
    per_day = model.covariance[np.ix_(places, places)] * (DAY_NS / model.interval_ns)
    made = [
        stress.worst_stretch(
            f"Worst {bars} of the bars at hand" if bars > 1 else "Worst bar at hand", held, returns, bars
        )
        for bars in STRETCHES
    ]
    betas = dict(zip(model.symbols, stress.market_betas(model.returns).tolist(), strict=True))
    moves = {symbol: max(betas[symbol] * SHOCKS[0], -1.0) for symbol in held}
    made.append(stress.factor_shock(f"Market {SHOCKS[0]:+.0%} by beta", held, moves))
    sigmas = dict(zip(held, np.sqrt(np.diag(per_day)).tolist(), strict=True))
    made.append(stress.correlation_one(held, sigmas, settings.confidence))
    return made


def _outages(inputs: Inputs, model: Model, settings: Settings) -> list[stress.StressResult]:
    """Each venue out in turn, the home venue first, with what is held there."""
    found = []
    for venue in dict.fromkeys((inputs.venue, *(one.venue for one in inputs.holdings if one.quantity))):
        there = {one.symbol: float(one.value) for one in inputs.holdings if one.quantity and one.venue == venue}
        places = [model.symbols.index(symbol) for symbol in there]
        per_day = model.covariance[np.ix_(places, places)] * (DAY_NS / model.interval_ns)
        found.append(stress.venue_outage(venue, there, per_day, settings.confidence, hours=OUTAGE_HOURS))
    return found


def assess(inputs: Inputs, settings: Settings) -> dict[str, Any]:
    """The whole report. ``status`` is ``ok``, or ``no data`` with the reason in ``detail`` and no value at risk."""
    problem, model = "", None
    try:
        model = build_model(inputs, settings)
    except MeasureError as error:
        problem = str(error)
    held: Exposure = exposure(inputs.holdings, inputs.cash, inputs.quote)
    report: dict[str, Any] = {
        "at_ns": inputs.at,
        "venue": inputs.venue,
        "quote": inputs.quote,
        "status": "no data" if problem else "ok",
        "detail": problem,
        "confidence": settings.confidence,
        "horizon_s": settings.horizon_ns // 1_000_000_000,
        "interval_s": inputs.interval_ns / 1_000_000_000,
        "periods": model.periods if model else 0,
        "headline": HEADLINE,
        "var": None,
        "es": None,
        "step_s": settings.step_ns // 1_000_000_000,
        "step_var": None,
        "methods": [],
        "components": [],
        "holdings": [
            {"symbol": one.symbol, "quantity": f"{one.quantity.normalize():f}", "mark": f"{one.mark.normalize():f}"}
            for one in inputs.holdings
        ],
        "exposure": plain_exposure(held),
        "stress": [_stress_row(one) for one in stresses(inputs, model, settings)],
    }
    if model is not None:
        report |= _value_at_risk(inputs, model, settings)
    return report


def _value_at_risk(inputs: Inputs, model: Model, settings: Settings) -> dict[str, Any]:
    values = worth(inputs.holdings, model.symbols)
    scale = math.sqrt(settings.horizon_ns / model.interval_ns)
    step = math.sqrt(settings.step_ns / model.interval_ns)
    bar = portfolio.parametric(values, model.covariance, settings.confidence)
    return {
        "var": money_text(bar.var * scale),
        "es": money_text(bar.es * scale),
        "step_var": money_text(bar.var * step),
        "scaled_by": round(scale, 6),
        "methods": [_method_row(name, found, scale) for name, found in _methods(model, values, settings).items()],
        "components": _components(inputs, model, values, settings, scale),
    }


def _methods(model: Model, values: Floats, settings: Settings) -> dict[str, TailRisk | str]:
    if not values.any():
        return dict.fromkeys(METHODS, TailRisk(0.0, 0.0))
    return tails(model, values, settings)


def _method_row(name: str, found: TailRisk | str, scale: float) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "label": METHODS[name], "var": None, "es": None, "detail": ""}
    if isinstance(found, str):
        return {**row, "detail": found}
    return {**row, "var": money_text(found.var * scale), "es": money_text(found.es * scale)}


def _components(inputs: Inputs, model: Model, values: Floats, settings: Settings, scale: float) -> list[dict[str, Any]]:
    var = portfolio.component_var(values, model.covariance, settings.confidence)
    es = portfolio.component_es(values, model.returns, settings.confidence)
    held = {one.symbol for one in inputs.holdings if one.quantity}
    return [
        {
            "symbol": symbol,
            "value": money_text(float(values[i])),
            "var": money_text(float(var.parts[i]) * scale),
            "share": round(float(var.parts[i] / var.total), 6) if var.total else 0.0,
            "historical_es": money_text(float(es.parts[i]) * scale),
            "alone": money_text(
                portfolio.parametric([values[i]], model.covariance[i : i + 1, i : i + 1], settings.confidence).var
                * scale
            ),
        }
        for i, symbol in enumerate(model.symbols)
        if symbol in held
    ]


def _stress_row(found: stress.StressResult) -> dict[str, Any]:
    return {
        "name": found.name,
        "kind": found.kind.value,
        "outcome": found.outcome.value,
        "detail": found.detail,
        "total": None if found.total is None else money_text(found.total),
        "positions": {symbol: money_text(gain) for symbol, gain in found.positions.items()},
    }
