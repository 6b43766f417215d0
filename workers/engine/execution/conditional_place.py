"""Taking on conditional orders: what is asked for is checked, and becomes the events that the journal keeps.

A bracket's exits are journalled before its entry, so that no crash can leave an entry without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import msgspec

from workers.engine.events import ConditionalAccepted, OrderDenied
from workers.engine.execution.client_ids import client_order_id
from workers.engine.execution.conditional_types import (
    KEPT,
    ConditionalKind,
    ConditionalRequest,
    TriggerSource,
    expiry_of,
    problem_of,
)
from workers.engine.market.venues import Feature, holds_stop
from workers.engine.risk.gate import OrderRequest
from workers.engine.vocabulary import OrderType, Reason, Side, TimeInForce, TradingState

if TYPE_CHECKING:
    from workers.engine.desk import Desk
    from workers.engine.market_state import MarketState

MAX_HELD: Final = 200
"""Conditional orders that may be held at once: each is looked at with every price of its instrument."""

_FEATURES: Final = {
    ConditionalKind.STOP: Feature.STOP,
    ConditionalKind.TAKE_PROFIT: Feature.TAKE_PROFIT,
    ConditionalKind.TRAILING_STOP: Feature.TRAILING_STOP,
}


class Oco(msgspec.Struct, frozen=True, kw_only=True):
    """One cancels the other: two orders of the same instrument, side and size, of which only one may do its work.

    Either may be of kind LIMIT: it rests at the venue, and what it fills is taken off the other.
    """

    first: ConditionalRequest
    second: ConditionalRequest


class Bracket(msgspec.Struct, frozen=True, kw_only=True):
    """An entry with its exits: they close what the entry has really filled, and exclude each other.

    ``stop_loss`` in ticks, or a trailing stop by ``trail_ticks`` or ``trail_bps``; ``stop_limit`` limits its price.
    ``take_profit`` 0 is none; it rests at the venue as a limit order unless ``hold_profit`` keeps it in the kernel,
    which then crosses the spread when the opposite touch reaches it.
    """

    entry: OrderRequest | ConditionalRequest
    stop_loss: int = 0
    stop_limit: int = 0
    trail_ticks: int = 0
    trail_bps: int = 0
    take_profit: int = 0
    hold_profit: bool = False
    source: TriggerSource = TriggerSource.OPPOSITE_TOUCH


def legs_of(bracket: Bracket) -> list[tuple[str, ConditionalRequest]]:
    """The exits of a bracket, with the ending of their ids."""
    entry = bracket.entry
    common: dict[str, Any] = {
        "symbol": entry.symbol,
        "side": Side(-entry.side),
        "lots": entry.lots,
        "reduce_only": True,
    }
    trails = bracket.trail_ticks or bracket.trail_bps
    stop = ConditionalRequest(
        kind=ConditionalKind.TRAILING_STOP if trails else ConditionalKind.STOP,
        trigger=bracket.stop_loss,
        price=bracket.stop_limit,
        trail_ticks=bracket.trail_ticks,
        trail_bps=bracket.trail_bps,
        source=bracket.source,
        **common,
    )
    legs = [("sl", stop)]
    if bracket.take_profit and bracket.hold_profit:
        held = ConditionalRequest(
            kind=ConditionalKind.TAKE_PROFIT, trigger=bracket.take_profit, source=bracket.source, **common
        )
        legs.append(("tp", held))
    elif bracket.take_profit:
        legs.append(("tp", ConditionalRequest(kind=ConditionalKind.LIMIT, price=bracket.take_profit, **common)))
    return legs


def hold(desk: Desk, request: ConditionalRequest | Oco | Bracket) -> str | None:
    """Take ``request`` on: the id of the conditional order, of an OCO's first, or of a bracket's entry.

    None when it was refused, which is journalled with the reasons, or when no run is on.
    """
    if isinstance(request, Bracket):
        return _hold_bracket(desk, request)
    legs = [request] if isinstance(request, ConditionalRequest) else [request.first, request.second]
    run = desk.run
    if run is None:
        return None
    base = client_order_id(run.run_id, desk.books.epoch, desk.books.decisions)
    reasons, why = _refusal(desk, legs, entered=False)
    if reasons:
        _deny(desk, legs[0], base, reasons, why)
        return None
    group = f"{base}.g" if len(legs) > 1 else ""
    ids = [f"{base}.{number}" if group else f"{base}.c" for number in range(1, len(legs) + 1)]
    events = [
        accepted(desk, leg, client_id, group=group, count=len(legs)) for leg, client_id in zip(legs, ids, strict=True)
    ]
    for event in events:
        desk.record(event)
    desk.conditionals.taken(legs[0].symbol)
    return ids[0]


def _hold_bracket(desk: Desk, bracket: Bracket) -> str | None:
    entry, run = bracket.entry, desk.run
    if run is None:
        return None
    base = client_order_id(run.run_id, desk.books.epoch, desk.books.decisions)
    named = legs_of(bracket)
    legs = [leg for _, leg in named]
    conditional = isinstance(entry, ConditionalRequest)
    entry_id = f"{base}.c" if conditional else base
    group = f"{base}.g"
    checked = [*legs, entry] if isinstance(entry, ConditionalRequest) else legs
    reasons, why = _refusal(desk, checked, entered=True)
    if not reasons and not _straddles(bracket):
        reasons, why = (Reason.CONDITIONAL_INVALID,), "the stop loss must be worse and the take profit better"
    if reasons:
        _deny(desk, legs[0], base, reasons, why)
        return None

    exits = tuple(
        accepted(desk, leg, f"{base}.{end}", group=group, entry=entry_id, count=len(legs)) for end, leg in named
    )
    if isinstance(entry, ConditionalRequest):
        for event in (*exits, accepted(desk, entry, entry_id)):
            desk.record(event)
    elif desk.order(msgspec.structs.replace(entry, exits=exits)) is None:
        return None
    desk.conditionals.taken(entry.symbol)
    return entry_id


def replace(desk: Desk, client_id: str, *, price: int, lots: int) -> str | None:
    """Put an order at ``price`` for ``lots`` in all (0: as many as now) in the place of an open limit order.

    The id of the replacement, whose order follows the confirmed end of the old one; None when it was refused.
    """
    order, run = desk.books.orders.get(client_id), desk.run
    if run is None or order is None:
        return None
    base = client_order_id(run.run_id, desk.books.epoch, desk.books.decisions)
    request = ConditionalRequest(
        symbol=order.symbol,
        side=order.side,
        lots=lots or order.lots,
        kind=ConditionalKind.REPLACEMENT,
        price=price,
        reduce_only=order.reduce_only,
        post_only=order.order_type is OrderType.LIMIT_MAKER,
        tif=TimeInForce.GTD if order.expires_at else TimeInForce.GTC,
        expires_at=order.expires_at,
        decision={"replaces": client_id},
    )
    reasons, why = _refusal(desk, [request], entered=True)
    if not order.open or order.order_type is OrderType.MARKET or order.conditional_id or order.parent_id:
        reasons, why = (*reasons, Reason.CONDITIONAL_INVALID), "only an open limit order of its own can be replaced"
    elif request.lots <= order.filled:
        reasons, why = (*reasons, Reason.CONDITIONAL_INVALID), f"{order.filled} lots are filled already"
    elif desk.books.conditionals.replacement_of(client_id, order.symbol) is not None:
        reasons, why = (*reasons, Reason.CONDITIONAL_INVALID), "it is being replaced already"
    if reasons:
        _deny(desk, request, base, reasons, why)
        return None
    desk.record(accepted(desk, request, f"{base}.r", entry=client_id))
    desk.conditionals.taken(order.symbol)
    return f"{base}.r"


def _straddles(bracket: Bracket) -> bool:
    """True when loss and profit lie on the right sides of each other and of the entry's own price."""
    side, entry = bracket.entry.side, bracket.entry
    middle = entry.price or (entry.trigger if isinstance(entry, ConditionalRequest) else 0)
    prices = [price for price in (bracket.stop_loss, middle, bracket.take_profit) if price]
    return all((after - before) * side > 0 for before, after in pairwise(prices))


def accepted(
    desk: Desk, request: ConditionalRequest, client_id: str, *, group: str = "", entry: str = "", count: int = 1
) -> ConditionalAccepted:
    """The event that takes ``request`` on; a trailing stop without a trigger gets one as soon as it counts."""
    run, market = desk.run, desk.markets[request.symbol]
    native = _is_native(desk, request, group=group, entry=entry)
    return ConditionalAccepted(
        ts=desk.now,
        client_id=client_id,
        run_id=run.run_id if run else "",
        symbol=request.symbol,
        side=request.side,
        kind=request.kind,
        lots=request.lots if request.kind is ConditionalKind.REPLACEMENT or not entry else 0,
        trigger=request.trigger,
        price=request.price,
        trail_ticks=request.trail_ticks,
        trail_bps=request.trail_bps,
        trail_step=request.trail_step,
        source=request.source,
        reduce_only=request.reduce_only,
        tif=request.tif,
        expires_at=expiry_of(request.tif, request.expires_at, now=desk.now, closes_at=market.closes_at),
        group=group,
        entry=entry,
        session_id=market.session_id,
        reference=market.reference,
        emulated="" if native else _emulated(desk, request, group=group, entry=entry),
        decision=request.decision,
        legs=count,
        post_only=request.post_only,
        native=native,
    )


def _is_native(desk: Desk, request: ConditionalRequest, *, group: str, entry: str) -> bool:
    """True for a plain stop on the last trade where the venue holds such orders."""
    plain = request.kind is ConditionalKind.STOP and not (group or entry or request.post_only)
    wanted = request.native and request.source is TriggerSource.LAST_TRADE
    return plain and wanted and holds_stop(desk.offered(request.symbol), limited=request.price > 0)


def _emulated(desk: Desk, request: ConditionalRequest, *, group: str, entry: str) -> str:
    """What the kernel does in the venue's place, and why, in words."""
    native, said = desk.offered(request.symbol), []
    feature = _FEATURES.get(request.kind)
    if feature is Feature.STOP and request.price:
        feature = Feature.STOP_LIMIT
    if request.kind is ConditionalKind.REPLACEMENT:
        said.append("replaced by the kernel: cancelled first, sent anew when that is confirmed")
    if feature is not None:
        why = _why(request, feature, native) if feature in native else "the venue has none"
        watched = "last trade" if request.source is TriggerSource.LAST_TRADE else "opposite touch"
        said.append(f"{feature.value} {KEPT} on the {watched}: {why}")
    if group:
        said.append(f"{'BRACKET' if entry else 'OCO'} linked by the kernel")
    return "; ".join(said)


def _why(request: ConditionalRequest, feature: Feature, native: AbstractSet[Feature]) -> str:
    """Why the kernel holds what the venue could."""
    if feature in (Feature.STOP, Feature.STOP_LIMIT) and Feature.TRIGGER_LAST_TRADE in native:
        if not request.native:
            return "so it was asked for"
        if request.source is not TriggerSource.LAST_TRADE:
            return "the venue's stops look at its last trade"
    return "so that the gate and halts apply when it fires"


# -- what is refused


def _refusal(desk: Desk, legs: Sequence[ConditionalRequest], *, entered: bool) -> tuple[tuple[Reason, ...], str]:
    """Reasons against taking ``legs`` on, and words for the first; ``entered``: a position is still to come."""
    first = legs[0]
    market = desk.markets.get(first.symbol)
    if market is None:
        return (Reason.INSTRUMENT_UNKNOWN,), first.symbol
    found = list(_desk_reasons(desk, first.symbol, len(legs)))
    why = next((problem for problem in map(problem_of, legs) if problem), "")
    alike = {(leg.symbol, leg.side, leg.lots) for leg in legs if leg.reduce_only or not entered}
    if not why and len(alike) > 1:
        why = "orders that exclude each other need the same instrument, side and quantity"
    if why:
        return (*found, Reason.CONDITIONAL_INVALID), why
    for leg in legs:
        found += _leg_reasons(desk, market, leg, entered=entered)
    return tuple(dict.fromkeys(found)), ""


def _desk_reasons(desk: Desk, symbol: str, count: int) -> list[Reason]:
    limits, found = desk.limits, []
    if desk.books.state is TradingState.HALTED:
        found.append(Reason.TRADING_HALTED)
    if limits is None:
        found.append(Reason.LIMITS_MISSING)
    elif symbol in limits.restricted:
        found.append(Reason.INSTRUMENT_RESTRICTED)
    if desk.run is not None and symbol not in desk.run.instruments:
        found.append(Reason.INSTRUMENT_NOT_OF_RUN)
    if desk.books.conditionals.count() + count > MAX_HELD:
        found.append(Reason.OPEN_ORDERS_ABOVE_LIMIT)
    return found


def _leg_reasons(desk: Desk, market: MarketState, leg: ConditionalRequest, *, entered: bool) -> list[Reason]:
    instrument, limits, found = market.line.instrument, desk.limits, []
    if leg.lots <= 0:
        found.append(Reason.QUANTITY_NOT_POSITIVE)
    elif leg.lots < instrument.min_lots:
        found.append(Reason.QUANTITY_BELOW_MIN)
    elif limits is not None and leg.lots > limits.max_order_lots.get(leg.symbol, 0):
        found.append(Reason.QUANTITY_ABOVE_LIMIT)
    expires = expiry_of(leg.tif, leg.expires_at, now=desk.now, closes_at=market.closes_at)
    if leg.tif is not TimeInForce.GTC and expires <= desk.now:
        found.append(Reason.EXPIRY_NOT_AHEAD)
    if leg.reduce_only and not entered and desk.position(leg.symbol) * leg.side >= 0:
        found.append(Reason.REDUCE_ONLY_WOULD_INCREASE)
    if not entered and _fires_at_once(market, leg):
        found.append(Reason.TRIGGER_ALREADY_REACHED)
    return found


def _fires_at_once(market: MarketState, leg: ConditionalRequest) -> bool:
    """True when the price that is known already lies beyond the trigger."""
    price = market.bid if leg.side is Side.SELL else market.ask
    if not price or not leg.trigger or leg.kind is ConditionalKind.LIMIT:
        return False
    beyond = (price - leg.trigger) * leg.side
    return beyond <= 0 if leg.kind is ConditionalKind.TAKE_PROFIT else beyond >= 0


def _deny(desk: Desk, leg: ConditionalRequest, client_id: str, reasons: tuple[Reason, ...], why: str) -> None:
    run = desk.run
    desk.record(
        OrderDenied(
            ts=desk.now,
            client_id=client_id,
            run_id=run.run_id if run else "",
            symbol=leg.symbol,
            side=leg.side,
            lots=leg.lots,
            price=leg.price or leg.trigger,
            reasons=reasons,
            inputs={"conditional": leg.kind.value, "why": why},
        )
    )
