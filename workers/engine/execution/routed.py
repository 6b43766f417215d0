"""What of a routed parent must be taken now: decided by the router, journalled, and sent as children where it says.

``RouteDecided`` is journalled before the intents of its legs. Each leg passes the gate as any order does; what is
denied is routed again at once without that venue, and so is, with the event that tells of it, what was rejected or did
not fill. A quantity that may still fill anywhere, an unknown one too, is never routed a second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from workers.engine import events as e
from workers.engine.execution.parent import Parent, ParentStatus
from workers.engine.execution.routing.router import Leg, RouteDecision, RouteKind, decide
from workers.engine.execution.routing.view import Slice, View, siblings, view
from workers.engine.execution.tactic import least_lots
from workers.engine.risk.gate import OrderRequest
from workers.engine.vocabulary import OrderStatus, OrderType, TimeInForce

if TYPE_CHECKING:
    from workers.engine.desk import Desk

NOWHERE: Final = "no venue offers enough within limit, funds and smallest orders"


def open_lots(desk: Desk, parent: Parent, *, legs_only: bool = False) -> int:
    """The parent's lots that may still fill, at whichever venue; ``legs_only`` leaves out what rests at home."""
    orders = (desk.books.orders[client_id] for client_id in parent.open)
    atoms = sum(
        order.remaining * desk.books.lines[order.symbol].lot_atoms for order in orders if order.route or not legs_only
    )
    return -(-atoms // desk.books.lines[parent.symbol].lot_atoms)


def pinging(desk: Desk, parent: Parent) -> bool:
    """True while a dark venue's answer is awaited; once it is lost, its quantity waits and the rest goes on."""
    orders = (desk.books.orders[client_id] for client_id in parent.open)
    return any(order.min_lots and order.status is not OrderStatus.UNKNOWN for order in orders)


def least_anywhere(desk: Desk, parent: Parent) -> int:
    """The parent's lots in the smallest order that any venue of the pair takes."""
    own = desk.books.lines[parent.symbol]
    found = []
    for line in siblings(desk, parent.symbol):
        price = desk.markets[line.symbol].reference
        if price and not line.lot_atoms % own.lot_atoms:
            found.append(least_lots(line.instrument, price) * line.lot_atoms // own.lot_atoms)
    return min(found, default=own.instrument.min_lots)


def offered(desk: Desk, wanted: Slice) -> bool:
    """True when some of it could be taken somewhere, once what rests has let go of the funds that it holds."""
    inputs = view(desk, wanted).inputs
    lit = tuple(msgspec.structs.replace(venue, available=-1) for venue in inputs.lit)
    return decide(msgspec.structs.replace(inputs, lit=lit, dark=())).kind is not RouteKind.NOTHING


def route(desk: Desk, wanted: Slice) -> str:
    """Send as many lots as there is a place for; return why nothing went, empty when something did."""
    parent, lots, went = wanted.parent, wanted.lots, False
    # Each round takes a venue out: one whose leg was denied cools, one with a leg on its way is left out.
    while lots > 0 and parent.status is ParentStatus.ACTIVE:
        seen = view(desk, wanted._replace(lots=lots))
        decision = decide(seen.inputs)
        if decision.kind is RouteKind.NOTHING:
            return "" if went else _nowhere(seen)
        sent, denied = _send(desk, parent, seen, decision)
        went, lots = went or bool(sent), lots - sent
        if not denied or (sent and decision.kind is RouteKind.PING):
            return ""
    return ""


def _nowhere(seen: View) -> str:
    left_out = "; ".join(f"{symbol}: {why}" for symbol, why in seen.left_out.items())
    return f"{NOWHERE} ({left_out})" if left_out else NOWHERE


def _send(desk: Desk, parent: Parent, seen: View, decision: RouteDecision) -> tuple[int, int]:
    """Journal the decision and send its legs; return the parent's lots sent, and how many legs were denied."""
    own = desk.books.lines[parent.symbol]
    number = parent.routes + 1
    desk.record(
        e.RouteDecided(
            ts=desk.now,
            parent_id=parent.parent_id,
            number=number,
            decision=decision,
            left_out=seen.left_out,
            mid=desk.markets[parent.symbol].reference,
        )
    )
    sent = denied = 0
    for leg in decision.legs:
        if parent.status is not ParentStatus.ACTIVE:
            # What the leg before brought about has ended the parent.
            break
        if desk.place(_request(parent, leg, number), parent) is None:
            denied += 1
        else:
            sent += leg.lots * desk.books.lines[leg.symbol].lot_atoms // own.lot_atoms
    return sent, denied


def _request(parent: Parent, leg: Leg, number: int) -> OrderRequest:
    return OrderRequest(
        symbol=leg.symbol,
        side=parent.side,
        lots=leg.lots,
        price=leg.price,
        order_type=OrderType.LIMIT,
        tif=TimeInForce.IOC,
        reduce_only=parent.reduce_only,
        min_lots=leg.min_lots,
        route=number,
        decision={"why": "route", "parent": parent.parent_id, "route": number, "filled": parent.filled},
    )
