"""Every page's layout for every role: it builds, its ids are unique, its widgets are known, and nothing is a zero."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.accounts.domain.roles import Capability, Role, capabilities_of
from frontend import pages
from frontend.charts import RANGES
from frontend.frame import Frame
from frontend.pages.view import PageView

STATIC = Path(pages.__file__).parents[1] / "static" / "gekko"


def frame(*roles: Role) -> Frame:
    held = frozenset(capability.value for capability in capabilities_of(roles))
    return Frame("ann", roles, held, "paper", "paper", "local", "2026-01-05T09:00:00+00:00", "")


def everything(node: Any) -> Iterator[Any]:
    """``node`` and all components within."""
    if isinstance(node, (list, tuple)):
        for child in node:
            yield from everything(child)
    elif hasattr(node, "to_plotly_json"):
        yield node
        yield from everything(getattr(node, "children", None))


def properties(node: Any) -> dict[str, Any]:
    return dict(node.to_plotly_json()["props"])


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.title)
def test_every_page_builds_for_every_role_with_ids_of_its_own(page: pages.Page, role: Role) -> None:
    nodes = [properties(node) for node in everything(page.layout(PageView(frame(role), {})))]
    ids = Counter(node["id"] for node in nodes if "id" in node)
    assert [name for name, count in ids.items() if count > 1] == []
    labelled = {node["aria-labelledby"] for node in nodes if "aria-labelledby" in node}
    assert labelled <= set(ids)
    described = {node["aria-describedby"] for node in nodes if "aria-describedby" in node}
    assert described <= set(ids)


def test_every_widget_of_a_layout_has_a_script() -> None:
    known = set(re.findall(r'^  "?([a-z-]+)"?: mount', (STATIC / "widgets" / "index.js").read_text(), re.MULTILINE))
    nodes = [properties(node) for page in pages.PAGES for node in everything(page.layout(PageView(frame(*Role), {})))]
    # A list with a name of its own belongs to the script of the widget beside it.
    used = {node["data-widget"] for node in nodes if "data-widget" in node and "data-list" not in node}
    assert used == known


def test_every_import_of_a_script_exists() -> None:
    for script in STATIC.rglob("*.js"):
        for names, target in re.findall(r'import \{([^}]*)\} from "(\.[^"]+)";', script.read_text()):
            source = (script.parent / target).resolve().read_text()
            for name in (part.strip() for part in names.split(",") if part.strip()):
                assert re.search(rf"export (async )?(function|const|class|let) {name}\b", source), (script.name, name)


def test_scripts_never_put_text_in_as_markup() -> None:
    for script in STATIC.rglob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", script.read_text())


def test_values_are_unknown_until_they_come() -> None:
    for page in pages.PAGES:
        for node in everything(page.layout(PageView(frame(*Role), {}))):
            if "data-value" in properties(node):
                assert properties(node)["children"] == "\u2013"


@pytest.mark.parametrize(
    ("path", "query", "chosen"),
    [
        ("/pnl/", {"range": "5m"}, ["desk", "5m"]),
        ("/pnl/", {"range": "nonsense", "scope": "strategy"}, ["strategy", "1h"]),
        ("/pnl/", {"scope": "<script>"}, ["desk", "1h"]),
        ("/orders/", {"tab": "rejected"}, ["rejected"]),
        ("/orders/", {"tab": "<script>"}, ["done"]),
        ("/incidents/", {"state": "all"}, ["all"]),
        ("/incidents/", {}, ["open"]),
    ],
)
def test_the_address_decides_what_is_chosen(path: str, query: dict[str, str], chosen: list[str]) -> None:
    page = pages.page_of(path)
    assert page is not None
    nodes = [properties(node) for node in everything(page.layout(PageView(frame(Role.OPERATOR), query)))]
    pressed = [node["data-choice"] for node in nodes if node.get("aria-pressed") == "true"]
    assert pressed == chosen
    assert set(RANGES) == {"5m", "1h", "1d"}


def test_who_may_not_verify_gets_no_button_for_it() -> None:
    page = pages.page_of("/audit/")
    assert page is not None

    def actions(*roles: Role) -> set[str]:
        nodes = everything(page.layout(PageView(frame(*roles), {})))
        return {properties(node).get("data-action", "") for node in nodes}

    assert "verify" in actions(Role.AUDITOR)
    assert "verify" not in actions(Role.OPERATOR)


def test_an_address_finds_its_page_with_or_without_the_last_slash() -> None:
    assert pages.page_of("/pnl") is pages.page_of("/pnl/")
    assert pages.page_of("/nowhere/") is None
    assert len({page.key for page in pages.PAGES}) == len(pages.PAGES)
    assert frame(Role.OPERATOR).may_halt
    assert not frame(Role.VIEWER).may(Capability.TRADING_HALT)
