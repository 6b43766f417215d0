"""What people decide at the desk: limits and leave to exceed them, rebalances, and parent orders."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import pytest
from playwright.sync_api import Page, Route, expect

from apps.accounts.domain.roles import Role
from apps.core.context import service_context
from apps.policies.domain.limits import default_limits
from apps.policies.models import LimitOverride, RiskLimits
from apps.policies.services import create_draft
from apps.policies.services_publications import ensure_default_limits
from apps.trading.models import (
    Balance,
    BalanceAdoption,
    CancelOrder,
    ParentOrder,
    RebalanceRun,
    ScopeControl,
    Venue,
)
from apps.trading.services import ensure_venue, executions, project, rebalance_schedules, rebalances
from tests.factories import journal
from tests.factories.people import Person, make_person
from tests.support.browser import PHONE, Watched, put_live
from workers.engine import events as ev

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Visitor = Callable[..., Watched]
DAY: Final[list[ev.Journalled]] = [
    *journal.opening(),
    journal.intended("c-1", journal.START, lots=100_000),
    journal.filled("c-1", 1, journal.START, lots=100_000, fee=0),
    journal.marked(journal.START, marks={"BTCUSDT": 5_000_000}),
]


@pytest.fixture(autouse=True)
def desk(relay: None) -> None:
    """A venue with one bitcoin at 50,000 and about 50,000 in cash, under limits."""
    ensure_venue(service_context("bootstrap"), name="paper", mode="paper", market="synthetic", label="for tests")
    ensure_default_limits(service_context("bootstrap"))
    project(service_context("projector"), worker="w", records=journal.records(DAY))


def sign(page: Page, who: Person, press: str, reason: str = "") -> None:
    """Give a fresh code, and a reason where one is asked for, in the open question."""
    dialog = page.locator("#ask-dialog")
    if reason:
        dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_label("Fresh authenticator code").fill(who.fresh_code())
    dialog.get_by_role("button", name=press, exact=True).click()


def test_limits_are_drafted_compared_published_and_exceeded_with_leave(
    transactional_db: None, visitor: Visitor
) -> None:
    rita, oscar = make_person("rita", Role.RISK_OFFICER), make_person("oscar", Role.OPERATOR)
    watched = visitor(rita)
    watched.refusals = (400,)
    page = watched.visit("/limits/")
    page.get_by_role("button", name="New version").click()
    editor = page.locator("#limit-editor")
    editor.get_by_label("Collar").fill("soon")
    editor.get_by_label("Max venue notional").fill("paper 50000")
    editor.get_by_role("button", name="Make draft").click()
    expect(page.locator("#limit-of-max_venue_notional-error")).to_contain_text("write name = amount")
    expect(editor.get_by_label("Max venue notional")).to_be_focused()
    editor.get_by_label("Max venue notional").fill("paper = 50000")
    editor.get_by_role("button", name="Make draft").click()
    expect(page.locator("#limit-of-collar_bps-error")).to_have_text("expected a whole number, was 'soon'")
    assert watched.axe() == []
    editor.get_by_label("Collar").fill("150")
    expect(editor.get_by_role("row", name="Collar 100 150")).to_be_visible()
    editor.get_by_role("button", name="Make draft").click()
    expect(editor).to_be_hidden()
    page.get_by_role("button", name="Publish version 2").click()
    expect(page.locator("#ask-dialog").get_by_role("row", name="Collar 100 150")).to_be_visible()
    sign(page, rita, "Publish")
    expect(page.locator("#limit-versions").get_by_role("row", name="2 In force")).to_be_visible()
    expect(page.locator("#limit-scopes").get_by_role("row", name="venue:paper")).to_be_visible()
    held = RiskLimits.objects.get(state="active")
    assert (held.number, held.limits["collar_bps"], held.published_by) == (2, 150, "rita")

    asking = visitor(oscar, viewport=PHONE, has_touch=True, is_mobile=True)
    asking.refusals = (400,)
    asked = asking.visit("/limits/")
    asked.get_by_role("button", name="Ask for leave").click()
    dialog = asked.locator("#ask-dialog")
    dialog.get_by_label("Limit", exact=True).select_option("OPEN_ORDERS_ABOVE_LIMIT")
    dialog.get_by_label("Up to").fill("2.5")
    dialog.get_by_label("Reason").fill("index day")
    dialog.get_by_role("button", name="Ask", exact=True).click()
    expect(dialog.locator("#ask-amount-error")).to_contain_text("expected a whole number")
    dialog.get_by_label("Up to").fill("40")
    dialog.get_by_role("button", name="Ask", exact=True).click()
    expect(asked.locator("#overrides")).to_contain_text("another person decides within 59:")
    expect(asked.get_by_role("button", name="Approve")).to_have_count(0)
    assert asking.overflow() == []

    page.get_by_role("button", name="Approve: Open orders above limit").click()
    sign(page, rita, "Give leave")
    expect(page.locator("#overrides")).to_contain_text("Holds")
    expect(page.locator("#overrides")).to_contain_text("in 59:")
    asked.get_by_role("button", name="Take back").click()
    expect(page.locator("#overrides")).to_contain_text("Taken back")
    leave = LimitOverride.objects.get()
    assert (leave.state, leave.decided_by_name, leave.ended_by_name) == ("revoked", "rita", "oscar")


def test_live_limits_take_two_people_and_a_draft_may_be_thrown_away(transactional_db: None, visitor: Visitor) -> None:
    Venue.objects.update(mode="live")
    rita, ron = make_person("rita", Role.RISK_OFFICER), make_person("ron", Role.RISK_OFFICER)
    setup = service_context("bootstrap")
    for collar in (150, 90):
        create_draft(setup, limits={**default_limits(), "collar_bps": collar}, note="wider for the index day")
    asking, other = visitor(rita), visitor(ron, viewport=PHONE, has_touch=True, is_mobile=True)
    page, there = asking.visit("/limits/"), other.visit("/limits/")
    page.get_by_role("button", name="Publish version 2").click()
    expect(page.locator("#ask-dialog")).to_contain_text("Nothing changes until another person approves it")
    assert asking.axe() == []
    sign(page, rita, "Ask to publish")
    row = page.locator("#limit-versions").get_by_role("row", name="2 Waiting, 1 of 2")
    expect(row).to_contain_text("asked by rita, ends in 59:")
    expect(row.get_by_role("button")).to_have_text(["Withdraw"])
    page.get_by_role("button", name="Discard version 3").click()
    page.locator("#ask-dialog").get_by_label("Reason").fill("not needed")
    page.locator("#ask-dialog").get_by_role("button", name="Discard draft", exact=True).click()
    expect(page.locator("#limit-versions").get_by_role("row", name="3 Discarded")).to_contain_text("not needed")
    assert asking.axe() == []
    there.get_by_role("button", name="Approve version 2").click()
    expect(there.locator("#ask-dialog").get_by_role("row", name="Collar 100 150")).to_be_visible()
    assert other.axe() == []
    sign(there, ron, "Approve and publish")
    expect(page.locator("#limit-versions").get_by_role("row", name="2 In force")).to_contain_text("by rita and ron")
    assert other.overflow() == []
    held = RiskLimits.objects.get(state="active")
    assert (held.number, held.published_by) == (2, "ron")


def outcome(**changes: Any) -> dict[str, Any]:
    """Half of a bitcoin is sold for ether."""
    targets = {
        "BTCUSDT": {"wanted": 0.25, "weight": 0.25, "quantity": "0.5", "price": "50000"},
        "ETHUSDT": {"wanted": 0.6, "weight": 0.6, "quantity": "20", "price": "3000"},
    }
    trades = [
        {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.5", "notional": "25000", "cost": "2.5", "why": ""},
        {"symbol": "ETHUSDT", "side": "BUY", "quantity": "20", "notional": "60000", "cost": "6", "why": ""},
    ]
    return {
        "status": "optimal",
        "why": "",
        "inputs_digest": "i" * 64,
        "equity": "100000",
        "cost": "8.5",
        "cash": "14991.5",
        "current": {"BTCUSDT": 0.5, "ETHUSDT": 0.0},
        "weights": {"BTCUSDT": 0.25, "ETHUSDT": 0.6},
        "targets": targets,
        "trades": trades,
        "due": ["ETHUSDT left its band"],
        "drift": 0.3,
        "statistics": {"volatility": 0.31, "turnover": 0.85},
        "certificate": {"gap": 1e-9, "violation": 0.0},
        "binding": ["upper ETHUSDT"],
        "conflict": None,
        **changes,
    }


def ended(**changes: Any) -> RebalanceRun:
    ctx = service_context("portfolio")
    run = rebalances.request_rebalance(ctx, venue="paper", policy={"method": "risk_budget"})
    rebalances.begin_rebalance(ctx, run_id=run.pk)
    inputs = {"held": {"BTCUSDT": "1", "ETHUSDT": "0"}, "cash": "50000", "quote": "USDT", "bars": 90, "interval": "1h"}
    return rebalances.finish_rebalance(ctx, run_id=run.pk, inputs=inputs, outcome=outcome(**changes))


def test_a_book_is_asked_for_explained_approved_and_followed(transactional_db: None, visitor: Visitor) -> None:
    ann = make_person("ann", Role.OPERATOR)
    conflict = {"sets": ["upper", "net"], "give": {"upper": 0.275}}
    kept = ended(status="infeasible", why="no", trades=[], conflict=conflict, certificate=None, due=[])
    run = ended()
    watched = visitor(ann)
    page = watched.visit(f"/rebalances/?run={kept.pk}")
    shown = page.locator("#rebalance")
    expect(shown).to_contain_text("The most of each weight and the sum of all weights cannot hold together.")
    expect(shown).to_contain_text("by 27.5 % of the equity more room")
    expect(shown.get_by_role("button", name="Approve and send")).to_have_count(0)
    page.locator("#rebalances tbody tr").first.click()
    assert page.url.endswith(f"run={run.pk}")
    expect(shown.get_by_role("row", name="BTCUSDT 50.0 % 25.0 % 25.0 %")).to_be_visible()
    expect(shown).to_contain_text("ETHUSDT at its most")
    expect(shown).to_contain_text("2 trades, 8.50 USDT of fees")
    assert watched.axe() == []
    shown.get_by_role("button", name="Approve and send").click()
    expect(page.locator("#ask-dialog").get_by_role("row", name="ETHUSDT ▲ Buy")).to_contain_text("3,030")
    sign(page, ann, "Approve and send", "monthly")
    expect(shown).to_contain_text("Trades under way")
    sent = ParentOrder.objects.get()
    assert (sent.symbol, sent.side) == ("BTCUSDT", "SELL")
    put_live("parent_progress", sent.parent_id, {"parent_id": sent.parent_id, "filled": 0.4, "scheduled": 0.5}, seq=1)
    expect(shown.get_by_role("row", name="BTCUSDT ▼ Sell")).to_contain_text("40 %")
    shown.get_by_role("button", name="Cancel the rest").click()
    dialog = page.locator("#ask-dialog")
    dialog.get_by_label("Reason").fill("news")
    dialog.get_by_role("button", name="Cancel the rest").click()
    expect(shown.get_by_role("row", name="ETHUSDT ▲ Buy")).to_contain_text("Cancelled")
    sent.refresh_from_db()
    assert sent.cancel_by == "ann"


def test_what_others_do_about_rebalances_shows_by_itself(transactional_db: None, visitor: Visitor) -> None:
    watched = visitor(make_person("vic"))
    asked: list[str] = []
    watched.page.on("request", lambda request: asked.append(request.url))
    page = watched.visit("/rebalances/")
    expect(page.locator("#rebalances")).to_contain_text("No book was asked for yet")
    expect(page.locator("#rebalance-schedule")).to_contain_text("None")
    ctx = service_context("portfolio")
    run = ended()
    expect(page.locator("#rebalances").get_by_role("row", name="Waits for approval")).to_be_visible()
    policy = {"schedule": {"every_s": 3600}}
    rebalance_schedules.set_schedule(ctx, venue="paper", policy=policy, reason="hourly", grant=None)
    expect(page.locator("#rebalance-schedule")).to_contain_text("proposes; a person approves")
    executions.approve_rebalance(ctx, run_id=run.pk, reason="monthly", grant=None)
    expect(page.locator("#rebalance").get_by_role("row", name="BTCUSDT ▼ Sell")).to_contain_text("Working")
    assert watched.axe() == []
    executions.cancel_execution(ctx, run_id=run.pk, reason="news")
    expect(page.locator("#rebalance").get_by_role("row", name="ETHUSDT ▲ Buy")).to_contain_text("Cancelled")
    assert not [url for url in asked if "/api/v1/rebalance" in url], "nothing is read again and again"
    phone = visitor(make_person(), viewport=PHONE, has_touch=True, is_mobile=True)
    expect(phone.visit("/rebalances/").locator("#rebalances")).to_contain_text("Being cancelled")
    assert phone.overflow() == []


def lose(page: Page, url: str) -> list[str]:
    """Let the first order of ``url`` through and lose its answer; the keys of all that are sent are kept."""
    keys: list[str] = []

    def handle(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route(url, handle)
    return keys


def test_a_parent_order_is_made_once_though_its_answer_is_lost_followed_and_ended(
    transactional_db: None, visitor: Visitor
) -> None:
    ann = make_person("ann", Role.OPERATOR)
    watched = visitor(ann)
    page = watched.visit("/orders/")
    expect(page.locator("#socket")).to_have_attribute("data-state", "live")
    keys = lose(page, "**/api/v1/parents/")
    page.get_by_role("button", name="New parent order").click()
    dialog = page.locator("#ask-dialog")
    dialog.get_by_label("Symbol").select_option("BTCUSDT")
    dialog.get_by_label("Quantity").fill("0.001")
    dialog.get_by_role("button", name="Look at it").click()
    expect(dialog.get_by_role("heading", name="Buy 0.001 BTC by Twap")).to_be_visible()
    sign(page, ann, "Order", "build")
    expect(dialog.get_by_role("alert").last).to_contain_text("cannot be reached")
    sign(page, ann, "Order", "build")
    expect(dialog).to_be_hidden()
    parent = ParentOrder.objects.get()
    assert (parent.by, parent.algorithm, len(keys), len(set(keys))) == ("ann", "twap", 2, 1)

    row = page.locator(f'#parents tr[data-key="{parent.parent_id}"]')
    progress = {"parent_id": parent.parent_id, "filled": 0.2, "scheduled": 0.4, "why": "waits for a better price"}
    put_live("parent_progress", parent.parent_id, progress, seq=1)
    expect(row).to_contain_text("20 % of 40 % due")
    expect(row.locator(".bar.plan.warn")).to_be_visible()
    row.click()
    drawer = page.locator("#drawer")
    expect(drawer).to_contain_text("Waits for a better price.")
    drawer.get_by_role("button", name="End this parent order").click()
    dialog.get_by_label("Reason").fill("enough")
    dialog.get_by_role("button", name="End it").click()
    expect(row).to_contain_text("Ending")
    parent.refresh_from_db()
    assert (parent.cancel_reason, parent.cancel_by) == ("enough", "ann")
    # The browser itself reports the answer that was lost.
    watched.problems.clear()


def test_one_order_is_cancelled_from_its_drawer(transactional_db: None, visitor: Visitor) -> None:
    oscar = make_person("oscar", Role.OPERATOR)
    resting = journal.intended("c-2", journal.START, lots=1000)
    project(service_context("projector"), worker="w", records=journal.records([*DAY, resting]))
    watched = visitor(oscar)
    page = watched.visit("/orders/?tab=working")
    page.locator("#orders tbody tr.opens").click()
    page.locator("#drawer").get_by_role("button", name="Cancel this order").click()
    dialog = page.locator("#ask-dialog")
    dialog.get_by_label("Reason").fill("fat finger")
    dialog.get_by_role("button", name="Cancel order", exact=True).click()
    expect(dialog).to_be_hidden()
    ordered = CancelOrder.objects.get()
    assert (ordered.selection["client_id"], ordered.reason, ordered.by) == ("c-2", "fat finger", "oscar")
    assert watched.axe() == []


def test_a_part_is_halted_and_resumed_and_every_page_says_so(transactional_db: None, visitor: Visitor) -> None:
    oscar = make_person("oscar", Role.OPERATOR)
    watched = visitor(oscar)
    page = watched.visit("/risk/")
    panel = page.locator("#scope-halts")
    expect(panel).to_contain_text("No part is halted")
    panel.get_by_role("button", name="Halt a part").click()
    dialog = page.locator("#ask-dialog")
    dialog.get_by_label("What").select_option(label="Instrument BTCUSDT")
    sign(page, oscar, "Halt it", "odd prints")
    expect(panel.get_by_role("row", name="Instrument BTCUSDT")).to_contain_text("odd prints")
    alert = page.get_by_role("alert").filter(has_text="Halted: Instrument BTCUSDT (odd prints, by oscar)")
    expect(alert).to_be_visible()
    assert ScopeControl.objects.get(scope="instrument:BTCUSDT").halted
    assert watched.axe() == []

    other = visitor(oscar, viewport=PHONE, has_touch=True, is_mobile=True)
    phone = other.visit("/")
    phone.get_by_role("link", name="See the halted parts").click()
    expect(phone.locator("#scope-halts").get_by_role("row", name="Instrument BTCUSDT")).to_be_visible()
    assert other.overflow() == []

    panel.get_by_role("button", name="Resume: Instrument BTCUSDT").click()
    sign(page, oscar, "Resume", "prints explained")
    expect(panel).to_contain_text("No part is halted")
    expect(alert).to_have_count(0)
    expect(phone.locator("#scope-halts")).to_contain_text("No part is halted")


def test_the_venues_balance_is_shown_beside_ours_and_adopted(transactional_db: None, visitor: Visitor) -> None:
    oscar = make_person("oscar", Role.OPERATOR)
    held = Balance.objects.get(asset="USDT").total
    broken = ev.ReconciliationDone(
        ts=journal.START + journal.SECOND,
        ok=False,
        orders_checked=0,
        fills_adopted=0,
        breaks=(f"USDT: {held:f} here, {held - Decimal('9.5'):f} at the venue",),
    )
    project(service_context("projector"), worker="w", records=journal.records([*DAY, broken]))
    watched = visitor(oscar)
    page = watched.visit("/orders/")
    row = page.locator("#balances").get_by_role("row", name="USDT")
    expect(row).to_contain_text("Differs")
    expect(row).to_contain_text("\u22129.5")
    expect(page.locator("#balances").get_by_role("row", name="BTC")).to_contain_text("Agrees")
    assert watched.axe() == []
    row.get_by_role("button", name="Adopt the venue's USDT").click()
    sign(page, oscar, "Adopt", "fee that the venue took")
    expect(row).to_contain_text("Being adopted")
    adopted = BalanceAdoption.objects.get()
    assert (adopted.state, adopted.theirs) == ("approved", held - Decimal("9.5"))
