"""The convex optimisers: minimum variance, mean-variance in three forms, maximum Sharpe, risk budgets, minimum CVaR.

Numbers are scaled before they reach the solver, so that minute returns and annual ones are solved equally well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import cvxpy as cp
import numpy as np
from cvxpy.atoms.affine.sum import sum as total
from cvxpy.atoms.elementwise.log import log
from cvxpy.atoms.sum_squares import sum_squares

from workers.engine.portfolio.convex import Convex, Frame, Shape, factor
from workers.engine.portfolio.problem import Floats, PortfolioError, Problem, costs_of, per_symbol

SCALE_PRICE: Final = 1e-8
"""Where a ratio leaves the size of the book open, this pull takes the largest book that the constraints allow."""


def scale_of(covariance: Floats) -> float:
    """Mean variance."""
    return float(np.trace(covariance)) / len(covariance)


def risk_shares(weights: Floats, covariance: Floats) -> Floats:
    """Share of each weight in the variance, w_i (Cw)_i / w'Cw: the Euler allocation; zeros for a book without risk."""
    pulled = weights * (covariance @ weights)
    whole = float(pulled.sum())
    return pulled / whole if whole > 0 else np.zeros(len(weights))


def _trading_cost(frame: Frame, size: int) -> Any:
    """Cost of trading in the objective, or nothing where nothing costs."""
    if not frame.shape[-1]:
        return 0.0
    return frame.parameter("objective cost", size, nonneg=True) @ frame.traded


class MinimumVariance(Convex):
    """Least w'Cw (Markowitz 1952)."""

    name = "minimum_variance"

    def objective(self, frame: Frame, problem: Problem) -> tuple[Any, list[Any]]:
        return sum_squares(frame.parameter("factor", (problem.size, problem.size)) @ frame.scaled), []

    def numbers(self, problem: Problem) -> dict[str, Any]:
        return {"factor": factor(problem.covariance / scale_of(problem.covariance))}


class MeanVariance(Convex):
    """Most m'w - cost - aversion/2 w'Cw."""

    name = "mean_variance"

    def __init__(self, aversion: float = 1.0) -> None:
        super().__init__()
        if not (math.isfinite(aversion) and aversion > 0):
            raise PortfolioError(f"expected a positive risk aversion, was {aversion}")
        self.aversion = aversion

    def objective(self, frame: Frame, problem: Problem) -> tuple[Any, list[Any]]:
        size = problem.size
        risk = sum_squares(frame.parameter("factor", (size, size)) @ frame.scaled)
        return risk - frame.parameter("mean", size) @ frame.scaled + _trading_cost(frame, size), []

    def numbers(self, problem: Problem) -> dict[str, Any]:
        mean, half = problem.need_mean(self.name), self.aversion / 2
        unit = max(half * scale_of(problem.covariance), float(np.abs(mean).max()))
        return {
            "factor": factor(problem.covariance * (half / unit)),
            "mean": mean / unit,
            "objective cost": costs_of(problem.constraints, problem.symbols) / unit,
        }


class TargetReturn(Convex):
    """Least w'Cw with m'w - cost of at least ``target``."""

    name = "target_return"

    def __init__(self, target: float) -> None:
        super().__init__()
        if not math.isfinite(target):
            raise PortfolioError(f"expected a finite target return, was {target}")
        self.target = target

    def objective(self, frame: Frame, problem: Problem) -> tuple[Any, list[Any]]:
        size = problem.size
        gained = frame.parameter("mean", size) @ frame.scaled - _trading_cost(frame, size)
        risk = sum_squares(frame.parameter("factor", (size, size)) @ frame.scaled)
        return risk, [gained >= frame.parameter("target")]

    def numbers(self, problem: Problem) -> dict[str, Any]:
        mean = problem.need_mean(self.name)
        unit = max(float(np.abs(mean).max()), abs(self.target)) or 1.0
        return {
            "factor": factor(problem.covariance / scale_of(problem.covariance)),
            "mean": mean / unit,
            "target": self.target / unit,
            "objective cost": costs_of(problem.constraints, problem.symbols) / unit,
        }

    def refusal(self, problem: Problem) -> str:
        best = float(problem.need_mean(self.name).max())
        return f"no allowed book earns {self.target:.6g} after costs; the best single asset earns {best:.6g}"


class TargetRisk(Convex):
    """Most m'w - cost with a volatility of at most ``target``."""

    name = "target_risk"

    def __init__(self, target: float) -> None:
        super().__init__()
        if not (math.isfinite(target) and target > 0):
            raise PortfolioError(f"expected a positive target volatility, was {target}")
        self.target = target

    def objective(self, frame: Frame, problem: Problem) -> tuple[Any, list[Any]]:
        size = problem.size
        gained = frame.parameter("mean", size) @ frame.scaled - _trading_cost(frame, size)
        return -gained, [cp.SOC(cp.Constant(1.0), frame.parameter("factor", (size, size)) @ frame.scaled)]

    def numbers(self, problem: Problem) -> dict[str, Any]:
        mean = problem.need_mean(self.name)
        unit = float(np.abs(mean).max()) or 1.0
        return {
            "factor": factor(problem.covariance) / self.target,
            "mean": mean / unit,
            "objective cost": costs_of(problem.constraints, problem.symbols) / unit,
        }

    def refusal(self, problem: Problem) -> str:
        least = MinimumVariance().solve(problem).volatility
        return f"no allowed book has a volatility of {self.target:.6g} or less; the least is {least:.6g}"


class MaximumSharpe(Convex):
    """Most (m'w - riskless'w - cost) / volatility, by Charnes and Cooper (1962); cash earns the riskless rate.

    Where the constraints leave the size of the book open, the largest allowed book of the best direction.
    """

    name = "maximum_sharpe"
    homogeneous = True

    def objective(self, frame: Frame, problem: Problem) -> tuple[Any, list[Any]]:
        size = problem.size
        gained = frame.parameter("mean", size) @ frame.scaled - _trading_cost(frame, size)
        risk = sum_squares(frame.parameter("factor", (size, size)) @ frame.scaled)
        return risk + frame.parameter("scale price", nonneg=True) * frame.kappa, [gained >= 1.0]

    def numbers(self, problem: Problem) -> dict[str, Any]:
        excess = problem.need_mean(self.name) - problem.riskless
        unit = float(np.abs(excess).max()) or 1.0
        return {
            "factor": factor(problem.covariance / scale_of(problem.covariance)),
            "mean": excess / unit,
            "objective cost": costs_of(problem.constraints, problem.symbols) / unit,
            "scale price": scale_price(problem),
        }

    def refusal(self, problem: Problem) -> str:
        return f"no allowed book earns more than the riskless rate of {problem.riskless:.6g} after costs"

    def details(self, problem: Problem, weights: Floats) -> dict[str, Any]:
        excess = float((problem.need_mean(self.name) - problem.riskless) @ weights)
        risk = math.sqrt(float(weights @ problem.covariance @ weights))
        return {"sharpe": excess / risk if risk > 0 else None}


class RiskBudget(Convex):
    """Long-only weights whose shares in the variance are ``budgets``: least y'Cy/2 - b'log y, w = y / sum y.

    By the log barrier (Spinu 2013; Richard and Roncalli 2019). Where a bound binds, the shares cannot all be met:
    ``details`` says by how much they miss. Equal budgets unless given by symbol; they are normalised to sum 1.
    """

    name = "risk_budget"
    homogeneous = True

    def __init__(self, budgets: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.budgets = None if budgets is None else dict(budgets)

    def shares(self, symbols: tuple[str, ...]) -> Floats:
        """Budgets in order of ``symbols``; PortfolioError unless each has a positive one."""
        wanted = np.ones(len(symbols)) if self.budgets is None else per_symbol(self.budgets, symbols, 0.0)
        if not (np.isfinite(wanted).all() and (wanted > 0).all()):
            short = [s for s, share in zip(symbols, wanted, strict=True) if not share > 0]
            raise PortfolioError(f"expected a positive risk budget for every symbol, was none for {', '.join(short)}")
        return np.asarray(wanted / wanted.sum(), np.float64)

    def objective(self, frame: Frame, problem: Problem) -> tuple[Any, list[Any]]:
        size = problem.size
        risk = sum_squares(frame.parameter("factor", (size, size)) @ frame.scaled) / 2
        barrier = frame.parameter("budgets", size, nonneg=True) @ log(frame.scaled)
        return risk - barrier + frame.parameter("scale price", nonneg=True) * frame.kappa, []

    def numbers(self, problem: Problem) -> dict[str, Any]:
        return {
            "factor": factor(problem.covariance / scale_of(problem.covariance)),
            "budgets": self.shares(problem.symbols),
            "scale price": scale_price(problem),
        }

    def refusal(self, problem: Problem) -> str:  # noqa: ARG002 - the same for every problem
        return "no allowed book holds some of every symbol, which risk budgets need"

    def details(self, problem: Problem, weights: Floats) -> dict[str, Any]:
        shares = risk_shares(weights, problem.covariance)
        missed = float(np.abs(shares - self.shares(problem.symbols)).max())
        return {"risk_shares": dict(zip(problem.symbols, shares.tolist(), strict=True)), "missed": missed}


class MinimumCVaR(Convex):
    """Least mean loss beyond the ``level`` quantile of the scenarios, after costs (Rockafellar and Uryasev 2000)."""

    name = "minimum_cvar"

    def __init__(self, level: float = 0.95) -> None:
        super().__init__()
        if not 0.0 < level < 1.0:
            raise PortfolioError(f"expected a level in (0, 1), was {level}")
        self.level = level

    def extra_shape(self, problem: Problem) -> Shape:
        return (len(self._scenarios(problem)), self.level)

    def _scenarios(self, problem: Problem) -> Floats:
        if problem.scenarios is None or not len(problem.scenarios):
            raise PortfolioError("minimum_cvar needs scenarios, and the problem has none; pass scenarios=")
        return problem.scenarios

    def objective(self, frame: Frame, problem: Problem) -> tuple[Any, list[Any]]:
        count, size = self._scenarios(problem).shape
        quantile, beyond = cp.Variable(), cp.Variable(count, nonneg=True)
        loss = -frame.parameter("scenarios", (count, size)) @ frame.scaled
        tail = quantile + total(beyond) / ((1.0 - self.level) * count)
        return tail + _trading_cost(frame, size), [beyond >= loss - quantile]

    def numbers(self, problem: Problem) -> dict[str, Any]:
        scenarios = self._scenarios(problem)
        unit = float(np.abs(scenarios).max()) or 1.0
        return {
            "scenarios": scenarios / unit,
            "objective cost": costs_of(problem.constraints, problem.symbols) / unit,
        }

    def details(self, problem: Problem, weights: Floats) -> dict[str, Any]:
        return {"cvar": tail_loss(-self._scenarios(problem) @ weights, self.level), "level": self.level}


def tail_loss(losses: Floats, level: float) -> float:
    """Mean of the worst ``1 - level`` of ``losses``, the one at the edge counted in part (Acerbi and Tasche 2002)."""
    worst = np.sort(losses)[::-1]
    count = (1.0 - level) * len(worst)
    whole = int(count)
    part = count - whole
    edge = part * float(worst[whole]) if whole < len(worst) else 0.0
    return (float(worst[:whole].sum()) + edge) / count


def scale_price(problem: Problem) -> float:
    """Nothing where the net limit fixes the size of the book, else the small pull towards the largest one."""
    net = problem.constraints.net
    return 0.0 if net is not None and net[0] == net[1] and net[0] != 0.0 else SCALE_PRICE
