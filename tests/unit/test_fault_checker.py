"""The checker of the fault tests finds what it is there for: at any venue, a thing lost, doubled, or too much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.routes import BETA, HOME, MIDDLE, World, listed
from tests.support.truth import JournalView, astray, invents, lacks
from tests.support.venue_logs import Place, VenueLogs
from workers.engine import events as e
from workers.engine.execution.matching_types import SelfTrade, VenueOrder
from workers.engine.execution.orders import Order
from workers.engine.instruments import ATOMS_PER_UNIT
from workers.engine.vocabulary import OrderStatus, OrderType, Side, TimeInForce
from workers.live.paper_venue.journal import Entry, VenueTrade


class Logs:
    """A parent that was routed to two venues and filled there, our journal of it, and what the venues wrote down."""

    def __init__(self, folder: Path) -> None:
        self.world = World(listed(HOME), listed(BETA))
        self.world.offer(BETA, ask=MIDDLE + 1, bid=MIDDLE - 1, lots=30)
        self.parent = self.world.start(100)
        self.world.answer_all()
        self.journal = JournalView()
        self.told = [
            msgspec.structs.replace(x, fee_asset="USDT@beta")
            if isinstance(x, e.OrderFilled) and x.symbol == BETA
            else x
            for x in self.world.rig.journal
        ]
        self.journal.take(self.told)
        self.places = {name: Place(name, "paper", port=1, folder=folder) for name in ("", "beta")}
        self.logs = VenueLogs()
        self.orders = {order.symbol: order for order in self.world.books.orders.values()}
        assert set(self.orders) == {HOME, BETA}

    def write(self, name: str, symbol: str, **changes: Any) -> None:
        """The venue's line about our order of ``symbol``, with its one trade."""
        order, place = self.orders[symbol], self.places[name]
        there = _order(order)
        told = [x for x in self.told if isinstance(x, e.OrderFilled) and x.client_id == order.client_id]
        trades = [_trade(fill) for fill in told] if there.filled else []
        entry = Entry(ts=1, genesis={"BTC": 0, "USDT": 10**15}, orders=[there], trades=trades)
        place.log.parent.mkdir(parents=True, exist_ok=True)
        with place.log.open("ab") as file:
            file.write(msgspec.json.encode(msgspec.structs.replace(entry, **changes)) + b"\n")

    def problems(self) -> list[str]:
        instruments = {symbol: line.instrument for symbol, line in self.journal.books.lines.items()}
        for place in self.places.values():
            if place.log.exists():
                self.logs.read(place, instruments)
        view = self.logs.view
        return lacks(self.journal.view, view) + invents(self.journal.view, view) + astray(self.journal, view)


def _order(order: Order) -> VenueOrder:
    return VenueOrder(
        order_id=1,
        client_id=order.client_id,
        symbol=HOME,
        side=order.side,
        order_type=OrderType.LIMIT,
        tif=TimeInForce.IOC,
        lots=order.lots,
        price=order.price,
        self_trade=SelfTrade.EXPIRE_MAKER,
        created=order.created,
        updated=order.updated,
        filled=order.filled,
        status=OrderStatus.FILLED,
    )


def _trade(fill: e.OrderFilled) -> VenueTrade:
    return VenueTrade(
        trade_id=fill.trade_id,
        order_id=1,
        symbol=HOME,
        buy=fill.side is Side.BUY,
        price=fill.price,
        lots=fill.lots,
        money=0,
        maker=False,
        fee=fill.fee,
        fee_asset=fill.fee_asset.partition("@")[0],
        ts=1,
        paid=("USDT", ATOMS_PER_UNIT),
        received=("BTC", ATOMS_PER_UNIT),
    )


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


def test_logs_that_agree_are_no_problem(logs: Logs) -> None:
    logs.write("", HOME)
    logs.write("beta", BETA)
    assert logs.problems() == []
    assert set(logs.logs.view.balances) == {"BTC", "USDT", "BTC@beta", "USDT@beta"}


def test_an_order_that_two_venues_have_was_sent_twice(logs: Logs) -> None:
    logs.write("", HOME)
    logs.write("beta", BETA)
    logs.write("", BETA, trades=[])
    assert f"venue: {logs.orders[BETA].client_id} came twice" in logs.problems()


def test_an_order_that_the_other_venue_does_not_have_is_missed(logs: Logs) -> None:
    logs.write("", HOME)
    problems = logs.problems()
    client_id, filled = logs.orders[BETA].client_id, logs.journal.view.orders[logs.orders[BETA].client_id].filled
    assert any(f"the venue has no order {client_id}" in problem for problem in problems)
    done = logs.journal.books.lines[HOME].instrument.quantity(logs.parent.filled)
    assert f"parent {logs.parent.parent_id} has {done}, its children at the venue {done - filled}" in problems


def test_a_trade_that_the_journal_does_not_have_is_missed(logs: Logs) -> None:
    logs.write("", HOME)
    logs.write("beta", BETA)
    fill = next(x for x in logs.world.rig.journal if isinstance(x, e.OrderFilled) and x.symbol == BETA)
    logs.write("beta", BETA, genesis={}, trades=[msgspec.structs.replace(_trade(fill), trade_id=99)])
    assert any(f"journal has trade {(BETA, 99)} as None" in problem for problem in logs.problems())
