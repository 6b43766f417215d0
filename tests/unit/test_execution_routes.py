"""A routed parent over two lit venues and a dark one: what is decided, sent, journalled and sent again."""

from __future__ import annotations

import msgspec

from tests.support.routes import BETA, DARK, HOME, MIDDLE, World, listed
from workers.engine import events as e
from workers.engine.execution.parent import ParentStatus
from workers.engine.execution.routing.router import RouteKind, replays
from workers.engine.vocabulary import OrderStatus, Side, TradingState


def test_a_sweep_takes_the_cheapest_of_two_books_at_once() -> None:
    world = World(listed(HOME), listed(BETA))
    parent = world.start(220)
    [decided] = world.decisions(parent)
    assert [(leg.symbol, leg.lots, leg.price) for leg in decided.decision.legs] == [
        (HOME, 120, MIDDLE + 4),
        (BETA, 100, MIDDLE + 3),
    ]
    assert replays(decided.decision)
    journal = world.rig.journal
    assert all(journal.index(decided) < journal.index(leg) for leg in world.legs(parent))
    assert [(leg.route, leg.child) for leg in world.legs(parent)] == [(1, 1), (1, 2)]
    world.answer_all()
    assert (parent.status, parent.filled) == (ParentStatus.FILLED, 220)
    world.rig.check_replay()
    decoded = msgspec.json.decode(msgspec.json.encode(decided), type=e.Journalled)
    assert decoded == decided


def test_what_a_leg_left_is_routed_again_without_that_venue() -> None:
    world = World(listed(HOME), listed(BETA))
    parent = world.start(200)
    first, second = world.waiting()
    world.rig.report(e.OrderRejected(ts=world.rig.now, client_id=second.client_id, code="-2010", message="no"))
    assert len(world.decisions(parent)) == 1, "its own leg at home is on its way"
    world.answer(first)
    again = world.decisions(parent)[-1]
    assert again.number == 2
    assert [(leg.symbol, leg.lots) for leg in again.decision.legs] == [(HOME, 50)]
    assert "not filled wholly" in again.left_out[BETA]
    world.answer_all()
    assert parent.filled == 150
    assert BETA in parent_why(world)
    world.wait(1.0)
    assert world.decisions(parent)[-1].decision.legs[0].symbol == BETA
    world.answer_all()
    assert parent.status is ParentStatus.FILLED


def parent_why(world: World) -> str:
    return world.rig.kernel.desk.parents.why("p-1")


def test_a_dark_venue_is_asked_first_and_the_rest_is_swept() -> None:
    world = World()
    world.inside[Side.SELL] = 60
    parent = world.start(250)
    [ping] = world.decisions(parent)
    assert (ping.decision.kind, [leg.symbol for leg in ping.decision.legs]) == (RouteKind.PING, [DARK])
    assert world.legs(parent)[0].min_lots == 62
    world.wait(0.1)
    assert len(world.legs(parent)) == 1, "nothing is shown to others while the answer is awaited"
    world.inside[Side.SELL] = 90
    world.answer_all()
    assert parent.filled == 250
    swept = world.decisions(parent)[1]
    assert swept.decision.kind is RouteKind.SWEEP
    assert sum(leg.lots for leg in swept.decision.legs) == 160
    assert world.rig.kernel.desk.routes.venue("dark").hit_probability > 0.25


def test_an_unknown_leg_keeps_its_quantity_until_the_venue_was_asked() -> None:
    world = World(listed(HOME), listed(BETA))
    parent = world.start(200)
    lost, other = world.waiting()
    world.rig.report(e.OrderUnknown(ts=world.rig.now, client_id=lost.client_id, detail="timeout"))
    world.answer(other)
    world.refresh()
    world.wait(30.0)
    assert (world.committed(parent), parent.filled, len(world.legs(parent))) == (200, other.filled, 2)
    world.rig.fill(lost.client_id, lost.lots // 2, lost.price)
    world.rig.end(lost.client_id, OrderStatus.EXPIRED)
    assert (world.committed(parent), parent.filled) == (150, 150), "what was left of it cools first"
    world.rig.wait(30.0)
    world.refresh()
    world.answer_all()
    assert (parent.filled, parent.status) == (200, ParentStatus.FILLED)


def test_a_halted_venue_is_left_out_and_its_legs_are_taken_off() -> None:
    world = World(listed(HOME), listed(BETA))
    parent = world.start(200)
    at_beta = next(order for order in world.waiting() if order.symbol == BETA)
    halt = {"scope": "venue:beta", "halted": True, "reason": "gone", "by": "operator", "version": 1}
    world.rig.take(world.rig.kernel.set_scopes(world.rig.now, [halt]))
    assert at_beta.cancel_requested
    world.rig.report(e.OrderNotSent(ts=world.rig.now, client_id=at_beta.client_id, detail="cancelled before"))
    world.answer_all()
    world.rig.wait(2.0)
    world.refresh()
    world.answer_all()
    assert (parent.filled, parent.status) == (200, ParentStatus.FILLED)
    assert {leg.symbol for leg in world.legs(parent)[2:]} == {HOME}
    assert "VENUE_HALTED" in world.decisions(parent)[-1].left_out[BETA]


def test_funds_at_a_venue_bound_its_leg() -> None:
    world = World(listed(HOME), listed(BETA))
    world.fund(world.items[1], "52", "0")
    parent = world.start(200)
    lots = {leg.symbol: leg.lots for leg in world.decisions(parent)[0].decision.legs}
    assert lots == {HOME: 149, BETA: 51}
    selling = World(listed(HOME), listed(BETA))
    selling.fund(selling.items[0], "0", "0.07")
    sold = selling.start(100, side=Side.SELL)
    lots = {leg.symbol: leg.lots for leg in selling.decisions(sold)[0].decision.legs}
    assert lots == {HOME: 7, BETA: 93}


def test_a_venue_whose_lots_do_not_fit_is_left_out_and_said_so() -> None:
    world = World(listed(HOME), listed(BETA, lot="0.001"))
    parent = world.start(100)
    [decided] = world.decisions(parent)
    assert "no multiple" in decided.left_out[BETA]
    coarse = World(listed(HOME), listed(BETA, lot="0.1"))
    coarse.offer(BETA, ask=MIDDLE, lots=3)
    bought = coarse.start(47)
    lots = {leg.symbol: leg.lots for leg in coarse.decisions(bought)[0].decision.legs}
    assert lots == {HOME: 17, BETA: 3}
    coarse.answer_all()
    assert (bought.filled, bought.status) == (47, ParentStatus.FILLED)


def test_a_denied_leg_goes_elsewhere() -> None:
    world = World(listed(HOME), listed(BETA))
    world.rig.top(BETA, MIDDLE - 3000, MIDDLE - 2000)
    parent = world.start(100)
    [denied] = world.decisions(parent)
    assert [leg.symbol for leg in denied.decision.legs] == [HOME, BETA]
    assert world.rig.last_denial() == {"PRICE_OUTSIDE_COLLAR"}
    world.answer_all()
    assert [leg.symbol for leg in world.decisions(parent)[1].decision.legs] == [HOME]
    assert parent.status is ParentStatus.FILLED


def test_what_rests_stays_at_home_and_what_is_late_is_routed() -> None:
    world = World(listed(HOME), listed(BETA))
    parent = world.start(240, "twap", slices=2, patience_s=1.0, seconds=20.0)
    [resting] = world.waiting()
    assert (resting.symbol, resting.route, resting.lots) == (HOME, 0, 120)
    world.rig.accept(resting.client_id)
    world.wait(2.0)
    assert resting.cancel_requested
    world.rig.end(resting.client_id)
    world.wait(0.3)
    assert {leg.symbol for leg in world.legs(parent) if leg.route} == {HOME, BETA}
    for _ in range(80):
        world.answer_all()
        world.rig.wait(0.25)
        world.refresh()
        world.rig.take(world.rig.kernel.on_timer(world.rig.now))
    assert (parent.filled, parent.status) == (240, ParentStatus.FILLED)
    world.rig.check_replay()


def test_a_fill_after_its_orders_end_takes_off_what_is_too_much_and_is_noted() -> None:
    world = World(listed(HOME), listed(BETA))
    parent = world.start(100)
    at_home, at_beta = world.waiting()
    for order in (at_home, at_beta):
        world.rig.accept(order.client_id)
        world.rig.end(order.client_id, OrderStatus.EXPIRED)
    world.wait(1.0)
    assert world.committed(parent) == 100
    world.rig.fill(at_home.client_id, 50, at_home.price)
    assert all(order.cancel_requested for order in world.waiting())
    world.answer_all()
    assert (parent.filled, parent.status) == (150, ParentStatus.FILLED)
    assert {anomaly.kind for anomaly in world.books.anomalies} == {"fill_after_end", "parent_overfill"}


def test_our_own_resting_order_is_not_traded_with() -> None:
    world = World(listed(HOME), listed(BETA))
    ours = world.rig.order(HOME, Side.SELL, 10, MIDDLE + 2)
    assert ours is not None
    parent = world.start(400)
    legs = {leg.symbol: (leg.lots, leg.price) for leg in world.decisions(parent)[0].decision.legs}
    assert legs == {HOME: (50, MIDDLE + 1), BETA: (150, MIDDLE + 4)}


def test_answers_make_the_record_of_a_venue() -> None:
    world = World(listed(HOME), listed(BETA))
    world.start(100)
    _, at_beta = world.waiting()
    routes = world.rig.kernel.desk.routes
    before = routes.venue("beta").reject_probability
    world.rig.report(e.OrderSent(ts=world.rig.now, client_id=at_beta.client_id, stages={}))
    world.rig.wait(0.4)
    world.rig.report(e.OrderRejected(ts=world.rig.now, client_id=at_beta.client_id, code="-2010", message="no"))
    assert routes.venue("beta").reject_probability > before
    assert routes.venue("beta").latency_ns > routes.venue("paper").latency_ns
    assert routes.cools_until("p-1", BETA) == world.rig.now + 500_000_000
    assert routes.cools_until("p-1", HOME) == 0


def test_markouts_of_legs_are_in_the_parents_own_units() -> None:
    world = World(listed(HOME), listed(BETA, lot="0.1", tick="0.02"))
    world.offer(BETA, ask=MIDDLE // 2 - 1, bid=MIDDLE // 2 - 2, lots=5)
    parent = world.start(50)
    assert [(leg.symbol, leg.lots) for leg in world.legs(parent)] == [(BETA, 5)]
    world.answer_all()
    assert (parent.status, parent.notional) == (ParentStatus.FILLED, 49_99 * 2 * 50 * world.books.lines[HOME].lot_value)
    world.offer(BETA, ask=MIDDLE // 2 + 3, bid=MIDDLE // 2 + 1)
    world.wait(1.5)
    world.wait(30.0)
    measured = next(x for x in world.rig.journal if isinstance(x, e.ParentMeasured))
    assert measured.markouts["1"] == (3 * 2 * 50, 50)


def test_a_market_that_moves_makes_a_slow_venue_dear() -> None:
    world = World(listed(HOME), listed(BETA))
    for number in range(40):
        world.rig.bar(HOME, MIDDLE + 10 * (number % 2))
        world.rig.wait(1.0)
    world.refresh()
    parent = world.start(100)
    at_home, at_beta = world.waiting()
    seen = world.decisions(parent)[0].decision.inputs.lit
    # Moves of 10 in 10,000 a second, over half of the tenth of a second that is assumed before there is a record.
    assert [round(venue.latency_ppb / 1e5, 1) for venue in seen] == [2.2, 2.2]
    world.rig.report(e.OrderSent(ts=world.rig.now, client_id=at_beta.client_id, stages={}))
    world.rig.wait(0.9)
    world.answer(at_home)
    world.answer(at_beta)
    world.refresh()
    [decided] = world.decisions(world.start(100))
    assert decided.decision.inputs.lit[1].latency_ppb > decided.decision.inputs.lit[0].latency_ppb


def test_reducing_only_lets_a_routed_parent_close_what_any_venue_holds() -> None:
    world = World()
    # 1,000 BTC at each of three venues, in lots of 0.01.
    closing = world.start(250_000, "twap", side=Side.SELL, seconds=600, slices=600)
    turning = world.start(350_000, "twap", side=Side.SELL, seconds=600, slices=600)
    world.rig.state(TradingState.REDUCING, 2)
    assert closing.status is ParentStatus.ACTIVE
    assert turning.status is not ParentStatus.ACTIVE
