"""Conditional orders in the list of orders: what a person sees of each, from being held to its end."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from django.db import transaction

from apps.core.clock import FrozenClock
from apps.core.context import service_context
from apps.core.models import OutboxMessage
from apps.trading import rows, selectors, services
from tests.factories import journal
from tests.support.kernels import LIMITS, Rig
from workers.engine import events as e
from workers.engine.config import SECOND_NS
from workers.engine.execution.conditional_place import Bracket
from workers.engine.execution.conditional_types import ConditionalRequest, TriggerSource
from workers.engine.market.venues import PAPER
from workers.engine.risk.gate import OrderRequest
from workers.engine.vocabulary import FeedState, Side, TimeInForce

pytestmark = pytest.mark.django_db
CTX = service_context("projector", clock=FrozenClock())
SYMBOL = "BTCUSDT"


def lived() -> tuple[Rig, str]:
    """A kernel's own journal of a bracket: filled, its profit resting, then stopped out; and a dated order."""
    rig = Rig().open(limits={**LIMITS, "collar_bps": 1000})
    rig.top(SYMBOL, 99_99, 100_01)
    entry = OrderRequest(symbol=SYMBOL, side=Side.BUY, lots=50_000, price=100_01, tif=TimeInForce.GTC)
    rig.kernel.desk.now = rig.now
    entry_id = rig.kernel.desk.hold(Bracket(entry=entry, trail_ticks=200, take_profit=103_00))
    rig.take(rig.kernel.on_timer(rig.now))
    assert entry_id is not None
    rig.accept(entry_id)
    rig.fill(entry_id, 50_000, 100_00)
    for bid in (100_00, 101_00):
        rig.top(SYMBOL, bid, bid + 2)
    rig.top(SYMBOL, 99_00, 99_02)
    profit, loss = (rig.books.conditionals.all[f"{entry_id}.{end}"] for end in ("tp", "sl"))
    rig.end(profit.children[0])
    rig.accept(loss.children[0])
    rig.fill(loss.children[0], 50_000, 99_00)
    rig.order(SYMBOL, Side.BUY, 50_000, 98_00, tif=TimeInForce.GTD, expires_at=rig.now + 60 * SECOND_NS)
    return rig, entry_id


def test_a_bracket_is_listed_with_its_trigger_its_origin_and_what_is_emulated() -> None:
    rig, entry_id = lived()
    records = journal.records(rig.journal)  # type: ignore[arg-type]  # all are Journalled
    armed = next(n for n, event in enumerate(rig.journal) if type(event).__name__ == "ConditionalTriggered")
    services.project(CTX, worker="w", records=records[:armed])
    held = rows.order_row(selectors.get_order(f"{entry_id}.sl"))
    assert (held["order_type"], held["status"], held["open"]) == ("TRAILING_STOP", "ARMED", True)
    assert (held["trigger_price"], held["origin"], held["group"]) == ("99", entry_id, f"{entry_id}.g")
    assert (held["emulated"], held["held_by"]) == (True, "kernel")
    assert "TRAILING_STOP held by the kernel on the opposite touch: the venue has none" in held["emulated_why"]
    services.project(CTX, worker="w", records=records)
    stopped = rows.order_row(selectors.get_order(f"{entry_id}.sl"))
    assert (stopped["status"], stopped["open"], stopped["filled_quantity"]) == ("FILLED", False, "0.5")
    told = [(line["what"], line["detail"]) for line in stopped["timeline"]]
    assert told[1:] == [("triggered", "opposite touch was 99"), ("over", "all of it is filled")]
    sibling = rows.order_row(selectors.get_order(f"{entry_id}.tp"))
    assert (sibling["status"], sibling["detail"]) == ("CANCELED", f"{entry_id}.sl was triggered")
    released = selectors.orders().filter(origin=f"{entry_id}.sl").get()
    assert (released.status, released.quantity) == ("FILLED", Decimal("0.5"))
    dated = selectors.orders().filter(tif="GTD").get()
    row = rows.order_row(dated)
    assert (row["emulated_why"], row["open"]) == ("GTD by the kernel's clock, GTC at the venue", True)
    assert row["expires_at"] is not None
    assert {order.client_id for order in selectors.orders(open_only=True)} == {dated.client_id}


def test_a_stop_of_the_venue_says_who_holds_it_until_the_venue_refuses() -> None:
    rig = Rig(features=PAPER.features).open(limits=LIMITS)
    rig.top(SYMBOL, 99_99, 100_01)
    request = ConditionalRequest(
        symbol=SYMBOL, side=Side.BUY, lots=50_000, trigger=110_00, source=TriggerSource.LAST_TRADE
    )
    rig.kernel.desk.now = rig.now
    stop_id = rig.kernel.desk.hold(request)
    rig.take(rig.kernel.on_timer(rig.now))
    assert stop_id is not None
    sent = rig.sent[-1].intent.client_id
    resting = len(rig.journal)
    rig.report(e.OrderRejected(ts=rig.now, client_id=sent, code="-2010", message="no"))
    records = journal.records(rig.journal)  # type: ignore[arg-type]  # all are Journalled
    services.project(CTX, worker="w", records=records[:resting])
    for client_id in (stop_id, sent):
        row = rows.order_row(selectors.get_order(client_id))
        assert (row["trigger_price"], row["held_by"], row["emulated_why"]) == ("110", "venue", "")
    services.project(CTX, worker="w", records=records)
    row = rows.order_row(selectors.get_order(stop_id))
    assert (row["held_by"], row["emulated"], row["status"]) == ("kernel", True, "ARMED")
    assert row["emulated_why"] == "held by the kernel on the last trade: the venue refused it (-2010 no)"
    assert [line["what"] for line in row["timeline"]] == ["held by the venue", "held by the kernel"]


def test_any_cut_into_batches_makes_the_same_rows() -> None:
    rig, _ = lived()
    records = journal.records(rig.journal)  # type: ignore[arg-type]  # all are Journalled
    found = []
    for size in (len(records), 1, 7):
        with transaction.atomic():
            for start in range(0, len(records), size):
                services.project(CTX, worker="w", records=records[start : start + size])
            found.append([rows.order_row(order) for order in selectors.orders().order_by("client_id")])
            transaction.set_rollback(True)
    assert found[0] == found[1] == found[2]


def test_a_stop_that_is_lost_raises_and_another_one_clears() -> None:
    rig = Rig().open(limits={**LIMITS, "collar_bps": 1000})
    rig.top(SYMBOL, 99_99, 100_01)
    bought = rig.order(SYMBOL, Side.BUY, 50_000, 100_01)
    assert bought is not None
    rig.accept(bought)
    rig.fill(bought, 50_000, 100_00)
    stop = ConditionalRequest(symbol=SYMBOL, side=Side.SELL, lots=50_000, trigger=70_00, reduce_only=True)
    rig.kernel.desk.hold(stop)
    rig.feed(SYMBOL, FeedState.LIVE, session_id=2)
    rig.top(SYMBOL, 80_00, 80_02)
    lost = len(rig.journal)
    rig.kernel.desk.hold(stop)
    rig.take(rig.kernel.on_timer(rig.now))
    records = journal.records(rig.journal)  # type: ignore[arg-type]  # all are Journalled
    key = "protection_lost:paper:BTCUSDT"
    for upto, kind in ((lost, "incident.requested"), (len(records), "incident.cleared")):
        services.project(CTX, worker="w", records=records[:upto])
        assert OutboxMessage.objects.filter(topic="signals", key=key).latest("id").kind == kind


def test_every_event_survives_its_encoding() -> None:
    rig, _ = lived()
    for record in journal.records(rig.journal):  # type: ignore[arg-type]  # all are Journalled
        assert msgspec.json.decode(msgspec.json.encode(record), type=type(record)) == record
