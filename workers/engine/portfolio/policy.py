"""What a rebalance is asked to do, as versioned JSON that is checked before anything is computed.

Importing this module does not import a solver, so that the web process can check what people send.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, get_args

import msgspec

from workers.engine.execution.algorithms import AlgorithmError, check_params
from workers.engine.portfolio.execution import Execution, Schedule
from workers.engine.portfolio.problem import Constraints, PortfolioError, View
from workers.engine.portfolio.rebalance import Bands

Method = Literal[
    "minimum_variance",
    "mean_variance",
    "target_return",
    "target_risk",
    "maximum_sharpe",
    "risk_budget",
    "hrp_single",
    "hrp_ward",
    "black_litterman",
    "minimum_cvar",
]
METHODS: Final[tuple[str, ...]] = get_args(Method)
FEWEST_BARS: Final = 20
MOST_BARS: Final = 999
MOST_ENTRIES: Final = 100
"""Of each list and mapping: every view and group adds a row to matrices."""


class RebalancePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Version 1 of the policy. Returns, risk, targets and the riskless rate are annual, costs are paid once.

    ``symbols`` empty is all of the venue. ``mean`` gives expected returns by symbol; without it, the mean of history.
    ``target`` belongs to target_return and target_risk, ``aversion`` to mean_variance and black_litterman, ``level`` to
    minimum_cvar, ``budgets`` to risk_budget, ``market``, ``views`` and ``tau`` to black_litterman.
    ``rounding`` is exact (integer programming) or greedy; ``least_notional`` is the smallest trade, in the quote asset.
    ``execution`` says how approved trades are worked, ``schedule`` that it is asked again and again.
    """

    schema: Literal[1] = 1
    method: Method = "minimum_variance"
    symbols: tuple[str, ...] = ()
    interval: str = "1h"
    bars: int = 500
    covariance: Literal["sample", "ewma", "ledoit_wolf"] = "ledoit_wolf"
    decay: float = 0.94
    mean: dict[str, float] | None = None
    riskless: float = 0.0
    aversion: float = 1.0
    target: float | None = None
    level: float = 0.95
    budgets: dict[str, float] | None = None
    market: dict[str, float] | None = None
    views: tuple[View, ...] = ()
    tau: float = 0.05
    constraints: Constraints = Constraints()
    bands: Bands = Bands()
    rounding: Literal["exact", "greedy"] = "exact"
    least_notional: str = "0"
    execution: Execution = Execution()
    schedule: Schedule | None = None


def parse_policy(data: Mapping[str, Any]) -> RebalancePolicy:
    """The policy that ``data`` (plain JSON) says; PortfolioError naming the field that is wrong."""
    try:
        policy = msgspec.convert(dict(data), RebalancePolicy)
    except msgspec.ValidationError as error:
        raise PortfolioError(f"the policy is not valid: {error}") from error
    _check(policy)
    return policy


def policy_data(policy: RebalancePolicy) -> dict[str, Any]:
    """The policy as plain JSON, with every field."""
    data: dict[str, Any] = msgspec.to_builtins(policy)
    return data


def digest_of(data: object) -> str:
    """SHA-256 in hex over canonical JSON."""
    return hashlib.sha256(msgspec.json.encode(data, order="deterministic")).hexdigest()


def _check_sizes(policy: RebalancePolicy) -> None:
    rules = policy.constraints
    parts: dict[str, object] = {name: getattr(policy, name) for name in policy.__struct_fields__}
    parts |= {f"constraints.{name}": getattr(rules, name) for name in rules.__struct_fields__}
    parts |= {f"members of group {group.name}": group.members for group in rules.groups[:MOST_ENTRIES]}
    parts |= {f"weights of view {place}": view.weights for place, view in enumerate(policy.views[:MOST_ENTRIES])}
    for name, part in parts.items():
        if isinstance(part, tuple | dict) and len(part) > MOST_ENTRIES:
            raise PortfolioError(f"expected at most {MOST_ENTRIES} entries of {name}, was {len(part)}; give fewer")


def _check(policy: RebalancePolicy) -> None:
    _check_sizes(policy)
    if not FEWEST_BARS <= policy.bars <= MOST_BARS:
        raise PortfolioError(f"expected {FEWEST_BARS} to {MOST_BARS} bars, was {policy.bars}")
    if policy.method in ("target_return", "target_risk") and policy.target is None:
        raise PortfolioError(f"{policy.method} needs a target; give target")
    if policy.method == "black_litterman" and policy.market is None:
        raise PortfolioError("black_litterman needs equilibrium weights; give market")
    numbers = {"aversion": policy.aversion, "tau": policy.tau, "riskless": policy.riskless, "target": policy.target}
    bad = [f"{name} {value}" for name, value in numbers.items() if value is not None and not math.isfinite(value)]
    for name, share in (("decay", policy.decay), ("level", policy.level)):
        bad += [] if 0.0 < share < 1.0 else [f"{name} {share}"]
    bad += [f"{name} {value}" for name, value in (("aversion", policy.aversion), ("tau", policy.tau)) if value <= 0]
    if policy.method == "target_risk" and policy.target is not None and policy.target <= 0:
        bad.append(f"target {policy.target}")
    if bad:
        raise PortfolioError(f"expected finite numbers within their range, was {', '.join(bad)}")
    _check_execution(policy.execution)
    if least_notional(policy) < 0:
        raise PortfolioError(f"expected a smallest trade of 0 or more, was {policy.least_notional}")


def _check_execution(asked: Execution) -> None:
    # The loop learns the curve of a vwap that brings none from the venue's history.
    curve = (
        {"curve": {"bin_ns": 1, "weights": [1]}} if asked.algorithm == "vwap" and "curve" not in asked.params else {}
    )
    try:
        check_params(asked.algorithm, {**asked.params, **curve})
    except AlgorithmError as error:
        raise PortfolioError(f"execution.params: {error}") from error


def least_notional(policy: RebalancePolicy) -> Decimal:
    """The smallest trade in the quote asset; PortfolioError when it is no finite number."""
    try:
        value = Decimal(policy.least_notional)
    except InvalidOperation as error:
        raise PortfolioError(f"expected a decimal number as least_notional, was {policy.least_notional!r}") from error
    if not value.is_finite():
        raise PortfolioError(f"expected a finite least_notional, was {policy.least_notional}")
    return value
