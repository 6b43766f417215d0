"""Every page in a real browser: no violation of accessibility, content policy or host, at desk and phone width."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import expect

from apps.accounts.domain.roles import Role
from apps.core.context import service_context
from apps.incidents.services import open_incident
from apps.trading.services import ensure_venue, project
from tests.factories import journal
from tests.factories.people import PASSWORD, Person, make_person
from tests.support.browser import PHONE, Watched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGES = (
    "/",
    "/pnl/",
    "/orders/",
    "/risk/",
    "/limits/",
    "/rebalances/",
    "/backtests/",
    "/strategies/",
    "/incidents/",
    "/audit/",
    "/security/",
)
Visitor = Callable[..., Watched]


@pytest.fixture
def traded() -> None:
    """A desk with a venue, a day's orders and fills, and an incident."""
    ensure_venue(service_context("bootstrap"), name="paper", mode="paper", market="synthetic", label="for tests")
    day = [*journal.trading_day(11, 40), journal.marked(journal.START)]
    project(service_context("projector"), worker="w", records=journal.records(day))
    open_incident(
        service_context("incidents"),
        kind="feed_stale",
        fingerprint="feed:BTCUSDT",
        severity="warning",
        title="Market data of BTCUSDT is stale",
        detail="nothing for 3.2 s",
        source="execution",
    )


@pytest.fixture
def everybody(transactional_db: None) -> Person:
    """Somebody who may see every page."""
    return make_person("ann", Role.OPERATOR, Role.AUDITOR)


def settle(watched: Watched) -> None:
    """Until the line is live and what was asked for has come."""
    expect(watched.page.get_by_role("status").filter(has_text="Live").first).to_be_visible()
    watched.page.wait_for_load_state("networkidle")
    watched.page.wait_for_timeout(600)


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_breaks_no_rule_of_accessibility(
    traded: None, everybody: Person, visitor: Visitor, path: str, scheme: str
) -> None:
    watched = visitor(everybody)
    watched.page.add_init_script(f"localStorage.setItem('gekko-theme', '{scheme}')")
    watched.visit(path)
    settle(watched)
    expect(watched.page.locator("html")).to_have_attribute("data-theme", scheme)
    assert watched.axe() == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_a_phone(traded: None, everybody: Person, visitor: Visitor, path: str) -> None:
    watched = visitor(everybody, viewport=PHONE, has_touch=True, is_mobile=True)
    watched.visit(path)
    settle(watched)
    assert watched.overflow() == []
    expect(watched.page.get_by_role("button", name="Halt trading")).to_be_in_viewport()
    assert watched.axe() == []


@pytest.mark.parametrize("path", PAGES)
def test_a_desk_on_which_nothing_has_happened_yet_has_words_and_no_zeros(
    everybody: Person, visitor: Visitor, path: str
) -> None:
    ensure_venue(service_context("bootstrap"), name="paper", mode="paper", market="synthetic", label="for tests")
    watched = visitor(everybody)
    watched.visit(path)
    settle(watched)
    expect(watched.page.locator("#main .skeleton:visible")).to_have_count(0)
    assert watched.axe() == []


def test_the_script_policy_is_strict(everybody: Person, visitor: Visitor, web: str) -> None:
    watched = visitor(everybody)
    with watched.page.expect_response(lambda answer: answer.url == f"{web}/") as page:
        watched.visit("/")
    policies: list[str] = [page.value.headers["content-security-policy"], _policy(f"{web}/login/")]
    for policy in policies:
        rules: dict[str, str] = dict(part.strip().split(" ", 1) for part in policy.split(";") if " " in part.strip())
        assert rules["script-src"] == "'self'"
        assert rules["default-src"] in ("'self'", "'none'")
        assert "unsafe-eval" not in policy
        assert rules["frame-ancestors"] == "'none'"


def _policy(url: str) -> str:
    return httpx.get(url, timeout=30).headers["content-security-policy"]


def test_signing_in_takes_two_steps(traded: None, everybody: Person, visitor: Visitor) -> None:
    watched = visitor()
    page = watched.page
    page.goto(f"{watched.base}/orders/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert watched.axe() == []
    page.get_by_label("Name").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    code = page.get_by_label("Authenticator code")
    expect(code).to_be_focused()
    assert watched.axe() == []
    code.fill(everybody.fresh_code())
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#main [data-page='/orders/']")).to_be_visible()


def test_a_wrong_password_says_how_long_to_wait(everybody: Person, visitor: Visitor) -> None:
    watched = visitor()
    watched.refusals = (401, 429)
    page = watched.page
    page.goto(f"{watched.base}/login/")
    for _ in range(6):
        page.get_by_label("Name").fill("ann")
        page.get_by_label("Password").fill("wrong")
        with page.expect_response("**/auth/sign-in/"):
            page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_contain_text("s")
    assert any(character.isdigit() for character in page.get_by_role("alert").inner_text())


def test_a_viewer_sees_no_audit_trail_and_is_told_why(traded: None, visitor: Visitor) -> None:
    watched = visitor(make_person("vic"))
    page = watched.visit_any("/audit/")
    expect(page.get_by_role("heading", name="Audit is not open to you")).to_be_visible()
    assert watched.axe() == []


def test_what_dash_asks_is_refused_without_a_session(web: str) -> None:
    answer = httpx.get(f"{web}/_dash-layout", timeout=30)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    page = httpx.get(f"{web}/pnl/", timeout=30)
    assert (page.status_code, page.headers["location"]) == (302, "/login/?next=%2Fpnl%2F")


def test_pages_are_reached_by_keyboard(traded: None, everybody: Person, visitor: Visitor) -> None:
    watched = visitor(everybody)
    page = watched.visit("/")
    settle(watched)
    page.keyboard.press("g")
    page.keyboard.press("i")
    expect(page.locator("#main [data-page='/incidents/']")).to_be_visible()
    page.go_back()
    expect(page.locator("#main [data-page='/']")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()
