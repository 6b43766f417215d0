"""Order intents and the clock for tests of order adapters."""

from __future__ import annotations

import time
from typing import Any

from workers.engine.events import OrderIntended
from workers.engine.vocabulary import OrderType, Side, TimeInForce

SECOND = 1_000_000_000


def intent(client_id: str, symbol: str, *, lots: int, price: int = 0, **changes: Any) -> OrderIntended:
    """A limit order to buy, or a market order without a price, unless said otherwise."""
    fields: dict[str, Any] = {
        "ts": time.time_ns(),
        "client_id": client_id,
        "run_id": "run",
        "symbol": symbol,
        "side": Side.BUY,
        "order_type": OrderType.LIMIT if price else OrderType.MARKET,
        "tif": TimeInForce.GTC,
        "lots": lots,
        "price": price,
        "reduce_only": False,
        "reference": price,
        "forecast_id": "",
        "model_digest": "",
        "limits_version": 1,
        "epoch": 1,
        "decision": {},
        "stages": {},
    }
    return OrderIntended(**{**fields, **changes})


def soon() -> int:
    """A deadline two seconds from now."""
    return time.time_ns() + 2 * SECOND
