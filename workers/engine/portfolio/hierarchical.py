"""Hierarchical risk parity (Lopez de Prado, J. Portfolio Management 42, 2016): a tree instead of an inverse."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Literal

import numpy as np
from cvxpy.atoms.sum_squares import sum_squares
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from workers.engine.portfolio.convex import Convex, Frame
from workers.engine.portfolio.problem import (
    TOLERANCE,
    Allocation,
    Floats,
    PortfolioError,
    Problem,
    Status,
    describe,
    slacks,
)

Linkage = Literal["single", "ward"]
LINKAGES: Final[tuple[Linkage, ...]] = ("single", "ward")


def correlation(covariance: Floats) -> Floats:
    """Correlation of a covariance with positive variances."""
    scale = np.sqrt(np.diag(covariance))
    if not (scale > 0).all():
        raise PortfolioError(f"expected positive variances, was {float(np.diag(covariance).min())}")
    return np.asarray(np.clip(covariance / np.outer(scale, scale), -1.0, 1.0), np.float64)


def order_of_leaves(correlations: Floats, link: Linkage) -> list[int]:
    """Columns in the order of the tree on the distance sqrt((1 - correlation) / 2)."""
    distance = np.sqrt(np.clip((1.0 - correlations) / 2, 0.0, 1.0))
    np.fill_diagonal(distance, 0.0)
    condensed = squareform((distance + distance.T) / 2, checks=False)
    return [int(i) for i in leaves_list(linkage(condensed, link))]


def bisected(covariance: Floats, leaves: list[int]) -> Floats:
    """Weights by recursive bisection: each half gets the other half's share of the inverse-variance risk."""
    weights = np.ones(len(covariance))
    waiting: deque[list[int]] = deque([leaves])
    while waiting:
        items = waiting.popleft()
        if len(items) < 2:
            continue
        left, right = items[: len(items) // 2], items[len(items) // 2 :]
        risks = [_cluster_variance(covariance, half) for half in (left, right)]
        share = 1.0 - risks[0] / (risks[0] + risks[1])
        weights[left] *= share
        weights[right] *= 1.0 - share
        waiting += (left, right)
    return weights


def _cluster_variance(covariance: Floats, items: list[int]) -> float:
    part = covariance[np.ix_(items, items)]
    weights = 1.0 / np.diag(part)
    weights /= weights.sum()
    return float(weights @ part @ weights)


class Nearest(Convex):
    """The allowed book with the least sum of squared distances from ``wanted``."""

    name = "nearest"

    def __init__(self, wanted: Floats) -> None:
        super().__init__()
        self.wanted = wanted

    def objective(self, frame: Frame, problem: Problem) -> tuple[Any, list[Any]]:
        return sum_squares(frame.scaled - frame.parameter("wanted", problem.size)), []

    def numbers(self, problem: Problem) -> dict[str, Any]:  # noqa: ARG002 - the wish is our own
        return {"wanted": self.wanted}


class HierarchicalRiskParity:
    """HRP on single or Ward linkage. A tree knows no constraints: where its book breaks some, the nearest allowed
    book is taken, and ``details`` reports how far that is (``moved``, sum of |w - tree|)."""

    def __init__(self, link: Linkage = "single") -> None:
        if link not in LINKAGES:
            raise PortfolioError(f"expected a linkage of {', '.join(LINKAGES)}, was {link!r}")
        self.link = link

    @property
    def name(self) -> str:
        return f"hrp_{self.link}"

    def _tree(self, problem: Problem) -> Floats:
        if problem.size == 1:
            return np.ones(1)
        alike = correlation(problem.covariance) if problem.correlation is None else problem.correlation
        return bisected(problem.covariance, order_of_leaves(alike, self.link))

    def solve(self, problem: Problem) -> Allocation:
        """The tree's book, moved to the nearest allowed one where it must be."""
        tree = self._tree(problem)
        worst = max((-room for _, room in slacks(problem, tree)), default=0.0)
        if worst <= TOLERANCE:
            return describe(problem, tree, method=self.name, status=Status.OPTIMAL, details={"moved": 0.0})
        near = Nearest(tree).solve(problem)
        moved = float(np.abs(near.weights - tree).sum())
        return describe(
            problem,
            near.weights,
            method=self.name,
            status=near.status,
            certificate=near.certificate,
            conflict=near.conflict,
            why=near.why,
            details={"moved": moved} if near.status is Status.OPTIMAL else {},
        )
