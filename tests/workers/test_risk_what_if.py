"""What the trading loop answers to risk's questions: the real gate on a real kernel, and the covariance it is given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.support.kernels import LIMITS, START, Rig
from workers.engine.config import SECOND_NS
from workers.engine.risk.var_snapshot import VarSnapshot
from workers.live.execution.host import NotReady
from workers.live.risk_var import bring, take
from workers.live.risk_what_if import answer, judge
from workers.tasks import execution

SMALL = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.01", "price": None, "order_type": "MARKET"}


def rig(**limits: Any) -> Rig:
    made = Rig().open(limits={**LIMITS, **limits})
    made.top("BTCUSDT", 4_999_900, 5_000_100)
    made.top("ETHUSDT", 299_990, 300_010)
    return made


def snapshot(sigma: float, as_of: int = START) -> VarSnapshot:
    rows = ((sigma**2, 0.0), (0.0, sigma**2))
    return VarSnapshot(
        symbols=("BTCUSDT", "ETHUSDT"), covariance=rows, horizon_ns=86_400 * SECOND_NS, confidence=0.99, as_of=as_of
    )


async def test_the_gate_judges_each_order_and_keeps_nothing() -> None:
    desk = rig()
    before, journalled = desk.books.snapshot(), len(desk.journal)
    orders = [
        SMALL,
        {**SMALL, "quantity": "1.5"},
        {**SMALL, "side": "SELL", "order_type": "LIMIT", "price": "40000.00"},
        {**SMALL, "quantity": "0.0000001"},
        {**SMALL, "symbol": "XRPUSDT"},
    ]
    small, large, sell, dust, unknown = await judge(desk.kernel, orders, desk.now)
    assert small["passes"] is True
    assert {"QUANTITY_ABOVE_LIMIT", "NOTIONAL_ABOVE_LIMIT"} <= set(large["reasons"])
    assert {"SHORT_NOT_ALLOWED", "PRICE_OUTSIDE_COLLAR"} <= set(sell["reasons"])
    assert "expected whole lots" in dust["detail"]
    assert unknown["reasons"] == ["INSTRUMENT_UNKNOWN"]
    assert (desk.books.snapshot(), len(desk.journal)) == (before, journalled)


async def test_the_covariance_that_is_brought_decides_what_may_pass() -> None:
    desk = rig(max_var="30")
    loop: Any = SimpleNamespace(kernel=desk.kernel, apply=desk.take)
    assert await take(loop, snapshot(0.02, as_of=desk.now)) is True
    # 500 of BTC at 2 % a day: 99 % of the days lose less than 23.
    assert (await judge(desk.kernel, [SMALL], desk.now))[0]["passes"] is True
    assert await take(loop, snapshot(0.08, as_of=desk.now - 1)) is False
    assert await take(loop, snapshot(0.08, as_of=desk.now)) is True
    assert (await judge(desk.kernel, [SMALL], desk.now))[0]["reasons"] == ["VAR_ABOVE_LIMIT"]
    late = desk.now + 2 * 3600 * SECOND_NS
    assert "VAR_SNAPSHOT_STALE" in (await judge(desk.kernel, [SMALL], late))[0]["reasons"]


def test_a_loop_that_is_not_ready_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_work: Any, _timeout_s: float) -> None:
        raise NotReady("the trading loop is starting; try again")

    host: Any = SimpleNamespace(trading=SimpleNamespace(kernel=None), call=refuse)
    assert answer(host, [SMALL], 1.0) == {"verdicts": [], "error": "the trading loop is starting; try again"}
    host.trading = None
    assert answer(host, [SMALL], 1.0)["error"] == "the trading loop is starting"
    assert bring(host, msgspec.to_builtins(snapshot(0.02)), 1.0) == {"taken": False}
    monkeypatch.setattr(execution, "process", lambda: SimpleNamespace(host=host))
    assert execution.what_if([SMALL])["verdicts"] == []
    assert execution.take_var(msgspec.to_builtins(snapshot(0.02))) == {"taken": False}
