"""Brings the covariance of the newest risk report to the gate of the trading loop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from workers.engine.risk.var_snapshot import VarSnapshot
from workers.live.execution.host import LoopHost
from workers.live.execution.loop import TradingLoop


def bring(host: LoopHost, snapshot: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """Hand a covariance to the gate, unless it has a newer one; NotReady before the venue was met."""
    made, trading = msgspec.convert(snapshot, VarSnapshot), host.trading
    if trading is None:
        return {"taken": False}
    return {"taken": host.call(lambda _control: take(trading, made), timeout_s)}


async def take(trading: TradingLoop, snapshot: VarSnapshot) -> bool:
    """Belongs to the loop's thread."""
    known = trading.kernel.desk.risk.var
    if known is not None and known.as_of > snapshot.as_of:
        return False
    trading.apply(trading.kernel.set_var_snapshot(time.time_ns(), snapshot))
    return True
