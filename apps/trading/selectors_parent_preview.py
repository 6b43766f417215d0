"""What a parent order would ask for, for the one who is about to sign it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.core.money import plain
from apps.trading.domain.parent_preview import ParentPreview
from apps.trading.domain.parents import plan_request
from apps.trading.models import Position
from apps.trading.rows import amount
from apps.trading.selectors import listed
from apps.trading.selectors_halts import halts_of
from apps.trading.services.books import engine_instrument


def preview(venue: str, order: Mapping[str, Any]) -> dict[str, Any]:
    """What ``order`` would ask the loop for, with estimates at the newest mark; ``digest`` names exactly that.

    Invalid names the field that is wrong.
    """
    item = engine_instrument(listed(venue, order["symbol"]))
    mark = Position.objects.filter(venue_id=venue, symbol=item.symbol).values_list("mark", flat=True).first()
    shown = ParentPreview(plan_request(order, item, now_ns=0), item, mark)
    request = shown.request
    halt = halts_of(venue, [item.symbol]).get(item.symbol, "")
    return {
        "venue": venue,
        "halted": bool(halt),
        "halt": halt,
        "digest": shown.digest,
        "symbol": request.symbol,
        "side": request.side.name,
        "quantity": plain(shown.quantity),
        "base": item.base,
        "quote": item.quote,
        "algorithm": request.algorithm,
        "params": request.params,
        "starts_in_s": request.start / 1e9,
        "duration_s": (request.end - request.start) / 1e9 if request.end else None,
        "limit_price": plain(item.price(request.limit_price)) if request.limit_price else None,
        "reduce_only": request.reduce_only,
        "seed": request.seed,
        "route": request.route,
        "mark": amount(shown.mark),
        "value": amount(shown.value),
        "fee": amount(shown.fee),
    }
