"""Parent orders as public rows; topic ``parents``, key their id."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from apps.core.money import plain
from apps.trading.domain.parents import LIVE
from apps.trading.domain.positions import per_unit
from apps.trading.models import ParentOrder
from apps.trading.rows import amount, stamp
from workers.engine.execution.tca import BPS, against, shortfall


def costs(parent: ParentOrder) -> dict[str, Any] | None:
    """What the parent cost against the price at its decision, in basis points; None before it is over.

    ``market`` is against the average at which everybody traded meanwhile, null where nobody was seen to.
    """
    decision, end = parent.arrival_price, parent.end_price
    if not parent.ended_at or not decision or not end:
        return None
    sign = 1 if parent.side == "BUY" else -1
    average = parent.filled_notional / parent.filled_quantity if parent.filled_quantity else decision
    split = shortfall(
        sign=sign,
        quantity=parent.quantity,
        filled=parent.filled_quantity,
        decision=decision,
        arrival=parent.begun_price or decision,
        average=average,
        end=end,
        fees=parent.fees,
    )
    found = {**split._asdict(), "total": split.total}
    if parent.market_volume and parent.filled_quantity:
        found["market"] = against(sign, average, parent.market_value / parent.market_volume)
    words = {name: plain((share * BPS).quantize(Decimal("0.0001"))) for name, share in found.items()}
    return {**words, "market": words.get("market"), "markouts": parent.markouts}


def parent_row(parent: ParentOrder) -> dict[str, Any]:
    """One parent order; ``cancel_requested`` once somebody wants it to end."""
    done = parent.filled_quantity / parent.quantity if parent.quantity else None
    return {
        "parent_id": parent.parent_id,
        "venue": parent.venue_id,
        "run_id": parent.run_id,
        "by": parent.by,
        "reason": parent.reason,
        "symbol": parent.symbol,
        "side": parent.side,
        "quantity": plain(parent.quantity),
        "algorithm": parent.algorithm,
        "params": parent.params,
        "starts_at": stamp(parent.starts_at),
        "ends_at": stamp(parent.ends_at),
        "limit_price": amount(parent.limit_price),
        "reduce_only": parent.reduce_only,
        "route": parent.route,
        "status": parent.status,
        "open": parent.status in LIVE,
        "detail": parent.detail,
        "cancel_requested": bool(parent.cancel_reason),
        "cancel_reason": parent.cancel_reason,
        "cancel_by": parent.cancel_by,
        "filled_quantity": plain(parent.filled_quantity),
        "filled": None if done is None else round(float(done), 4),
        "average_price": amount(per_unit(parent.filled_notional, parent.filled_quantity)),
        "arrival_price": amount(parent.arrival_price),
        "fees": plain(parent.fees),
        "children": parent.children,
        "costs": costs(parent),
        "requested_at": stamp(parent.requested_at),
        "updated_at": stamp(parent.updated_at),
        "ended_at": stamp(parent.ended_at),
        "version": parent.version,
    }
