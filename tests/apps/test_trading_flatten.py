"""Closing positions: shown, signed for, ordered once, and never more than was signed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from apps.accounts.domain.roles import Role
from apps.audit.models import AuditEntry
from apps.core.context import service_context
from apps.trading import models, services
from apps.trading.domain.flatten import digest
from apps.trading.services.scopes import halt_scope
from tests.factories import journal
from tests.factories.people import Browser, Person, make_person, signed_in
from workers.engine import events as ev
from workers.engine.vocabulary import Side

pytestmark = pytest.mark.django_db
PROCESS = service_context("projector")
PATH = "/api/v1/trading/flatten/"


@pytest.fixture(autouse=True)
def held() -> None:
    """0.05 BTC less a fee of 0.00000500, marked at 50,001, and dust of ETH."""
    events: list[ev.Journalled] = [
        *journal.opening(),
        journal.run_started("run-1"),
        journal.intended("o-1", journal.START, lots=5000),
        journal.filled("o-1", 1, journal.START, lots=5000, fee=500),
        journal.intended("o-2", journal.START, symbol="ETHUSDT", lots=1, price=300_000, reference=300_000),
        journal.filled("o-2", 2, journal.START, symbol="ETHUSDT", lots=1, price=300_000, fee=5000, fee_asset="ETH"),
        journal.marked(journal.START + journal.SECOND, marks={"BTCUSDT": 5_000_100, "ETHUSDT": 300_000}),
    ]
    services.project(PROCESS, worker="w", records=journal.records(events))


@pytest.fixture
def ann() -> Person:
    return make_person("ann", Role.OPERATOR)


@pytest.fixture
def browser(ann: Person) -> Browser:
    return signed_in(ann)


def granted(browser: Browser, who: Person, object_id: str) -> str:
    body = {"code": who.fresh_code(), "action": "trading.flatten", "object_id": object_id}
    answer = browser.send("/api/v1/auth/step-up/", body)
    assert answer.status_code in (200, 201), answer.content
    return str(answer.json()["grant"])


def shown(browser: Browser) -> tuple[dict[str, Any], list[dict[str, str]]]:
    preview = browser.get(PATH).json()
    possible = [row for row in preview["positions"] if not row["problem"]]
    return preview, [{name: row[name] for name in ("symbol", "side", "quantity")} for row in possible]


def ordered(browser: Browser, positions: list[dict[str, str]], grant: str) -> Any:
    return browser.send(PATH, {"positions": positions, "reason": "going home", "grant": grant})


def test_what_would_be_sent_is_shown_with_its_cost_and_what_cannot_be(browser: Browser) -> None:
    preview, possible = shown(browser)
    rows = {row["symbol"]: row for row in preview["positions"]}
    btc = rows["BTCUSDT"]
    assert (btc["side"], btc["quantity"], btc["remainder"]) == ("SELL", "0.04999", "0.000005")
    assert Decimal(btc["value"]) == Decimal("0.04999") * Decimal(50_001)
    assert Decimal(btc["fee"]) == Decimal(btc["value"]) * Decimal("0.001")
    assert "smaller than the least order" in rows["ETHUSDT"]["problem"]
    assert possible == [{"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.04999"}]
    assert browser.get(f"{PATH}?symbol=ETHUSDT").json()["positions"] == [rows["ETHUSDT"]]
    assert not preview["halted"]
    assert (btc["displaced"], rows["ETHUSDT"]["displaced"]) == (0, 0)
    orders = models.Order.objects.filter(client_id="o-1")
    orders.update(side="SELL", status="WORKING")
    assert browser.get(f"{PATH}?symbol=BTCUSDT").json()["positions"][0]["displaced"] == 1
    orders.update(parent_id="p-1")
    assert browser.get(f"{PATH}?symbol=BTCUSDT").json()["positions"][0]["displaced"] == 0


def test_closing_is_signed_for_ordered_once_and_audited(browser: Browser, ann: Person) -> None:
    preview, possible = shown(browser)
    done = ordered(browser, possible, granted(browser, ann, f"paper:{preview['digest']}"))
    assert done.status_code == 202, done.content
    parent = models.ParentOrder.objects.get()
    assert (parent.symbol, parent.side, parent.quantity, parent.reduce_only) == (
        "BTCUSDT", "SELL", Decimal("0.04999"), True,
    )  # fmt: skip
    assert parent.request["side"] == int(Side.SELL)
    entry = AuditEntry.objects.get(event="trading.flatten.ordered")
    assert entry.after is not None
    assert (entry.reason, entry.mfa, entry.after["parents"]) == ("going home", "step_up", [parent.parent_id])
    again, _ = shown(browser)
    assert [row["problem"] for row in again["positions"] if row["symbol"] == "BTCUSDT"] == [
        "it is being closed already"
    ]
    twice = ordered(browser, possible, granted(browser, ann, f"paper:{preview['digest']}"))
    assert (twice.status_code, models.ParentOrder.objects.count()) == (409, 1)


def test_leave_is_for_what_was_shown_and_nothing_else(browser: Browser, ann: Person) -> None:
    preview, possible = shown(browser)
    more = [{**possible[0], "quantity": "1"}]
    refused = ordered(browser, more, granted(browser, ann, f"paper:{preview['digest']}"))
    assert refused.status_code in (401, 403), refused.content
    assert not models.ParentOrder.objects.exists()
    # One may sign for more than is held: only what is held is sold.
    allowed = ordered(browser, more, granted(browser, ann, f"paper:{digest(more)}"))
    assert allowed.status_code == 202
    assert models.ParentOrder.objects.get().quantity == Decimal("0.04999")


def test_nothing_is_closed_while_halted_or_without_the_role(browser: Browser, ann: Person) -> None:
    preview, possible = shown(browser)
    viewer = signed_in(make_person("vic"))
    assert viewer.get(PATH).status_code == 200
    assert ordered(viewer, possible, "").status_code in (400, 403)
    wrong_side = [{**possible[0], "side": "BUY"}]
    turned = ordered(browser, wrong_side, granted(browser, ann, f"paper:{digest(wrong_side)}"))
    assert (turned.status_code, turned.json()["code"]) == (409, "conflict")
    services.halt(PROCESS, venue="paper", reason="x", grant=None)
    halted = ordered(browser, possible, granted(browser, ann, f"paper:{preview['digest']}"))
    assert halted.status_code == 409
    assert "halted" in halted.json()["detail"]
    assert not models.ParentOrder.objects.exists()


def test_a_halted_instrument_is_not_closed_and_says_why(browser: Browser, ann: Person) -> None:
    preview, possible = shown(browser)
    halt_scope(PROCESS, scope="instrument:BTCUSDT", reason="odd prints", grant=None)
    assert shown(browser)[0]["positions"][0]["problem"] == "instrument:BTCUSDT is halted (odd prints); resume it first"
    refused = ordered(browser, possible, granted(browser, ann, f"paper:{preview['digest']}"))
    assert (refused.status_code, "odd prints" in refused.json()["detail"]) == (409, True)
    assert not models.ParentOrder.objects.exists()


def test_only_what_nobody_closes_yet_is_offered(browser: Browser, ann: Person) -> None:
    """A small order that reduces must not stand in the way of closing the rest."""
    _, possible = shown(browser)
    ordered(browser, possible, granted(browser, ann, f"paper:{digest(possible)}"))
    models.ParentOrder.objects.update(quantity=Decimal("0.02"), filled_quantity=Decimal("0.01"))
    preview, rest = shown(browser)
    assert rest == [{**possible[0], "quantity": "0.03999"}]
    done = ordered(browser, rest, granted(browser, ann, f"paper:{preview['digest']}"))
    assert done.status_code == 202, done.content
    assert shown(browser)[1] == []
    models.ParentOrder.objects.update(side="BUY")
    assert shown(browser)[1] == possible
