"""Risk limits: what is in use by scope, the versions and their drafts, and leave to exceed a limit."""

from __future__ import annotations

from apps.accounts.permissions import Capability
from frontend import limit_fields
from frontend.components import Column, button, panel, table
from frontend.elements import Element, html
from frontend.pages.view import PageView


def layout(view: PageView) -> Element:
    """In use and by scope; leave to exceed; the draft, while there is one open; all versions."""
    return html.Div([in_use(), scopes(), overrides(view), versions(view), editor()], className="grid")


def in_use() -> Element:
    return panel("Limits in use", html.Div(**{"data-widget": "limits"}), id="limits", topic="risk", span=6)


def scopes() -> Element:
    columns = [
        Column("Scope"),
        Column("Limit", priority=2),
        Column("In use", number=True, priority=2),
        Column("At most", number=True),
        Column("Share"),
    ]
    return panel(
        "By scope",
        table("limit-scopes", "Limits by scope", columns),
        id="limit-scopes",
        topic="risk",
        span=6,
    )


def overrides(view: PageView) -> Element:
    columns = [
        Column("Scope"),
        Column("Limit", priority=2),
        Column("Up to", number=True),
        Column("Ends", priority=2),
        Column("State"),
        Column("Asked by", priority=3),
        Column("Decided by", priority=3),
        Column("Reason", priority=3),
        Column("", number=True),
    ]
    may = view.may(Capability.TRADING_RESUME)
    asking = [button("Ask for leave", **{"data-action": "ask-override"})] if may else []
    return panel(
        "Leave to exceed a limit",
        table("overrides", "Leave to exceed a limit", columns, rows=3, **{"data-codes": limit_fields.codes()}),
        id="overrides",
        topic="policies",
        actions=asking,
    )


def versions(view: PageView) -> Element:
    columns = [
        Column("Version"),
        Column("State"),
        Column("Note", priority=2),
        Column("Made by", priority=2),
        Column("Published", priority=3),
        Column("", number=True),
    ]
    drafting = (
        [button("New version", disabled=True, **{"data-action": "draft-limits"})]
        if view.may(Capability.POLICY_EDIT)
        else []
    )
    return panel(
        "Versions",
        table("limit-versions", "Versions of the limits", columns),
        id="limit-versions",
        topic="policies",
        actions=drafting,
    )


def editor() -> Element:
    """Empty until a draft is begun or opened."""
    body = html.Div(**{"data-widget": "limit-editor", "data-fields": limit_fields.fields()})
    box = panel("Draft", body, id="limit-editor")
    box.hidden = True
    return box
