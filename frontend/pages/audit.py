"""The audit trail: search, verify, export."""

from __future__ import annotations

from apps.accounts.permissions import Capability
from frontend.components import Column, button, panel, table
from frontend.elements import Element, dcc, html
from frontend.pages.view import PageView

FILTERS = (
    ("actor", "Who", "name"),
    ("event", "Event", "trading.*"),
    ("object_type", "Object", "order"),
    ("object_id", "Object id", ""),
    ("request_id", "Request id", ""),
)


def layout(view: PageView) -> Element:
    """Entries with their filters, and beside them what proves the trail."""
    return html.Div(html.Div([entries(view), side(view)], className="grid"))


def entries(view: PageView) -> Element:
    columns = [
        Column("No.", number=True, priority=2),
        Column("Time", priority=2),
        Column("Who", priority=2),
        Column("Event"),
        Column("Object", priority=3),
        Column("Outcome"),
        Column("Factor", priority=2),
    ]
    return panel(
        "Entries",
        filter_form(view),
        table("audit-entries", "Audit entries", columns, rows=8),
        html.Div(button("Older entries", **{"data-action": "older"}), className="more"),
        id="entries",
        span=9,
    )


def filter_form(view: PageView) -> Element:
    """The filters of the address, ready to change."""
    fields = [
        html.Div(
            [
                html.Label(title, htmlFor=f"filter-{name}"),
                dcc.Input(
                    id=f"filter-{name}",
                    value=view.query.get(name, ""),
                    placeholder=example,
                    type="text",
                    className="text",
                ),
            ],
            className="field",
        )
        for name, title, example in FILTERS
    ]
    return html.Div(fields, className="filters", role="search", **{"data-widget": "audit-filters"})


def side(view: PageView) -> Element:
    verify = (
        [button("Verify chain", "primary", **{"data-action": "verify"})] if view.may(Capability.AUDIT_VERIFY) else []
    )
    return html.Div(
        [
            panel(
                "Proof",
                html.Div(**{"data-widget": "audit-proof"}),
                html.Div(verify, className="row"),
                id="proof",
            ),
            panel("Export", html.Div(**{"data-widget": "audit-export"}), id="export"),
            panel(
                "Checkpoints",
                table(
                    "audit-checkpoints",
                    "Signed checkpoints",
                    [Column("Entries", number=True), Column("Signed at"), Column("Root")],
                ),
                id="checkpoints",
            ),
        ],
        className="span-3 stack",
    )
