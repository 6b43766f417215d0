"""The use of limits by scope as the screens get it: counts as whole numbers, money as decimals, unknown as null."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

from tests.support.kernels import LIMITS, Rig
from workers.engine.vocabulary import OrderType, Side, TimeInForce
from workers.live.execution.loop import TradingLoop
from workers.live.execution.publish import risk_row

SCOPED = {
    "desks": {"alpha": ["test_hand"]},
    "max_orders_per_day": 50,
    "max_net_notional": "40000",
    "max_currency_notional": {"BTC": "20000"},
    "scopes": {
        "desk:alpha": {"max_gross_notional": "500", "max_open_orders": 4, "max_drawdown": "30"},
        "strategy:idle": {"max_gross_notional": "100", "max_turnover_per_day": "1000"},
        "instrument:ETHUSDT": {"max_gross_notional": "90"},
        "firm": {"max_orders_per_day": 20},
    },
}


def shown(rig: Rig) -> dict[tuple[str, str], tuple[str | None, str, float | None]]:
    loop = SimpleNamespace(kernel=rig.kernel, config=SimpleNamespace(venue="paper"), venues=[])
    row: dict[str, Any] = json.loads(json.dumps(risk_row(cast("TradingLoop", loop), rig.now)))
    return {(u["scope"], u["limit"]): (u["used"], u["most"], u["fraction"]) for u in row["use"]["scopes"]}


def test_open_orders_and_positions_of_a_desk_are_in_use() -> None:
    rig = Rig().open(limits={**LIMITS, **SCOPED})
    rig.top("BTCUSDT", 99_99, 100_01)
    rig.top("ETHUSDT", 9_99, 10_01)
    assert shown(rig)["desk:alpha", "max_gross_notional"] == ("0", "500", 0.0)
    first = rig.order("BTCUSDT", Side.BUY, 100_000, 100_00, tif=TimeInForce.GTC, order_type=OrderType.LIMIT)
    assert first is not None, rig.last_denial()
    rig.fill(first, 40_000, 100_00)
    use = shown(rig)
    assert use["desk:alpha", "max_gross_notional"] == ("100", "500", 0.2)
    assert use["desk:alpha", "max_open_orders"] == ("1", "4", 0.25)
    assert use["currency:BTC", "max_currency_notional"][0] == "100"
    assert use["account", "max_net_notional"][0] == "100"
    assert use["account", "max_orders_per_day"] == ("1", "50", 0.02)
    assert use["firm", "max_orders_per_day"] == ("1", "20", 0.05)
    assert use["instrument:ETHUSDT", "max_gross_notional"][0] == "0"
    assert use["strategy:idle", "max_turnover_per_day"][0] == "0"
    rig.top("BTCUSDT", 89_99, 90_01)
    used = shown(rig)["desk:alpha", "max_drawdown"][0]
    assert used is not None
    assert 4 <= float(used) <= 5, "0.4 bitcoin lost 10 each, and paid a fee"


def test_without_limits_by_scope_there_is_no_use_to_show() -> None:
    assert shown(Rig().open(limits=LIMITS)) == {}
