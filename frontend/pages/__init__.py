"""The pages by address. Each module has ``layout(view)``; nothing in a layout is secret or personal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs

from django.http import HttpRequest

from apps.accounts.permissions import Capability
from frontend.elements import Element, html
from frontend.frame import Frame, frame_of
from frontend.pages import (
    audit,
    backtests,
    incidents,
    limits,
    orders,
    overview,
    pnl,
    rebalances,
    risk,
    security,
    strategies,
)
from frontend.pages.view import PageView

__all__ = ["PAGES", "Page", "PageView", "loading", "page_of", "render"]


@dataclass(frozen=True)
class Page:
    """One page; without ``capability`` it is everybody's who is signed in. ``key`` follows ``g`` on the keyboard."""

    path: str
    title: str
    key: str
    layout: Callable[[PageView], Any]
    capability: Capability | None = None


PAGES: Final = (
    Page("/", "Overview", "o", overview.layout, Capability.TRADING_VIEW),
    Page("/pnl/", "P&L", "p", pnl.layout, Capability.TRADING_VIEW),
    Page("/orders/", "Positions & orders", "r", orders.layout, Capability.TRADING_VIEW),
    Page("/risk/", "Risk", "k", risk.layout, Capability.TRADING_VIEW),
    Page("/limits/", "Limits", "l", limits.layout, Capability.POLICY_VIEW),
    Page("/rebalances/", "Rebalances", "n", rebalances.layout, Capability.TRADING_VIEW),
    Page("/backtests/", "Backtests", "b", backtests.layout, Capability.TRADING_VIEW),
    Page("/strategies/", "Strategies", "t", strategies.layout, Capability.TRADING_VIEW),
    Page("/incidents/", "Incidents", "i", incidents.layout, Capability.INCIDENT_VIEW),
    Page("/audit/", "Audit", "a", audit.layout, Capability.AUDIT_VIEW),
    Page("/security/", "Security", "e", security.layout),
)


def page_of(path: str) -> Page | None:
    """The page at ``path``; None when there is none."""
    wanted = path if path.endswith("/") else f"{path}/"
    return next((page for page in PAGES if page.path == wanted), None)


def render(request: HttpRequest, path: str, search: str) -> Any:
    """The layout for an address, or the words that say why there is none."""
    page, frame = page_of(path), frame_of(request)
    if page is None:
        return notice("Nothing is here", f"No page has the address {path}. Choose one from the navigation.")
    if page.capability is not None and not frame.may(page.capability):
        return refused(page, frame)
    query = {name: values[-1] for name, values in parse_qs(search.lstrip("?")).items()}
    return html.Div(
        [html.H1(page.title, className="visually-hidden"), page.layout(PageView(frame, query))],
        className="page",
        **{"data-page": page.path, "data-title": page.title},
    )


def refused(page: Page, frame: Frame) -> Element:
    """No permission: what is missing and who gives it."""
    roles = frame.role_words or "none"
    needed = page.capability.value if page.capability else ""
    return notice(
        f"{page.title} is not open to you",
        f"It needs the permission {needed}; your roles are: {roles}. An administrator can give you a role that has it.",
    )


def notice(title: str, text: str) -> Element:
    return html.Div([html.H1(title), html.P(text)], className="page notice")


def loading() -> Element:
    """What stands there until the page comes."""
    return html.Div([html.Div(className="skeleton") for _ in range(3)], className="page", **{"aria-busy": "true"})
