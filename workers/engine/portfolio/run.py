"""One rebalance from its inputs to its trades: estimate, optimise, keep within bands, round to lots, preview.

Pure: the same policy, book and history give the same answer. Importing this module imports the solver.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

import msgspec
import numpy as np

from workers.engine.instruments import MONEY_PER_UNIT, Instrument, from_money
from workers.engine.portfolio import covariance, lots
from workers.engine.portfolio.black_litterman import BlackLitterman
from workers.engine.portfolio.hierarchical import HierarchicalRiskParity
from workers.engine.portfolio.methods import (
    MaximumSharpe,
    MeanVariance,
    MinimumCVaR,
    MinimumVariance,
    RiskBudget,
    TargetReturn,
    TargetRisk,
)
from workers.engine.portfolio.policy import RebalancePolicy, digest_of, least_notional, policy_data
from workers.engine.portfolio.problem import Allocation, Floats, Optimizer, PortfolioError, Problem, Status
from workers.engine.portfolio.rebalance import Trade, clean, due, trades, within_bands

FEE_SCALE: Final = 10**8
YEAR_NS: Final = 365 * 86_400 * 1_000_000_000


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument of the book: ``lots`` held and ``price`` in ticks."""

    instrument: Instrument
    lots: int
    price: int

    @property
    def value(self) -> int:
        """Money units of one lot."""
        return self.price * self.instrument.lot_value


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """What is held, and free cash in money units; all in one quote asset."""

    held: tuple[Held, ...]
    cash: int

    @property
    def equity(self) -> int:
        return self.cash + sum(one.lots * one.value for one in self.held)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came out, in plain types: amounts of money as decimal text, weights and statistics as floats."""

    status: str
    why: str
    inputs_digest: str
    equity: str
    current: dict[str, float]
    weights: dict[str, float]
    """The optimiser's, before bands and lots."""
    targets: dict[str, dict[str, Any]]
    trades: list[dict[str, Any]]
    cost: str
    cash: str
    due: list[str]
    drift: float
    statistics: dict[str, Any]
    certificate: dict[str, Any] | None
    binding: list[str]
    conflict: dict[str, Any] | None
    rounding: dict[str, Any]


def optimizer_of(policy: RebalancePolicy) -> Optimizer:
    """The optimiser that the policy names, with its parameters."""
    target = 0.0 if policy.target is None else policy.target
    made: dict[str, Any] = {
        "minimum_variance": MinimumVariance,
        "mean_variance": lambda: MeanVariance(policy.aversion),
        "target_return": lambda: TargetReturn(target),
        "target_risk": lambda: TargetRisk(target),
        "maximum_sharpe": MaximumSharpe,
        "risk_budget": lambda: RiskBudget(policy.budgets),
        "hrp_single": lambda: HierarchicalRiskParity("single"),
        "hrp_ward": lambda: HierarchicalRiskParity("ward"),
        "black_litterman": lambda: BlackLitterman(
            policy.market or {}, policy.views, aversion=policy.aversion, tau=policy.tau
        ),
        "minimum_cvar": lambda: MinimumCVaR(policy.level),
    }
    optimizer: Optimizer = made[policy.method]()
    return optimizer


def returns_of(closes: Floats, symbols: tuple[str, ...]) -> Floats:
    """Simple returns (T - 1, n) of closes (T, n) that belong to the same times; PortfolioError for a bad close."""
    if closes.ndim != 2 or closes.shape[1] != len(symbols) or len(closes) < 3:
        raise PortfolioError(f"expected closes of shape (3 or more, {len(symbols)}), was {closes.shape}")
    bad = np.argwhere(~(np.isfinite(closes) & (closes > 0)))
    if bad.size:
        row, column = (int(i) for i in bad[0])
        raise PortfolioError(f"expected a finite positive close, was {closes[row, column]} ({symbols[column]}, {row})")
    return np.asarray(closes[1:] / closes[:-1] - 1.0, np.float64)


def problem_of(policy: RebalancePolicy, book: Book, closes: Floats, interval_ns: int) -> tuple[Problem, Any]:
    """The problem, annual, and the covariance estimate that it was made of."""
    symbols = tuple(one.instrument.symbol for one in book.held)
    if book.equity <= 0:
        raise PortfolioError(f"expected positive equity, was {from_money(book.equity)}")
    returns, year = returns_of(closes, symbols), YEAR_NS / interval_ns
    estimate = (
        covariance.ewma(returns, policy.decay)
        if policy.covariance == "ewma"
        else covariance.METHODS[policy.covariance](returns)
    )
    repaired = covariance.repair(estimate.matrix)
    estimate = replace(repaired, shrinkage=estimate.shrinkage)
    mean = returns.mean(axis=0) * year
    if policy.mean is not None:
        missing = [symbol for symbol in symbols if symbol not in policy.mean]
        if missing:
            raise PortfolioError(f"expected a mean for {', '.join(missing)}")
        mean = np.array([policy.mean[symbol] for symbol in symbols])
    current = np.array([one.lots * one.value / book.equity for one in book.held])
    problem = Problem(
        symbols=symbols,
        covariance=estimate.matrix * year,
        mean=mean,
        scenarios=returns,
        current=current,
        constraints=policy.constraints,
        riskless=policy.riskless,
    )
    return problem, estimate


def rebalance(
    policy: RebalancePolicy, book: Book, closes: Floats, *, interval_ns: int, now: int, last: int | None = None
) -> Outcome:
    """Weights, targets and trades. Unless the optimiser found the book, the old one is kept and there are no trades.

    ``closes`` (T, n) in the order of ``book.held``; ``last`` is when the book was last rebalanced (ns), for the bands.
    Raises PortfolioError for inputs that cannot be used.
    """
    problem, estimate = problem_of(policy, book, closes, interval_ns)
    answer = optimizer_of(policy).solve(problem)
    current = dict(zip(problem.symbols, problem.current.tolist(), strict=True))
    wanted = clean(answer.by_symbol()) if answer.status is Status.OPTIMAL else current
    trigger = due(current, wanted, policy.bands, now=now, last=last)
    goal = within_bands(current, wanted, policy.bands) if trigger else current
    moves = answer.status is Status.OPTIMAL and bool(trigger)
    rounded, proposed = _rounded(policy, book, goal) if moves else (None, [])
    made = [trade for trade in proposed if trade.lots]
    after = {one.instrument.symbol: one.lots for one in book.held}
    for trade in made:
        after[trade.symbol] += trade.lots
    return Outcome(
        status=answer.status.value,
        why=answer.why,
        inputs_digest=inputs_digest(policy, book, closes),
        equity=_text(book.equity),
        current=current,
        weights=answer.by_symbol(),
        targets=_targets(book, goal, after),
        trades=[_trade_row(book, trade) for trade in proposed],
        cost=_text(sum(trade.cost for trade in made)),
        cash=_text(_cash_after(book, made)),
        due=list(trigger.reasons),
        drift=trigger.drift,
        statistics=_statistics(answer, estimate),
        certificate=None if answer.certificate is None else vars(answer.certificate),
        binding=list(answer.binding),
        conflict=None if answer.conflict is None else {"sets": answer.conflict.sets, "give": answer.conflict.give},
        rounding={} if rounded is None else _rounding_row(rounded),
    )


def inputs_digest(policy: RebalancePolicy, book: Book, closes: Floats) -> str:
    """Digest of everything that the answer depends on."""
    history = digest_of([float(value).hex() for value in closes.ravel()])
    return digest_of([policy_data(policy), msgspec.to_builtins(book), list(closes.shape), history])


def _rounded(policy: RebalancePolicy, book: Book, goal: dict[str, float]) -> tuple[lots.Rounded | None, list[Trade]]:
    """Whole lots and trades; a book with shorts is rounded towards nought, lot by lot."""
    floor = int(least_notional(policy) * MONEY_PER_UNIT)
    values = {one.instrument.symbol: one.value for one in book.held}
    fees = {one.instrument.symbol: _fee_rate(one.instrument) for one in book.held}
    least = {one.instrument.symbol: max(floor, _smallest(one)) for one in book.held}
    held = {one.instrument.symbol: one.lots for one in book.held}
    if any(weight < 0 for weight in goal.values()) or any(count < 0 for count in held.values()):
        wanted = {symbol: int(goal[symbol] * book.equity / values[symbol]) for symbol in held}
        return None, trades(held, wanted, values=values, fee_rates=fees, least=least)
    pieces = [
        lots.Lot(symbol, values[symbol], held=count, fee_rate=fees[symbol], least=least[symbol])
        for symbol, count in held.items()
    ]
    reserve = int(book.equity * (policy.constraints.cash or 0.0))
    spare = min(reserve, book.cash)
    method = lots.exact if policy.rounding == "exact" else lots.greedy
    found = method(pieces, [goal[symbol] for symbol in held], equity=book.equity, cash=book.cash, reserve=spare)
    return found, trades(held, found.lots, values=values, fee_rates=fees, least=least)


def _smallest(one: Held) -> int:
    return max(one.instrument.min_notional_money, one.instrument.min_lots * one.value)


def _fee_rate(item: Instrument) -> int:
    rate = max(item.taker_fee, item.maker_fee) * FEE_SCALE
    return max(int(rate.to_integral_value(ROUND_CEILING)), 0)


def _targets(book: Book, goal: dict[str, float], after: dict[str, int]) -> dict[str, dict[str, Any]]:
    """Per symbol: the weight that was wanted, lots and quantity after the trades, and the weight that these make."""
    return {
        one.instrument.symbol: {
            "wanted": goal[one.instrument.symbol],
            "weight": after[one.instrument.symbol] * one.value / book.equity,
            "quantity": _plain(one.instrument.quantity(after[one.instrument.symbol])),
            "price": _plain(one.instrument.price(one.price)),
        }
        for one in book.held
    }


def _trade_row(book: Book, trade: Trade) -> dict[str, Any]:
    item = next(one.instrument for one in book.held if one.instrument.symbol == trade.symbol)
    return {
        "symbol": trade.symbol,
        "side": "BUY" if trade.lots > 0 else "SELL" if trade.lots < 0 else "",
        "quantity": _plain(item.quantity(abs(trade.lots))),
        "notional": _text(trade.notional),
        "cost": _text(trade.cost),
        "why": trade.why,
    }


def _cash_after(book: Book, made: list[Trade]) -> int:
    spent = sum(trade.notional if trade.lots > 0 else -trade.notional for trade in made)
    return book.cash - spent - sum(trade.cost for trade in made)


def _statistics(answer: Allocation, estimate: covariance.Estimate) -> dict[str, Any]:
    return {
        "volatility": answer.volatility,
        "expected": answer.expected,
        "turnover": answer.turnover,
        "shrinkage": estimate.shrinkage,
        "covariance_repaired": estimate.repaired,
        **answer.details,
    }


def _rounding_row(found: lots.Rounded) -> dict[str, Any]:
    return {"method": found.method, "gap": found.gap, "bound": found.bound, "optimal": found.optimal}


def _text(units: int) -> str:
    return _plain(from_money(units))


def _plain(value: Decimal) -> str:
    """A decimal without exponent or trailing zeros."""
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if text not in ("", "-0") else "0"
