"""``gekko strategies``: what is registered, and putting one on paper.

The strategies are imported by the command that needs them: a broken file in somebody's folder must not stand in the way
of ``gekko halt``.
"""

from __future__ import annotations

import time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import click
import django
import httpx
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from workers.engine.strategies.catalog import Card

WAIT_S: Final = 120.0
POLL_S: Final = 0.5


def _share(_ctx: click.Context, _option: click.Parameter, word: str | None) -> Decimal | None:
    """A capital share as it was given; BadParameter for what is none."""
    from apps.deployments.domain.shares import is_share

    if word is None:
        return None
    try:
        share = Decimal(word)
    except InvalidOperation:
        share = Decimal(0)
    if not is_share(share):
        raise click.BadParameter(f"expected a number above 0 and up to 1, such as 0.5, was {word!r}")
    return share


@click.group()
def strategies() -> None:
    """The strategies that may run, built in and of your folder (GEKKO_STRATEGIES)."""


@strategies.command("list")
def show_all() -> None:
    """Name, hooks and first sentence of every strategy."""
    from workers.engine.strategy import StrategyError

    table = Table("Strategy", "Hears", "What it does", "From")
    try:
        from workers.engine.strategies.catalog import catalog
    except StrategyError as error:
        raise click.ClickException(str(error)) from error
    for one in catalog():
        hears = ", ".join(hook.removeprefix("on_") for hook in one.hooks)
        table.add_row(one.name, hears, one.summary, "built in" if one.built_in else "your folder")
    Console().print(table)


@strategies.command("show")
@click.argument("name")
def show_one(name: str) -> None:
    """Parameters of NAME with type, default and what is allowed."""
    found = _card(name)
    click.echo(f"{found.name}: {found.summary}")
    if found.detail:
        click.echo(found.detail.replace("``", ""))
    table = Table("Parameter", "Type", "Default", "Allowed")
    for one in found.params:
        table.add_row(one.name, one.type, str(one.default), ", ".join(map(str, one.choices)) or one.bounds)
    Console().print(table)


@strategies.command("paper")
@click.argument("name")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the strategy.")
@click.option("--symbol", "symbols", multiple=True, help="What to trade; all of the venue when left out.")
@click.option("--share", callback=_share, help="Part of the account's equity to size by, such as 0.5; else all.")
def paper(name: str, params: tuple[str, ...], symbols: tuple[str, ...], share: Decimal | None) -> None:
    """Start NAME on the paper venue in place of what trades the same there; `gekko up` must run. Never goes live."""
    found, given = _card(name), _params(name, params)
    django.setup()
    from apps.core.errors import Conflict, DomainError

    console = Console()
    try:
        with console.status("asking the venue") as status:
            run = _start(found, given, list(symbols), share, status.update)
            status.update("checking what the run needs")
            state, detail = _settled(run)
    except Conflict as error:
        raise click.ClickException(error.detail) from error
    except (DomainError, httpx.HTTPError) as error:
        raise click.ClickException(f"{getattr(error, 'detail', error)}. Is 'gekko up' running?") from error
    if state != "healthy":
        raise click.ClickException(f"run {run.number} is {state}: {detail}")
    console.print(f"run {run.number} trades {name} on paper; the dashboard shows it on the page Strategies")


def _card(name: str) -> Card:
    from workers.engine.strategy import StrategyError

    try:
        from workers.engine.strategies.catalog import card

        return card(name)
    except StrategyError as error:
        raise click.ClickException(str(error)) from error


def _params(name: str, words: tuple[str, ...]) -> dict[str, Any]:
    """The parameters in their types; refused before anything is stopped."""
    from workers.engine.strategy import StrategyError, build

    wrong = [word for word in words if "=" not in word]
    if wrong:
        raise click.ClickException(f"expected NAME=VALUE, was {wrong[0]!r}")
    try:
        typed = build(name, dict(word.split("=", 1) for word in words)).params
    except StrategyError as error:
        raise click.ClickException(str(error)) from error
    return {word.split("=", 1)[0]: getattr(typed, word.split("=", 1)[0]) for word in words}


def _start(found: Card, params: dict[str, Any], symbols: list[str], share: Decimal | None, say: Any) -> Any:
    from django.conf import settings

    from apps.core.context import service_context
    from apps.deployments.selectors import active_runs, get_run
    from apps.deployments.services.releases import create_release
    from apps.deployments.services.runs import capital_for, fits_beside, start_run, stop_run
    from apps.policies.selectors import active_limits
    from controlplane.bootstrap import ensure_model, market_of_venue

    ctx = service_context("command", origin="command").because(f"{found.name} to paper on the command line")
    market, limits = market_of_venue(), active_limits()
    release = create_release(
        ctx,
        strategy=found.name,
        params=params,
        model_digest=ensure_model(market, say) if found.uses_forecasts else "",
        limits_version=int(limits["version"]) if limits else 0,
        instruments=symbols or market["symbols"],
        interval_ns=market["seconds"] * 1_000_000_000,
        capital_share=share,
        note="gekko strategies paper",
    )
    venue = settings.GEKKO_VENUE_NAME
    active = list(active_runs(venue))
    others = [run.pk for run in active if not fits_beside(release, run)]
    # Before anything is stopped for it.
    capital_for(release, [run for run in active if run.pk not in others])
    for run_id in others:
        say(f"stopping run {get_run(run_id).number}, which is in the way")
        stop_run(ctx, run_id=run_id, reason=f"makes room for {found.name}")
    _until(lambda: not active_runs(venue).filter(pk__in=others).exists())
    return start_run(ctx, release_id=release.pk, venue=venue, grant=None, reason="started on the command line")


def _settled(run: Any) -> tuple[str, str]:
    """State and why, once the run is healthy or over."""
    from apps.deployments.selectors import get_run

    _until(lambda: get_run(run.pk).state in ("healthy", "failed", "stopped"))
    now = get_run(run.pk)
    failed = [f"{step.name}: {step.detail}" for step in now.steps.all() if step.state == "failed"]
    return now.state, "; ".join(failed) or now.stop_reason or now.detail


def _until(reached: Any) -> None:
    end = time.monotonic() + WAIT_S
    while not reached() and time.monotonic() < end:
        time.sleep(POLL_S)
