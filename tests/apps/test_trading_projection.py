"""What projecting a journal leaves behind, and what it refuses."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from apps.audit.models import AuditEntry
from apps.core.clock import FrozenClock
from apps.core.context import service_context
from apps.core.models import OutboxMessage
from apps.trading import models, rows, selectors, services
from apps.trading.domain.signals import REASON_WORDS, reason_text
from apps.trading.domain.states import at
from tests.factories import journal
from workers.engine import events as ev
from workers.engine.vocabulary import FeedState, OrderStatus, Reason

pytestmark = pytest.mark.django_db
CLOCK = FrozenClock()
CTX = service_context("projector", clock=CLOCK)


def project(*events: ev.Journalled) -> int:
    return services.project(CTX, worker="w", records=journal.records([*journal.opening(), *events]))


def life_of_an_order() -> list[ev.Journalled]:
    ts = journal.START
    return [
        journal.intended("c-1", ts),
        ev.OrderSent(ts=ts + 1000, client_id="c-1", stages={"send_ns": 2000}),
        ev.OrderAccepted(ts=ts + 2000, client_id="c-1", venue_order_id="77"),
        journal.filled("c-1", 5, ts + 3000, lots=400, fee=400),
        ev.CancelRequested(ts=ts + 4000, client_id="c-1", reason="bar over"),
        ev.OrderEnded(ts=ts + 5000, client_id="c-1", status=OrderStatus.CANCELED, detail="by request"),
    ]


def test_an_order_is_traced_from_intent_to_end() -> None:
    project(*life_of_an_order())
    order = selectors.get_order("c-1")
    assert (order.status, order.filled_quantity, order.venue_order_id) == ("CANCELED", Decimal("0.004"), "77")
    assert order.stages == {"receive_ns": 1000, "risk_ns": 9000, "send_ns": 2000}
    told = [(line["what"], line["status"]) for line in order.timeline]
    assert told == [
        ("intended", "INTENT"),
        ("sent", "SENT"),
        ("accepted", "WORKING"),
        ("filled", "PARTIALLY_FILLED"),
        ("cancel requested", "PARTIALLY_FILLED"),
        ("ended", "CANCELED"),
    ]
    fill = models.Fill.objects.get()
    assert (fill.quantity, fill.price, fill.notional) == (Decimal("0.004"), Decimal(50_000), Decimal(200))
    assert models.Balance.objects.get(asset="USDT").total == Decimal(99_800)
    assert models.Balance.objects.get(asset="BTC").total == Decimal("0.003996")


def test_a_batch_delivered_twice_counts_once() -> None:
    records = journal.records([*journal.opening(), *life_of_an_order()])
    assert services.project(CTX, worker="w", records=records) == len(records)
    messages = OutboxMessage.objects.count()
    assert services.project(CTX, worker="w", records=records) == 0
    assert OutboxMessage.objects.count() == messages
    assert models.Fill.objects.count() == 1


def test_a_gap_and_a_foreign_journal_are_refused() -> None:
    records = journal.records([*journal.opening(), *life_of_an_order()])
    services.project(CTX, worker="w", records=records[:3])
    with pytest.raises(services.JournalMismatch, match="continues at record 4, was given 6"):
        services.project(CTX, worker="w", records=records[5:])
    other = msgspec.structs.replace(records[2], hash="e" * 64)
    with pytest.raises(services.JournalMismatch, match="restore the journal"):
        services.project(CTX, worker="w", records=[other, *records[3:]])
    with pytest.raises(services.JournalMismatch, match="begin with SessionOpened"):
        services.project(CTX, worker="x", records=journal.records([journal.marked(journal.START)]))
    assert selectors.journal_cursor("w")["seq"] == 3


def test_a_failed_batch_leaves_nothing() -> None:
    unknown = journal.filled("c-1", 9, journal.START, symbol="XRPUSDT")
    with pytest.raises(ValueError, match="names XRPUSDT, which no session on paper declared"):
        project(*life_of_an_order(), unknown)
    assert models.Order.objects.count() == OutboxMessage.objects.count() == 0


def test_orders_and_fills_are_published_whole() -> None:
    project(*life_of_an_order())
    [order] = OutboxMessage.objects.filter(topic="orders")
    assert (order.kind, order.key, order.data["version"]) == ("order.updated", "c-1", 6)
    assert order.data["quantity"] == "0.01"
    [fill] = OutboxMessage.objects.filter(topic="fills")
    assert (fill.key, fill.data["price"]) == ("paper:BTCUSDT:5", "50000")


def test_a_denial_says_why_in_words_and_a_limit_raises_a_signal() -> None:
    ts = journal.START
    project(
        journal.denied("d-1", ts, Reason.FORECAST_STALE),
        journal.denied("d-2", ts, Reason.NOTIONAL_ABOVE_LIMIT),
        journal.denied("d-3", ts, Reason.NOTIONAL_ABOVE_LIMIT),
    )
    denied = selectors.get_order("d-1")
    assert (denied.status, denied.reasons, denied.detail) == ("DENIED", ["FORECAST_STALE"], "the forecast is too old")
    signals = OutboxMessage.objects.filter(topic="signals", kind="incident.requested")
    assert [signal.key for signal in signals] == ["limit_breach:paper:BTCUSDT:NOTIONAL_ABOVE_LIMIT"]
    assert "d-3" in signals[0].data["detail"]


def test_every_reason_has_words() -> None:
    assert set(REASON_WORDS) == set(Reason)
    assert reason_text("-2010") == "-2010", "a venue's own code stays as it is"


def test_a_report_on_a_foreign_order_raises_and_stops_nothing() -> None:
    ts = journal.START
    foreign = ev.OrderAccepted(ts=ts, client_id="theirs", venue_order_id="1")
    project(foreign, *life_of_an_order())
    assert selectors.get_order("c-1").status == "CANCELED"
    assert OutboxMessage.objects.filter(topic="signals", key="reconciliation_break:paper:theirs").count() == 1


def test_a_denied_duplicate_does_not_touch_the_first_order() -> None:
    project(*life_of_an_order(), journal.denied("c-1", journal.START, Reason.DUPLICATE_CLIENT_ID))
    assert selectors.get_order("c-1").status == "CANCELED"


def test_feeds_and_reconciliations_raise_and_clear() -> None:
    ts = journal.START
    project(
        ev.FeedChanged(ts=ts, symbol="ETHUSDT", state=FeedState.STALE, detail="silent for 3 s"),
        ev.ReconciliationDone(ts=ts, ok=False, orders_checked=2, fills_adopted=0, breaks=("BTC: ours 1, venue 2",)),
    )
    kinds = dict(OutboxMessage.objects.filter(topic="signals").values_list("key", "kind"))
    assert kinds == {
        "trading_halted:paper": "incident.cleared",
        "feed_stale:paper:BTCUSDT": "incident.cleared",
        "feed_stale:paper:ETHUSDT": "incident.requested",
        "reconciliation_break:paper": "incident.requested",
        "venue_unreachable:paper": "incident.cleared",
    }


def test_a_lost_venue_is_no_difference_of_books() -> None:
    reason = ("account stream lost: closed by venue",)
    lost = ev.ReconciliationDone(
        ts=journal.START, ok=False, orders_checked=0, fills_adopted=0, breaks=reason, compared=False
    )
    project(lost)
    kinds = dict(OutboxMessage.objects.filter(topic="signals").values_list("key", "kind"))
    assert kinds["venue_unreachable:paper"] == "incident.requested"
    assert kinds["reconciliation_break:paper"] == "incident.cleared", "by the agreement before"


def test_the_journal_is_anchored_in_the_audit_trail_now_and_then() -> None:
    records = journal.records([*journal.opening(), *life_of_an_order(), journal.marked(journal.START)])
    services.project(CTX, worker="w", records=records[:5])
    services.project(CTX, worker="w", records=records[5:8])
    [anchor] = AuditEntry.objects.filter(event="trading.journal.anchored")
    assert anchor.after == {"seq": 5, "hash": records[4].hash, "epoch": 1}
    later = service_context("projector", clock=FrozenClock(CLOCK.now() + timedelta(seconds=61)))
    services.project(later, worker="w", records=records[8:])
    assert AuditEntry.objects.filter(event="trading.journal.anchored").count() == 2


def test_the_series_is_thinned_without_losing_its_extremes() -> None:
    second = journal.SECOND
    marks = [journal.marked(journal.START + i * second, equity=100_000 + (i * 7919) % 97) for i in range(4000)]
    marks[1234] = journal.marked(journal.START + 1234 * second, equity=90_000)
    marks[2345] = journal.marked(journal.START + 2345 * second, equity=120_000)
    project(*marks)
    end = at(journal.START + 4000 * second)
    series = selectors.pnl_series("paper", end=end, points=300)
    assert series["total"] == 4000
    assert len(series["at"]) <= 300
    assert series["at"] == sorted(series["at"])
    assert {"90000", "120000"} <= set(series["equity"])
    assert (series["at"][0], series["at"][-1]) == (at(marks[0].ts).isoformat(), at(marks[-1].ts).isoformat())
    whole = selectors.pnl_series("paper", end=end, start=end - timedelta(seconds=100))
    assert len(whole["at"]) == whole["total"] == 100


def test_the_account_adds_up() -> None:
    ts = journal.START
    assert project(*life_of_an_order()) == 12
    bought = selectors.account("paper")
    assert (bought["equity"], bought["fees"]) == (None, None)
    project(
        *life_of_an_order(), journal.marked(ts, cash=99_800 * 10**16, fees=2 * 10**15, marks={"BTCUSDT": 6_000_000})
    )
    account = selectors.account("paper")
    assert account["fees"] == "0.2"
    position = rows.position_row(selectors.positions("paper").get(symbol="BTCUSDT"))
    assert (position["unrealised"], position["fees"], position["average_price"]) == ("39.96", "0.2", "50000")
    assert (account["equity"], account["cash"], account["open_orders"]) == ("100000", "99800", 0)
    assert account["control"]["observed_state"] == "ACTIVE"


def test_runs_are_observed() -> None:
    project(journal.run_started("r-1"))
    observed = selectors.run_observation("r-1")
    assert observed is not None
    assert observed.stopped_at is None
    assert selectors.run_observation("r-2") is None
