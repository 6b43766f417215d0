"""One's own sessions, factors and tokens."""

from __future__ import annotations

from frontend.components import Column, panel, table
from frontend.elements import Element, html
from frontend.pages.view import PageView


def layout(_view: PageView) -> Element:
    """Sessions with a way to end each; what proves who one is; keys for machines."""
    return html.Div(html.Div([sessions(), factors(), tokens()], className="grid"))


def sessions() -> Element:
    columns = [
        Column("Device"),
        Column("Address"),
        Column("Signed in", number=True, priority=2),
        Column("Last seen", number=True),
        Column("State", priority=2),
        Column("Action", number=True),
    ]
    return panel("Sessions", table("sessions", "My sessions", columns), id="sessions", span=8)


def factors() -> Element:
    return panel("Second factor", html.Div(**{"data-widget": "factors"}), id="factors", span=4)


def tokens() -> Element:
    columns = [
        Column("Name"),
        Column("Scopes", priority=2),
        Column("Created", number=True, priority=3),
        Column("Last used", number=True),
        Column("Expires", number=True, priority=2),
        Column("Action", number=True),
    ]
    return panel("API tokens", table("tokens", "My API tokens", columns), id="tokens")
