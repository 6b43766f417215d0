"""Setting an installation up: ``prepare`` before the processes start, ``deploy`` when they run.

Run as a process by the supervisor, so that it never holds Django itself. Prints JSON lines: progress, then the result.
Both steps may run again at any time and change nothing that is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import django
import httpx

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings.dev")

Say = Callable[[str], None]
STRATEGY = "forecast_portfolio"
INPUT_BARS = 64
# Enough to see the desk at work within seconds, and little enough that fees do not reach the daily loss limit.
PAPER_PARAMS = {
    "input_size": INPUT_BARS,
    "min_confidence": 0.51,
    "min_hold_s": 45.0,
    "min_order_interval_s": 15.0,
    "band": 0.5,
}
PAPER_LIMITS = {"target_gross_fraction": "0.1"}
TRAINING_LIMIT_S = 300
HEALTHY_LIMIT_S = 120
POLL_S = 0.5
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class SetupError(RuntimeError):
    """Setting up cannot go on; the message says at what it stopped and where to look."""


def prepare(say: Say) -> dict[str, Any]:
    """Migrate, collect static files and create the first operator, whose credentials are in the result once."""
    from django.core.management import call_command

    from apps.accounts.models import User

    say("checking the settings")
    call_command("check", verbosity=0)
    say("migrating the database")
    call_command("migrate", interactive=False, verbosity=0)
    say("collecting static files")
    collect_static()
    user = User.objects.order_by("date_joined").first()
    if user is not None:
        return {"username": user.username}
    say("creating the first operator")
    return {"operator": create_first_operator("operator")}


def collect_static() -> None:
    """Collect only when a source file changed: compressing everything takes seconds."""
    from django.conf import settings
    from django.contrib.staticfiles.finders import get_finders
    from django.core.management import call_command

    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            digest.update(f"{path} {storage.size(path)} {storage.get_modified_time(path)}\n".encode())
    stamp: Path = settings.STATIC_ROOT / ".collected"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    call_command("collectstatic", interactive=False, verbosity=0, clear=True)
    stamp.write_text(digest.hexdigest())


def create_first_operator(username: str) -> dict[str, Any]:
    from apps.accounts.services.people import create_operator
    from apps.core.context import service_context

    made = create_operator(service_context("bootstrap", origin="command"), username=username)
    return credentials(username, made.password, made.otpauth_uri, made.recovery_codes)


def credentials(username: str, password: str, uri: str, codes: list[str]) -> dict[str, Any]:
    """What the operator must see, once."""
    secret = parse_qs(urlsplit(uri).query)["secret"][0]
    return {
        "username": username,
        "password": password,
        "otpauth_uri": uri,
        "totp_secret": secret,
        "recovery_codes": codes,
    }


def deploy(say: Say) -> dict[str, Any]:
    """Record the venue and default limits, train a first model when there is none, and put the strategy to work.

    A desk whose operator stopped the strategy stays stopped: only a first start deploys by itself.
    """
    from django.conf import settings

    from apps.core.context import service_context
    from apps.deployments import selectors as deployments
    from apps.policies.services_publications import ensure_default_limits
    from apps.trading.services.bootstrap import ensure_venue

    ctx = service_context("bootstrap", origin="command")
    market = market_of_venue()
    venue = settings.GEKKO_VENUE_NAME
    ensure_venue(ctx, name=venue, mode=settings.GEKKO_MODE, market=market["market"], label=market["label"])
    limits = ensure_default_limits(ctx, overrides=PAPER_LIMITS if settings.GEKKO_MODE == "paper" else None)
    facts = {"market": market["label"], "mode": settings.GEKKO_MODE, "strategy": STRATEGY}
    if settings.GEKKO_MODE != "paper":
        return {**facts, "strategy": "none: live trading is started by people"}
    runs = deployments.runs(venue)
    if runs.exists():
        names = [run.release.strategy for run in deployments.active_runs(venue).order_by("number")]
        return {**facts, "strategy": ", ".join(names) or "stopped by an operator"}
    digest = ensure_model(market, say)
    say("starting the strategy")
    start_first_run(ctx, venue=venue, market=market, digest=digest, limits_version=limits.number)
    wait_until_healthy(venue, say)
    return facts


def market_of_venue() -> dict[str, Any]:
    """What the venue says that it trades: {market, label, interval, seconds, symbols}."""
    from django.conf import settings

    answer = httpx.get(f"{settings.GEKKO_VENUE_URL}/api.binance.us/api/v3/exchangeInfo", timeout=10)
    answer.raise_for_status()
    info = answer.json()
    own = info.get("gekko", {})
    interval = own.get("barInterval", "1m")
    return {
        "market": own.get("market", "live"),
        "label": own.get("label", "live feed"),
        "interval": interval,
        "seconds": int(interval[:-1]) * UNIT_SECONDS[interval[-1]],
        "symbols": [symbol["symbol"] for symbol in info["symbols"]],
    }


def ensure_model(market: dict[str, Any], say: Say) -> str:
    """Digest of a model that is ready for this market; trained now when there is none."""
    from apps.fleet.selectors import newest_ready_model

    ready = newest_ready_model(model_name(market))
    return ready.digest if ready else train_model(model_name(market), market, say)


def model_name(market: dict[str, Any]) -> str:
    """The registry's name for models of this market."""
    return f"nhits-{market['market']}-{market['interval']}"


def train_model(name: str, market: dict[str, Any], say: Say, *, budget_s: float = 20.0) -> str:
    """Have the GPU worker train; SetupError when it fails or takes too long."""
    from controlplane.celery import app

    source = {"kind": "auto", "symbols": market["symbols"], "interval": market["interval"], "bars": 5000}
    spec = {"name": name, "sources": [source], "training": {"budget_s": budget_s}}
    task = app.send_task("gekko.forecast.train", args=[spec], queue="gpu")
    end = time.monotonic() + TRAINING_LIMIT_S
    while not task.ready():
        if time.monotonic() > end:
            raise SetupError(f"the first model was not trained within {TRAINING_LIMIT_S} s; see logs/gpu.log")
        info = task.info if isinstance(task.info, dict) else {}
        say(f"training the first model: {info.get('stage', 'waiting')} {info.get('detail', '')}".rstrip())
        time.sleep(POLL_S)
    if task.failed():
        raise SetupError(f"training the first model failed: {task.result}; see logs/gpu.log")
    return str(task.result["digest"])


def start_first_run(ctx: Any, *, venue: str, market: dict[str, Any], digest: str, limits_version: int) -> None:
    from apps.deployments.services.releases import create_release
    from apps.deployments.services.runs import start_run

    release = create_release(
        ctx,
        strategy=STRATEGY,
        params=PAPER_PARAMS,
        model_digest=digest,
        limits_version=limits_version,
        instruments=market["symbols"],
        interval_ns=market["seconds"] * 1_000_000_000,
        note="first start",
    )
    start_run(ctx, release_id=release.pk, venue=venue, grant=None, reason="first start")


def wait_until_healthy(venue: str, say: Say) -> None:
    """Wait for the run; SetupError with the reason when it fails."""
    from apps.deployments import selectors as deployments
    from apps.deployments.choices import RunState

    end = time.monotonic() + HEALTHY_LIMIT_S
    while True:
        run = deployments.runs(venue).first()
        if run is None or run.state == RunState.HEALTHY:
            return
        if run.state == RunState.FAILED or time.monotonic() > end:
            failed = [f"{step.name}: {step.detail}" for step in run.steps.all() if step.state == "failed"]
            raise SetupError(f"the first run is {run.state}: {'; '.join(failed) or run.stop_reason or 'see logs/'}")
        say(f"starting the strategy: {run.state}")
        time.sleep(POLL_S)


def reset_operator(username: str) -> dict[str, Any]:
    """A new password, authenticator and recovery codes for ``username``, for who lost them."""
    from apps.accounts.services.people import reset_credentials
    from apps.core.context import service_context

    ctx = service_context("command", origin="command").because("reset on the command line")
    made = reset_credentials(ctx, username=username)
    return credentials(username, made.password, made.otpauth_uri, made.recovery_codes)


def main() -> int:
    steps = {"prepare": prepare, "deploy": deploy}

    def emit(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    django.setup()
    from django.core.management.base import SystemCheckError

    from apps.core.errors import DomainError

    try:
        emit(steps[sys.argv[1]](lambda text: emit({"progress": text})))
    except DomainError as error:
        emit({"error": error.detail})
        return 1
    except (SetupError, SystemCheckError, httpx.HTTPError) as error:
        emit({"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
