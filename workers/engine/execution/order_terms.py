"""What an order asks for that its venue does not do itself, and what goes on the wire instead. Pure."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import msgspec

from workers.engine.execution.conditional_types import expiry_of
from workers.engine.market.venues import Feature, holds_stop
from workers.engine.risk.gate import OrderRequest
from workers.engine.vocabulary import OrderType, Reason, TimeInForce

TIMED: Final = (TimeInForce.GTD, TimeInForce.DAY)


class Terms(NamedTuple):
    """The order as it leaves, when the kernel ends it (0: never), what is emulated, and what speaks against it."""

    request: OrderRequest
    expires_at: int
    emulated: str
    reasons: tuple[Reason, ...]


def is_plain(request: OrderRequest, features: AbstractSet[Feature]) -> bool:
    """True for most orders: nothing of them needs looking at."""
    if request.reduce_only or request.min_lots or request.trigger or request.order_type is OrderType.LIMIT_MAKER:
        return False
    return request.tif is TimeInForce.GTC or (request.tif not in TIMED and Feature[request.tif.name] in features)


def terms_of(request: OrderRequest, features: AbstractSet[Feature], *, now: int, closes_at: int, touch: int) -> Terms:
    """The terms of ``request`` at a venue with ``features``; ``touch`` is the other side's best price, 0 if unknown.

    GTD and day orders leave as GTC: the kernel's clock ends them with a cancel. Where the venue has no post-only
    orders the price is compared with the touch before sending, which cannot see what changes on the way.
    """
    said: list[str] = []
    reasons: list[Reason] = []
    expires_at = 0
    if request.tif in TIMED:
        expires_at = expiry_of(request.tif, request.expires_at, now=now, closes_at=closes_at)
        said.append(f"{request.tif.value} by the kernel's clock, GTC at the venue")
        request = msgspec.structs.replace(request, tif=TimeInForce.GTC)
        if expires_at <= now:
            reasons.append(Reason.EXPIRY_NOT_AHEAD)
    elif request.tif is not TimeInForce.GTC and Feature[request.tif.name] not in features:
        reasons.append(Reason.ORDER_TYPE_NOT_OFFERED)
    if request.min_lots and not (request.tif is TimeInForce.IOC and Feature.MIN_QUANTITY in features):
        reasons.append(Reason.ORDER_TYPE_NOT_OFFERED)
    if request.trigger and not holds_stop(features, limited=request.order_type is not OrderType.MARKET):
        reasons.append(Reason.ORDER_TYPE_NOT_OFFERED)
    if request.reduce_only and Feature.REDUCE_ONLY not in features:
        said.append("REDUCE_ONLY by the gate")
    if request.order_type is OrderType.LIMIT_MAKER:
        request = _post_only(request, features, touch, said, reasons)
    return Terms(request, expires_at, "; ".join(said), tuple(reasons))


def _post_only(
    request: OrderRequest, features: AbstractSet[Feature], touch: int, said: list[str], reasons: list[Reason]
) -> OrderRequest:
    """Reprice when that is wished; compare with the touch where the venue does not."""
    takes = bool(touch) and (request.price - touch) * request.side >= 0
    if takes and request.reprice and touch - request.side > 0:
        said.append(f"post-only repriced from {request.price} ticks")
        request = msgspec.structs.replace(request, price=touch - request.side)
        takes = False
    if Feature.LIMIT_MAKER not in features:
        said.append("post-only compared with the touch before sending")
        request = msgspec.structs.replace(request, order_type=OrderType.LIMIT)
        if takes or not touch:
            reasons.append(Reason.POST_ONLY_WOULD_TAKE)
    return request
