"""``gekko risk``: the newest report, and what proposed orders would change."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import click
import django
from rich.console import Console
from rich.table import Table

ORDER: Final = re.compile(
    r"^(?P<symbol>[^:]+):(?P<side>buy|sell):(?P<quantity>[0-9.]+)(@(?P<price>[0-9.]+))?$", re.IGNORECASE
)

AWAY: Final = "The records cannot be read. Is 'gekko up' running?"


@click.group()
def risk() -> None:
    """Value at risk, stress, exposure; what an order would change."""


@risk.command("report")
@click.option("--venue", default="", help="The desk's own when left out.")
@click.option("--json", "as_json", is_flag=True, help="The whole report as the API gives it.")
def report(venue: str, as_json: bool) -> None:
    """Print the newest risk report; the control worker makes one a minute."""
    django.setup()
    from django.db import Error as DatabaseError

    from apps.core.errors import DomainError
    from apps.trading.rows_risk import report_row
    from apps.trading.selectors_risk import latest_report

    try:
        found = report_row(latest_report(venue or _own_venue()))
    except DomainError as error:
        raise click.ClickException(error.detail) from error
    except DatabaseError as error:
        raise click.ClickException(f"{AWAY} {error}") from error
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    _print_report(found)


@risk.command("what-if")
@click.argument("orders", nargs=-1, required=True)
@click.option("--venue", default="", help="The desk's own when left out.")
@click.option("--json", "as_json", is_flag=True, help="The whole answer as the API gives it.")
def what_if(orders: tuple[str, ...], venue: str, as_json: bool) -> None:
    """Say what ORDERS would change; nothing is sent. An order is SYMBOL:buy|sell:QUANTITY, with @PRICE for a limit."""
    proposed = [parse(text) for text in orders]
    django.setup()
    from django.db import Error as DatabaseError

    from apps.core.context import service_context
    from apps.core.errors import DomainError
    from apps.trading.services.risk_what_if import what_if as ask

    try:
        answer = ask(service_context("command", origin="command"), venue=venue or _own_venue(), orders=proposed)
    except DomainError as error:
        raise click.ClickException(error.detail) from error
    except DatabaseError as error:
        raise click.ClickException(f"{AWAY} {error}") from error
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    _print_answer(answer, orders)


def parse(text: str) -> dict[str, Any]:
    """An order as the service takes it; BadParameter says what was expected."""
    found = ORDER.match(text)
    if found is None:
        raise click.BadParameter(f"expected SYMBOL:buy|sell:QUANTITY[@PRICE], was {text!r}")
    try:
        quantity = Decimal(found["quantity"])
        price = Decimal(found["price"]) if found["price"] else None
    except InvalidOperation:
        raise click.BadParameter(f"expected decimal numbers, was {text!r}") from None
    if quantity <= 0 or (price is not None and price <= 0):
        raise click.BadParameter(f"expected more than 0, was {text!r}")
    return {
        "symbol": found["symbol"].upper(),
        "side": found["side"].upper(),
        "quantity": quantity,
        "price": price,
        "order_type": "MARKET" if price is None else "LIMIT",
    }


def _own_venue() -> str:
    from django.conf import settings

    return str(settings.GEKKO_VENUE_NAME)


def _print_report(found: dict[str, Any]) -> None:
    console = Console()
    limit = found["var_limit"] or "none published"
    console.print(f"{found['venue']} at {found['at']}: {found['status']} {found['detail']}".rstrip(), highlight=False)
    console.print(
        f"value at risk {_money(found['var'])} {found['quote']} ({found['confidence']:.0%}, {found['horizon_s']} s), "
        f"shortfall {_money(found['es'])}, limit {limit}",
        highlight=False,
    )
    methods = [[row["label"], _money(row["var"]), _money(row["es"]), row["detail"]] for row in found["methods"]]
    _table(console, ["Method", "Value at risk", "Shortfall", "Note"], methods)
    parts = [
        [row["symbol"], _money(row["value"]), _money(row["var"]), _money(row["alone"])] for row in found["components"]
    ]
    _table(console, ["Position", "Value", "Part of the risk", "Alone"], parts)
    stress = [[row["name"], _money(row["total"]), row["outcome"], row["detail"]] for row in found["stress"]]
    _table(console, ["Scenario", "Profit or loss", "Outcome", "Note"], stress)


def _print_answer(answer: dict[str, Any], orders: tuple[str, ...]) -> None:
    console = Console()
    gate = answer["gate"]
    if not gate["available"]:
        console.print(f"the gate did not answer: {gate['detail']}", highlight=False)
    for text, verdict in zip(orders, gate["verdicts"], strict=False):
        why = "; ".join(filter(None, [*(reason["code"] for reason in verdict["reasons"]), verdict["detail"]]))
        console.print(f"{text}: {'would pass' if verdict['passes'] else f'would be denied: {why}'}", highlight=False)
    before, after = answer["before"], answer["after"]
    rows = [
        ["Value at risk", before["var"], after["var"], answer["incremental_var"]],
        ["Expected shortfall", before["es"], after["es"], answer["incremental_es"]],
        *(
            [one["name"], one["before"], one["after"], one["change"]]
            for one in answer["stress"]
            if one["after"] is not None
        ),
    ]
    _table(console, ["Figure", "Before", "After", "Change"], [[row[0], *map(_money, row[1:])] for row in rows])


def _table(console: Console, heads: list[str], rows: list[list[str]]) -> None:
    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place in (0, 3) and head != "Change" else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _money(text: str | None) -> str:
    return "-" if text is None else f"{Decimal(text):,.2f}"
