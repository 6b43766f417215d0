"""Dash as Django views: who gets in, what CSRF does, how files are served, and what a page carries."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import brotli  # type: ignore[import-untyped]  # it ships no types
import pytest
from django.test import Client

from apps.accounts.domain.roles import Role
from apps.accounts.services.sessions import end_all_sessions
from apps.core.context import service_context
from apps.trading.services import ensure_venue
from frontend import pages
from tests.factories.people import Browser, make_person, signed_in

pytestmark = pytest.mark.django_db

UPDATE = "/_dash-update-component"


def page_call(path: str, search: str = "") -> dict[str, Any]:
    """What the renderer posts to fill the page."""
    return {
        "output": "page.children",
        "outputs": {"id": "page", "property": "children"},
        "inputs": [{"id": "url", "property": "pathname", "value": path}],
        "state": [{"id": "url", "property": "search", "value": search}],
        "changedPropIds": ["url.pathname"],
    }


@pytest.fixture
def browser() -> Browser:
    return signed_in(make_person("", Role.OPERATOR, Role.AUDITOR))


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.title)
def test_a_page_is_whole_and_without_inline_script(browser: Browser, page: pages.Page) -> None:
    answer = browser.get(page.path)
    text = answer.content.decode()
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    assert "csrftoken" in browser.cookies
    assert 'aria-current="page"' in text
    inline = [tag for tag in re.findall(r"<script[^>]*>", text) if "src=" not in tag and "application/json" not in tag]
    assert inline == []
    assert "python_version" not in text


def test_policy_allows_no_inline_script_and_no_other_host(browser: Browser) -> None:
    policy = browser.get("/")["Content-Security-Policy"]
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert rules["script-src"] == rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/", "/pnl/", "/audit/?actor=ann"])
def test_a_stranger_is_sent_to_sign_in_and_back(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/?next=%2F")


def test_a_password_without_the_second_factor_is_a_stranger(client: Client) -> None:
    client.force_login(make_person("", Role.OPERATOR).user)
    assert client.get("/").status_code == 302
    assert client.get("/_dash-layout").status_code == 401


@pytest.mark.parametrize("path", ["/_dash-layout", "/_dash-dependencies"])
def test_data_for_a_stranger_is_refused_as_a_problem(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert answer.json()["code"] == "not_authenticated"


def test_an_ended_session_gets_401_at_the_next_click(browser: Browser) -> None:
    person = make_person("", Role.VIEWER)
    mine = signed_in(person)
    assert mine.send(UPDATE, page_call("/")).status_code == 200
    end_all_sessions(service_context("test"), user=person.user, reason="test")
    assert mine.send(UPDATE, page_call("/")).status_code == 401


def test_a_callback_without_the_csrf_token_is_refused(browser: Browser) -> None:
    body = json.dumps(page_call("/"))
    assert browser.post(UPDATE, body, content_type="application/json").status_code == 403
    assert browser.send(UPDATE, page_call("/")).status_code == 200


def test_the_page_follows_the_address_and_the_role(browser: Browser) -> None:
    told = browser.send(UPDATE, page_call("/audit/", "?actor=ann")).json()["response"]["page"]["children"]
    assert told["props"]["data-page"] == "/audit/"
    assert '"value": "ann"' in json.dumps(told)
    viewer = signed_in(make_person("", Role.VIEWER))
    refused = json.dumps(viewer.send(UPDATE, page_call("/audit/")).json())
    assert "audit.view" in refused
    assert "entries" not in refused
    lost = json.dumps(browser.send(UPDATE, page_call("/nowhere/")).json())
    assert "Nothing is here" in lost


@pytest.mark.parametrize("venue", [False, True])
def test_charts_draw_what_is_recorded_and_nothing_else(browser: Browser, venue: bool) -> None:
    if venue:
        ensure_venue(service_context("bootstrap"), name="paper", mode="paper", market="synthetic", label="for tests")
    call = {
        "output": "overview-chart.figure",
        "outputs": {"id": "overview-chart", "property": "figure"},
        "inputs": [{"id": "overview-range", "property": "data", "value": {"no": "range"}}],
        "changedPropIds": ["overview-range.data"],
    }
    answer = browser.send(UPDATE, call)
    assert answer.status_code == 200
    assert answer.json()["response"]["overview-chart"]["figure"]["data"][0]["x"] == []


@pytest.mark.parametrize("body", ["{", "[]", "{}", '{"output": "x.y", "inputs": []}', '{"output": 1}'])
def test_nonsense_is_the_callers_fault(browser: Browser, body: str) -> None:
    headers = {"X-CSRFToken": browser.csrf()}
    answer = browser.generic("POST", UPDATE, body, content_type="application/json", headers=headers)
    assert answer.status_code == 400


def test_wrong_methods_are_refused(browser: Browser) -> None:
    assert browser.get(UPDATE).status_code == 405
    assert browser.send("/_dash-layout").status_code == 405
    assert browser.head("/_dash-layout").status_code == 200


def script(browser: Browser) -> str:
    found = re.search(
        r'src="(/_dash-component-suites/dash/dcc/dash_core_components\.[^"]+)"', browser.get("/").content.decode()
    )
    assert found
    return found[1]


def test_library_scripts_are_there_for_a_page_whose_session_has_ended(browser: Browser, client: Client) -> None:
    assert client.get(script(browser)).status_code == 200
    assert client.get("/_dash-component-suites/dash/../app.py").status_code == 404


def test_library_scripts_are_compressed_and_kept_by_the_browser(browser: Browser) -> None:
    path = script(browser)
    plain = browser.get(path)
    assert "immutable" in plain["Cache-Control"]
    small = browser.get(path, headers={"Accept-Encoding": "gzip, br"})
    assert small["Content-Encoding"] == "br"
    assert brotli.decompress(small.content) == plain.content
    zipped = browser.get(path, headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(zipped.content) == plain.content
    again = browser.get(path, headers={"Accept-Encoding": "gzip, br", "If-None-Match": small["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert len({plain["ETag"], small["ETag"], zipped["ETag"]}) == 3


def test_no_other_file_of_the_machine_is_served(browser: Browser) -> None:
    for path in ("dash/../app.py", "os/path.py", "dash/nothing.js", "frontend/app.py"):
        assert browser.get(f"/_dash-component-suites/{path}").status_code == 404


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        ("/pnl/?range=5m", "/pnl/?range=5m"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_signing_in_leads_only_to_this_host(client: Client, browser: Browser, wanted: str, target: str) -> None:
    page = client.get("/login/", {"next": wanted})
    assert page.status_code == 200
    assert f'data-next="{target}"' in page.content.decode()
    assert browser.get("/login/", {"next": wanted})["Location"] == target
