"""The console script ``gekko``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import django
import httpx
from rich.console import Console

from controlplane.commands.backtest import backtest
from controlplane.commands.data import data
from controlplane.commands.portfolio import portfolio
from controlplane.commands.risk import risk
from controlplane.commands.routes import routes
from controlplane.commands.show import show
from controlplane.commands.strategies import strategies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings.dev")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gekko")
def main() -> None:
    """Control plane of an autonomous trading desk."""


@main.command()
@click.option(
    "--credentials-file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Also write the first operator's credentials to this file (mode 600).",
)
def up(credentials_file: Path | None) -> None:
    """Start everything on this machine and trade on paper; Ctrl-C stops it."""
    from controlplane.supervisor.screen import Screen

    screen = Screen(Console(), credentials_file)
    problem = settings_problem()
    if problem:
        screen.failure(problem)
        sys.exit(1)
    from controlplane.supervisor.main import run

    sys.exit(run(screen))


def settings_problem() -> str:
    """Why the settings cannot be read, in one line; they make the secrets at the first start, so a disk may refuse."""
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured

    from controlplane.environment import state_folder

    try:
        _ = settings.GEKKO_STATE_DIR
    except ImproperlyConfigured as error:
        return str(error)
    except OSError as error:
        return f"cannot write to {state_folder()}: {error.strerror}. Set GEKKO_STATE_DIR to a folder that you own."
    return ""


@main.command("secrets")
def make_secrets() -> None:
    """Make the secrets of a production installation that are missing; none that exists is changed."""
    from controlplane import environment, secrets

    folder = environment.state_folder() / "secrets"
    made = secrets.provide(folder, live=environment.text("GEKKO_MODE", "paper") == "live")
    click.echo(f"made in {folder}: {', '.join(made)}" if made else f"all secrets are in {folder} already")


@main.group()
def operator() -> None:
    """The people who may sign in."""


@operator.command("reset")
@click.argument("username", default="operator")
def operator_reset(username: str) -> None:
    """Give USERNAME a new password and second factor; recorded in the audit trail."""
    django.setup()
    from controlplane.bootstrap import reset_operator
    from controlplane.supervisor.screen import Screen

    Screen(Console()).credentials(reset_operator(username))


@main.command()
@click.option("--seconds", default=20.0, show_default=True, help="Time that the training may take.")
def train(seconds: float) -> None:
    """Train a model for the venue's market on the running GPU worker; `gekko up` must run."""
    django.setup()
    from controlplane.bootstrap import SetupError, market_of_venue, model_name, train_model

    console = Console()
    try:
        market = market_of_venue()
        with console.status("asking the GPU worker") as status:
            digest = train_model(model_name(market), market, status.update, budget_s=seconds)
    except (SetupError, httpx.HTTPError) as error:
        raise click.ClickException(f"{error}. Is 'make up' running?") from error
    console.print(f"ready: {digest}", highlight=False)


@main.command()
@click.argument("reason")
def halt(reason: str) -> None:
    """Break glass: halt trading from this machine, without a second factor, because of REASON; loudly recorded."""
    django.setup()
    from django.conf import settings

    from apps.core.context import service_context
    from apps.core.errors import DomainError
    from apps.trading.services.control import halt as order_halt

    ctx = service_context("command", origin="command").because(f"break glass on the command line: {reason}")
    try:
        control = order_halt(ctx, venue=settings.GEKKO_VENUE_NAME, reason=reason, grant=None)
    except DomainError as error:
        raise click.ClickException(error.detail) from error
    click.echo(f"{control.venue_id}: {control.desired_state} is ordered; resume in the dashboard with a fresh code")


@main.group()
def audit() -> None:
    """The audit trail."""


@audit.command("verify")
def audit_verify() -> None:
    """Recompute the whole trail and name the first bad row; exits with 1 when there is one."""
    django.setup()
    from apps.audit.services.verification import verify
    from apps.core.context import service_context

    run = verify(service_context("command", origin="command"))
    for finding in run.findings:
        click.echo(str(finding))
    click.echo(f"{'ok' if run.ok else 'FAILED'}: {run.size} entries, {run.checkpoints} checkpoints, root {run.root}")
    sys.exit(0 if run.ok else 1)


@audit.command("verify-export")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def audit_verify_export(path: Path) -> None:
    """Verify an exported JSON Lines report by itself: no database, no network. Exits with 1 when it does not hold."""
    from apps.audit.domain.export import verify_export

    verdict = verify_export(path)
    for fault in verdict.faults:
        click.echo(fault)
    click.echo(f"{'ok' if verdict.ok else 'FAILED'}: {verdict.entries} entries, signed by key {verdict.key_id}")
    sys.exit(0 if verdict.ok else 1)


main.add_command(backtest)
main.add_command(data)
main.add_command(portfolio)
main.add_command(risk)
main.add_command(routes)
main.add_command(show)
main.add_command(strategies)


if __name__ == "__main__":
    main()
