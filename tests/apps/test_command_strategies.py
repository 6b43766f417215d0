"""``gekko strategies paper``: what it asks of deployments, in the database."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner
from django.db import transaction

from apps.core.context import service_context
from apps.deployments.domain.shares import CapitalTaken
from apps.deployments.models import Run
from apps.policies.services_publications import ensure_default_limits
from apps.trading.services import ensure_venue
from controlplane.commands import strategies
from workers.engine.strategies.catalog import card

pytestmark = pytest.mark.django_db
SETUP = service_context("bootstrap")


@pytest.fixture(autouse=True)
def desk(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr("apps.core.dispatch.current_app.send_task", lambda *_, **__: None)
    market = {"symbols": ["BTCUSDT", "ETHUSDT"], "seconds": 60}
    monkeypatch.setattr("controlplane.bootstrap.market_of_venue", lambda: market)
    ensure_venue(SETUP, name=settings.GEKKO_VENUE_NAME, mode="paper")
    ensure_default_limits(SETUP)


def start(symbols: list[str], share: str | None) -> Run:
    wanted = None if share is None else Decimal(share)
    run: Run = strategies._start(card("ema_cross"), {}, symbols, wanted, lambda _: None)
    return run


def test_two_runs_share_the_account() -> None:
    first, second = start(["BTCUSDT"], "0.6"), start(["ETHUSDT"], "0.4")
    assert [run.plan["capital_share"] for run in (first, second)] == ["0.6", "0.4"]
    assert second.release.capital_share == Decimal("0.4")


def test_nothing_is_stopped_for_a_run_that_finds_no_capital() -> None:
    kept, replaced = start(["BTCUSDT"], "0.6"), start(["ETHUSDT"], "0.4")
    with pytest.raises(CapitalTaken, match=r"run 1 has 0.6 .*; 0.4 is left"), transaction.atomic():
        start(["ETHUSDT"], "0.5")
    assert [Run.objects.get(pk=run.pk).state for run in (kept, replaced)] == ["validating", "validating"]


def test_without_a_share_it_has_everything_or_is_told_to_give_one() -> None:
    assert start([], None).plan["capital_share"] == "1"


@pytest.mark.parametrize("share", ["0", "1.5", "half", "nan", "0.1234567"])
def test_a_share_that_is_none_is_refused_before_anything_is_done(share: str) -> None:
    done = CliRunner().invoke(strategies.strategies, ["paper", "ema_cross", "--share", share])
    assert (done.exit_code, "expected a number above 0 and up to 1" in done.output) == (2, True), done.output
    assert not Run.objects.exists()
