"""Rules about risk reports that need no database: how a report turned out, and what proposed orders would change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from apps.trading.domain.states import Signal
from workers.engine.risk import report as engine
from workers.engine.risk.measures import backtest

GAP_STEPS: Final = 3
"""A report that comes later than so many steps after the one before says nothing about its step's value at risk."""


class Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is only asked about; ``price`` None means at the mark."""

    symbol: str
    side: int
    quantity: Decimal
    price: Decimal | None = None


class ProposalError(ValueError):
    """A proposed order that cannot be judged; ``index`` says which, ``field`` what."""

    def __init__(self, index: int, field: str, problem: str) -> None:
        super().__init__(f"orders[{index}].{field}: {problem}")
        self.index, self.field, self.problem = index, field, problem


def decimal_or_none(text: str | None) -> Decimal | None:
    """A decimal from a report's text."""
    return None if text is None else Decimal(text)


def result_since(before: engine.Inputs | None, now: engine.Inputs, step_ns: int) -> Decimal | None:
    """What the holdings of ``before`` made at the marks of ``now``; None after a gap or without a mark."""
    if before is None or not 0 < now.at - before.at <= GAP_STEPS * step_ns:
        return None
    marks = {one.symbol: one.mark for one in now.holdings}
    held = [one for one in before.holdings if one.quantity]
    if any(one.symbol not in marks for one in held):
        return None
    return sum((one.quantity * (marks[one.symbol] - one.mark) for one in held), Decimal(0))


def is_breach(pnl: Decimal | None, step_var: Decimal | None) -> bool | None:
    """True when the result lost more than was foretold; None when nothing was, or nothing was at risk."""
    if pnl is None or not step_var:
        return None
    return -pnl > step_var


def is_above(var: Decimal | None, limit: Decimal | None) -> bool:
    """True when the value at risk exceeds a published limit."""
    return var is not None and limit is not None and var > limit


def var_signal(venue: str, *, above: bool, before: bool, var: Decimal | None, limit: Decimal | None) -> Signal | None:
    """Raised with every report above the limit, cleared by the first that is not; None where nothing changed."""
    fingerprint = f"limit_breach:{venue}:VAR_REPORTED"
    if not above:
        return Signal(fingerprint, raised=False) if before else None
    return Signal(
        fingerprint,
        raised=True,
        kind="limit_breach",
        severity="warning",
        title=f"Value at risk is above its limit on {venue}",
        detail=f"The newest report says {var:.2f}, the limit is {limit:.2f}. Reduce or hedge: see the page Risk.",
        evidence={"var": str(var), "limit": str(limit)},
    )


def coverage(flags: Sequence[bool], confidence: float) -> dict[str, Any]:
    """Backtests of the value at risk over the newest comparisons, oldest first."""
    count, failures = len(flags), sum(flags)
    made: dict[str, Any] = {
        "count": count,
        "failures": failures,
        "expected": round(count * (1 - confidence), 4),
        "kupiec": None,
        "christoffersen": None,
        "conditional": None,
        "zone": None,
        "probability": None,
    }
    if count < 2:
        return made
    pairs = backtest.transitions(flags)
    light = backtest.traffic_light(count, failures, confidence)
    return made | {
        "kupiec": _row(backtest.kupiec(count, failures, confidence)),
        "christoffersen": _row(backtest.christoffersen(pairs)),
        "conditional": _row(backtest.conditional_coverage(count, failures, pairs, confidence)),
        "zone": light.zone.value,
        "probability": round(light.probability, 6),
    }


def _row(found: backtest.Coverage) -> dict[str, float]:
    return {"statistic": round(found.statistic, 6), "p_value": round(found.p_value, 6)}


def with_orders(inputs: engine.Inputs, orders: Sequence[Proposed]) -> engine.Inputs:
    """``inputs`` as if all ``orders`` had been filled at their price, or at the mark; fees are left out.

    ProposalError for an instrument without a mark.
    """
    holdings = {one.symbol: one for one in inputs.holdings}
    cash = dict(inputs.cash)
    for index, order in enumerate(orders):
        held = holdings.get(order.symbol)
        if held is None:
            known = ", ".join(holdings) or "none"
            raise ProposalError(index, "symbol", f"expected an instrument with a price ({known}), was {order.symbol!r}")
        signed = order.side * order.quantity
        holdings[order.symbol] = msgspec.structs.replace(held, quantity=held.quantity + signed)
        cash[inputs.quote] = cash.get(inputs.quote, Decimal(0)) - signed * (order.price or held.mark)
    return msgspec.structs.replace(inputs, holdings=tuple(holdings.values()), cash=cash)


def moved(inputs: engine.Inputs, positions: Mapping[str, Decimal], cash: Decimal) -> engine.Inputs:
    """``inputs`` with the quantities and the cash of now, at the marks of then."""
    holdings = tuple(
        msgspec.structs.replace(one, quantity=positions.get(one.symbol, Decimal(0))) for one in inputs.holdings
    )
    return msgspec.structs.replace(inputs, holdings=holdings, cash={inputs.quote: cash})


def compare(before: engine.Inputs, after: engine.Inputs, settings: engine.Settings) -> dict[str, Any]:
    """Both assessments, and what changes: value at risk, shortfall and each scenario."""
    one, other = engine.assess(before, settings), engine.assess(after, settings)
    changes = [
        {
            "name": new["name"],
            "before": old["total"],
            "after": new["total"],
            "change": _change(old["total"], new["total"]),
        }
        for old, new in zip(one["stress"], other["stress"], strict=True)
    ]
    names = ("status", "detail", "var", "es", "methods", "exposure", "components")
    return {
        "confidence": one["confidence"],
        "horizon_s": one["horizon_s"],
        "quote": one["quote"],
        "before": {name: one[name] for name in names},
        "after": {name: other[name] for name in names},
        "incremental_var": _change(one["var"], other["var"]),
        "incremental_es": _change(one["es"], other["es"]),
        "stress": changes,
    }


def _change(before: str | None, after: str | None) -> str | None:
    return None if before is None or after is None else engine.money_text(float(Decimal(after) - Decimal(before)))
