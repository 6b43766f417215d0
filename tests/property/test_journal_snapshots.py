"""Whatever a desk lived through, and wherever its journal is cut: a snapshot and the rest give what the whole gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property import test_conditional_random as conditionals
from tests.property import test_kernel_random as kernels
from tests.property import test_parent_orders as parents
from tests.property import test_routed_parents as routed
from tests.support.kernels import LIMITS, Rig, make_bar
from tests.support.parents import COARSE, Bench
from tests.support.routes import World
from workers.engine import events as e
from workers.engine.accounting.books import Books
from workers.engine.accounting.books_state import LINE_FIELDS, LINKED, MADE_ANEW, PLAIN, BooksState, LineState
from workers.engine.accounting.line import Line
from workers.engine.config import KernelConfig
from workers.engine.execution.routing.record import RouteState
from workers.engine.folded import Folded, decode
from workers.engine.kernel import Kernel
from workers.engine.risk.ledger import LedgerState, RiskLedger, StrategyUse, UseState
from workers.engine.vocabulary import Side

cuts = st.floats(0, 1)


def as_read(journal: Sequence[e.JournalEvent]) -> list[Any]:
    """The events as they come from the disk."""
    return [msgspec.json.decode(msgspec.json.encode(event), type=e.Journalled) for event in journal]


def fold(events: Sequence[Any], body: bytes = b"") -> Folded:
    folded = Folded.empty()
    if body:
        folded.restore(decode(body))
    for event in events:
        folded.apply(event)
    return folded


def recovered(events: Sequence[Any], body: bytes = b"") -> Any:
    """What a kernel knows after its start, and what it does first."""
    kernel = Kernel(KernelConfig())
    records = [e.Record(seq=n, hash="", event=event) for n, event in enumerate(events)]
    kernel.recover(records, decode(body) if body else None)
    desk, now = kernel.desk, 10**19
    lines = [line.instrument for line in kernel.books.lines.values()]
    begun = kernel.open_session(now, epoch=10**6, venue=kernel.books.venue, worker="test", instruments=lines)
    known = (kernel.recovered_until, kernel.began, kernel.cancels_unknown, list(desk.risk.recent))
    return begun, known, kernel.books.snapshot(), desk.risk.ledger.snapshot(), desk.routes.snapshot()


def holds(journal: Sequence[e.JournalEvent], share: float) -> None:
    """Cut at this share of the journal, and once more behind it: the same bytes, and the same kernel."""
    events = as_read(journal)
    cut = round(share * len(events))
    again = (cut + len(events)) // 2
    whole, head = fold(events).dump(), fold(events[:cut]).dump()
    assert fold(events[cut:], head).dump() == whole
    second = fold(events[cut:again], head).dump()
    assert second == fold(events[:again]).dump()
    assert fold(events[again:], second).dump() == whole
    assert recovered(events[cut:], head) == recovered(events)
    assert fold([], whole).dump() == whole


@given(st.sampled_from(["take", "rest"]), st.lists(kernels.steps, min_size=20, max_size=120), cuts)
@settings(max_examples=100, deadline=None)
def test_of_any_kernel(style: str, life: list[tuple[str, str, int]], share: float) -> None:
    rig = kernels.start(style)
    for what, symbol, number in life:
        rig = kernels.step(rig, what, symbol, number)
    holds(rig.journal, share)


@given(st.sampled_from(parents.ALGORITHMS), st.integers(1, 400), st.lists(parents.steps, max_size=90), cuts)
@settings(max_examples=60, deadline=None)
def test_of_any_parent(
    chosen: tuple[str, dict[str, Any]], lots: int, life: list[tuple[str, int]], share: float
) -> None:
    name, params = chosen
    bench = Bench(COARSE)
    bench.rig.report(e.BalanceAdopted(ts=bench.rig.now, asset="BTC", total=10**11))
    parent_id = bench.start(name, lots, parents.HORIZON_S, side=Side.BUY, **params).parent_id
    for what, number in life:
        parents.step(bench, parent_id, what, number)
    holds(bench.rig.journal, share)


@given(st.sampled_from(routed.ALGORITHMS), routed.listings, st.lists(routed.steps, max_size=60), cuts)
@settings(max_examples=60, deadline=None)
def test_of_any_routed_parent(chosen: Any, changes: Any, life: list[tuple[str, int]], share: float) -> None:
    name, params = chosen
    world = World(*routed.items(changes))
    parent_id = world.start(200, name, side=Side.BUY, **params).parent_id
    for what, number in life:
        routed.step(world, parent_id, what, number)
    holds(world.rig.journal, share)


@given(conditionals.steps, cuts)
@settings(max_examples=60, deadline=None)
def test_of_any_conditional_orders(taken: list[tuple[str, int]], share: float) -> None:
    world = conditionals.World()
    for what, number in taken:
        world.step(what, number)
    holds(world.rig.journal, share)


def test_of_scopes_that_are_halted_and_bounded_and_of_volume_that_is_counted() -> None:
    limits = {**LIMITS, "max_participation_bps": 5000, "scopes": {"strategy:test_hand": {"max_daily_loss": "100"}}}
    rig = Rig().open(limits=limits)
    for number in range(6):
        rig.top("BTCUSDT", 99_99, 100_01)
        bar = make_bar("BTCUSDT", 100_00, rig.now)
        rig.take(rig.kernel.on_bar(msgspec.structs.replace(bar, volume=10**6), rig.now))
        client_id = rig.order("BTCUSDT", Side.BUY, 20_000, 100_01)
        if client_id is not None:
            rig.accept(client_id)
            rig.fill(client_id, 20_000, 100_01, fee=7, fee_asset=("USDT", "BTC", "BNB")[number % 3])
        rig.wait(4.0)
        halt = {"scope": "strategy:test_hand", "halted": number % 2 == 1, "reason": "odd", "by": "ann"}
        rig.take(rig.kernel.set_scopes(rig.now, [{**halt, "version": number + 1}]))
    rig.take(rig.kernel.cancel_all(rig.now, reason="enough", by="ann", version=3))
    assert rig.books.fills, rig.last_denial()
    assert rig.kernel.desk.risk.ledger.own_volume
    for share in range(len(rig.journal) + 1):
        holds(rig.journal, share / len(rig.journal))


def test_nothing_that_the_books_hold_is_left_out() -> None:
    """Whoever adds a field must say how it is stored."""
    stored = set(BooksState.__struct_fields__)
    assert stored == set(PLAIN) | LINKED - {"line_by_base"} | {"bases"}
    assert set(LineState.__struct_fields__) == set(LINE_FIELDS) | {"instrument", "base", "open"}
    assert set(PLAIN) | LINKED == set(Books.__slots__)
    assert set(LINE_FIELDS) | MADE_ANEW == set(Line.__slots__)
    passing = {"_books", "_counted", "_follows_open", "groups", "open_at", "remembered"}
    ledger = {name.strip("_") for name in set(RiskLedger.__slots__) - passing}
    assert ledger == set(LedgerState.__struct_fields__)
    use = set(StrategyUse.__slots__) - {"groups", "open_count", "open_value"}
    assert use == set(UseState.__struct_fields__)
    routes = {name.strip("_") for name in vars(Folded.empty().routes)} - {"books"}
    assert routes == set(RouteState.__struct_fields__)
