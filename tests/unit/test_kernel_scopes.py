"""Halts, cancellations, losses and overrides by scope, as the kernel carries them out and remembers them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.support.kernels import BTC, LIMITS, START, Rig
from workers.engine import events as e
from workers.engine.config import DAY_NS, SECOND_NS
from workers.engine.instruments import MONEY_PER_UNIT
from workers.engine.risk.gate import OrderRequest, check
from workers.engine.risk.limits import LimitsError
from workers.engine.risk.scopes import Scope, ScopeError, ScopeKind, Selection, parse_scope
from workers.engine.vocabulary import OrderType, Reason, Side, TimeInForce

BUY, SELL = Side.BUY, Side.SELL
ONE = 100_000
"""Lots in one BTC, at 100 USDT."""
DESKS = {"alpha": ["test_hand"], "beta": ["other"]}


def rig_with(**changes: Any) -> Rig:
    rig = Rig().open(limits={**LIMITS, "desks": DESKS, **changes})
    rig.top("BTCUSDT", 99_99, 100_01)
    rig.top("ETHUSDT", 9_99, 10_01)
    # A second strategy that is on, as it will be when a worker hosts several.
    second = e.RunStarted(
        ts=rig.now,
        run_id="run-2",
        release="r",
        strategy="other",
        params={},
        model_digest="",
        limits_version=1,
    )
    rig.kernel.desk.risk.ledger.apply(second)
    return rig


def recorded(rig: Rig) -> list[e.Record]:
    """The rig's journal as a file would give it back."""
    return [e.Record(seq=n, hash="", event=cast("e.Journalled", event)) for n, event in enumerate(rig.journal, 1)]


def request(
    side: Side = BUY, lots: int = ONE, price: int = 100_00, symbol: str = "BTCUSDT", **fields: Any
) -> OrderRequest:
    return OrderRequest(
        symbol=symbol, side=side, lots=lots, price=price, order_type=OrderType.LIMIT, tif=TimeInForce.GTC, **fields
    )


def reasons(rig: Rig, **fields: Any) -> set[Reason]:
    return set(check(request(**fields), "new", rig.kernel.desk.risk, rig.now).reasons)


def halt(rig: Rig, scope: str, *, halted: bool = True, version: int = 1) -> None:
    wanted = {"scope": scope, "halted": halted, "reason": "looks wrong", "by": "ann", "version": version}
    rig.take(rig.kernel.set_scopes(rig.now, [wanted]))


@pytest.mark.parametrize(
    ("scope", "reason", "other"),
    [
        ("firm", Reason.FIRM_HALTED, None),
        ("desk:alpha", Reason.DESK_HALTED, {"run_id": "run-2"}),
        ("strategy:test_hand", Reason.STRATEGY_HALTED, {"run_id": "run-2"}),
        ("venue:paper", Reason.VENUE_HALTED, None),
        ("instrument:BTCUSDT", Reason.INSTRUMENT_HALTED, {"symbol": "ETHUSDT", "price": 1000, "lots": 10_000}),
    ],
)
def test_a_halt_blocks_and_cancels_its_scope_and_nothing_else(scope: str, reason: Reason, other: Any) -> None:
    rig = rig_with()
    mine = rig.order("BTCUSDT", BUY, ONE, 99_50)
    theirs = rig.order("ETHUSDT", BUY, 20_000, 995, run_id="run-2")
    assert mine is not None
    assert theirs is not None
    halt(rig, scope)
    assert reasons(rig) == {reason}
    cancelled = {cancel.client_id for cancel in rig.cancels}
    assert cancelled == ({mine, theirs} if other is None else {mine})
    if other is not None:
        assert reasons(rig, **other) == set()
    halt(rig, scope, halted=False, version=1)
    assert reasons(rig) == {reason}, "a decision that is not newer changes nothing"
    halt(rig, scope, halted=False, version=2)
    assert reasons(rig) == set()


def test_a_halt_outlives_a_restart() -> None:
    rig = rig_with()
    halt(rig, "strategy:test_hand", version=4)
    again = Rig()
    again.kernel.recover(recorded(rig))
    again.take(again.kernel.open_session(rig.now, epoch=2, venue="paper", worker="test", instruments=[BTC]))
    assert Reason.STRATEGY_HALTED in reasons(again)
    halt(again, "strategy:test_hand", halted=False, version=4)
    assert Reason.STRATEGY_HALTED in reasons(again)
    halt(again, "strategy:test_hand", halted=False, version=5)
    assert Reason.STRATEGY_HALTED not in reasons(again)


def test_the_ledger_of_a_restarted_worker_is_the_one_it_had() -> None:
    rig = rig_with(scopes={"strategy:test_hand": {"max_daily_loss": "50"}})
    first = rig.order("BTCUSDT", BUY, ONE, 100_00)
    assert first is not None
    rig.fill(first, ONE, 100_00, fee=1000, fee_asset="BTC")
    rig.top("BTCUSDT", 110_00, 110_00)
    rig.wait(5).top("BTCUSDT", 109_00, 109_00)
    held = rig.kernel.desk.risk.ledger
    again = Rig()
    again.kernel.recover(recorded(rig))
    kept = again.kernel.desk.risk.ledger
    assert kept.runs == {"run-1": "test_hand"}
    assert {**held.snapshot(), "strategies": None} == {**kept.snapshot(), "strategies": None}
    assert held.snapshot()["strategies"]["test_hand"] == kept.snapshot()["strategies"]["test_hand"]
    assert held.marks["strategy:test_hand"].peak > 9 * MONEY_PER_UNIT


def test_a_cancellation_takes_any_part() -> None:
    for selection, taken in (
        (Selection(), {"buy", "sell", "eth", "theirs"}),
        (Selection(side=SELL), {"sell"}),
        (Selection(symbol="ETHUSDT"), {"eth", "theirs"}),
        (Selection(scope="instrument:ETHUSDT", strategy="other"), {"theirs"}),
        (Selection(scope="desk:alpha", side=BUY), {"buy", "eth"}),
        (Selection(scope="strategy:nobody"), set()),
    ):
        rig = rig_with()
        held = rig.order("BTCUSDT", BUY, ONE, 100_00)
        assert held is not None
        rig.fill(held, ONE, 100_00)
        orders = {
            rig.order("BTCUSDT", BUY, ONE // 2, 99_50): "buy",
            rig.order("BTCUSDT", SELL, ONE // 2, 100_50): "sell",
            rig.order("ETHUSDT", BUY, 20_000, 995): "eth",
            rig.order("ETHUSDT", BUY, 20_001, 995, run_id="run-2"): "theirs",
        }
        rig.take(rig.kernel.cancel_some(rig.now, selection=selection, reason="clean up", by="ann"))
        assert {orders[cancel.client_id] for cancel in rig.cancels} == taken, selection


def test_two_strategies_in_one_event_see_each_others_reservations() -> None:
    """Each alone fits; both together do not, whichever comes second, in exposure, cash and the desk's limit."""
    for changes, reason in (
        ({"max_gross_notional": "150"}, Reason.GROSS_EXPOSURE_ABOVE_LIMIT),
        ({"max_net_notional": "150"}, Reason.NET_EXPOSURE_ABOVE_LIMIT),
        ({"min_cash": "99850"}, Reason.CASH_RESERVE_BELOW_LIMIT),
        ({"max_turnover_per_day": "150"}, Reason.TURNOVER_ABOVE_LIMIT),
        (
            {"desks": {"alpha": ["test_hand", "other"]}, "scopes": {"desk:alpha": {"max_gross_notional": "150"}}},
            Reason.DESK_EXPOSURE_ABOVE_LIMIT,
        ),
    ):
        rig = rig_with(**changes)
        second = request(run_id="run-2", price=100_01)
        assert check(second, "new", rig.kernel.desk.risk, rig.now).reasons == ()
        desk = rig.kernel.desk
        assert desk.order(request()) is not None
        assert desk.order(second) is None
        rig.take(rig.kernel.on_timer(rig.now))
        assert rig.last_denial() == {reason.value}
    rig = rig_with(scopes={"strategy:test_hand": {"max_gross_notional": "150"}})
    desk = rig.kernel.desk
    assert desk.order(request()) is not None
    assert desk.order(request(run_id="run-2", price=100_01)) is not None, "another strategy's limit is not its own"


@pytest.mark.parametrize("scope", ["strategy:test_hand", "desk:alpha", "firm"])
@pytest.mark.parametrize(("limit", "words"), [("max_daily_loss", "daily loss"), ("max_drawdown", "drawdown")])
def test_a_scope_is_halted_exactly_where_its_number_says(scope: str, limit: str, words: str) -> None:
    rig = rig_with(scopes={scope: {limit: "5"}})
    held = rig.order("BTCUSDT", BUY, ONE, 100_00)
    assert held is not None
    rig.fill(held, ONE, 100_00)
    rig.top("BTCUSDT", 95_01, 95_01)
    assert rig.kernel.desk.risk.ledger.halts == {}
    rig.top("BTCUSDT", 95_00, 95_00)
    halted = rig.kernel.desk.risk.ledger.halts[scope]
    assert halted.reason == f"{words} limit reached"
    changed = [event for event in rig.journal if isinstance(event, e.ScopeStateChanged)]
    assert [(event.scope, event.halted, event.by, event.version) for event in changed] == [(scope, True, "risk", 0)]
    halt(rig, scope, halted=False, version=2)
    rig.top("BTCUSDT", 94_00, 94_00)
    assert rig.kernel.desk.risk.ledger.halts == {}, "who resumes it is not overruled"
    kind = {"strategy": Reason.STRATEGY_LOSS_EXCEEDED, "desk": Reason.DESK_LOSS_EXCEEDED}
    assert reasons(rig, price=94_00) == {kind.get(scope.split(":", maxsplit=1)[0], Reason.FIRM_LOSS_EXCEEDED)}
    assert reasons(rig, side=SELL, price=94_00) == set()
    rig.top("BTCUSDT", 100_00, 100_00)
    assert reasons(rig) == set()
    rig.top("BTCUSDT", 95_00, 95_00)
    assert scope in rig.kernel.desk.risk.ledger.halts, "a loss that was made good and came again halts again"


def test_a_drawdown_counts_from_the_highest_profit_and_a_day_from_its_start() -> None:
    rig = rig_with(
        scopes={"strategy:test_hand": {"max_drawdown": "5", "max_daily_loss": "3"}}, snapshot_max_age_s=10**6
    )
    held = rig.order("BTCUSDT", BUY, ONE, 100_00)
    assert held is not None
    rig.fill(held, ONE, 100_00)
    for price in (104_00, 102_50, 99_01):
        rig.top("BTCUSDT", price, price)
        assert rig.kernel.desk.risk.ledger.halts == {}, price
    rig.now = START + DAY_NS
    rig.top("BTCUSDT", 99_01, 99_01)
    mark = rig.kernel.desk.risk.ledger.marks["strategy:test_hand"]
    assert mark.day_start == -99 * MONEY_PER_UNIT // 100
    rig.top("BTCUSDT", 99_00, 99_00)
    assert rig.kernel.desk.risk.ledger.halts["strategy:test_hand"].reason == "drawdown limit reached"


def test_a_strategy_answers_for_its_own_fills_alone() -> None:
    rig = rig_with(scopes={"strategy:test_hand": {"max_daily_loss": "5"}})
    theirs = rig.order("BTCUSDT", BUY, ONE, 100_00, run_id="run-2")
    assert theirs is not None
    rig.fill(theirs, ONE, 100_00)
    rig.top("BTCUSDT", 90_00, 90_00)
    assert rig.kernel.desk.risk.ledger.halts == {}


def leave(**changes: Any) -> dict[str, Any]:
    fields = {
        "id": "o-1",
        "scope": "account",
        "code": "NOTIONAL_ABOVE_LIMIT",
        "amount": "150",
        "until": "2025-06-16T00:00:10Z",
    }
    return {**fields, **changes}


def test_an_override_lets_one_limit_be_exceeded_up_to_its_amount_until_its_time() -> None:
    rig = rig_with(max_order_notional="90", max_gross_notional="60000")
    assert reasons(rig) == {Reason.NOTIONAL_ABOVE_LIMIT}
    rig.take(rig.kernel.set_overrides(rig.now, [leave(amount="100")]))
    assert reasons(rig) == set()
    assert reasons(rig, price=100_01) == {Reason.NOTIONAL_ABOVE_LIMIT}
    sent = rig.order("BTCUSDT", BUY, ONE, 100_00)
    assert sent is not None
    used = rig.sent[-1].intent.decision["risk"]["overrides"]
    assert used == [{"id": "o-1", "code": "NOTIONAL_ABOVE_LIMIT", "scope": "account", "value": 100 * MONEY_PER_UNIT}]
    rig.now = START + 10 * SECOND_NS - 1
    rig.kernel.confirm("BTCUSDT", rig.now)
    assert reasons(rig) == set()
    rig.now += 1
    assert reasons(rig) == {Reason.NOTIONAL_ABOVE_LIMIT}
    rig.take(rig.kernel.set_overrides(rig.now, [leave(amount="100", until="2025-06-16T01:00:00Z")]))
    assert reasons(rig) == set()
    rig.take(rig.kernel.set_overrides(rig.now, []))
    assert reasons(rig) == {Reason.NOTIONAL_ABOVE_LIMIT}
    recorded = [event for event in rig.journal if isinstance(event, e.OverridesActivated)]
    assert [len(event.overrides) for event in recorded] == [1, 1, 0]


def test_an_override_of_one_scope_does_not_excuse_another() -> None:
    rig = rig_with(max_order_notional="90", scopes={"strategy:test_hand": {"max_order_notional": "95"}})
    rig.take(rig.kernel.set_overrides(rig.now, [leave()]))
    assert reasons(rig) == {Reason.NOTIONAL_ABOVE_LIMIT}
    rig.take(rig.kernel.set_overrides(rig.now, [leave(), leave(id="o-2", scope="strategy:test_hand")]))
    assert reasons(rig) == set()
    halt(rig, "strategy:test_hand")
    assert reasons(rig) == {Reason.STRATEGY_HALTED}


def test_overrides_of_quantities_name_their_instrument() -> None:
    rig = rig_with(max_order_qty={"BTCUSDT": "0.5"}, max_position={"BTCUSDT": "0.5"})
    assert reasons(rig) == {Reason.QUANTITY_ABOVE_LIMIT, Reason.POSITION_ABOVE_LIMIT}
    scope = {"scope": "instrument:BTCUSDT", "amount": "1"}
    both = [leave(id=code, code=code, **scope) for code in ("QUANTITY_ABOVE_LIMIT", "POSITION_ABOVE_LIMIT")]
    elsewhere = leave(id="x", code="QUANTITY_ABOVE_LIMIT", scope="instrument:XRPEUR", amount="1")
    rig.take(rig.kernel.set_overrides(rig.now, [*both, elsewhere]))
    assert reasons(rig) == set()
    assert reasons(rig, lots=ONE + 1) == {Reason.QUANTITY_ABOVE_LIMIT, Reason.POSITION_ABOVE_LIMIT}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"code": "TRADING_HALTED"}, "code"),
        ({"code": "DAILY_LOSS_EXCEEDED"}, "code"),
        ({"code": "NONSENSE"}, "code"),
        ({"code": "POSITION_ABOVE_LIMIT"}, "scope"),
        ({"amount": "lots"}, "amount"),
        ({"until": "later"}, "until"),
    ],
)
def test_an_override_that_cannot_be_used_is_left_out_and_keeps_no_other_from_ending(
    changes: dict[str, Any], field: str
) -> None:
    rig = rig_with(max_order_notional="90")
    rig.take(rig.kernel.set_overrides(rig.now, [leave(), leave(id="o-2")]))
    bad = leave(id="bad", **changes)
    with pytest.raises(LimitsError, match=rf"bad does not hold.*{field}"):
        rig.kernel.set_overrides(rig.now, [bad, leave(id="o-2")])
    assert reasons(rig) == set()
    with pytest.raises(LimitsError, match="bad does not hold"):
        rig.kernel.set_overrides(rig.now, [bad])
    assert reasons(rig) == {Reason.NOTIONAL_ABOVE_LIMIT}
    rig.take(rig.kernel.on_timer(rig.now))
    recorded = [event for event in rig.journal if isinstance(event, e.OverridesActivated)]
    assert [[held["id"] for held in event.overrides] for event in recorded] == [["o-1", "o-2"], ["o-2"], []]


def test_scopes_are_read_strictly() -> None:
    assert parse_scope("desk:alpha") == Scope(ScopeKind.DESK, "alpha")
    assert str(parse_scope("firm")) == "firm"
    for text in ("", "firm:x", "desk", "desk:", "planet:mars", "venue:a b", "strategy:" + "x" * 65):
        with pytest.raises(ScopeError):
            parse_scope(text)
