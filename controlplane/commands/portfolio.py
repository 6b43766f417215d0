"""``gekko portfolio``: compute a book now and print it; nothing is traded."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click
import django
from rich.console import Console
from rich.table import Table

from workers.engine.portfolio.policy import METHODS

LOOK_EVERY_S: Final = 0.2
OVER: Final = frozenset({"done", "refused", "failed"})


@click.group()
def portfolio() -> None:
    """Target weights, whole lots, and what it would cost to get there."""


@portfolio.command("optimise")
@click.option("--method", type=click.Choice(METHODS), default="minimum_variance", show_default=True)
@click.option("--venue", default="", help="The desk's own when left out.")
@click.option("--symbol", "symbols", multiple=True, help="Repeat for several; all of the venue when left out.")
@click.option("--interval", default="1m", show_default=True, help="Bars to learn from.")
@click.option("--bars", default=500, show_default=True)
@click.option("--invest", default=0.95, show_default=True, help="Share of equity to hold; the rest stays in cash.")
@click.option("--upper", default=1.0, show_default=True, help="Largest weight of one instrument.")
@click.option("--turnover", type=float, help="Largest sum of changed weights.")
@click.option("--target", type=float, help="Annual return or volatility, for target_return and target_risk.")
@click.option("--policy", "policy_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A policy as JSON instead of the options; see docs/portfolio.md.")  # fmt: skip
@click.option("--wait", default=60.0, show_default=True, help="Seconds to wait for the control worker.")
@click.option("--json", "as_json", is_flag=True, help="The whole run as the API gives it.")
def optimise(venue: str, policy_file: Path | None, wait: float, as_json: bool, **options: Any) -> None:
    """Ask the control worker for a book and print weights, trades and costs; `gekko up` must run."""
    policy = read_policy(policy_file) if policy_file else policy_of(**options)
    django.setup()
    from django.conf import settings

    from apps.core.context import service_context
    from apps.core.errors import DomainError
    from apps.trading.rows_rebalances import rebalance_row
    from apps.trading.services.rebalances import request_rebalance

    ctx = service_context("command", origin="command")
    try:
        run = request_rebalance(ctx, venue=venue or settings.GEKKO_VENUE_NAME, policy=policy)
    except DomainError as error:
        raise click.ClickException(error.detail) from error
    deadline = time.monotonic() + wait
    while run.state not in OVER and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_S)
        run.refresh_from_db()
    row = rebalance_row(run)
    if as_json:
        click.echo(json.dumps(row, indent=2))
    elif run.state not in OVER:
        raise click.ClickException(f"run {run.pk} is {run.state} after {wait:g} s; is the control worker up?")
    elif run.state == "failed":
        raise click.ClickException(run.why)
    else:
        print_run(row, Console())


def read_policy(path: Path) -> dict[str, Any]:
    """The policy in the file; a plain message when it is no JSON object."""
    try:
        policy = json.loads(path.read_text())
    except ValueError as error:
        raise click.ClickException(f"{path} is not JSON: {error}") from error
    if not isinstance(policy, dict):
        raise click.ClickException(f"expected a JSON object in {path}")
    return policy


def policy_of(
    *,
    method: str,
    symbols: tuple[str, ...],
    interval: str,
    bars: int,
    invest: float,
    upper: float,
    turnover: float | None,
    target: float | None,
) -> dict[str, Any]:
    """The policy that the options say."""
    constraints = {"lower": 0.0, "upper": upper, "net": [invest, invest], "turnover": turnover}
    return {
        "schema": 1,
        "method": method,
        "symbols": list(symbols),
        "interval": interval,
        "bars": bars,
        "target": target,
        "constraints": constraints,
    }


def print_run(row: dict[str, Any], console: Console) -> None:
    """One line per instrument, then the trades' cost, what binds, and the proof."""
    outcome, inputs = row["outcome"], row["inputs"]
    table = Table(title=f"{row['method']} on {row['venue']}: {outcome['status']}")
    for name in ("instrument", "now", "wanted", "after", "trade", "notional", "fee"):
        table.add_column(name, justify="left" if name == "instrument" else "right")
    trades = {trade["symbol"]: trade for trade in outcome["trades"]}
    for symbol, target in outcome["targets"].items():
        trade = trades.get(symbol)
        told = f"{trade['side']} {trade['quantity']}" if trade and trade["side"] else trade["why"] if trade else "-"
        table.add_row(
            symbol,
            f"{outcome['current'][symbol]:.2%}",
            f"{target['wanted']:.2%}",
            f"{target['weight']:.2%}",
            told,
            f"{Decimal(trade['notional']):,.2f}" if trade else "",
            f"{Decimal(trade['cost']):,.4f}" if trade else "",
        )
    console.print(table)
    quote, statistics = inputs["quote"], outcome["statistics"]
    console.print(f"equity {outcome['equity']} {quote}, cash after {outcome['cash']}, fees {outcome['cost']}")
    console.print(
        f"volatility {statistics['volatility']:.2%} a year from {inputs['bars']} bars of {inputs['interval']}"
    )
    if outcome["binding"]:
        console.print(f"binding: {', '.join(outcome['binding'])}")
    if proof := outcome["certificate"]:
        console.print(f"gap {proof['gap']:.1e}, violation {proof['violation']:.1e}, {proof['iterations']} iterations")
    if outcome["why"]:
        console.print(f"the old book is kept: {outcome['why']}", highlight=False)
