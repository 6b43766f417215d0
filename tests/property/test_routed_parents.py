"""Whatever venues do and however often the worker restarts, the legs of a routed parent are what they must be."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.kernels import Rig
from tests.support.routes import BETA, DARK, FEATURES, HOME, MIDDLE, World, listed
from workers.engine import events as e
from workers.engine.accounting.books import Books
from workers.engine.execution.parent import Parent, ParentStatus
from workers.engine.execution.routing.check import check
from workers.engine.execution.routing.record import RouteRecord
from workers.engine.instruments import Instrument
from workers.engine.vocabulary import FeedState, OrderStatus, Side, TradingState

SYMBOLS = (HOME, BETA, DARK)
ALGORITHMS: list[tuple[str, dict[str, Any]]] = [
    ("sweep", {}),
    ("twap", {"slices": 4, "style": "take", "seconds": 20}),
    ("twap", {"slices": 4, "patience_s": 0.5, "seconds": 20}),
    ("iceberg", {"display_lots": 30, "style": "mixed", "patience_s": 0.5}),
]
KINDS = ("time", "books", "answer", "answer", "answer", "fill", "lose", "settle", "reject", "drop", "hidden", "heal")
TROUBLE = ("restart", "feed", "reconcile", "halt_venue", "resume_venue", "poor", "far", "halt", "cancel")
steps = st.tuples(st.sampled_from(KINDS * 2 + TROUBLE), st.integers(0, 99))
listings = st.tuples(
    st.sampled_from(({}, {"min_lots": 3}, {"taker_fee": "0.0002"})),
    st.sampled_from(({}, {"lot": "0.1"}, {"lot": "0.001"}, {"min_lots": 7}, {"tick": "0.02"}, {"taker_fee": "0"})),
)


def restart(world: World) -> None:
    """A new process takes the journal."""
    old = world.rig
    rig = Rig(world.items, features_at=FEATURES)
    for name in ("now", "journal", "sent", "cancels", "trade_id"):
        setattr(rig, name, getattr(old, name))
    rig.kernel.recover([e.Record(seq=n, hash="", event=event) for n, event in enumerate(rig.journal)])  # type: ignore[arg-type]  # all are Journalled
    world.rig = rig
    rig.kernel.desk.depth = world.depth
    opened = rig.kernel.open_session(
        rig.now, epoch=old.books.epoch + 1, venue="paper", worker="test", instruments=list(world.items)
    )
    rig.take(opened)


def heal(world: World) -> None:
    rig = world.rig
    for item in world.items:
        world.reconcile(item.venue)
        world.live(item.symbol)
    rig.take(rig.kernel.confirm_limits(rig.now, version=1))
    rig.state(TradingState.ACTIVE, rig.books.control_version + 1)
    world.refresh()


def scope(world: World, *, halted: bool) -> None:
    version = sum(isinstance(x, e.ScopeStateChanged) for x in world.rig.journal) + 1
    halt = {"scope": "venue:beta", "halted": halted, "reason": "test", "by": "operator", "version": version}
    world.rig.take(world.rig.kernel.set_scopes(world.rig.now, [halt]))


def step(world: World, parent_id: str, what: str, number: int) -> None:
    rig, waiting = world.rig, world.waiting()
    working = [order for order in rig.books.open_orders() if order.status is not OrderStatus.INTENT]
    symbol = SYMBOLS[number % 3]
    if what == "time":
        world.wait(number / 40)
    elif what == "books":
        world.refresh(lots=number // 3 + 1)
    elif what == "hidden":
        world.inside = {Side.BUY: number, Side.SELL: number}
    elif what == "answer" and waiting:
        world.answer(waiting[number % len(waiting)])
    elif what == "answer":
        world.answer_all()
    elif what == "fill" and working:
        order = working[number % len(working)]
        rig.fill(order.client_id, max(order.remaining * number // 99, 1), order.price)
    elif what == "lose" and waiting:
        rig.report(e.OrderUnknown(ts=rig.now, client_id=waiting[0].client_id, detail="timeout"))
    elif what == "settle" and working:
        rig.end(working[0].client_id, OrderStatus.EXPIRED)
    elif what == "reject" and waiting:
        rig.report(e.OrderRejected(ts=rig.now, client_id=waiting[-1].client_id, code="-2010", message="no"))
    elif what == "drop" and waiting:
        rig.report(e.OrderNotSent(ts=rig.now, client_id=waiting[-1].client_id, detail="too late"))
    elif what == "restart":
        restart(world)
    elif what == "feed":
        world.live(symbol, FeedState.STALE)
    elif what == "reconcile":
        world.reconcile(world.items[number % len(world.items)].venue, ok=False)
    elif what in {"halt_venue", "resume_venue"}:
        scope(world, halted=what == "halt_venue")
    elif what == "poor":
        world.fund(world.items[number % len(world.items)], str(number * 20), "2")
    elif what == "far":
        world.offer(BETA, ask=MIDDLE - 1500, bid=MIDDLE - 1600)
    elif what == "halt" and number < 10:
        rig.state(TradingState.HALTED, rig.books.control_version + 1)
    elif what == "cancel" and number < 10:
        rig.take(rig.kernel.cancel_parent(rig.now, parent_id=parent_id, reason="enough"))
    elif what == "heal":
        heal(world)


def children_are_what_they_must_be(world: World, parent: Parent) -> None:
    lines, orders = world.books.lines, world.books.orders
    atoms = lines[HOME].lot_atoms
    legs = [orders[x.client_id] for x in world.legs(parent)]
    done = sum(order.filled * lines[order.symbol].lot_atoms for order in legs)
    may = sum(order.remaining * lines[order.symbol].lot_atoms for order in legs if order.open)
    assert done == parent.filled * atoms
    assert done + may <= parent.lots * atoms, "more than the parent"
    assert all(order.symbol == HOME for order in legs if not order.route), "only what is routed leaves home"
    assert parent.open == [order.client_id for order in legs if order.open]
    assert world.committed(parent) * atoms == done + may


def decisions_come_before_their_legs(world: World, parent: Parent) -> None:
    """Each leg is intended or denied once at most, as decided, and behind its decision."""
    decided: dict[int, list[tuple[str, int, int]]] = {}
    for event in world.rig.journal:
        if isinstance(event, e.RouteDecided):
            assert event.number == len(decided) + 1
            decided[event.number] = [(leg.symbol, leg.lots, leg.price) for leg in event.decision.legs]
            venues = {leg.symbol for leg in event.decision.legs}
            assert not venues & set(event.left_out)
        elif isinstance(event, e.OrderIntended | e.OrderDenied) and event.route:
            assert event.parent_id == parent.parent_id
            decided[event.route].remove((event.symbol, event.lots, event.price))


def nothing_after_the_end(world: World, parent_id: str) -> None:
    over = False
    for event in world.rig.journal:
        if isinstance(event, e.ParentCancelRequested | e.ParentEnded) and event.parent_id == parent_id:
            over = True
        assert not (over and isinstance(event, e.OrderIntended | e.RouteDecided) and event.parent_id == parent_id)


def items(changes: tuple[dict[str, Any], dict[str, Any]]) -> list[Instrument]:
    return [listed(HOME, **changes[0]), listed(BETA, **changes[1]), listed(DARK)]


@given(st.sampled_from(ALGORITHMS), st.integers(1, 400), st.sampled_from(Side), listings, st.lists(steps, max_size=60))
@settings(max_examples=120, deadline=None)
def test_a_routed_parent_never_exceeds_itself_and_replays(
    chosen: tuple[str, dict[str, Any]],
    lots: int,
    side: Side,
    changes: tuple[dict[str, Any], dict[str, Any]],
    life: list[tuple[str, int]],
) -> None:
    name, params = chosen
    world = World(*items(changes))
    parent_id = world.start(lots, name, side=side, **params).parent_id
    for what, number in life:
        step(world, parent_id, what, number)
        children_are_what_they_must_be(world, world.books.parents[parent_id])
    parent = world.books.parents[parent_id]
    decisions_come_before_their_legs(world, parent)
    nothing_after_the_end(world, parent_id)
    world.rig.check_replay()
    encoded = [msgspec.json.decode(msgspec.json.encode(x), type=e.Journalled) for x in world.rig.journal]
    assert check(encoded) == (len(world.decisions(parent)), [])
    record = RouteRecord(books := Books())
    for event in world.rig.journal:
        books.apply(event)
        record.apply(event)
    assert record.snapshot() == world.rig.kernel.desk.routes.snapshot()


@given(st.sampled_from(ALGORITHMS), st.integers(1, 400), st.sampled_from(Side), st.integers(0, 200), st.booleans())
@settings(max_examples=40, deadline=None)
def test_honest_venues_fill_all_of_it_to_the_lot(
    chosen: tuple[str, dict[str, Any]], lots: int, side: Side, hidden: int, coarse: bool
) -> None:
    name, params = chosen
    world = World(*items(({}, {"lot": "0.1"} if coarse else {})))
    world.inside = {Side.BUY: hidden, Side.SELL: hidden}
    parent = world.start(lots, name, side=side, **params)
    for _ in range(120):
        world.answer_all()
        world.rig.wait(0.25)
        world.refresh()
        world.rig.take(world.rig.kernel.on_timer(world.rig.now))
    world.answer_all()
    assert (parent.status, parent.filled) == (ParentStatus.FILLED, lots), parent.detail
    decisions_come_before_their_legs(world, parent)
    world.rig.check_replay()
