"""Parent orders of the journal as rows, and what people may ask for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from apps.core.errors import Invalid
from apps.core.money import parse_decimal, plain, shown
from apps.trading.domain import routes
from apps.trading.domain.states import ZERO, FillState, OrderState, at, short
from workers.engine import events as ev
from workers.engine.execution.algorithms import AlgorithmError, check_params, names, needs_end
from workers.engine.execution.parent import ParentRequest, ParentStatus
from workers.engine.execution.tca import BPS
from workers.engine.instruments import GridError, Instrument, from_money
from workers.engine.vocabulary import Side

if TYPE_CHECKING:
    from apps.trading.domain.projection import Books

REQUESTED: Final = "REQUESTED"
"""A person's parent that the loop has not taken on yet."""
LIVE: Final = (REQUESTED, ParentStatus.ACTIVE.value, ParentStatus.CANCELLING.value)
LONGEST_S: Final = 7 * 86_400
MOST_ORDERS: Final = 10_000
"""A parent order is no larger than so many of the largest orders that the venue takes."""
QUANTITIES: Final = {
    "display_quantity": "display_lots",
    "min_child_quantity": "min_child_lots",
    "expected_quantity": "expected_lots",
}
"""Parameters that people give as quantities, and what the algorithms call them in lots."""


@dataclass(slots=True)
class ParentState:
    """What the journal says of one parent; field for field the columns that the projection owns."""

    parent_id: str
    symbol: str
    side: str
    quantity: Decimal
    algorithm: str
    starts_at: datetime
    by: str
    requested_at: datetime
    updated_at: datetime
    last_seq: int
    params: dict[str, Any] = field(default_factory=dict)
    ends_at: datetime | None = None
    limit_price: Decimal | None = None
    reduce_only: bool = False
    seed: int = 0
    route: bool = False
    status: str = ParentStatus.ACTIVE.value
    detail: str = ""
    run_id: str = ""
    arrival_price: Decimal | None = None
    filled_quantity: Decimal = ZERO
    filled_notional: Decimal = ZERO
    fees: Decimal = ZERO
    children: int = 0
    begun_price: Decimal | None = None
    end_price: Decimal | None = None
    market_volume: Decimal = ZERO
    market_value: Decimal = ZERO
    markouts: dict[str, float] = field(default_factory=dict)
    ended_at: datetime | None = None
    version: int = 1

    def touch(self, seq: int, ts: int) -> None:
        self.updated_at, self.last_seq = at(ts), seq
        self.version += 1


def _started(books: Books, event: ev.ParentStarted) -> None:
    instrument, known = books.instrument(event.symbol), books.parents.get(event.parent_id)
    parent = ParentState(
        parent_id=event.parent_id,
        symbol=event.symbol,
        side=event.side.name,
        quantity=instrument.quantity(event.lots),
        algorithm=event.algorithm[:32],
        params=event.params,
        starts_at=at(event.start),
        ends_at=at(event.end) if event.end else None,
        limit_price=instrument.price(event.limit_price) if event.limit_price else None,
        reduce_only=event.reduce_only,
        seed=event.seed,
        route=event.route,
        by=event.by,
        run_id=event.run_id,
        arrival_price=instrument.price(event.arrival) if event.arrival else None,
        requested_at=known.requested_at if known else at(event.ts),
        updated_at=at(event.ts),
        last_seq=books.seq,
        version=known.version + 1 if known else 1,
    )
    books.parents[event.parent_id] = parent
    books.changed_parents[event.parent_id] = None


def _cancel_requested(books: Books, event: ev.ParentCancelRequested) -> None:
    _change(books, event.parent_id, event.ts, ParentStatus.CANCELLING, event.reason)


def _ended(books: Books, event: ev.ParentEnded) -> None:
    parent = _change(books, event.parent_id, event.ts, event.status, event.detail)
    if parent is None:
        return
    parent.ended_at = at(event.ts)
    instrument = books.instrument(parent.symbol)
    parent.end_price = instrument.price(event.mid) if event.mid else None
    parent.market_volume = instrument.quantity(event.volume)
    parent.market_value = from_money(event.turnover * instrument.lot_value)


def _measured(books: Books, event: ev.ParentMeasured) -> None:
    parent = books.parents.get(event.parent_id)
    if parent is None or not parent.filled_quantity:
        return
    average = parent.filled_notional / parent.filled_quantity / books.instrument(parent.symbol).tick
    parent.markouts = {
        seconds: round(float(Decimal(gain) / lots / average * BPS), 3)
        for seconds, (gain, lots) in event.markouts.items()
        if lots
    }
    parent.touch(books.seq, event.ts)
    books.changed_parents[event.parent_id] = None


def _change(books: Books, parent_id: str, ts: int, status: ParentStatus, detail: str) -> ParentState | None:
    parent = books.parents.get(parent_id)
    if parent is not None:
        parent.status, parent.detail = status.value, short(detail)
        parent.touch(books.seq, ts)
        books.changed_parents[parent_id] = None
    return parent


def on_child(books: Books, parent_id: str, order: OrderState, ts: int) -> None:
    """A child was decided."""
    parent = books.parents.get(parent_id)
    if parent is not None:
        if order.symbol == parent.symbol:
            parent.begun_price = parent.begun_price or order.reference_price
        parent.children += 1
        parent.touch(books.seq, ts)
        books.changed_parents[parent_id] = None


def on_fill(books: Books, order: OrderState, fill: FillState, ts: int) -> None:
    """A child was filled; ``order`` already counts it."""
    parent = books.parents.get(order.parent_id) if order.parent_id else None
    if parent is None:
        return
    instrument = books.instrument(order.symbol)
    parent.filled_quantity += fill.quantity
    parent.filled_notional += fill.notional
    if fill.fee_asset == instrument.quote_key:
        parent.fees += fill.fee
    elif fill.fee_asset == instrument.base_key:
        parent.fees += fill.fee * fill.price
    parent.touch(books.seq, ts)
    books.changed_parents[parent.parent_id] = None


HANDLERS: Final[dict[type, Callable[[Books, Any], None]]] = {
    ev.ParentStarted: _started,
    ev.RouteDecided: routes.on_routed,
    ev.ParentCancelRequested: _cancel_requested,
    ev.ParentEnded: _ended,
    ev.ParentMeasured: _measured,
}


def plan_request(order: Mapping[str, Any], instrument: Instrument, *, now_ns: int) -> ParentRequest:
    """The request in the engine's units; Invalid names the field that is wrong.

    ``order`` holds decimals and seconds: symbol, side, quantity, algorithm, params, and optionally starts_in_s,
    duration_s, limit_price, reduce_only, seed, route and displaces.
    """
    name = str(order["algorithm"])
    if name not in names():
        raise Invalid(f"expected an algorithm among {', '.join(names())}, was {name!r}", field="algorithm")
    lots = _lots(instrument, order["quantity"], "quantity")
    if lots < instrument.min_lots:
        least = instrument.quantity(instrument.min_lots)
        raise Invalid(f"expected at least {least} {instrument.base}, was {order['quantity']}", field="quantity")
    duration = order.get("duration_s")
    if duration is None and needs_end(name):
        raise Invalid(f"{name} needs duration_s, the time to work in", field="duration_s")
    start = now_ns + int(float(order.get("starts_in_s") or 0) * 1e9)
    return ParentRequest(
        symbol=instrument.symbol,
        side=Side[order["side"]],
        lots=lots,
        algorithm=name,
        params=_params(name, order.get("params") or {}, instrument),
        start=start,
        end=start + int(float(duration) * 1e9) if duration is not None else 0,
        limit_price=_ticks(instrument, order.get("limit_price")),
        reduce_only=bool(order.get("reduce_only")),
        seed=int(order.get("seed") or 0),
        route=bool(order.get("route")),
        displaces=bool(order.get("displaces")),
    )


def _params(name: str, given: Mapping[str, Any], instrument: Instrument) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for key, value in given.items():
        if key in QUANTITIES:
            params[QUANTITIES[key]] = _lots(instrument, value, f"params.{key}")
        else:
            params[key] = value
    # The loop learns the curve of a vwap that brings none from the venue's history.
    curve = {"curve": {"bin_ns": 1, "weights": [1]}} if name == "vwap" and "curve" not in params else {}
    try:
        check_params(name, {**params, **curve})
    except AlgorithmError as error:
        raise Invalid(str(error), field="params") from error
    return params


def _lots(instrument: Instrument, value: Any, name: str) -> int:
    try:
        lots = instrument.lots(parse_decimal(value, name))
    except GridError as error:
        steps = f"{plain(instrument.lot)} {instrument.base}"
        raise Invalid(f"expected a quantity in steps of {steps}, was {shown(value)}", field=name) from error
    if lots <= 0:
        raise Invalid(f"expected a quantity above 0, was {shown(value)}", field=name)
    if lots > (most := MOST_ORDERS * instrument.max_lots):
        words = f"{plain(instrument.quantity(most))} {instrument.base}, {MOST_ORDERS:,} times the venue's largest order"
        raise Invalid(f"expected at most {words}, was {shown(value)}", field=name)
    return lots


def _ticks(instrument: Instrument, value: Any) -> int:
    if value is None:
        return 0
    try:
        ticks = instrument.ticks(parse_decimal(value, "limit_price"))
    except GridError as error:
        steps = f"{plain(instrument.tick)} {instrument.quote}"
        raise Invalid(f"expected a price in steps of {steps}, was {shown(value)}", field="limit_price") from error
    if ticks <= 0:
        raise Invalid(f"expected a price above 0, was {shown(value)}", field="limit_price")
    return ticks
