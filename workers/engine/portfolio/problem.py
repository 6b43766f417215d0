"""What an optimiser is asked and what it answers: estimates, constraint sets, and an allocation with its proof.

Weights are fractions of equity; what is not in ``symbols`` is cash, so ``1 - sum(weights) - cost`` is the cash left.
Means, covariance, costs and the riskless rate all belong to one period, whichever the caller chose.
Statistics are floats; ``lots`` turns weights into whole lots.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TOLERANCE: Final = 1e-6
"""Fraction of equity by which a weight may miss a constraint, and within which a constraint counts as binding."""


class PortfolioError(ValueError):
    """A question to an optimiser that cannot be meant: the message names value, place and what to do."""


class Status(StrEnum):
    OPTIMAL = "optimal"
    INACCURATE = "inaccurate"
    """The solver stopped before it reached its tolerances; the old book is kept."""
    INFEASIBLE = "infeasible"
    """No book obeys all constraints; the old book is kept and the conflict is named."""
    UNBOUNDED = "unbounded"
    """Nothing stops the objective from growing; the old book is kept."""


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Net weight of ``members`` together stays within [lower, upper]; None is no bound."""

    name: str
    members: tuple[str, ...]
    lower: float | None = None
    upper: float | None = None


class Constraints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sets of constraints by name: ``lower``, ``upper``, ``net``, ``gross``, ``group <name>``, ``turnover``, ``cash``.

    ``lower`` and ``upper`` bound each weight, one number for all or a number per symbol; None is no bound.
    ``net`` bounds the sum of the weights, ``gross`` the sum of their sizes, ``turnover`` the sum of |w - current|.
    ``cost_bps`` is paid per unit of turnover, one number for all or a number per symbol. ``cash`` is the share of
    equity that stays in cash after costs; None does not look at cash.
    """

    lower: float | dict[str, float] | None = 0.0
    upper: float | dict[str, float] | None = 1.0
    net: tuple[float, float] | None = (1.0, 1.0)
    gross: float | None = None
    groups: tuple[Group, ...] = ()
    turnover: float | None = None
    cost_bps: float | dict[str, float] = 0.0
    cash: float | None = None


class View(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``sum of weights * returns`` is expected to be ``expected``, with ``variance`` about it.

    Without a variance, that of the prior on the same combination: p tau C p'.
    """

    weights: dict[str, float]
    expected: float
    variance: float | None = None


LONG_ONLY: Final = Constraints()
UNCONSTRAINED: Final = Constraints(lower=None, upper=None, net=None)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One question. ``mean`` (n,), ``covariance`` (n, n), ``scenarios`` (T, n) returns, ``current`` (n,) weights.

    ``correlation`` (n, n) is for trees, where it was estimated on other periods than the covariance; pairwise
    estimates are. Without it, the covariance's own.

    Raises PortfolioError for shapes that do not fit, numbers that are not finite, a covariance that is not symmetric
    or not positive semidefinite (``covariance.repair`` says by how much), and constraints on unknown symbols.
    """

    symbols: tuple[str, ...]
    covariance: Floats
    mean: Floats | None = None
    scenarios: Floats | None = None
    correlation: Floats | None = None
    current: Floats = field(default_factory=lambda: np.zeros(0))
    constraints: Constraints = LONG_ONLY
    riskless: float = 0.0

    def __post_init__(self) -> None:
        size = len(self.symbols)
        if not size or len(set(self.symbols)) != size:
            raise PortfolioError(f"expected distinct symbols, was {self.symbols}")
        if not self.current.size:
            object.__setattr__(self, "current", np.zeros(size))
        square = (size, size)
        for name, shape in (("covariance", square), ("correlation", square), ("mean", (size,)), ("current", (size,))):
            _check(name, getattr(self, name), shape)
        if self.scenarios is not None:
            _check("scenarios", self.scenarios, (len(self.scenarios), size))
        _check_covariance(self.covariance)
        _check_constraints(self.symbols, self.constraints)

    @property
    def size(self) -> int:
        return len(self.symbols)

    def need_mean(self, method: str) -> Floats:
        """Expected returns; PortfolioError when ``method`` was given none."""
        if self.mean is None:
            raise PortfolioError(f"{method} needs expected returns, and the problem has none; pass mean=")
        return self.mean


@dataclass(frozen=True)
class Certificate:
    """How good the answer is. ``violation`` is measured on the weights themselves, the rest is the solver's word.

    ``gap`` is the relative duality gap, ``primal`` and ``dual`` the residuals of the KKT conditions.
    """

    violation: float
    gap: float
    primal: float
    dual: float
    iterations: int
    seconds: float


@dataclass(frozen=True)
class Conflict:
    """Constraint sets that cannot hold together: dropping any one of ``sets`` ends this conflict.

    ``give`` says by how much each would have to yield in the cheapest compromise, in fractions of equity (or of the
    set's own unit); sets that need not yield are left out.
    """

    sets: tuple[str, ...]
    give: dict[str, float]

    def __str__(self) -> str:
        words = ", ".join(f"{name} by {amount:.4g}" for name, amount in sorted(self.give.items()))
        return f"{' and '.join(self.sets)} cannot hold together" + (f"; closest: relax {words}" if words else "")


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """An optimiser's answer. Unless ``status`` is optimal, ``weights`` are the old book's, and ``why`` says why."""

    method: str
    status: Status
    symbols: tuple[str, ...]
    weights: Floats
    certificate: Certificate | None = None
    binding: tuple[str, ...] = ()
    conflict: Conflict | None = None
    why: str = ""
    volatility: float
    expected: float | None
    turnover: float
    cost: float
    details: dict[str, Any] = field(default_factory=dict)

    def by_symbol(self) -> dict[str, float]:
        return dict(zip(self.symbols, self.weights.tolist(), strict=True))


class Optimizer(Protocol):
    """Weights from a problem. Implementations keep nothing of one problem that could change the next answer."""

    @property
    def name(self) -> str: ...

    def solve(self, problem: Problem) -> Allocation:
        """The allocation; never raises for a problem without a solution, which is a status."""
        ...


def per_symbol(
    value: float | Mapping[str, float] | None, symbols: tuple[str, ...], missing: float = math.nan
) -> Floats:
    """One number per symbol: from a number for all, a mapping (others get ``missing``), or None (all ``missing``)."""
    if value is None:
        return np.full(len(symbols), missing)
    if isinstance(value, Mapping):
        return np.array([value.get(symbol, missing) for symbol in symbols], np.float64)
    return np.full(len(symbols), float(value))


def costs_of(constraints: Constraints, symbols: tuple[str, ...]) -> Floats:
    """Cost per unit of turnover, as a fraction."""
    return per_symbol(constraints.cost_bps, symbols, 0.0) / 10_000


def slacks(problem: Problem, weights: Floats) -> list[tuple[str, float]]:
    """(name, room left) of every constraint at ``weights``; negative room is a violation, nearly none is binding."""
    constraints, symbols = problem.constraints, problem.symbols
    traded = np.abs(weights - problem.current)
    found: list[tuple[str, float]] = []
    lower, upper = per_symbol(constraints.lower, symbols), per_symbol(constraints.upper, symbols)
    found += [(f"lower {s}", float(r)) for s, r in zip(symbols, weights - lower, strict=True) if not math.isnan(r)]
    found += [(f"upper {s}", float(r)) for s, r in zip(symbols, upper - weights, strict=True) if not math.isnan(r)]
    net = float(weights.sum())
    if constraints.net is not None:
        found += [("net", min(net - constraints.net[0], constraints.net[1] - net))]
    if constraints.gross is not None:
        found += [("gross", constraints.gross - float(np.abs(weights).sum()))]
    for group in constraints.groups:
        held = sum(float(weights[symbols.index(member)]) for member in group.members)
        rooms = [held - group.lower if group.lower is not None else math.inf]
        rooms += [group.upper - held if group.upper is not None else math.inf]
        found += [(f"group {group.name}", min(rooms))]
    if constraints.turnover is not None:
        found += [("turnover", constraints.turnover - float(traded.sum()))]
    if constraints.cash is not None:
        found += [("cash", 1.0 - net - float(costs_of(constraints, symbols) @ traded) - constraints.cash)]
    return found


def describe(
    problem: Problem,
    weights: Floats,
    *,
    method: str,
    status: Status,
    certificate: Certificate | None = None,
    conflict: Conflict | None = None,
    why: str = "",
    details: dict[str, Any] | None = None,
) -> Allocation:
    """The allocation of ``weights`` with everything that follows from them; the old book's unless optimal."""
    kept = weights if status is Status.OPTIMAL else problem.current
    traded = np.abs(kept - problem.current)
    binding = tuple(name for name, room in slacks(problem, kept) if abs(room) <= TOLERANCE)
    return Allocation(
        method=method,
        status=status,
        symbols=problem.symbols,
        weights=kept,
        certificate=certificate,
        binding=binding if status is Status.OPTIMAL else (),
        conflict=conflict,
        why=why,
        volatility=math.sqrt(max(float(kept @ problem.covariance @ kept), 0.0)),
        expected=None if problem.mean is None else float(problem.mean @ kept),
        turnover=float(traded.sum()),
        cost=float(costs_of(problem.constraints, problem.symbols) @ traded),
        details=details or {},
    )


def _check(name: str, values: Floats | None, shape: tuple[int, ...]) -> None:
    if values is None:
        return
    if values.shape != shape:
        raise PortfolioError(f"expected {name} of shape {shape}, was {values.shape}")
    bad = np.argwhere(~np.isfinite(values))
    if bad.size:
        place = tuple(int(i) for i in bad[0])
        raise PortfolioError(f"expected finite {name}, was {values[place]} at {place}")


def _check_covariance(matrix: Floats) -> None:
    scale = float(np.abs(matrix).max())
    if scale == 0.0 or float(np.abs(matrix - matrix.T).max()) > 1e-9 * scale:
        raise PortfolioError("expected a symmetric covariance that is not all zero; use covariance.repair")
    least = float(np.linalg.eigvalsh(matrix)[0])
    if least < -1e-8 * scale:
        raise PortfolioError(
            f"expected a positive semidefinite covariance, its smallest eigenvalue is {least:.3g}; "
            "use covariance.repair, which reports the distance"
        )


def _check_constraints(symbols: tuple[str, ...], constraints: Constraints) -> None:
    known = set(symbols)
    named = [set(group.members) for group in constraints.groups]
    named += [
        set(value)
        for value in (constraints.lower, constraints.upper, constraints.cost_bps)
        if isinstance(value, Mapping)
    ]
    unknown = sorted(set().union(*named) - known)
    if unknown:
        raise PortfolioError(f"constraints name {', '.join(unknown)}, which the problem does not hold")
    if len({group.name for group in constraints.groups}) != len(constraints.groups):
        raise PortfolioError("expected a name of its own for every group")
    negative = {
        name: value
        for name, value in (("gross", constraints.gross), ("turnover", constraints.turnover))
        if value is not None and not (math.isfinite(value) and value >= 0)
    }
    if negative:
        raise PortfolioError(f"expected limits of 0 or more, was {negative}")
    if (costs_of(constraints, symbols) < 0).any():
        raise PortfolioError(f"expected costs of 0 bps or more, was {constraints.cost_bps}")
