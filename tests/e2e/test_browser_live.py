"""What moves: live values, acknowledging, halting, the drawer of an order, and an ended session."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.domain.roles import Role
from apps.accounts.services.sessions import end_all_sessions
from apps.core.context import service_context
from apps.incidents.models import Incident
from apps.incidents.services import open_incident, resolve
from apps.trading.models import Halt, ParentOrder, Position, TradingControl
from apps.trading.rows import position_row
from apps.trading.services import ensure_venue, project
from tests.factories import journal
from tests.factories.people import PASSWORD, Person, make_person
from tests.support.browser import PHONE, Watched, put_live
from workers.engine import events as ev

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Visitor = Callable[..., Watched]


@pytest.fixture(autouse=True)
def desk(relay: None) -> None:
    ensure_venue(service_context("bootstrap"), name="paper", mode="paper", market="synthetic", label="for tests")


@pytest.fixture
def ann(transactional_db: None) -> Person:
    return make_person("ann", Role.OPERATOR, Role.AUDITOR)


def money(equity: str, at: float) -> dict[str, Any]:
    zeros = dict.fromkeys(("realised", "unrealised", "fees", "pnl", "cash", "gross", "drawdown"), "0")
    return {**zeros, "venue": "paper", "quote": "USDT", "equity": equity, "day_pnl": "-12.5", "fills": 3, "at_ms": at}


def incident(title: str = "Market data of BTCUSDT is stale") -> Incident:
    open_incident(
        service_context("incidents"),
        kind="feed_stale",
        fingerprint=f"feed:{title}",
        severity="critical",
        title=title,
        detail="nothing for 3.2 s",
        source="execution",
    )
    return Incident.objects.get(title=title)


def live(page: Page) -> None:
    expect(page.locator("#socket")).to_have_attribute("data-state", "live")


def forgive(watched: Watched) -> None:
    """The browser reports every refused request as an error of its own; a test that causes one takes it away."""
    watched.problems.clear()


def test_a_value_reaches_the_screen_within_seconds(ann: Person, visitor: Visitor) -> None:
    page = visitor(ann).visit("/")
    live(page)
    expect(page.locator('[data-value="equity"]')).not_to_have_text("0.00")
    begun = time.monotonic()
    put_live("pnl", "paper", money("100012.34", time.time() * 1000), seq=int(time.time() * 1000))
    expect(page.locator('[data-value="equity"]')).to_have_text("100,012.34")
    expect(page.locator('[data-value="day_pnl"]')).to_have_text("▼ \u221212.50")
    assert time.monotonic() - begun < 5


def test_what_comes_no_more_is_called_stale_and_then_old(ann: Person, visitor: Visitor) -> None:
    page = visitor(ann).visit("/")
    live(page)
    put_live("pnl", "paper", money("100000", time.time() * 1000), seq=int(time.time() * 1000))
    age = page.locator('#pnl-panel [data-asof="pnl"]')
    expect(age).to_have_class("asof fresh")
    expect(age).to_have_class("asof stale")
    expect(age).to_have_class("asof dead")
    expect(page.locator('[data-kpi="equity"]')).to_have_attribute("data-state", "dead")


def test_an_incident_appears_and_is_acknowledged_in_place(ann: Person, visitor: Visitor) -> None:
    page = visitor(ann).visit("/")
    expect(page.get_by_text("No open incidents")).to_be_visible()
    made = incident()
    page.get_by_role("button", name="Ack Market data of BTCUSDT is stale").click()
    expect(page.locator("#open-incidents").get_by_text("Acknowledged")).to_be_visible()
    made.refresh_from_db()
    assert (made.state, made.acknowledged_by) == ("acknowledged", "ann")


def test_who_comes_second_is_told_who_was_first(ann: Person, visitor: Visitor) -> None:
    made = incident()
    watched = visitor(ann)
    page = watched.visit(f"/incidents/?id={made.pk}")
    page.get_by_role("button", name="Resolve", exact=True).click()
    ctx = make_person("bob", Role.OPERATOR).context()
    resolve(ctx, incident_id=made.pk, expected_version=made.version, comment="was a cable")
    dialog = page.get_by_role("dialog", name="Resolve incident")
    dialog.get_by_label("Comment").fill("mine")
    dialog.get_by_role("button", name="Resolve").click()
    expect(dialog.get_by_role("alert")).to_contain_text("by bob")
    page.keyboard.press("Escape")
    expect(page.locator("#incident")).to_contain_text("was a cable")
    forgive(watched)


@pytest.mark.parametrize(
    "options", [{}, {"viewport": PHONE, "has_touch": True, "is_mobile": True}], ids=["desk", "phone"]
)
def test_halting_takes_the_word_a_reason_and_a_fresh_code(
    ann: Person, visitor: Visitor, options: dict[str, Any]
) -> None:
    watched = visitor(ann, **options)
    page = watched.visit("/")
    live(page)
    page.get_by_role("button", name="Halt trading").click()
    dialog = page.get_by_role("dialog", name="Halt trading")
    submit = dialog.get_by_role("button", name="Halt trading")
    submit.click()
    expect(dialog.get_by_role("alert")).to_contain_text("HALT PAPER")
    assert not Halt.objects.exists()
    dialog.get_by_label("Type HALT PAPER to confirm").fill("halt paper")
    dialog.get_by_label("Reason").fill("spread looks wrong")
    dialog.get_by_label("Fresh authenticator code").fill(ann.fresh_code())
    assert watched.axe() == []
    submit.click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="Resume trading")).to_be_visible()
    control = TradingControl.objects.get(venue_id="paper")
    assert (control.desired_state, control.reason, control.by) == ("HALTED", "spread looks wrong", "ann")


def test_a_wrong_code_halts_nothing_and_says_so(ann: Person, visitor: Visitor) -> None:
    watched = visitor(ann)
    page = watched.visit("/")
    page.get_by_role("button", name="Halt trading").click()
    dialog = page.get_by_role("dialog", name="Halt trading")
    dialog.get_by_label("Type HALT PAPER to confirm").fill("HALT PAPER")
    dialog.get_by_label("Reason").fill("why")
    dialog.get_by_label("Fresh authenticator code").fill("000000")
    dialog.get_by_role("button", name="Halt trading").click()
    expect(dialog.get_by_role("alert")).not_to_be_empty()
    expect(dialog).to_be_visible()
    assert not Halt.objects.exists()
    forgive(watched)


def test_an_order_opens_with_its_states_and_latency(ann: Person, visitor: Visitor) -> None:
    day = [*journal.trading_day(11, 40), journal.marked(journal.START)]
    project(service_context("projector"), worker="w", records=journal.records(day))
    watched = visitor(ann)
    page = watched.visit("/orders/?tab=done")
    page.locator("#orders tbody tr.opens").first.click()
    drawer = page.locator("#drawer")
    for heading in ("What happened", "Fills", "Risk verdict", "Order"):
        expect(drawer.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    expect(drawer.locator(".timeline li")).not_to_have_count(0)
    expect(drawer.get_by_text("Fee in all")).to_be_visible()
    assert watched.axe() == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Rejected").click()
    assert page.url.endswith("tab=rejected")
    page.locator("#orders tbody tr.opens:visible").first.click()
    expect(drawer.get_by_role("heading", name="Why it was refused")).to_be_visible()
    expect(drawer.locator(".reasons li").first).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Fills").click()
    heads = page.locator("#orders thead th:visible")
    expect(heads.filter(has_text="Liquidity")).to_have_count(1)
    expect(heads.filter(has_text="Fee")).to_have_count(1)


def test_results_are_shown_by_scope(ann: Person, visitor: Visitor) -> None:
    day = [*journal.trading_day(11, 40), journal.marked(journal.START)]
    project(service_context("projector"), worker="w", records=journal.records(day))
    page = visitor(ann).visit("/pnl/")
    rows = page.locator('#attribution tbody tr:not([data-key=""])')
    expect(rows).to_have_count(1)
    page.get_by_role("group", name="Scope").get_by_role("button", name="Instrument").click()
    expect(rows).to_have_count(2)
    expect(page.locator("#attribution thead th").first).to_have_text("Instrument")
    assert page.url.endswith("scope=instrument")


def test_cancelling_open_orders_takes_a_reason(ann: Person, visitor: Visitor) -> None:
    watched = visitor(ann)
    page = watched.visit("/orders/")
    live(page)
    page.get_by_role("button", name="Cancel open orders").click()
    dialog = page.get_by_role("dialog", name="Cancel open orders")
    dialog.get_by_label("Reason").fill("venue maintenance")
    dialog.get_by_role("button", name="Cancel orders").click()
    expect(dialog).to_be_hidden()
    control = TradingControl.objects.get(venue_id="paper")
    assert (control.cancel_version, control.cancel_reason, control.desired_state) == (1, "venue maintenance", "ACTIVE")


def test_a_position_is_closed_after_a_look_at_what_would_be_sent(ann: Person, visitor: Visitor) -> None:
    events: list[ev.Journalled] = [
        *journal.opening(),
        journal.run_started("run-1"),
        journal.intended("o-1", journal.START, lots=5000),
        journal.filled("o-1", 1, journal.START, lots=5000, fee=0),
        journal.marked(journal.START + journal.SECOND),
    ]
    project(service_context("projector"), worker="w", records=journal.records(events))
    put_live("positions", "paper:BTCUSDT", position_row(Position.objects.get(symbol="BTCUSDT")))
    watched = visitor(ann)
    page = watched.visit("/orders/")
    live(page)
    page.get_by_role("button", name="Flatten BTCUSDT").click()
    dialog = page.get_by_role("dialog", name="Flatten BTCUSDT")
    expect(dialog.get_by_role("cell", name="Sell 0.05000 BTC")).to_be_visible()
    expect(dialog.get_by_text("Estimated cost")).to_be_visible()
    assert watched.axe() == []
    dialog.get_by_label("Type FLATTEN PAPER to confirm").fill("flatten paper")
    dialog.get_by_label("Reason").fill("going home")
    dialog.get_by_label("Fresh authenticator code").fill(ann.fresh_code())
    dialog.get_by_role("button", name="Flatten BTCUSDT").click()
    expect(dialog).to_be_hidden()
    parent = ParentOrder.objects.get()
    assert (parent.symbol, parent.side, parent.reduce_only, parent.by) == ("BTCUSDT", "SELL", True, "ann")


def test_the_chain_is_verified_at_the_press_of_a_button(ann: Person, visitor: Visitor) -> None:
    page = visitor(ann).visit("/audit/")
    page.get_by_role("button", name="Verify chain").click()
    expect(page.locator("#proof .verdict")).to_contain_text("Unbroken")


def test_an_ended_session_is_told_at_once(ann: Person, visitor: Visitor) -> None:
    watched = visitor(ann)
    page = watched.visit("/")
    live(page)
    end_all_sessions(service_context("test"), user=ann.user, reason="test")
    expect(page.get_by_role("alert").filter(has_text="Your session has ended")).to_be_visible()
    expect(page.locator("#socket")).to_have_attribute("data-state", "signed-out")
    page.get_by_role("link", name="Sign in again").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    # What the page had just asked for was refused with the session.
    forgive(watched)


def test_a_changed_password_ends_the_other_sessions_and_keeps_this_one(ann: Person, visitor: Visitor) -> None:
    other = visitor(ann)
    other.visit("/")
    live(other.page)
    watched = visitor(ann)
    watched.refusals = (400, 401)
    page = watched.visit("/security/")
    page.get_by_role("button", name="Change password").click()
    dialog = page.locator("#ask-dialog")
    dialog.get_by_label("Present password").fill(PASSWORD)
    dialog.get_by_label("New password", exact=True).fill("short")
    dialog.get_by_label("New password, once more").fill("shorter")
    dialog.get_by_role("button", name="Change password").click()
    expect(dialog.locator("#ask-again-error")).to_have_text("it is not the same as above")
    dialog.get_by_label("New password, once more").fill("short")
    dialog.get_by_role("button", name="Change password").click()
    expect(dialog.get_by_text("at least 12 characters")).to_be_visible()
    assert watched.axe() == []
    for label in ("New password", "New password, once more"):
        dialog.get_by_label(label, exact=True).fill("a longer one than before")
    dialog.get_by_role("button", name="Change password").click()
    expect(dialog).to_be_hidden()
    expect(other.page.get_by_role("alert").filter(has_text="Your session has ended")).to_be_visible()
    forgive(other)
    page.get_by_role("link", name="Overview").first.click()
    live(page)
    ann.user.refresh_from_db()
    assert ann.user.check_password("a longer one than before")
