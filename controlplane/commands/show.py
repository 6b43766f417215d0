"""``gekko show``: what the pages show, in a terminal or as JSON. It reads the records and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import click
import django
from rich.console import Console
from rich.table import Table

from controlplane.commands.risk import AWAY

Row = dict[str, Any]
TEXT: Final = frozenset({"symbol", "side", "status", "algorithm", "what", "by", "reason", "title", "severity", "state"})
"""Columns that are words; the others are set flush right."""


class Shown(NamedTuple):
    """What may be asked for: its columns, and who reads it. ``open_only`` where rows can be over."""

    columns: tuple[str, ...]
    read: Callable[[str, bool], tuple[Any, Callable[[Any], Row]]]
    open_only: bool = False


def _positions(venue: str, _open: bool) -> tuple[Any, Callable[[Any], Row]]:
    from apps.trading import rows, selectors

    return selectors.positions(venue).order_by("symbol"), rows.position_row


def _orders(venue: str, only: bool) -> tuple[Any, Callable[[Any], Row]]:
    from apps.trading import rows, selectors

    return selectors.orders(venue, open_only=only), rows.order_row


def _fills(venue: str, _open: bool) -> tuple[Any, Callable[[Any], Row]]:
    from apps.trading import rows, selectors

    return selectors.fills(venue), rows.fill_row


def _parents(venue: str, only: bool) -> tuple[Any, Callable[[Any], Row]]:
    from apps.trading.domain.parents import LIVE
    from apps.trading.rows_parents import parent_row
    from apps.trading.selectors_parents import parents

    found = parents(venue)
    return found.filter(status__in=LIVE) if only else found, parent_row


def _costs(venue: str, _open: bool) -> tuple[Any, Callable[[Any], Row]]:
    from apps.trading.rows_parents import parent_row
    from apps.trading.selectors_parents import parents

    def row(parent: Any) -> Row:
        made = parent_row(parent)
        return {**made, **(made["costs"] or {})}

    return parents(venue).exclude(ended_at=None), row


def _incidents(_venue: str, only: bool) -> tuple[Any, Callable[[Any], Row]]:
    from apps.incidents.rows import incident_row
    from apps.incidents.selectors import incidents

    return incidents(open_only=only), incident_row


def _halts(venue: str, only: bool) -> tuple[Any, Callable[[Any], Row]]:
    from apps.trading.models import Halt, ScopeHalt
    from apps.trading.rows import halt_row
    from apps.trading.rows_scopes import scope_halt_row

    whole, parts = Halt.objects.filter(venue_id=venue), ScopeHalt.objects.all()
    if only:
        whole, parts = whole.filter(resumed_at=None), parts.filter(resumed_at=None)
    found: list[Any] = sorted([*whole, *parts], key=lambda halt: halt.halted_at, reverse=True)

    def row(halt: Any) -> Row:
        made = scope_halt_row(halt) if isinstance(halt, ScopeHalt) else halt_row(halt)
        return {**made, "what": made.get("scope") or f"all of {venue}", "by": made["halted_by"]}

    return found, row


LISTS: Final[dict[str, Shown]] = {
    "positions": Shown(("symbol", "quantity", "average_price", "mark", "value", "unrealised", "realised"), _positions),
    "orders": Shown(
        ("created_at", "symbol", "side", "quantity", "filled_quantity", "price", "status", "client_id"), _orders, True
    ),
    "fills": Shown(("executed_at", "symbol", "side", "quantity", "price", "fee", "fee_asset"), _fills),
    "parents": Shown(
        ("requested_at", "symbol", "side", "algorithm", "quantity", "filled_quantity", "status", "parent_id"),
        _parents,
        True,
    ),
    "costs": Shown(("ended_at", "symbol", "side", "delay", "impact", "missed", "explicit", "total", "market"), _costs),
    "incidents": Shown(("number", "severity", "state", "title", "opened_at", "acknowledged_by"), _incidents, True),
    "halts": Shown(("halted_at", "what", "reason", "by", "resumed_at"), _halts, True),
}


@click.command()
@click.argument("what", type=click.Choice(["pnl", *LISTS]))
@click.option("--venue", default="", help="The desk's own when left out.")
@click.option("--symbol", default="", help="Of this instrument alone.")
@click.option("--open", "open_only", is_flag=True, help="Only orders, parents, incidents or halts that are not over.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="At most so many rows.")
@click.option("--json", "as_json", is_flag=True, help="Whole rows as the API gives them.")
def show(*, what: str, venue: str, symbol: str, open_only: bool, limit: int, as_json: bool) -> None:
    """Print P&L, positions, orders, fills, parent orders, their costs in basis points, incidents or halts."""
    django.setup()
    from django.conf import settings
    from django.db import Error as DatabaseError

    from apps.core.errors import DomainError

    place = venue or str(settings.GEKKO_VENUE_NAME)
    try:
        found = [_account(place)] if what == "pnl" else _rows(what, place, symbol, open_only, limit)
    except DomainError as error:
        raise click.ClickException(error.detail) from error
    except DatabaseError as error:
        raise click.ClickException(f"{AWAY} {error}") from error
    if as_json:
        click.echo(json.dumps(found[0] if what == "pnl" else found, indent=2))
    elif what == "pnl":
        for name in (
            "equity",
            "realised",
            "unrealised",
            "fees",
            "cash",
            "gross",
            "drawdown",
            "marked_at",
            "open_orders",
        ):
            click.echo(f"{name.replace('_', ' '):<12} {_words(found[0][name])}")
    elif found:
        _print(LISTS[what].columns, found)
    else:
        click.echo(f"no {what}{' open' if open_only else ''}{f' of {symbol}' if symbol else ''} on {place}")


def _account(venue: str) -> Row:
    from apps.trading.selectors import account

    return account(venue)


def _rows(what: str, venue: str, symbol: str, open_only: bool, limit: int) -> list[Row]:
    from apps.trading.selectors import get_venue

    listed = LISTS[what]
    if open_only and not listed.open_only:
        raise click.UsageError(f"--open says nothing of {what}")
    if symbol and "symbol" not in listed.columns:
        raise click.UsageError(f"--symbol says nothing of {what}")
    found, row = listed.read(get_venue(venue).name, open_only)
    if symbol:
        found = found.filter(symbol=symbol)
    return [row(one) for one in found[:limit]]


def _print(columns: tuple[str, ...], found: list[Row]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        left = column in TEXT or column.endswith(("_at", "_id", "_by"))
        table.add_column(column.replace("_", " ").capitalize(), justify="left" if left else "right", no_wrap=not left)
    for row in found:
        table.add_row(*(_words(row.get(column)) for column in columns))
    Console(width=None if Console().is_terminal else 200, highlight=False).print(table)


def _words(value: Any) -> str:
    """A moment to the second, in UTC; a dash for what is not known."""
    if value is None or value == "":
        return "-"
    text = str(value)
    return f"{text[:10]} {text[11:19]}" if len(text) > 19 and text[10:11] == "T" else text
