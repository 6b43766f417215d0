"""How the trades of an approved proposal are worked: what the policy says, when it is too late, and what to send now.

Pure. What an order may cost at worst is set aside in ``cash.Cash`` before it is sent, so that no buy is sent that the
account could not pay for, whatever the sells before it bring in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final, Literal

import msgspec

from workers.engine.instruments import Instrument
from workers.engine.portfolio.cash import FEE_SCALE, Cash, affordable_lots
from workers.engine.portfolio.problem import PortfolioError

DEFAULT_PARAMS: Final[dict[str, dict[str, Any]]] = {"twap": {"slices": 10}}
LONGEST_S: Final = 7 * 86_400


class Execution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an approved proposal is worked, and until when it can be approved.

    Each trade is a parent order of ``algorithm`` with ``params`` over ``duration_s``. A proposal that is older than
    ``max_age_s``, one of whose prices has moved by more than the fraction ``price_move`` since, or whose book has
    changed by more than ``book_move`` of equity, is not approved any more. No order trades further than ``price_move``
    from the price that it was proposed at.
    """

    algorithm: Literal["twap", "vwap", "pov", "buckets", "adaptive"] = "twap"
    params: dict[str, Any] = {}
    duration_s: float = 600.0
    max_age_s: float = 900.0
    price_move: float = 0.01
    book_move: float = 0.01

    def __post_init__(self) -> None:
        times, moves = (self.duration_s, self.max_age_s), (self.price_move, self.book_move)
        if not all(math.isfinite(time) and 1 <= time <= LONGEST_S for time in times):
            raise PortfolioError(f"expected duration_s and max_age_s of 1 to {LONGEST_S} s, was {times}")
        if not all(0 < move < 1 for move in moves):
            raise PortfolioError(f"expected price_move and book_move between 0 and 1, was {moves}")
        if not self.params:
            # Written out when it is frozen, so that a later default changes no policy.
            msgspec.structs.force_setattr(self, "params", dict(DEFAULT_PARAMS.get(self.algorithm, {})))


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask every ``every_s`` seconds by itself whether bands or drift make a new book due.

    What comes out is a proposal for a person unless ``execute``: then it is worked at once, on the leave of the one
    who set the schedule.
    """

    every_s: float
    execute: bool = False

    def __post_init__(self) -> None:
        if not 60 <= self.every_s <= LONGEST_S:
            raise PortfolioError(f"expected every_s of 60 to {LONGEST_S} s, was {self.every_s}")


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One trade that waits: ``limit`` is the worst price in ticks that it may trade at."""

    key: str
    instrument: Instrument
    buy: bool
    lots: int
    limit: int

    @property
    def worst(self) -> int:
        """Money units of the quote asset that a buy may cost at worst, its fee included."""
        value = self.lots * self.limit * self.instrument.lot_value
        return value + -(-value * fee_rate(self.instrument) // FEE_SCALE)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with a leg now: send ``lots`` of it, or, where they are 0, give it up; ``why`` if not all are sent."""

    key: str
    lots: int
    why: str = ""


def fee_rate(item: Instrument) -> int:
    """The taker's fee in 10**-8 of the value, rounded up; a rebate counts as nothing."""
    return max(int((item.taker_fee * FEE_SCALE).to_integral_value(ROUND_CEILING)), 0)


def limit_of(ticks: int, *, buy: bool, move: float) -> int:
    """The worst price of a trade proposed at ``ticks``, in ticks, 1 at least: the fraction ``move`` away."""
    away = Decimal(str(move))
    return int(ticks * (1 + away)) if buy else max(math.ceil(ticks * (1 - away)), 1)


def next_orders(waiting: Iterable[Leg], cash: Cash, *, busy: frozenset[str]) -> list[Order]:
    """What to send now of ``waiting``; the sells at once, each buy when ``cash`` holds what it may cost at worst.

    ``busy`` are the currencies in which orders of the same execution are still under way: what those bring in or leave
    over is waited for, and no later buy overtakes the one that waits. Without any, a buy that is too dear is made
    smaller, or given up when that is below the smallest order. Sets the cost of what is sent aside in ``cash``.
    """
    legs = list(waiting)
    made = [Order(key=leg.key, lots=leg.lots) for leg in legs if not leg.buy]
    held_up = {*busy}
    sent = {leg.instrument.quote_key for leg in legs if not leg.buy}
    short: set[str] = set()
    for leg in (one for one in legs if one.buy):
        currency = leg.instrument.quote_key
        if currency in short:
            continue
        if leg.worst <= cash.free(currency):
            cash.reserve(leg.key, currency, leg.worst)
            made.append(Order(key=leg.key, lots=leg.lots))
            sent.add(currency)
        elif currency in held_up or currency in sent:
            short.add(currency)
        else:
            made.append(_smaller(leg, cash))
            # What is left of the cash after this one is not enough for another of its size; look again when it is over.
            short.update({currency} if made[-1].lots else ())
    return made


def _smaller(leg: Leg, cash: Cash) -> Order:
    item, currency = leg.instrument, leg.instrument.quote_key
    price = leg.limit * item.lot_value
    lots = min(affordable_lots(cash.free(currency), lot_price=price, fee_rate=fee_rate(item)), leg.lots)
    if lots < item.min_lots or lots * price < item.min_notional_money:
        return Order(key=leg.key, lots=0, why="there is not enough free cash for the smallest order")
    reduced = Leg(key=leg.key, instrument=item, buy=True, lots=lots, limit=leg.limit)
    cash.reserve(leg.key, currency, min(reduced.worst, cash.free(currency)))
    bought, wanted = item.quantity(lots), item.quantity(leg.lots)
    return Order(key=leg.key, lots=lots, why=f"free cash was enough for {bought} of {wanted} {item.base}")
