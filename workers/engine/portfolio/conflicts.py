"""Which constraint sets cannot hold together, when no book obeys them all.

Every set may yield by a slack of its own (elastic programming: Brown and Graves 1975); the cheapest total slack is
nought exactly when the sets hold together. Sets are then dropped one by one while the rest still conflicts (deletion
filter: Chinneck, Feasibility and Infeasibility in Optimization, 2008), which leaves an irreducible conflict.
"""

from __future__ import annotations

from typing import Final

import cvxpy as cp
import numpy as np

from workers.engine.portfolio.convex import Frame, Programme, named, shape_of
from workers.engine.portfolio.problem import Conflict, Problem

NOTHING: Final = 1e-7
"""Total slack below which constraints count as held."""


def conflict_of(problem: Problem) -> Conflict | None:
    """The conflict between the constraint sets; None when some book obeys them all."""
    frame = Frame(shape_of(problem))
    names = list(frame.sets)
    if not names:
        return None
    slack = cp.Variable(len(names), nonneg=True)
    price = cp.Parameter(len(names), nonneg=True)
    relaxed = [
        type(one)(one.args[0], one.args[1] + slack[number])
        for number, name in enumerate(names)
        for one in frame.sets[name]
    ]
    trades = frame.trades if frame.traded is not None else []
    programme = Programme(frame, cp.Problem(cp.Minimize(price @ slack), [*trades, *relaxed]))
    frame.fill(problem)

    def needed(kept: list[int]) -> tuple[float, dict[str, float]]:
        """Total slack when only ``kept`` sets count, and each set's part."""
        price.value = np.isin(np.arange(len(names)), kept).astype(np.float64)
        found = programme.solve().values.get(slack.id)
        values = np.zeros(len(names)) if found is None else np.maximum(found, 0.0)
        give = {named(problem.constraints, names[i]): float(values[i]) for i in kept if values[i] > NOTHING}
        return float(sum(values[i] for i in kept)), give

    everything = list(range(len(names)))
    total, give = needed(everything)
    if total <= NOTHING:
        return None
    kept = everything
    for number in everything:
        fewer = [i for i in kept if i != number]
        if fewer and needed(fewer)[0] > NOTHING:
            kept = fewer
    return Conflict(tuple(named(problem.constraints, names[i]) for i in kept), give)
