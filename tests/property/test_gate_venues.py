"""The gate at several venues: each pays from its own cash, and one that is lost stops nobody else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.test_books_venues import HOME, abroad
from tests.support.kernels import BTC, LIMITS, START, Rig, make_bar
from workers.engine import events as e
from workers.engine.accounting.books import BooksError
from workers.engine.instruments import Instrument, atoms
from workers.engine.kernel import Kernel
from workers.engine.market.venues import PAPER, Feature
from workers.engine.vocabulary import FeedState, OrderType, Side, TimeInForce

BETA = abroad("BTCUSDT", "BTC", "beta")
DARK = abroad("BTCUSDT", "BTC", "dark")
ITEMS = (BTC, BETA, DARK)
WIDE = {
    **LIMITS,
    "max_position": {},
    "max_order_qty": {},
    "max_order_notional": "10000000",
    "max_gross_notional": "10000000",
    "max_open_orders": 100,
}
PRICE = 100_00


def rig_of(cash: dict[str, int]) -> Rig:
    """Three venues with so many dollars each, reconciled, all at 100.00; only ``dark`` knows minimum quantities."""
    rig = Rig(ITEMS, features_at={"dark": PAPER.features | {Feature.MIN_QUANTITY}})
    rig.open(cash=str(cash[HOME]), limits=WIDE)
    for venue in ("beta", "dark"):
        rig.report(e.BalanceAdopted(ts=rig.now, asset=f"USDT@{venue}", total=atoms(str(cash[venue]), "USDT")))
        reconcile(rig, venue)
    return quoted(rig)


def reconcile(rig: Rig, venue: str, *, ok: bool = True) -> None:
    rig.report(e.ReconciliationDone(ts=rig.now, ok=ok, orders_checked=0, fills_adopted=0, breaks=(), venue=venue))


def recorded(rig: Rig) -> list[e.Record]:
    """What a journal would give back."""
    coded = [msgspec.json.decode(msgspec.json.encode(event), type=e.Journalled) for event in rig.journal]
    return [e.Record(seq=number, hash="", event=event) for number, event in enumerate(coded)]


def quoted(rig: Rig) -> Rig:
    for item in ITEMS:
        rig.top(item.symbol, PRICE - 1, PRICE + 1)
    return rig


def bought(rig: Rig, item: Instrument, lots: int = 20_000, **fields: object) -> set[str]:
    """Why the gate refused a buy; empty when it passed."""
    quoted(rig.wait(2))
    return set() if rig.order(item.symbol, Side.BUY, lots, PRICE, **fields) else rig.last_denial()


amounts = st.integers(0, 2000)
orders = st.tuples(st.sampled_from(ITEMS), st.integers(10_000, 1_500_000), st.booleans())


@given(st.fixed_dictionaries({HOME: amounts, "beta": amounts, "dark": amounts}), st.lists(orders, max_size=12))
@settings(max_examples=60, deadline=None)
def test_no_order_passes_that_its_venues_free_cash_cannot_pay(
    cash: dict[str, int], wanted: list[tuple[Instrument, int, bool]]
) -> None:
    rig = rig_of(cash)
    books = rig.books
    for item, lots, fills in wanted:
        free = books.cash_at[item.venue] - books.reserved_at[item.venue]
        need = books.lines[item.symbol].worst_cost(OrderType.LIMIT, PRICE, PRICE, lots)
        quoted(rig.wait(2))
        placed = rig.order(item.symbol, Side.BUY, lots, PRICE)
        assert (placed is not None) == (need <= free)
        if placed is None:
            assert rig.last_denial() == {"BUYING_POWER_EXCEEDED"}
        elif fills:
            rig.accept(placed)
            rig.fill(placed, lots, PRICE)
        assert all(0 <= books.reserved_at[venue] <= held for venue, held in books.cash_at.items())
    rig.check_replay()


def test_cash_at_another_venue_pays_nothing_here() -> None:
    rig = rig_of({HOME: 0, "beta": 1_000_000, "dark": 1_000_000})
    assert bought(rig, BTC) == {"BUYING_POWER_EXCEEDED"}
    assert bought(rig, BETA) == set()
    assert rig.kernel.desk.free_cash > 0 == rig.kernel.desk.free_cash_for("BTCUSDT")


def test_an_order_at_a_lost_venue_is_denied_and_the_others_go_on() -> None:
    rig = rig_of(dict.fromkeys((HOME, "beta", "dark"), 10_000))
    risk = rig.kernel.desk.risk
    assert risk.reconciled
    rig.take(rig.kernel.on_disconnect(rig.now, reason="cut", venue="beta"))
    assert not risk.reconciled
    assert [bought(rig, item) for item in ITEMS] == [set(), {"NOT_RECONCILED"}, set()]
    reconcile(rig, "beta", ok=False)
    reconcile(rig, "dark", ok=False)
    assert [bought(rig, item) for item in ITEMS] == [set(), {"NOT_RECONCILED"}, {"NOT_RECONCILED"}]
    reconcile(rig, "beta")
    reconcile(rig, "dark")
    assert risk.reconciled
    assert rig.books.reconciled
    rig.take(rig.kernel.on_disconnect(rig.now, reason="cut"))
    lost = [
        event.venue for event in rig.journal if isinstance(event, e.ReconciliationDone) and event.breaks == ("cut",)
    ]
    assert lost == ["beta", "beta", "dark", ""]
    assert [bought(rig, item) for item in ITEMS] == [{"NOT_RECONCILED"}] * 3
    rig.take(rig.kernel.on_disconnect(rig.now, reason="again"))
    rig.check_replay()


def test_a_pause_and_a_new_session_hold_back_the_orders_of_every_venue() -> None:
    rig = rig_of(dict.fromkeys((HOME, "beta", "dark"), 10_000))
    rig.take(rig.kernel.on_gap(rig.now))
    assert rig.kernel.desk.risk.reconciled_at == set()
    again = Kernel(rig.kernel.config)
    again.recover(recorded(rig))
    again.open_session(rig.now, epoch=2, venue=HOME, worker="w", instruments=ITEMS)
    assert again.books.cash_at == rig.books.cash_at
    assert again.desk.risk.reconciled_at == again.books.reconciled_at == set()


def test_halts_and_limits_by_name_reach_one_venue_or_one_of_its_instruments() -> None:
    rig = rig_of(dict.fromkeys((HOME, "beta", "dark"), 10_000))
    halt = {"halted": True, "reason": "test", "by": "operator", "version": 1}
    rig.take(rig.kernel.set_scopes(rig.now, [{**halt, "scope": "venue:beta"}, {**halt, "scope": "instrument:BTCUSDT"}]))
    assert [bought(rig, item) for item in ITEMS] == [{"INSTRUMENT_HALTED"}, {"VENUE_HALTED"}, set()]
    bounded = {**WIDE, "max_position": {"BTCUSDT@dark": "0.1"}, "max_currency_notional": {"BTC": "40"}}
    rig = rig_of(dict.fromkeys((HOME, "beta", "dark"), 10_000))
    rig.limits(bounded, version=2)
    assert bought(rig, DARK) == {"POSITION_ABOVE_LIMIT"}
    assert bought(rig, BTC) == set()
    # The bound on a base asset counts every venue's instruments of it.
    assert bought(rig, BETA, 20_001) == {"CURRENCY_EXPOSURE_ABOVE_LIMIT"}


def test_a_minimum_quantity_needs_a_venue_that_offers_it_and_an_order_that_can_fill_it() -> None:
    rig = rig_of(dict.fromkeys((HOME, "beta", "dark"), 10_000))
    ioc = TimeInForce.IOC
    assert bought(rig, DARK, min_lots=10_000, tif=ioc) == set()
    assert rig.sent[-1].intent.min_lots == 10_000
    assert bought(rig, BETA, min_lots=10_000, tif=ioc) == {"ORDER_TYPE_NOT_OFFERED"}
    assert bought(rig, DARK, min_lots=10_000) == {"ORDER_TYPE_NOT_OFFERED"}
    for wrong in (20_001, -1):
        assert bought(rig, DARK, min_lots=wrong, tif=ioc) == {"MINIMUM_ABOVE_QUANTITY"}


def test_a_venue_joins_a_session_that_is_on_and_one_that_cannot_leaves_no_trace() -> None:
    rig = rig_of(dict.fromkeys((HOME, "beta", "dark"), 10_000))
    before, recorded_before = rig.books.snapshot(), len(rig.journal)
    with pytest.raises(BooksError, match="expected quotes in USDT, was EUR"):
        rig.kernel.join_venue(rig.now, worker="w", instruments=[abroad("BTCEUR", "BTC", "late", quote="EUR")])
    with pytest.raises(BooksError, match="open a session with the venue"):
        rig.kernel.on_report(e.BalanceAdopted(ts=rig.now, asset="USDT@gone", total=1), rig.now)
    rig.take(rig.kernel.on_timer(rig.now))
    assert (rig.books.snapshot(), len(rig.journal)) == (before, recorded_before)
    late = abroad("BTCUSDT", "BTC", "late")
    rig.take(rig.kernel.join_venue(rig.now, worker="w", instruments=[late]))
    assert rig.books.reconciled_at == {HOME, "beta", "dark"}
    assert not rig.kernel.desk.risk.reconciled
    assert bought(rig, BETA) == set()
    rig.feed(late.symbol, FeedState.LIVE)
    rig.report(e.BalanceAdopted(ts=rig.now, asset="USDT@late", total=atoms("1000", "USDT")))
    reconcile(rig, "late")
    rig.wait(2).top(late.symbol, PRICE - 1, PRICE + 1)
    assert bought(rig, late, run_id="") == set()
    rig.check_replay()


def test_bars_of_each_venue_belong_to_its_own_instrument() -> None:
    rig = rig_of(dict.fromkeys((HOME, "beta", "dark"), 10_000))
    rig.take(rig.kernel.on_bar(make_bar("BTCUSDT@beta", 111_00, START), rig.now))
    closes = {item.symbol: list(rig.kernel.desk.market(item.symbol).closes) for item in ITEMS}
    assert closes == {"BTCUSDT": [], "BTCUSDT@beta": [111_00], "BTCUSDT@dark": []}
