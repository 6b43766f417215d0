"""The gate's word on orders that nobody sends, on the loop's own state of this moment. Changes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from workers.engine.instruments import GridError
from workers.engine.kernel import Kernel
from workers.engine.risk.gate import OrderRequest, check
from workers.engine.vocabulary import OrderType, Reason, Side, TimeInForce
from workers.live.execution.host import LoopHost, NotReady

PROPOSED = "what-if"
"""No client order id of ours looks like this one."""


def answer(host: LoopHost, orders: Sequence[Mapping[str, Any]], timeout_s: float) -> dict[str, Any]:
    """``{verdicts, error}``: in words why there are none. An exception would make its reader import our modules."""
    trading = host.trading
    if trading is None:
        return {"verdicts": [], "error": "the trading loop is starting"}
    try:
        verdicts = host.call(lambda _control: judge(trading.kernel, orders, time.time_ns()), timeout_s)
    except (NotReady, TimeoutError) as error:
        return {"verdicts": [], "error": str(error) or "the trading loop is too busy to answer"}
    return {"verdicts": verdicts, "error": ""}


async def judge(kernel: Kernel, orders: Sequence[Mapping[str, Any]], now: int) -> list[dict[str, Any]]:
    """Belongs to the loop's thread. Each order ``{symbol, side, quantity, price, order_type}`` is judged by itself."""
    return [_verdict(kernel, order, now) for order in orders]


def _verdict(kernel: Kernel, order: Mapping[str, Any], now: int) -> dict[str, Any]:
    market = kernel.desk.markets.get(str(order["symbol"]))
    if market is None:
        return {"passes": False, "reasons": [Reason.INSTRUMENT_UNKNOWN.value], "detail": "", "inputs": {}}
    instrument = market.line.instrument
    price = order.get("price")
    try:
        lots = instrument.lots(Decimal(order["quantity"]))
        ticks = instrument.ticks(Decimal(price)) if price is not None else 0
    except (GridError, InvalidOperation) as error:
        # Off the venue's grid it could not even be written down; the gate has no code for it.
        return {"passes": False, "reasons": [], "detail": str(error), "inputs": {}}
    request = OrderRequest(
        symbol=instrument.symbol,
        side=Side[order["side"]],
        lots=lots,
        price=ticks,
        order_type=OrderType(order["order_type"]),
        tif=TimeInForce.IOC,
    )
    verdict = check(request, PROPOSED, kernel.desk.risk, now)
    return {
        "passes": not verdict.reasons,
        "reasons": [reason.value for reason in verdict.reasons],
        "detail": "",
        "inputs": {
            name: value if isinstance(value, list | dict) else str(value) for name, value in verdict.inputs.items()
        },
    }
