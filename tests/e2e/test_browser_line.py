"""The line from the page to the server: what it asks for after a gap, after a cut, and when it stops trying.

The browser's socket is answered by the test, so that the server can misbehave at will.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Page, Request, WebSocketRoute, expect

from apps.accounts.domain.roles import Role
from apps.core.clock import SYSTEM_CLOCK
from tests.factories.people import Person, make_person
from tests.support.browser import Watched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Visitor = Callable[..., Watched]


@dataclass
class Server:
    """Every socket that the page opened, and what it asked."""

    sockets: list[WebSocketRoute] = field(default_factory=list)
    asked: list[list[dict[str, Any]]] = field(default_factory=list)

    def take(self, socket: WebSocketRoute) -> None:
        asked: list[dict[str, Any]] = []
        self.sockets.append(socket)
        self.asked.append(asked)
        socket.on_message(lambda text: asked.append(json.loads(text)))
        self.say("hb", socket=socket)

    def say(self, kind: str, topic: str = "", socket: WebSocketRoute | None = None, **more: Any) -> None:
        envelope = {"v": 1, "topic": topic, "kind": kind, "key": "", "seq": 0, "data": None, **more}
        envelope["ts"] = SYSTEM_CLOCK.now().isoformat()
        (socket or self.sockets[-1]).send(json.dumps(envelope))


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def page(transactional_db: None, visitor: Visitor, server: Server) -> Page:
    who: Person = make_person("ann", Role.OPERATOR)
    watched = visitor(who)
    watched.page.route_web_socket("**/ws/live/", server.take)
    page = watched.visit("/")
    expect(page.locator("#socket")).to_have_attribute("data-state", "live")
    return page


def until(page: Page, true: Callable[[], bool], what: str) -> None:
    """Wait at most ten seconds while the browser goes on."""
    for _ in range(100):
        if true():
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never: {what}")


def incident(number: int, title: str, version: int = 1) -> dict[str, Any]:
    texts = dict.fromkeys(("detail", "source", "kind", "acknowledged_by", "resolved_by"), "")
    stamps = {name: SYSTEM_CLOCK.now().isoformat() for name in ("opened_at", "last_seen_at")}
    return {
        **texts,
        **stamps,
        "id": f"i{number}",
        "number": number,
        "title": title,
        "severity": "warning",
        "state": "triggered",
        "count": 1,
        "timeline": [],
        "evidence": {},
        "version": version,
    }


def since_of(asked: list[dict[str, Any]], topic: str) -> list[Any]:
    return [request.get("since", "from the start") for request in asked if request["topic"] == topic]


def test_a_gap_is_noticed_and_what_was_missed_is_asked_for(page: Page, server: Server) -> None:
    server.say("snapshot", "incidents", seq=5, data={})
    server.say("event", "incidents", seq=6, key="i1", data=incident(1, "First"))
    expect(page.locator("#open-incidents")).to_contain_text("First")
    server.say("event", "incidents", seq=9, key="i4", data=incident(4, "Fourth"))
    until(page, lambda: since_of(server.asked[-1], "incidents")[-1] == 6, "asked again since 6")
    assert "Fourth" not in page.locator("#open-incidents").inner_text()
    for number in (2, 3, 4):
        server.say("event", "incidents", seq=5 + number, key=f"i{number}", data=incident(number, f"Number {number}"))
    expect(page.locator("#open-incidents tbody tr")).to_have_count(4)


def test_an_older_version_never_replaces_a_newer_one(page: Page, server: Server) -> None:
    server.say("snapshot", "incidents", seq=1, data={"i1": incident(1, "New words", version=3)})
    server.say("event", "incidents", seq=2, key="i1", data=incident(1, "Old words", version=2))
    server.say("event", "incidents", seq=3, key="i2", data=incident(2, "Another"))
    expect(page.locator("#open-incidents")).to_contain_text("Another")
    expect(page.locator("#open-incidents")).to_contain_text("New words")


def test_after_a_cut_the_page_comes_back_and_asks_for_what_it_missed(page: Page, server: Server) -> None:
    server.say("snapshot", "incidents", seq=41, data={})
    expect(page.get_by_text("No open incidents")).to_be_visible()
    server.sockets[-1].close(code=1012)
    expect(page.locator("#socket")).to_have_attribute("data-state", "reconnecting")
    until(page, lambda: len(server.sockets) == 2, "came back")
    expect(page.locator("#socket")).to_have_attribute("data-state", "live")
    until(page, lambda: since_of(server.asked[-1], "pnl") != [], "asked again")
    assert since_of(server.asked[-1], "incidents") == [41]
    assert since_of(server.asked[-1], "pnl") == ["from the start"]


def test_after_a_pause_the_chart_is_drawn_again_from_the_records(page: Page, server: Server) -> None:
    expect(page.locator("#overview-chart .js-plotly-plot .main-svg").first).to_be_visible()
    now = SYSTEM_CLOCK.now().timestamp() * 1000
    names = ("equity", "realised", "unrealised", "fees", "pnl", "day_pnl", "gross", "drawdown", "cash")
    money = {**dict.fromkeys(names, "1"), "quote": "USDT", "fills": 0}
    server.say("delta", "pnl", key="paper", seq=1, data={**money, "at_ms": now - 8000})
    expect(page.locator("#overview-chart-summary")).not_to_have_text("Loading the series")

    def draws(request: Request) -> bool:
        return "_dash-update-component" in request.url and "overview-chart" in (request.post_data or "")

    with page.expect_request(draws, timeout=10_000):
        server.say("delta", "pnl", key="paper", seq=2, data={**money, "at_ms": now + 8500})


def test_who_must_sign_in_again_is_told_and_the_page_stops_trying(page: Page, server: Server) -> None:
    page.route("**/api/v1/auth/state/", lambda route: route.fulfill(json={"state": "anonymous", "user": None}))
    server.sockets[-1].close(code=4401)
    expect(page.get_by_role("alert").filter(has_text="Your session has ended")).to_be_visible()
    page.wait_for_timeout(2000)
    assert len(server.sockets) == 1


def test_a_session_that_goes_on_under_another_key_keeps_its_line(page: Page, server: Server) -> None:
    server.sockets[-1].close(code=4401)
    until(page, lambda: len(server.sockets) == 2, "the page came back")
    expect(page.locator("#socket")).to_have_attribute("data-state", "live")
    expect(page.get_by_role("alert").filter(has_text="Your session has ended")).to_have_count(0)


def test_a_topic_that_is_refused_says_so_and_takes_nothing_else_away(page: Page, server: Server) -> None:
    server.say("error", "fleet", data="this topic needs the permission fleet.view")
    expect(page.locator('#fleet [data-asof="fleet"]')).to_have_text("no permission")
    server.say("snapshot", "incidents", seq=1, data={})
    expect(page.get_by_text("No open incidents")).to_be_visible()
