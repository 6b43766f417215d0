"""What a routing decision is made from. All of it is stored with the decision, so that anyone can make it again.

Prices are ticks and quantities lots of each venue's own grid; the request is in atoms of the base asset, which all
venues share. Penalties are parts per billion of notional and always add to the cost of a venue.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from workers.engine.vocabulary import Side

PPB: Final = 10**9
Level = tuple[int, int]
"""(price in ticks, quantity in lots), as ``events.Level``, which journals what is made here."""
SECOND_NS: Final = 10**9


class LitVenue(msgspec.Struct, frozen=True, kw_only=True):
    """One venue's visible side that the order would take, best price first, and what taking it costs."""

    venue: str
    symbol: str
    levels: tuple[Level, ...]
    value_factor: int
    """Money units per tick and atom."""
    lot_atoms: int
    min_lots: int
    max_lots: int
    min_notional: int
    """Money units per order."""
    fee_ppb: int
    """Taker fee; negative for a rebate."""
    latency_ppb: int = 0
    """Expected adverse move until an order arrives, see ``latency_penalty``."""
    reject_ppb: int = 0
    """Expected cost of a rejection, see ``reject_penalty``."""
    available: int = -1
    """Money units (buy) or atoms (sell) that may be spent there; -1 when the venue shares one account with all."""
    through: int = 0
    """Ticks by which an order may trade through the worst level that it is to take, should the book move on its way."""
    own_price: int = 0
    """Best price in ticks of our own resting order on the side that would be taken; 0 for none."""


class DarkVenue(msgspec.Struct, frozen=True, kw_only=True):
    """A venue that shows no book and crosses at the middle of the consolidated one."""

    venue: str
    symbol: str
    value_factor: int
    lot_atoms: int
    min_lots: int
    max_lots: int
    fee_ppb: int
    fill_probability: float
    """Chance that a ping of the wanted size meets at least ``min_fraction`` of it, from its own record of pings."""
    min_fraction: float
    """Smallest part of the ping that may fill: less would only show that somebody is here."""
    delay_ppb: int
    """Expected adverse move of the lit books while the ping is away, see ``latency_penalty``."""
    available: int = -1
    """As of a lit venue."""
    middle: int = 0
    """Where it is expected to cross: the middle of the lit books in money units per atom; 0 counts the touch."""


class RouteRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``atoms`` of the base to buy or sell now, no worse than ``limit`` (money units per atom, 0 for none)."""

    side: Side
    atoms: int
    limit: int = 0


class RouteInputs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a decision may look at."""

    request: RouteRequest
    lit: tuple[LitVenue, ...]
    dark: tuple[DarkVenue, ...] = ()


def latency_penalty(sigma: float, latency_ns: int) -> int:
    """Parts per billion that the price is expected to move against us: ``sigma * sqrt(latency)``, rounded up.

    ``sigma`` is the standard deviation of the log return over one second. ValueError unless it is finite and not
    negative.
    """
    if not (math.isfinite(sigma) and sigma >= 0 and latency_ns >= 0):
        raise ValueError(f"expected finite, non-negative sigma and latency, was {sigma} and {latency_ns} ns")
    return math.ceil(sigma * math.sqrt(latency_ns / SECOND_NS) * PPB)


def reject_penalty(probability: float, sigma: float, round_trip_ns: int) -> int:
    """Parts per billion: the chance of a rejection times the move until the order is placed elsewhere, rounded up."""
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"expected a probability between 0 and 1, was {probability}")
    return math.ceil(probability * latency_penalty(sigma, round_trip_ns))
