"""Black-Litterman: equilibrium returns, views, and the book that both ask for (He and Litterman 1999)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from workers.engine.portfolio.methods import MeanVariance
from workers.engine.portfolio.problem import Allocation, Floats, PortfolioError, Problem, View


@dataclass(frozen=True)
class Posterior:
    """Mean (n,) and covariance (n, n) of returns after the views; ``covariance`` holds the uncertainty of the mean."""

    equilibrium: Floats
    mean: Floats
    covariance: Floats


def posterior(
    covariance: Floats,
    market: Floats,
    views: tuple[View, ...],
    symbols: tuple[str, ...],
    *,
    aversion: float = 2.5,
    tau: float = 0.05,
) -> Posterior:
    """Equilibrium aversion * C w, then the views by Bayes (He and Litterman, equations 8 to 10).

    ``market`` are the equilibrium weights (n,). Raises PortfolioError for a view on an unknown symbol, without any
    weight, or with a variance that is not positive.
    """
    if not (aversion > 0 and tau > 0):
        raise PortfolioError(f"expected a positive risk aversion and tau, was {aversion} and {tau}")
    equilibrium = aversion * covariance @ market
    if not views:
        return Posterior(equilibrium, equilibrium, (1.0 + tau) * covariance)
    picks = np.array([_row(view, symbols) for view in views])
    spread = tau * picks @ covariance @ picks.T
    omega = np.diag([own if (own := view.variance) is not None else spread[i, i] for i, view in enumerate(views)])
    if not (np.diag(omega) > 0).all():
        raise PortfolioError(f"expected views with positive variances, was {np.diag(omega).tolist()}")
    gain = np.linalg.solve(spread + omega, tau * picks @ covariance).T
    surprise = np.array([view.expected for view in views]) - picks @ equilibrium
    uncertainty = tau * covariance - gain @ (tau * picks @ covariance)
    total = covariance + uncertainty
    return Posterior(equilibrium, equilibrium + gain @ surprise, (total + total.T) / 2)


def _row(view: View, symbols: tuple[str, ...]) -> Floats:
    unknown = sorted(set(view.weights) - set(symbols))
    if unknown or not any(view.weights.values()) or not math.isfinite(view.expected):
        raise PortfolioError(f"expected a finite view on symbols of the problem, was {view}")
    return np.array([view.weights.get(symbol, 0.0) for symbol in symbols])


class BlackLitterman:
    """Mean-variance on the posterior. ``market`` are equilibrium weights by symbol; the problem's mean is not used."""

    name = "black_litterman"

    def __init__(
        self,
        market: Mapping[str, float],
        views: tuple[View, ...] = (),
        *,
        aversion: float = 2.5,
        tau: float = 0.05,
    ) -> None:
        self.market = dict(market)
        self.views = views
        self.tau = tau
        self._inner = MeanVariance(aversion)

    def solve(self, problem: Problem) -> Allocation:
        """The book of the posterior, within the problem's constraints; volatility is by the posterior covariance."""
        missing = [symbol for symbol in problem.symbols if symbol not in self.market]
        if missing:
            raise PortfolioError(f"expected an equilibrium weight for {', '.join(missing)}")
        market = np.array([self.market[symbol] for symbol in problem.symbols])
        after = posterior(
            problem.covariance, market, self.views, problem.symbols, aversion=self._inner.aversion, tau=self.tau
        )
        answer = self._inner.solve(replace(problem, mean=after.mean, covariance=after.covariance))
        told = {
            "equilibrium": dict(zip(problem.symbols, after.equilibrium.tolist(), strict=True)),
            "posterior": dict(zip(problem.symbols, after.mean.tolist(), strict=True)),
        }
        return replace(answer, method=self.name, details=told)
