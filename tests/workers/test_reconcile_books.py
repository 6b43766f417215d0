"""Reconciliation against a venue that is a few lists: what is adopted, what is concluded, what is a break."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from tests.support.kernels import BTC, ETH
from workers.adapters.venue import OrderNotFound, OrderUnsure, VenueOrder, VenueTrade, VenueUnreachable
from workers.engine.accounting.books import Books
from workers.engine.events import (
    BalanceAdopted,
    JournalEvent,
    OrderAccepted,
    OrderIntended,
    OrderNotSent,
    OrderSent,
    OrderUnknown,
    ReconciliationDone,
    SessionOpened,
)
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce
from workers.live.execution import reconcile
from workers.live.execution.names import Names
from workers.live.execution.reconcile import Leave, Reconciler
from workers.live.execution.venue_books import VenueBooks

SECOND_NS = 1_000_000_000
OURS = "gk1-0123456789ab-1-1"
USDT = 100_000 * 10**8


class Lists:
    """A venue made of what it is told to hold."""

    def __init__(self) -> None:
        self.orders: dict[str, VenueOrder] = {}
        self.fills: list[VenueTrade] = []
        self.holdings = {"BTC": 0, "ETH": 0, "USDT": USDT}
        self.away = False

    async def query(self, symbol: str, client_id: str) -> VenueOrder:
        if self.away:
            raise VenueUnreachable("no connection")
        if client_id not in self.orders:
            raise OrderNotFound(client_id)
        return self.orders[client_id]

    async def open_orders(self) -> list[VenueOrder]:
        return [order for order in self.orders.values() if order.status.is_open]

    async def trades(self, symbol: str, after: int) -> list[VenueTrade]:
        return [trade for trade in self.fills if trade.symbol == symbol and trade.trade_id > after]

    async def balances(self) -> dict[str, int]:
        if self.away:
            raise VenueUnreachable("no connection")
        return dict(self.holdings)

    async def client_id_of(self, symbol: str, venue_order_id: str) -> str:
        return next((cid for cid, order in self.orders.items() if order.venue_order_id == venue_order_id), "")


class Unwalked(set[tuple[str, int]]):
    """Known trades that may be looked up and not walked: there are hundreds of thousands of them."""

    def __iter__(self) -> Iterator[tuple[str, int]]:
        raise AssertionError("walks all trades")


class Scene:
    """Books with a session, a venue, and a clock that moves when it is looked at."""

    def __init__(self, *, adopted: bool = True) -> None:
        self.now = 1_750_000_000 * SECOND_NS
        self.books = Books()
        self.events: list[JournalEvent] = []
        self.venue = Lists()
        self.listed = {"BTCUSDT", "ETHUSDT"}
        described = tuple(msgspec.to_builtins(one) for one in (BTC, ETH))
        self.report(SessionOpened(ts=self.now, epoch=1, venue="paper", worker="w", instruments=described))
        if adopted:
            for asset, total in self.venue.holdings.items():
                self.report(BalanceAdopted(ts=self.now, asset=asset, total=total))
        self.events.clear()
        self.reconciler = Reconciler(
            venue=self.venue,
            books=VenueBooks(self.books, Names("paper", "paper"), lambda: self.listed),
            report=self.report,
            in_flight=lambda _client_id: False,
            clock=self.tick,
            settle_after_ns=3 * SECOND_NS,
            since_ns=self.now if adopted else 0,
        )

    def tick(self) -> int:
        """The time, a millisecond later with every look."""
        self.now += 1_000_000
        return self.now

    def report(self, event: JournalEvent) -> None:
        if self.books.is_news(event):
            self.events.append(event)
            self.books.apply(event)

    def intend(self, client_id: str = OURS, lots: int = 100) -> None:
        self.report(
            OrderIntended(
                ts=self.now,
                client_id=client_id,
                run_id="r",
                symbol="BTCUSDT",
                side=Side.BUY,
                order_type=OrderType.LIMIT,
                tif=TimeInForce.GTC,
                lots=lots,
                price=6_000_000,
                reduce_only=False,
                reference=6_000_000,
                forecast_id="",
                model_digest="",
                limits_version=1,
                epoch=1,
                decision={},
                stages={},
            )
        )

    def at_venue(self, status: OrderStatus, client_id: str = OURS, lots: int = 100, filled: int = 0) -> None:
        self.venue.orders[client_id] = VenueOrder(
            client_id=client_id,
            venue_order_id=f"v-{client_id}",
            symbol="BTCUSDT",
            side=Side.BUY,
            status=status,
            lots=lots,
            filled=filled,
        )

    def trade_at_venue(self, trade_id: int, lots: int, client_id: str = OURS) -> None:
        """A buy at 60000 with a fee of one atom, moving the venue's balances too."""
        self.venue.fills.append(
            VenueTrade(
                trade_id=trade_id,
                venue_order_id=f"v-{client_id}",
                symbol="BTCUSDT",
                side=Side.BUY,
                lots=lots,
                price=6_000_000,
                fee=1,
                fee_asset="BTC",
                maker=False,
                ts_event=self.now,
            )
        )
        self.venue.holdings["BTC"] += lots * BTC.lot_atoms - 1
        self.venue.holdings["USDT"] -= lots * 60_000 * 10**3

    async def run(self) -> ReconciliationDone:
        done = await self.reconciler.run()
        assert done is not None
        return done


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "PAUSE_S", 0.0)


async def test_at_first_contact_the_venues_balances_become_ours_and_old_trades_stay_theirs() -> None:
    scene = Scene(adopted=False)
    scene.venue.holdings["BTC"] = 5
    scene.trade_at_venue(1, 10, client_id="somebody")
    scene.now += 1
    done = await scene.run()
    assert done.ok
    assert scene.books.balances() == scene.venue.holdings
    assert scene.books.fills == 0


async def test_equal_books_agree() -> None:
    done = await Scene().run()
    assert (done.ok, done.breaks) == (True, ())


@pytest.mark.parametrize("unsure", [True, False])
async def test_what_the_venue_cannot_tell_is_a_break_and_no_rejection(unsure: bool) -> None:
    """Neither an answer that may hide the order, nor one about a time after it was made, shows that it is absent."""
    scene = Scene()
    scene.intend()
    scene.report(OrderUnknown(ts=scene.now, client_id=OURS, detail="timeout"))

    async def query(_symbol: str, client_id: str) -> VenueOrder:
        raise OrderUnsure("pages") if unsure else OrderNotFound(client_id, scene.books.orders[OURS].created + 1)

    scene.venue.query = query  # type: ignore[method-assign,assignment]
    scene.now += 60 * SECOND_NS
    done = await scene.run()
    assert not done.ok
    (told,) = done.breaks
    assert "cannot tell what became of it" in told
    assert "look for it at the venue" in told
    assert scene.books.orders[OURS].status is OrderStatus.UNKNOWN
    with pytest.raises(OrderUnsure):
        await scene.reconciler.settle(scene.books.orders[OURS])
    assert not any(isinstance(event, OrderNotSent) for event in scene.events)


async def test_fills_that_nobody_reported_are_adopted_once() -> None:
    scene = Scene()
    scene.intend()
    scene.at_venue(OrderStatus.FILLED, filled=100)
    scene.trade_at_venue(1, 60)
    scene.trade_at_venue(2, 40)
    done = await scene.run()
    assert done.ok
    assert done.fills_adopted == 2
    assert scene.books.orders[OURS].status is OrderStatus.FILLED
    again = await scene.run()
    assert (again.ok, again.fills_adopted) == (True, 0)


async def test_a_missing_fill_below_the_newest_known_is_found_too() -> None:
    scene = Scene()
    scene.intend()
    scene.at_venue(OrderStatus.PARTIALLY_FILLED, filled=50)
    scene.report(OrderAccepted(ts=scene.now, client_id=OURS, venue_order_id=f"v-{OURS}"))
    scene.trade_at_venue(5, 20)
    await scene.reconciler.adopt_fills("BTCUSDT")
    scene.trade_at_venue(3, 30)
    done = await scene.run()
    assert done.ok
    assert scene.books.orders[OURS].filled == 50


async def test_an_intent_that_the_venue_does_not_know_ends_only_after_its_deadline() -> None:
    scene = Scene()
    scene.intend()
    order = scene.books.orders[OURS]
    assert not await scene.reconciler.settle(order)
    assert scene.books.orders[OURS].status is OrderStatus.INTENT
    scene.now += 3 * SECOND_NS
    assert await scene.reconciler.settle(order)
    assert scene.books.orders[OURS].status is OrderStatus.CANCELED


async def test_a_late_answer_proves_nothing_about_the_time_after_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked at 0.3 s and told at 3.1 s that the order is not there: it may have arrived at 0.4 s."""
    scene = Scene()
    scene.intend()
    scene.report(OrderSent(ts=scene.now, client_id=OURS, stages={}))
    scene.report(OrderUnknown(ts=scene.now, client_id=OURS, detail="timeout"))
    scene.now += 300_000_000

    async def query(symbol: str, client_id: str) -> VenueOrder:
        scene.now += 2_800_000_000
        raise OrderNotFound(client_id)

    monkeypatch.setattr(scene.venue, "query", query)
    order = scene.books.orders[OURS]
    assert not await scene.reconciler.settle(order)
    assert scene.books.orders[OURS].status is OrderStatus.UNKNOWN
    assert await scene.reconciler.settle(order), "asked again after the deadline, the answer counts"
    assert not scene.books.orders[OURS].open


async def test_trades_are_read_on_from_the_newest_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.intend()
    scene.at_venue(OrderStatus.PARTIALLY_FILLED, filled=20)
    scene.trade_at_venue(7, 20)
    assert (await scene.run()).ok
    real = scene.venue.trades
    asked: list[tuple[str, int]] = []

    async def trades(symbol: str, after: int) -> list[VenueTrade]:
        asked.append((symbol, after))
        return await real(symbol, after)

    monkeypatch.setattr(scene.venue, "trades", trades)
    monkeypatch.setattr(scene.books, "trades", Unwalked(scene.books.trades))
    assert (await scene.run()).ok
    assert ("BTCUSDT", 7) in asked


async def test_an_unknown_order_that_arrived_is_worked_on() -> None:
    scene = Scene()
    scene.intend()
    scene.report(OrderSent(ts=scene.now, client_id=OURS, stages={}))
    scene.report(OrderUnknown(ts=scene.now, client_id=OURS, detail="timeout"))
    scene.at_venue(OrderStatus.WORKING)
    assert await scene.reconciler.settle(scene.books.orders[OURS])
    assert scene.books.orders[OURS].status is OrderStatus.WORKING
    assert (await scene.run()).ok


async def test_a_canceled_order_keeps_the_fills_it_had() -> None:
    scene = Scene()
    scene.intend()
    scene.at_venue(OrderStatus.CANCELED, filled=30)
    scene.trade_at_venue(1, 30)
    done = await scene.run()
    assert done.ok
    order = scene.books.orders[OURS]
    assert (order.status, order.filled) == (OrderStatus.CANCELED, 30)


async def test_an_order_of_ours_that_the_journal_lacks_is_a_break() -> None:
    scene = Scene()
    scene.at_venue(OrderStatus.WORKING, client_id="gk1-0123456789ab-1-9")
    done = await scene.run()
    assert not done.ok
    assert "not in the journal" in done.breaks[0]


async def test_an_accepted_order_that_the_venue_does_not_know_is_a_break() -> None:
    scene = Scene()
    scene.intend()
    scene.report(OrderAccepted(ts=scene.now, client_id=OURS, venue_order_id=f"v-{OURS}"))
    scene.now += 100 * SECOND_NS
    done = await scene.run()
    assert (done.ok, done.breaks) == (False, (f"order {OURS} is WORKING here and unknown at the venue",))
    scene.at_venue(OrderStatus.CANCELED)
    assert (await scene.run()).ok


async def test_an_open_order_in_what_the_venue_does_not_list_is_a_break_and_is_not_asked_about() -> None:
    scene = Scene()
    scene.intend()
    scene.listed = {"ETHUSDT"}
    done = await scene.run()
    assert done.breaks == (f"order {OURS} is open here in BTCUSDT, which the venue does not list to this worker",)
    assert scene.books.orders[OURS].status is OrderStatus.INTENT


async def test_orders_of_other_people_on_the_account_are_left_alone() -> None:
    scene = Scene()
    scene.at_venue(OrderStatus.WORKING, client_id="by-hand")
    assert (await scene.run()).ok


async def test_trades_of_other_people_and_missing_money_are_breaks_with_both_values() -> None:
    scene = Scene()
    scene.trade_at_venue(1, 10, client_id="by-hand")
    done = await scene.run()
    assert not done.ok
    assert any("trade 1 in BTCUSDT" in line for line in done.breaks)
    scene = Scene()
    scene.venue.holdings["USDT"] -= 1
    done = await scene.run()
    assert done.breaks == ("USDT: 100000.00000000 here, 99999.99999999 at the venue",)


async def test_a_balance_is_adopted_only_where_people_decided_on_exactly_this_difference() -> None:
    scene = Scene()
    ours = scene.venue.holdings["USDT"]
    scene.venue.holdings["USDT"] = theirs = ours - 950_000_000

    def leave(ours: int, theirs: int, name: str = "one", until: int = 2**62) -> dict[str, Leave]:
        return {"USDT": Leave(id=name, asset="USDT", ours=ours, theirs=theirs, until=until)}

    approved = leave(ours, theirs + 1)
    scene.reconciler._adoptable = lambda: approved
    assert not (await scene.run()).ok
    assert not any(type(event) is BalanceAdopted for event in scene.events)
    approved = leave(ours, theirs, until=1)
    assert not (await scene.run()).ok, "leave that ran out"
    approved = leave(ours, theirs)
    assert (await scene.run()).ok
    assert scene.books.balances("")["USDT"] == theirs
    scene.venue.holdings["USDT"] = theirs - 950_000_000
    approved = leave(theirs, theirs - 950_000_000)
    assert not (await scene.run()).ok, "one decision adopts once"
    approved = leave(theirs, theirs - 950_000_000, "another")
    assert (await scene.run()).ok
    taken = [event.total for event in scene.events if type(event) is BalanceAdopted]
    assert taken == [theirs, theirs - 950_000_000]


async def test_what_a_venue_that_counts_finer_rounds_is_taken_over_and_nothing_more() -> None:
    scene = Scene()
    scene.reconciler._dust = 100
    scene.venue.holdings["USDT"] -= 101
    assert not (await scene.run()).ok
    scene.venue.holdings["USDT"] += 1
    scene.venue.holdings["BTC"] = scene.venue.holdings.get("BTC", 0) + 101
    assert not (await scene.run()).ok
    assert not [event for event in scene.events if type(event) is BalanceAdopted], (
        "nothing is swept while anything differs by more"
    )
    scene.venue.holdings["BTC"] -= 101
    assert (await scene.run()).ok
    taken = [(event.asset, event.total) for event in scene.events if type(event) is BalanceAdopted]
    assert taken == [("USDT", scene.venue.holdings["USDT"])]


async def test_an_order_that_ended_here_and_is_open_there_counts_again() -> None:
    scene = Scene()
    scene.intend()
    scene.now += 4 * SECOND_NS
    await scene.reconciler.settle(scene.books.orders[OURS])
    assert not scene.books.orders[OURS].open
    scene.at_venue(OrderStatus.WORKING)
    await scene.run()
    assert scene.books.orders[OURS].open


async def test_a_venue_that_is_away_gives_no_verdict() -> None:
    scene = Scene()
    scene.venue.away = True
    with pytest.raises(VenueUnreachable):
        await scene.run()


async def test_books_that_move_while_they_are_compared_give_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.venue.holdings["USDT"] -= 1
    real = scene.venue.balances

    async def balances() -> dict[str, int]:
        scene.books.other["BNB"] = scene.books.other.get("BNB", 0) + 1
        await asyncio.sleep(0)
        return await real()

    monkeypatch.setattr(scene.venue, "balances", balances)
    assert await scene.reconciler.run() is None
