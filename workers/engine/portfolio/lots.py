"""From weights to whole lots: greedily, or exactly by integer programming; cash never goes negative.

Amounts are integers in money units of the account's currency, quantities whole lots. What a lot costs is its price and
the fee on it, rounded up; what a lot brings is its price less the fee, rounded down. So cash after the trades is exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from workers.engine.portfolio.problem import Floats, PortfolioError

FEE_SCALE: Final = 10**8
LARGEST: Final = 2**52
"""Lots beyond this are no longer exact in the solver's floats."""
PROVEN: Final = 2e-6
"""Fraction of equity within which HiGHS takes a book for the closest (its absolute gap is 1e-6)."""


@dataclass(frozen=True)
class Lot:
    """What one lot of an instrument is worth, and what of it is held.

    ``value`` in money units, ``held`` and ``most`` in lots, ``fee_rate`` in 10**-8 of the value, ``least`` the venue's
    smallest notional in money units. Only long books are rounded.
    """

    symbol: str
    value: int
    held: int = 0
    fee_rate: int = 0
    least: int = 0
    most: int = LARGEST

    def __post_init__(self) -> None:
        if self.value <= 0 or self.held < 0 or self.most < 0 or not 0 <= self.fee_rate < FEE_SCALE or self.least < 0:
            raise PortfolioError(f"expected a positive lot value, lots of 0 or more and a fee below 100 %, was {self}")

    def change(self, lots: int) -> int:
        """Cash in money units after trading from ``held`` to ``lots``; negative for a purchase."""
        value = (lots - self.held) * self.value
        fee = -(-abs(value) * self.fee_rate // FEE_SCALE)
        return -value - fee


@dataclass(frozen=True)
class Rounded:
    """Whole lots by symbol, the cash that is left, and how far the book is from the one that was wanted.

    ``gap`` is the sum over instruments of |value held - value wanted| as a fraction of equity; ``bound`` is a proof
    that no book of whole lots comes closer than this, None where none was made (greedy).
    """

    method: str
    lots: dict[str, int]
    cash: int
    gap: float
    bound: float | None
    fees: int

    @property
    def optimal(self) -> bool:
        """Proven to be the closest book."""
        return self.bound is not None and self.gap - self.bound <= PROVEN


def greedy(lots: Sequence[Lot], weights: Sequence[float], *, equity: int, cash: int, reserve: int = 0) -> Rounded:
    """Round each target down, then buy one lot at a time where the weight falls furthest short, while cash suffices.

    The rule of PyPortfolioOpt's greedy allocation, with lots, fees and a book that is already held. ``equity`` is what
    the weights are fractions of, ``cash`` what is free, ``reserve`` what must stay of it. Sales come first; targets of
    instruments whose sale or purchase would be smaller than the venue takes stay as they are.
    """
    wanted = _wanted(lots, weights, equity, cash, reserve)
    order = sorted(range(len(lots)), key=lambda i: (-wanted[i], i))
    have = [lot.held for lot in lots]
    for i in order:
        floor = min(int(wanted[i] // lots[i].value), lots[i].most)
        if floor < lots[i].held and _takes(lots[i], floor):
            have[i] = floor
    for i in order:
        floor = min(int(wanted[i] // lots[i].value), lots[i].most)
        if floor > have[i]:
            _buy_up_to(lots, have, i, floor, cash - reserve)
    _spend(lots, have, wanted, equity, cash - reserve)
    return _rounded("greedy", lots, have, wanted, equity, cash, None)


def exact(
    lots: Sequence[Lot],
    weights: Sequence[float],
    *,
    equity: int,
    cash: int,
    reserve: int = 0,
    time_limit_s: float = 10.0,
) -> Rounded:
    """The whole lots with the least sum of |value - wanted value|, by mixed-integer programming (HiGHS).

    Cash after fees never falls below ``reserve``: the answer is counted again in integers, and PortfolioError is raised
    if it did. ``bound`` is HiGHS's own proof; where time ran out it lies below ``gap``.
    """
    wanted = _wanted(lots, weights, equity, cash, reserve)
    least = math.inf
    # The solver may miss a constraint by 1e-7: an answer that spends a hair too much is asked for again with a margin.
    for margin in (0, equity >> 20):
        have, bound = _solve(lots, wanted, cash - reserve - margin, equity, time_limit_s)
        least = min(least, bound)
        # With very many lots its switches may be a hair above nought: a trade too small for the venue is not made.
        have = [count if _takes(lot, count) else lot.held for lot, count in zip(lots, have, strict=True)]
        answer = _rounded("exact", lots, have, wanted, equity, cash, least)
        if answer.cash >= reserve:
            return answer
    raise PortfolioError(f"whole lots would leave {answer.cash} money units of cash, {reserve} must stay; use greedy")


def _wanted(lots: Sequence[Lot], weights: Sequence[float], equity: int, cash: int, reserve: int) -> list[float]:
    if len(weights) != len(lots) or len({lot.symbol for lot in lots}) != len(lots):
        raise PortfolioError(f"expected one weight per distinct instrument, was {len(weights)} for {len(lots)}")
    bad = [w for w in weights if not (math.isfinite(w) and w >= 0)]
    if bad or equity <= 0 or not 0 <= reserve <= cash:
        raise PortfolioError(
            f"expected long weights, positive equity and a reserve within cash; was {bad or weights}, {equity}, "
            f"{reserve} of {cash}"
        )
    return [weight * equity for weight in weights]


def _takes(lot: Lot, lots: int) -> bool:
    """The venue takes a trade of this size."""
    return lots == lot.held or abs(lots - lot.held) * lot.value >= lot.least


def _cash_after(lots: Sequence[Lot], have: Sequence[int], cash: int) -> int:
    return cash + sum(lot.change(count) for lot, count in zip(lots, have, strict=True))


def _buy_up_to(lots: Sequence[Lot], have: list[int], i: int, target: int, cash: int) -> None:
    """Buy towards ``target`` as far as cash and the venue's smallest notional allow."""
    lot, before = lots[i], have[i]
    free = _cash_after(lots, have, cash) - lot.change(before)
    per_lot = lot.value * (FEE_SCALE + lot.fee_rate)
    affordable = lot.held + max(free, 0) * FEE_SCALE // per_lot
    have[i] = max(min(target, affordable), before)
    while have[i] > before and _cash_after(lots, have, cash) < 0:
        have[i] -= 1
    if not _takes(lot, have[i]):
        have[i] = before


def _spend(lots: Sequence[Lot], have: list[int], wanted: Sequence[float], equity: int, cash: int) -> None:
    """Buy single lots where the book falls furthest short, until the neediest cannot be had and none other can."""
    done: set[int] = set()
    while len(done) < len(lots):
        total = sum(count * lot.value for count, lot in zip(have, lots, strict=True)) or 1
        short = [wanted[i] / equity - have[i] * lots[i].value / total for i in range(len(lots))]
        i = max((i for i in range(len(lots)) if i not in done), key=lambda i: (short[i], -i))
        if short[i] <= 0:
            return
        have[i] += 1
        if have[i] > lots[i].most or not _takes(lots[i], have[i]) or _cash_after(lots, have, cash) < 0:
            have[i] -= 1
            done.add(i)


def _solve(
    lots: Sequence[Lot], wanted: Sequence[float], cash: int, equity: int, time_limit_s: float
) -> tuple[list[int], float]:
    """Variables per instrument: bought and sold lots, distance, and whether anything is bought or sold."""
    size, unit = len(lots), float(equity)
    value = np.array([lot.value for lot in lots], np.float64) / unit
    held = np.array([lot.held for lot in lots], np.float64)
    rate = np.array([lot.fee_rate / FEE_SCALE for lot in lots])
    most_buy = _most(lots, wanted)
    least = np.array([lot.least for lot in lots], np.float64) / unit
    target = np.array(wanted) / unit
    eye, none = np.eye(size), np.zeros((size, size))
    rows: list[tuple[Floats, float | Floats, float | Floats]] = [
        # distance is at least target - value of the book, and its opposite
        (np.hstack([np.diag(value), -np.diag(value), eye, none, none]), target - value * held, np.inf),
        (np.hstack([-np.diag(value), np.diag(value), eye, none, none]), value * held - target, np.inf),
        # nothing is bought or sold without its switch, and then no less than the venue takes
        (np.hstack([eye, none, none, -np.diag(most_buy), none]), -np.inf, 0.0),
        (np.hstack([none, eye, none, none, -np.diag(held)]), -np.inf, 0.0),
        (np.hstack([np.diag(value), none, none, -np.diag(least), none]), 0.0, np.inf),
        (np.hstack([none, np.diag(value), none, none, -np.diag(least)]), 0.0, np.inf),
        (np.hstack([none, none, none, eye, eye]), -np.inf, 1.0),
    ]
    # A few money units less than there are: each fee is rounded up once.
    free = (cash - 2 * size) / unit
    spent = np.hstack([value * (1 + rate), -value * (1 - rate), np.zeros(3 * size)])
    constraints = [LinearConstraint(matrix, low, high) for matrix, low, high in rows]
    constraints.append(LinearConstraint(spent, -np.inf, free))
    bounds = Bounds(
        np.zeros(5 * size),
        np.concatenate([most_buy, held, np.full(size, np.inf), np.ones(2 * size)]),
    )
    aim = np.hstack([np.zeros(2 * size), np.ones(size), np.zeros(2 * size)])
    whole = np.hstack([np.ones(2 * size), np.zeros(size), np.ones(2 * size)]).astype(np.int64)
    answer = milp(
        aim,
        constraints=constraints,
        bounds=bounds,
        integrality=whole,
        options={"time_limit": time_limit_s, "mip_rel_gap": 0.0},
    )
    if answer.x is None and free <= 0:
        return [lot.held for lot in lots], 0.0
    if answer.x is None:
        # Keeping what is held is always allowed: the solver can only have run out of time.
        raise PortfolioError(f"no whole lots were found in {time_limit_s} s: {answer.message}; use greedy or more time")
    chosen = np.rint(answer.x[:size]) - np.rint(answer.x[size : 2 * size]) + held
    return [int(count) for count in chosen], float(answer.mip_dual_bound)


def _most(lots: Sequence[Lot], wanted: Sequence[float]) -> Floats:
    """Lots that may be bought: no sensible book holds more than one lot above its target, or one smallest order."""
    found = []
    for lot, target in zip(lots, wanted, strict=True):
        above = max(int(target // lot.value) + 1, lot.held + -(-lot.least // lot.value))
        found.append(max(min(above, lot.most) - lot.held, 0))
    if max(found, default=0) > LARGEST:
        raise PortfolioError(f"expected fewer than {LARGEST} lots to buy, was {max(found)}; use larger lots")
    return np.array(found, np.float64)


def _rounded(  # noqa: PLR0917 - the same seven in both methods
    method: str,
    lots: Sequence[Lot],
    have: Sequence[int],
    wanted: Sequence[float],
    equity: int,
    cash: int,
    bound: float | None,
) -> Rounded:
    gap = sum(abs(count * lot.value - want) for count, lot, want in zip(have, lots, wanted, strict=True)) / equity
    after = _cash_after(lots, have, cash)
    moved = sum((count - lot.held) * lot.value for count, lot in zip(have, lots, strict=True))
    return Rounded(
        method=method,
        lots={lot.symbol: count for lot, count in zip(lots, have, strict=True)},
        cash=after,
        gap=gap,
        bound=bound,
        fees=cash - after - moved,
    )
