"""From the desk to the inputs of one decision: which instruments may be routed to now, and what each offers.

An instrument is left out, and the decision says why, when its feed is not LIVE, its venue is not reconciled, a halt or
a restriction covers it, the outcome of an order there is unknown, the parent has a leg on its way to it or lets it
cool, or its lots are no multiple of the parent's, so that what fills there could not be counted in the parent's lots.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

from workers.engine.accounting.line import Line
from workers.engine.config import SECOND_NS
from workers.engine.execution.parent import Parent
from workers.engine.execution.routing.inputs import (
    PPB,
    DarkVenue,
    Level,
    LitVenue,
    RouteInputs,
    RouteRequest,
    latency_penalty,
    reject_penalty,
)
from workers.engine.instruments import Instrument
from workers.engine.market.venues import is_dark as dark_features
from workers.engine.portfolio.plan import largest_order
from workers.engine.risk.checks import check_halts, place_of
from workers.engine.risk.gate import OrderRequest
from workers.engine.risk.limits import Limits
from workers.engine.vocabulary import FeedState, Reason, Side

if TYPE_CHECKING:
    from workers.engine.desk import Desk

LEVELS: Final = 20
"""Levels of a venue's book that a decision looks at, and keeps."""
LEAST_PING: Final = 0.25
"""Smallest part of a ping that may fill."""


class Slice(NamedTuple):
    """What is to be routed: ``lots`` of the parent; ``sigma`` as in ``latency_penalty``, ``through`` as of venues."""

    parent: Parent
    lots: int
    sigma: float
    limits: Limits
    through: int = 0


class View(NamedTuple):
    """What can be decided from; ``left_out`` says by symbol why an instrument is not among it."""

    inputs: RouteInputs
    left_out: dict[str, str]


def siblings(desk: Desk, symbol: str) -> list[Line]:
    """Lines of the same base and quote as ``symbol``, its own first."""
    own = desk.books.lines[symbol]
    pair = (own.instrument.base, own.instrument.quote)
    others = (line for line in desk.books.lines.values() if line is not own)
    return [own, *(line for line in others if (line.instrument.base, line.instrument.quote) == pair)]


def is_dark(desk: Desk, instrument: Instrument) -> bool:
    """True for a venue that shows no book and fills a smallest part at once or nothing: it can be pinged."""
    return dark_features(desk.config.features_of(instrument.venue))


def view(desk: Desk, wanted: Slice) -> View:
    """The inputs of a decision on the books of this moment."""
    parent = wanted.parent
    own = desk.books.lines[parent.symbol]
    lit: list[LitVenue] = []
    dark: list[Line] = []
    left_out: dict[str, str] = {}
    for line in siblings(desk, parent.symbol):
        why = _unusable(desk, wanted, line)
        if not why and is_dark(desk, line.instrument):
            dark.append(line)
        elif not why:
            levels = depth(desk, line.symbol, parent.side)
            why = "" if levels else "nothing is offered"
            lit += [_lit(desk, wanted, line, levels)] if levels else []
        if why:
            left_out[line.symbol] = why
    middle = _middle(desk, lit)
    request = RouteRequest(
        side=parent.side, atoms=wanted.lots * own.lot_atoms, limit=parent.limit_price * own.value_factor
    )
    pinged = tuple(_dark(desk, wanted, line, middle) for line in dark)
    return View(RouteInputs(request=request, lit=tuple(lit), dark=pinged), left_out)


def depth(desk: Desk, symbol: str, side: Side) -> tuple[Level, ...]:
    """What an order of ``side`` would take, best first: the host's book, or the touch where it knows no more."""
    taken = Side.SELL if side is Side.BUY else Side.BUY
    if desk.depth is not None:
        levels = desk.depth(symbol, taken, LEVELS)
        if levels or desk.depth(symbol, side, 1):
            # A book that is in sync, if only its other side offers anything.
            return levels
    market = desk.markets[symbol]
    price, lots = (market.ask, market.ask_lots) if side is Side.BUY else (market.bid, market.bid_lots)
    return ((price, lots),) if price and lots else ()


def _unusable(desk: Desk, wanted: Slice, line: Line) -> str:
    """Why the instrument cannot be routed to; empty when it can."""
    parent, symbol = wanted.parent, line.symbol
    own, orders = desk.books.lines[parent.symbol], desk.books.orders
    until = desk.routes.cools_until(parent.parent_id, symbol)
    why = _closed(desk, parent, line)
    if line.lot_atoms % own.lot_atoms:
        why = f"its lots of {line.instrument.lot} are no multiple of {own.instrument.lot}"
    elif symbol in wanted.limits.restricted:
        why = "it is restricted"
    elif not why and any(orders[name].symbol == symbol and orders[name].route for name in parent.open):
        why = "a leg is on its way there"
    elif not why and desk.now < until:
        why = f"its last leg was not filled wholly; again in {(until - desk.now) / SECOND_NS:.2f} s"
    return why


def _closed(desk: Desk, parent: Parent, line: Line) -> str:
    """Why nobody may trade the instrument now; empty when they may."""
    market = desk.markets[line.symbol]
    halted: list[Reason] = []
    asked = OrderRequest(symbol=line.symbol, side=parent.side, lots=1, run_id=parent.run_id)
    check_halts(place_of(asked, line, desk.risk), desk.risk, halted)
    if halted:
        return "halted: " + ", ".join(reason.value for reason in halted)
    if line.venue not in desk.risk.reconciled_at:
        return "its venue's books are not reconciled"
    if market.feed is not FeedState.LIVE:
        return f"its feed is {market.feed.value}"
    if 0 < market.closes_at <= desk.now:
        return "its session is over"
    return "the outcome of an order there is not known yet" if line.unknown else ""


def _most(wanted: Slice, line: Line, price: int) -> int:
    """Lots that one order may have under the limits on quantity, value and position."""
    limits = wanted.limits
    most = largest_order(line, limits, price=max(price, 1))
    if wanted.parent.side is Side.BUY:
        room = limits.max_position.get(line.symbol, 0) - line.position - line.open_buy * line.lot_atoms
        most = min(most, room // line.lot_atoms)
    return max(most, 0)


def _funds(desk: Desk, line: Line, side: Side) -> int:
    """Money units (buy) or atoms (sell) that are free at the instrument's venue."""
    if side is Side.SELL:
        return max(line.position - line.open_sell * line.lot_atoms, 0)
    books = desk.books
    return max(books.cash_at.get(line.venue, 0) - books.reserved_at.get(line.venue, 0), 0)


def _fee(instrument: Instrument) -> int:
    return math.ceil(Fraction(instrument.taker_fee) * PPB)


def _lit(desk: Desk, wanted: Slice, line: Line, levels: tuple[Level, ...]) -> LitVenue:
    instrument, record = line.instrument, desk.routes.venue(line.venue)
    worst = max(levels[-1][0], levels[0][0], desk.markets[line.symbol].reference)
    return LitVenue(
        venue=instrument.venue,
        symbol=line.symbol,
        levels=levels,
        value_factor=line.value_factor,
        lot_atoms=line.lot_atoms,
        min_lots=instrument.min_lots,
        max_lots=_most(wanted, line, worst),
        min_notional=instrument.min_notional_money,
        fee_ppb=_fee(instrument),
        latency_ppb=latency_penalty(wanted.sigma, record.latency_ns),
        reject_ppb=reject_penalty(record.reject_probability, wanted.sigma, int(record.round_trip_ns)),
        available=_funds(desk, line, wanted.parent.side),
        through=wanted.through,
        own_price=_own_price(line, wanted.parent.side),
    )


def _own_price(line: Line, side: Side) -> int:
    """Best of our own resting prices that an order of ``side`` could trade with, 0 for none."""
    prices = [order.price for order in line.open.values() if order.side is not side and order.price]
    if not prices:
        return 0
    return min(prices) if side is Side.BUY else max(prices)


def _middle(desk: Desk, lit: list[LitVenue]) -> int:
    """Middle between the best bid and the best ask of the lit venues, in money units per atom; 0 when unknown."""
    tops = [(desk.markets[venue.symbol], venue.value_factor) for venue in lit]
    bids = [market.bid * factor for market, factor in tops if market.bid]
    asks = [market.ask * factor for market, factor in tops if market.ask]
    return (max(bids) + min(asks)) // 2 if bids and asks else 0


def _dark(desk: Desk, wanted: Slice, line: Line, middle: int) -> DarkVenue:
    instrument, record = line.instrument, desk.routes.venue(line.venue)
    price = max(desk.markets[line.symbol].reference, middle // line.value_factor)
    return DarkVenue(
        venue=instrument.venue,
        symbol=line.symbol,
        value_factor=line.value_factor,
        lot_atoms=line.lot_atoms,
        min_lots=instrument.min_lots,
        max_lots=_most(wanted, line, price),
        fee_ppb=_fee(instrument),
        fill_probability=record.hit_probability,
        min_fraction=LEAST_PING,
        delay_ppb=latency_penalty(wanted.sigma, int(record.round_trip_ns)),
        available=_funds(desk, line, wanted.parent.side),
        middle=middle,
    )
