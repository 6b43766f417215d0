"""Properties of the optimisers: constraints hold, nothing feasible is better, names and scale do not matter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workers.engine.portfolio import covariance as estimate
from workers.engine.portfolio.hierarchical import HierarchicalRiskParity
from workers.engine.portfolio.methods import (
    MaximumSharpe,
    MeanVariance,
    MinimumCVaR,
    MinimumVariance,
    RiskBudget,
    TargetReturn,
    TargetRisk,
    risk_shares,
    tail_loss,
)
from workers.engine.portfolio.problem import (
    Constraints,
    Floats,
    Group,
    Optimizer,
    PortfolioError,
    Problem,
    Status,
    slacks,
)

SIZE = 5
SYMBOLS = tuple("ABCDE")
GROUPS = (Group(name="first", members=("A", "B"), lower=0.1, upper=0.7),)
METHODS: dict[str, Optimizer] = {
    "minimum_variance": MinimumVariance(),
    "mean_variance": MeanVariance(3.0),
    "target_return": TargetReturn(0.01),
    "target_risk": TargetRisk(1.0),
    "maximum_sharpe": MaximumSharpe(),
    "risk_budget": RiskBudget(),
    "minimum_cvar": MinimumCVaR(0.9),
    "hrp_single": HierarchicalRiskParity("single"),
    "hrp_ward": HierarchicalRiskParity("ward"),
}
seeds = st.integers(0, 2**32 - 1)


def problem(seed: int, constraints: Constraints) -> Problem:
    """Five instruments with volatilities between 5 and 80 %, some mean above nought, and a book that is held."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(size=(60, SIZE)) @ rng.normal(size=(SIZE, SIZE)) * rng.uniform(0.05, 0.8, SIZE) / 8
    mean = rng.uniform(-0.1, 0.3, SIZE)
    mean[int(rng.integers(SIZE))] = 0.2
    return Problem(
        symbols=SYMBOLS,
        covariance=estimate.sample(returns).matrix,
        mean=mean,
        scenarios=returns,
        current=rng.dirichlet(np.ones(SIZE)),
        constraints=constraints,
    )


def constraint_sets() -> st.SearchStrategy[Constraints]:
    """All kinds of constraints; some of them together cannot hold."""
    return st.builds(
        Constraints,
        lower=st.sampled_from([0.0, -0.2, 0.05]),
        upper=st.sampled_from([1.0, 0.4, 0.25]),
        net=st.sampled_from([(1.0, 1.0), (0.8, 0.95), (0.0, 1.0)]),
        gross=st.sampled_from([None, 1.2]),
        groups=st.sampled_from([(), GROUPS]),
        turnover=st.sampled_from([None, 0.6, 0.05]),
        cost_bps=st.sampled_from([0.0, 20.0]),
        cash=st.sampled_from([None, None, 0.05]),
    )


@pytest.mark.parametrize("name", sorted(METHODS))
@given(seed=seeds, constraints=constraint_sets())
@settings(max_examples=20, deadline=None)
def test_an_answer_obeys_its_constraints_or_keeps_the_old_book_and_says_why(
    name: str, seed: int, constraints: Constraints
) -> None:
    asked = problem(seed, constraints)
    answer = METHODS[name].solve(asked)
    if answer.status is Status.OPTIMAL:
        assert min(room for _, room in slacks(asked, answer.weights)) >= -1e-6
        if answer.certificate is not None:
            assert answer.certificate.gap <= 1e-7
    else:
        assert (answer.weights == asked.current).all()
        assert answer.why


def feasible(asked: Problem, count: int, seed: int) -> list[Floats]:
    """Random books that obey the constraints."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        weights = rng.dirichlet(np.full(SIZE, 0.7))
        if all(room >= 0 for name, room in slacks(asked, weights) if name != "net"):
            found.append(weights)
    return found


@given(seed=seeds, constraints=st.sampled_from([Constraints(), Constraints(upper=0.5, groups=GROUPS, turnover=1.2)]))
@settings(max_examples=25, deadline=None)
def test_no_feasible_book_is_better(seed: int, constraints: Constraints) -> None:
    asked = problem(seed, constraints)
    mean, cov, scenarios = asked.mean, asked.covariance, asked.scenarios
    assert mean is not None
    assert scenarios is not None

    def loss(name: str, weights: Floats) -> float:
        return {
            "minimum_variance": lambda: float(weights @ cov @ weights),
            "mean_variance": lambda: float(1.5 * weights @ cov @ weights - mean @ weights),
            "maximum_sharpe": lambda: -float(mean @ weights) / float(np.sqrt(weights @ cov @ weights)),
            "minimum_cvar": lambda: tail_loss(-scenarios @ weights, 0.9),
        }[name]()

    others = feasible(asked, 60, seed)
    for name in ("minimum_variance", "mean_variance", "maximum_sharpe", "minimum_cvar"):
        answer = METHODS[name].solve(asked)
        if answer.status is Status.OPTIMAL:
            best = loss(name, answer.weights)
            assert all(best <= loss(name, other) + 1e-7 * (1 + abs(best)) for other in others)


@given(seed=seeds, scale=st.sampled_from([1e-6, 1e-3, 1e4]))
@settings(max_examples=25, deadline=None)
def test_the_unit_of_risk_does_not_matter(seed: int, scale: float) -> None:
    asked = problem(seed, Constraints(upper=0.6))
    scaled = replace(asked, covariance=asked.covariance * scale)
    for name in ("minimum_variance", "risk_budget", "hrp_single", "hrp_ward", "maximum_sharpe"):
        first, second = METHODS[name].solve(asked), METHODS[name].solve(scaled)
        assert first.status is second.status
        np.testing.assert_allclose(first.weights, second.weights, atol=1e-5)


@given(seed=seeds, budgets=st.lists(st.integers(1, 10), min_size=SIZE, max_size=SIZE))
@example(seed=9046469, budgets=[4, 5, 5, 4, 4])
@settings(max_examples=30, deadline=None)
def test_shares_of_risk_are_the_budgets(seed: int, budgets: list[int]) -> None:
    asked = problem(seed, Constraints())
    answer = RiskBudget(dict(zip(SYMBOLS, map(float, budgets), strict=True))).solve(asked)
    assert answer.status is Status.OPTIMAL
    wanted = np.array(budgets) / sum(budgets)
    np.testing.assert_allclose(risk_shares(answer.weights, asked.covariance), wanted, atol=1e-5)


@given(seed=seeds, order=st.permutations(range(SIZE)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_instruments_does_not_matter(seed: int, order: list[int]) -> None:
    asked = problem(seed, Constraints(upper=0.6, groups=GROUPS, cost_bps=10.0, turnover=1.0))
    assert asked.mean is not None
    assert asked.scenarios is not None
    turned = replace(
        asked,
        symbols=tuple(SYMBOLS[i] for i in order),
        covariance=asked.covariance[np.ix_(order, order)],
        mean=asked.mean[order],
        scenarios=asked.scenarios[:, order],
        current=asked.current[order],
    )
    for name in ("minimum_variance", "mean_variance", "maximum_sharpe", "risk_budget"):
        first, second = METHODS[name].solve(asked), METHODS[name].solve(turned)
        assert first.status is second.status
        np.testing.assert_allclose(first.weights[order], second.weights, atol=1e-5)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_the_three_forms_of_mean_variance_meet(seed: int) -> None:
    asked = problem(seed, Constraints())
    first = METHODS["mean_variance"].solve(asked)
    assert first.expected is not None
    for other in (TargetReturn(first.expected), TargetRisk(first.volatility)):
        again = other.solve(asked)
        assert again.status is Status.OPTIMAL
        assert again.volatility == pytest.approx(first.volatility, abs=1e-5)
        assert again.expected == pytest.approx(first.expected, abs=1e-5)


@given(seed=seeds, share=st.floats(0.01, 0.9))
@settings(max_examples=25, deadline=None)
def test_repair_gives_the_nearest_matrix_and_its_distance(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(SIZE, SIZE))
    broken = raw @ raw.T - share * np.trace(raw @ raw.T) / SIZE * np.eye(SIZE)
    mended = estimate.repair(broken)
    assert np.linalg.eigvalsh(mended.matrix)[0] >= -1e-9
    moved = np.linalg.norm(mended.matrix - broken) / np.linalg.norm(broken)
    assert mended.repaired == pytest.approx(moved, abs=1e-12)
    for _ in range(10):
        other = rng.normal(size=(SIZE, SIZE))
        near = mended.matrix + 1e-3 * other @ other.T
        assert np.linalg.norm(near - broken) >= np.linalg.norm(mended.matrix - broken) - 1e-12
    whole = estimate.repair(raw @ raw.T)
    assert whole.repaired < 1e-12


CONFLICTS: list[tuple[dict[str, Any], set[str]]] = [
    ({"upper": 0.1}, {"upper", "net"}),
    ({"lower": 0.3}, {"lower", "net"}),
    ({"groups": (Group(name="first", members=("A", "B"), lower=0.9),), "upper": 0.3}, {"upper", "group first"}),
    ({"cash": 0.1}, {"net", "cash"}),
    ({"lower": {"A": 0.9}, "turnover": 0.1}, {"lower", "turnover"}),
]


@pytest.mark.parametrize(("changes", "sets"), CONFLICTS)
def test_a_conflict_is_named_and_dropping_any_of_it_ends_it(changes: dict[str, Any], sets: set[str]) -> None:
    asked = replace(problem(1, Constraints(**changes)), current=np.full(SIZE, 0.2))
    answer = METHODS["minimum_variance"].solve(asked)
    assert answer.status is Status.INFEASIBLE
    assert answer.conflict is not None
    assert set(answer.conflict.sets) == sets
    assert answer.conflict.give
    assert all(name in answer.why for name in sets)


def test_what_the_constraints_allow_and_the_target_does_not_is_said_in_numbers() -> None:
    asked = problem(3, Constraints())
    assert "earns 9" in TargetReturn(9.0).solve(asked).why
    low = TargetRisk(1e-4).solve(asked)
    assert (low.status, "the least is" in low.why) == (Status.INFEASIBLE, True)
    poor = replace(asked, riskless=5.0)
    assert "riskless" in METHODS["maximum_sharpe"].solve(poor).why


def test_nothing_bounded_is_unbounded_and_keeps_the_book() -> None:
    asked = problem(3, Constraints(lower=None, upper=None, net=None))
    singular = replace(asked, covariance=np.diag([1.0, 1.0, 1.0, 1.0, 0.0]) * 0.04)
    answer = METHODS["mean_variance"].solve(singular)
    assert answer.status is Status.UNBOUNDED
    assert "bounds" in answer.why


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mean": np.array([0.1, np.nan, 0, 0, 0])}, "expected finite mean, was nan"),
        ({"covariance": np.eye(4)}, "expected covariance of shape"),
        ({"covariance": np.diag([1.0, 1.0, 1.0, 1.0, -0.5])}, "smallest eigenvalue is -0.5"),
        ({"symbols": ("A", "A", "B", "C", "D")}, "distinct symbols"),
        ({"constraints": Constraints(upper={"Z": 1.0})}, "constraints name Z"),
        ({"constraints": Constraints(turnover=-1.0)}, "limits of 0 or more"),
    ],
)
def test_a_question_that_cannot_be_meant_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PortfolioError, match=words):
        replace(problem(3, Constraints()), **changes)
