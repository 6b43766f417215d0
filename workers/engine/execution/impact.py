"""Almgren-Chriss: how fast to trade when waiting costs risk and hurrying costs impact.

Almgren and Chriss, Optimal Execution of Portfolio Transactions (2000): the holdings that minimise expected cost plus
``risk_aversion`` times variance, with linear impact, are ``X sinh(kappa (T - t)) / sinh(kappa T)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

STRAIGHT: Final = 1e-6
"""Below this ``kappa T`` the trajectory is a straight line to within a millionth."""


def kappa(*, risk_aversion: float, sigma: float, eta: float, gamma: float, tau: float) -> float:
    """Urgency per unit of time: ``2 (cosh(kappa tau) - 1) / tau^2 = risk_aversion sigma^2 / (eta - gamma tau / 2)``.

    ``sigma`` is the price's standard deviation per square root of time, ``eta`` the temporary and ``gamma`` the
    permanent impact, ``tau`` the length of a step. ValueError when impact does not make hurrying cost anything.
    """
    cost = eta - gamma * tau / 2
    if cost <= 0 or tau <= 0:
        raise ValueError(f"expected eta above gamma * tau / 2 and tau above 0, was eta {eta}, gamma {gamma}, tau {tau}")
    return math.acosh(risk_aversion * sigma * sigma / cost * tau * tau / 2 + 1) / tau


def held(urgency: float, passed: float) -> float:
    """Share still to trade after ``passed`` (0 to 1) of the time, for ``urgency = kappa T``; falls from 1 to 0."""
    passed = min(max(passed, 0.0), 1.0)
    if urgency < STRAIGHT:
        return 1.0 - passed
    # sinh(u (1 - p)) / sinh(u) without overflow for a great u.
    return math.exp(-urgency * passed) * math.expm1(-2 * urgency * (1 - passed)) / math.expm1(-2 * urgency)


def holdings(lots: float, *, urgency: float, steps: int) -> list[float]:
    """Holdings at the ``steps`` + 1 grid points, from ``lots`` to 0."""
    return [lots * held(urgency, step / steps) for step in range(steps + 1)]


def adapted(urgency: float, *, volatility_ratio: float, volume_ratio: float) -> float:
    """``urgency`` after the market turned out otherwise than expected.

    ``kappa`` goes with ``sigma / sqrt(eta)``, and ``eta`` with one over the volume. Ratios are realised over expected,
    and count between a quarter and four times: one wild minute is no new world.
    """
    volatility, volume = (min(max(ratio, 0.25), 4.0) for ratio in (volatility_ratio, volume_ratio))
    return urgency * volatility * math.sqrt(volume)


def expected_cost(trades: Sequence[float], *, eta: float, gamma: float, epsilon: float, tau: float) -> float:
    """Expected shortfall of selling ``trades`` per step: permanent, fixed and temporary impact (equation 4 there)."""
    total = sum(trades)
    temporary = (eta - gamma * tau / 2) / tau * sum(trade * trade for trade in trades)
    return gamma * total * total / 2 + epsilon * sum(abs(trade) for trade in trades) + temporary
