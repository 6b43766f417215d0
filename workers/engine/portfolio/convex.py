"""Convex programmes over one shared set of constraints, compiled once and solved again with new numbers.

Every number is a cvxpy parameter used as disciplined parametrised programming asks (Agrawal et al., 2019), so a second
problem of the same shape skips the compilation. Solved by Clarabel, whose residuals are read from its own answer.
Importing this module imports cvxpy, which takes a second: the web process must not.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

import cvxpy as cp
import numpy as np
from cvxpy.atoms.affine.sum import sum as total
from cvxpy.atoms.norm1 import norm1

from workers.engine.portfolio.problem import (
    TOLERANCE,
    Allocation,
    Certificate,
    Constraints,
    Floats,
    Problem,
    Status,
    costs_of,
    describe,
    per_symbol,
    slacks,
)

SOLVER: Final[dict[str, Any]] = {
    "tol_gap_abs": 1e-11,
    "tol_gap_rel": 1e-11,
    "tol_feas": 1e-11,
    "reduced_tol_gap_abs": 1e-8,
    "reduced_tol_gap_rel": 1e-8,
    "reduced_tol_feas": 1e-8,
    "max_threads": 1,
}
"""What stops between the two tolerances is inaccurate by our reading, unless its own certificate says better."""
RELAXED: Final[dict[str, Any]] = {**SOLVER, "tol_gap_abs": 1e-8, "tol_gap_rel": 1e-8, "tol_feas": 1e-8}
"""For what stalls on its way to the tight tolerances, as cones with a face do; judged by the same certificate."""
CAREFUL: Final[dict[str, Any]] = {**RELAXED, "max_step_fraction": 0.9}
"""For what still stalls because a long step brought it too near the boundary."""
UNSCALED: Final[dict[str, Any]] = {**CAREFUL, "equilibrate_enable": False}
ATTEMPTS: Final = (SOLVER, RELAXED, CAREFUL, UNSCALED)
GOOD_GAP: Final = 1e-8
KEPT_SHAPES: Final = 16
INFEASIBLE: Final = frozenset({cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE})
UNBOUNDED: Final = frozenset({cp.UNBOUNDED, cp.UNBOUNDED_INACCURATE})

Shape = tuple[Any, ...]


def shape_of(problem: Problem) -> Shape:
    """All that changes the compiled programme; numbers do not."""
    constraints, symbols = problem.constraints, problem.symbols
    lower, upper = per_symbol(constraints.lower, symbols), per_symbol(constraints.upper, symbols)
    groups = tuple(
        (tuple(symbols.index(member) for member in group.members), group.lower is None, group.upper is None)
        for group in constraints.groups
    )
    present = (constraints.net is None, constraints.gross is None, constraints.turnover is None)
    return (
        problem.size,
        tuple(np.flatnonzero(~np.isnan(lower)).tolist()),
        tuple(np.flatnonzero(~np.isnan(upper)).tolist()),
        groups,
        present,
        constraints.cash is None,
        bool((costs_of(constraints, symbols) > 0).any()),
    )


def factor(covariance: Floats) -> Floats:
    """F (n, n) with F'F the covariance, for one that may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T, np.float64)


@dataclass
class Frame:
    """Weights and their constraints, all times the scale ``kappa``: 1, or a variable where a ratio is optimised.

    With a variable scale this is the Charnes-Cooper transformation: ``scaled / kappa`` are the weights.
    """

    shape: Shape
    homogeneous: bool = False
    parameters: dict[str, cp.Parameter] = field(default_factory=dict)
    sets: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size, lower, upper, groups, absent, no_cash, costly = self.shape
        self.scaled = cp.Variable(size)
        self.kappa: Any = cp.Variable(nonneg=True) if self.homogeneous else 1.0
        self.traded: Any = None
        self.cost: Any = 0.0
        if not absent[2] or costly:
            self._trade(size, costly)
        if lower:
            self.sets["lower"] = [self.scaled[list(lower)] >= self.parameter("lower", len(lower)) * self.kappa]
        if upper:
            self.sets["upper"] = [self.scaled[list(upper)] <= self.parameter("upper", len(upper)) * self.kappa]
        net = total(self.scaled)
        if not absent[0]:
            self.sets["net"] = self._between(net, "net", low=True, high=True)
        if not absent[1]:
            self.sets["gross"] = [norm1(self.scaled) <= self.parameter("gross") * self.kappa]
        for number, (members, no_low, no_high) in enumerate(groups):
            held = total(self.scaled[list(members)])
            self.sets[f"group {number}"] = self._between(held, f"group {number}", low=not no_low, high=not no_high)
        if not absent[2]:
            self.sets["turnover"] = [total(self.traded) <= self.parameter("turnover") * self.kappa]
        if not no_cash:
            self.sets["cash"] = [net + self.cost <= self.parameter("invested") * self.kappa]

    def parameter(self, name: str, size: int | tuple[int, ...] = (), *, nonneg: bool = False) -> cp.Parameter:
        """The parameter ``name``, made at first sight."""
        if name not in self.parameters:
            self.parameters[name] = cp.Parameter(size, nonneg=nonneg)
        return self.parameters[name]

    @property
    def constraints(self) -> list[Any]:
        """All constraints together."""
        trades = [] if self.traded is None else self.trades
        return [*trades, *(one for many in self.sets.values() for one in many)]

    def _trade(self, size: int, costly: bool) -> None:
        # A variable above |w - current|: the absolute value itself, times a parameter, would not be parametrised.
        self.traded = cp.Variable(size)
        moved = self.scaled - self.parameter("current", size) * self.kappa
        self.trades = [self.traded >= moved, self.traded >= -moved]
        if costly:
            self.cost = self.parameter("cost", size, nonneg=True) @ self.traded

    def _between(self, value: Any, name: str, *, low: bool, high: bool) -> list[Any]:
        made = [value >= self.parameter(f"{name} low") * self.kappa] if low else []
        return made + ([value <= self.parameter(f"{name} high") * self.kappa] if high else [])

    def fill(self, problem: Problem) -> None:
        """Put the numbers of ``problem`` in."""
        numbers = numbers_of(problem)
        for name, parameter in self.parameters.items():
            if name in numbers:
                parameter.value = numbers[name]


def numbers_of(problem: Problem) -> dict[str, Any]:
    """Every number of the constraint set, by the name of its parameter."""
    constraints, symbols = problem.constraints, problem.symbols
    lower, upper = per_symbol(constraints.lower, symbols), per_symbol(constraints.upper, symbols)
    low, high = constraints.net or (None, None)
    numbers: dict[str, Any] = {
        "lower": lower[~np.isnan(lower)],
        "upper": upper[~np.isnan(upper)],
        "net low": low,
        "net high": high,
        "gross": constraints.gross,
        "turnover": constraints.turnover,
        "invested": None if constraints.cash is None else 1.0 - constraints.cash,
        "current": problem.current,
        "cost": costs_of(constraints, symbols),
    }
    for number, group in enumerate(constraints.groups):
        numbers[f"group {number} low"], numbers[f"group {number} high"] = group.lower, group.upper
    return numbers


@dataclass(frozen=True)
class Solved:
    """cvxpy's status, Clarabel's own answer, and the values of the variables by their id."""

    status: str
    answer: Any
    values: dict[int, Any]


@dataclass
class Programme:
    """One compiled programme: the frame, what was added to it, and the cvxpy problem."""

    frame: Frame
    problem: cp.Problem

    def solve(self) -> Solved:
        """Solve with the numbers at hand."""
        data, chain, inverse = self.problem.get_problem_data(cp.CLARABEL, solver_opts=SOLVER)
        for options in ATTEMPTS:
            answer = chain.solve_via_data(self.problem, data, warm_start=False, verbose=False, solver_opts=options)
            status = chain.solver.STATUS_MAP.get(str(answer.status), cp.SOLVER_ERROR)
            if status != cp.SOLVER_ERROR:
                break
        values: dict[int, Any] = {}
        if status in cp.settings.SOLUTION_PRESENT:
            # Not unpack_results, which evaluates the objective even where the solver has run away.
            values = chain.invert(answer, inverse).primal_vars
        return Solved(status, answer, values)


class Convex(ABC):
    """Base of the convex optimisers: compile by shape, fill, solve, prove. Not to be shared between threads."""

    homogeneous = False

    def __init__(self) -> None:
        self._programmes: OrderedDict[Shape, Programme] = OrderedDict()

    @property
    @abstractmethod
    def name(self) -> str: ...

    @abstractmethod
    def objective(self, frame: Frame, problem: Problem) -> tuple[Any, list[Any]]:
        """What is minimised, and constraints beside the frame's. Numbers only through ``frame.parameter``."""

    @abstractmethod
    def numbers(self, problem: Problem) -> dict[str, Any]:
        """Values of the parameters that ``objective`` made."""

    def extra_shape(self, problem: Problem) -> Shape:  # noqa: ARG002 - what most optimisers do not need
        """What beside the constraint set changes the compiled programme."""
        return ()

    def refusal(self, problem: Problem) -> str:  # noqa: ARG002 - as above
        """Why no book can do what is asked although the constraints hold together."""
        return "the constraints leave no book with the return or risk that was asked for"

    def details(self, problem: Problem, weights: Floats) -> dict[str, Any]:  # noqa: ARG002 - as above
        return {}

    def solve(self, problem: Problem) -> Allocation:
        """The optimal book, or the old one with the reason; see ``Allocation``."""
        programme = self._programme(problem)
        programme.frame.fill(problem)
        for name, value in self.numbers(problem).items():
            if name in programme.frame.parameters:
                programme.frame.parameters[name].value = value
        return self._answer(problem, programme.frame, programme.solve())

    def _programme(self, problem: Problem) -> Programme:
        shape = (*shape_of(problem), *self.extra_shape(problem))
        found = self._programmes.get(shape)
        if found is None:
            frame = Frame(shape_of(problem), homogeneous=self.homogeneous)
            objective, further = self.objective(frame, problem)
            found = Programme(frame, cp.Problem(cp.Minimize(objective), [*frame.constraints, *further]))
            self._programmes[shape] = found
            if len(self._programmes) > KEPT_SHAPES:
                self._programmes.popitem(last=False)
        self._programmes.move_to_end(shape)
        return found

    def _answer(self, problem: Problem, frame: Frame, solved: Solved) -> Allocation:
        answer = solved.answer
        if solved.status in INFEASIBLE:
            return self._infeasible(problem)
        if solved.status in UNBOUNDED:
            why = "nothing bounds the book: add bounds, a gross or a net limit"
            return describe(problem, problem.current, method=self.name, status=Status.UNBOUNDED, why=why)
        weights = weights_of(frame, solved.values)
        if weights is None:
            why = f"the solver gave up with {answer.status} after {answer.iterations} iterations"
            return self._inaccurate(problem, why)
        proof = certificate(problem, weights, answer)
        good = solved.status == cp.OPTIMAL or max(proof.gap, proof.primal, proof.dual) <= GOOD_GAP
        if not good or proof.violation > TOLERANCE:
            why = f"the solver stopped early: gap {proof.gap:.1e}, violation {proof.violation:.1e} of equity"
            return self._inaccurate(problem, why, proof)
        details = self.details(problem, weights)
        return describe(problem, weights, method=self.name, status=Status.OPTIMAL, certificate=proof, details=details)

    def _inaccurate(self, problem: Problem, why: str, proof: Certificate | None = None) -> Allocation:
        """The solver stopped short: because the constraints conflict, if they do."""
        answer = self._infeasible(problem)
        if answer.conflict is not None:
            return answer
        return describe(
            problem, problem.current, method=self.name, status=Status.INACCURATE, certificate=proof, why=why
        )

    def _infeasible(self, problem: Problem) -> Allocation:
        # Here, because conflicts asks for a frame of its own.
        from workers.engine.portfolio.conflicts import conflict_of  # noqa: PLC0415

        conflict = conflict_of(problem)
        why = str(conflict) if conflict is not None else self.refusal(problem)
        return describe(
            problem, problem.current, method=self.name, status=Status.INFEASIBLE, conflict=conflict, why=why
        )


def weights_of(frame: Frame, values: dict[int, Any]) -> Floats | None:
    """The weights among ``values``; None when there are none, or the scale is nought."""
    scaled = values.get(frame.scaled.id)
    scale = float(values.get(frame.kappa.id, 0.0)) if frame.homogeneous else 1.0
    if scaled is None or not np.isfinite(scaled).all() or scale <= 1e-12:
        return None
    return np.asarray(scaled / scale, np.float64)


def certificate(problem: Problem, weights: Floats, answer: Any) -> Certificate:
    """Violation of the constraints at ``weights``, and the solver's own residuals."""
    primal, dual = float(answer.obj_val), float(answer.obj_val_dual)
    gap = abs(primal - dual) / max(1.0, min(abs(primal), abs(dual)))
    worst = max((-room for _, room in slacks(problem, weights)), default=0.0)
    return Certificate(
        violation=max(worst, 0.0),
        gap=gap if math.isfinite(gap) else math.inf,
        primal=float(answer.r_prim),
        dual=float(answer.r_dual),
        iterations=int(answer.iterations),
        seconds=float(answer.solve_time),
    )


def named(constraints: Constraints, name: str) -> str:
    """Public name of a set of the frame: groups by their own name."""
    return f"group {constraints.groups[int(name[6:])].name}" if name.startswith("group ") else name
