"""Starting strategies on their page, with shares of the account's capital."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from apps.accounts.domain.roles import Role
from apps.core.context import service_context
from apps.deployments.models import Run
from apps.policies.services_publications import ensure_default_limits
from apps.trading.services import ensure_venue, project
from tests.factories import journal
from tests.factories.people import Person, make_person
from tests.support.browser import PHONE, Watched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Visitor = Callable[..., Watched]


@pytest.fixture(autouse=True)
def desk(relay: None) -> None:
    ensure_venue(service_context("bootstrap"), name="paper", mode="paper", market="synthetic", label="for tests")
    ensure_default_limits(service_context("bootstrap"))
    project(service_context("projector"), worker="w", records=journal.records(journal.opening()))


def asked(page: Page, name: str) -> Locator:
    """The open question how ``name`` is to be started."""
    page.get_by_role("row", name=name).click()
    page.locator("#drawer").get_by_role("button", name="Start it").click()
    dialog = page.locator("#ask-dialog")
    expect(dialog).to_contain_text(f"Start {name}")
    return dialog


def start(dialog: Locator, who: Person, share: str) -> None:
    dialog.get_by_label("Capital share").fill(share)
    dialog.get_by_label("Fresh authenticator code").fill(who.fresh_code())
    dialog.get_by_role("button", name="Start it", exact=True).click()


def test_two_strategies_are_started_and_share_the_capital(transactional_db: None, visitor: Visitor) -> None:
    dan = make_person("dan", Role.DEPLOYER)
    watched = visitor(dan)
    watched.refusals = (400, 409)
    page = watched.visit("/strategies/")
    dialog = asked(page, "ema_cross")
    dialog.get_by_label("ETHUSDT").uncheck()
    dialog.get_by_label("Parameters").fill("fast=5, slow=30")
    dialog.get_by_label("Reason").fill("try it")
    assert watched.axe() == []
    start(dialog, dan, "1.5")
    expect(dialog.locator("#ask-share-error")).to_contain_text("above 0 and up to 1")
    start(dialog, dan, "0.6")
    expect(page.locator("#strategy-running")).to_contain_text("0.6")
    run = Run.objects.get()
    plan: dict[str, Any] = run.plan
    assert (plan["params"], plan["instruments"], plan["capital_share"]) == (
        {"fast": 5, "slow": 30},
        ["BTCUSDT"],
        "0.6",
    )
    assert run.release.capital_share == Decimal("0.6")

    dialog = asked(page, "mean_reversion")
    expect(dialog).to_contain_text("0.4 is left")
    expect(dialog.get_by_label("BTCUSDT")).not_to_be_checked()
    start(dialog, dan, "0.5")
    expect(dialog.locator("#ask-error")).to_contain_text("Run 1 has 0.6 of the account's capital; 0.4 is left")
    start(dialog, dan, "0.4")
    expect(page.locator("#strategy-running")).to_contain_text("mean_reversion")
    assert sorted(run.plan["capital_share"] for run in Run.objects.all()) == ["0.4", "0.6"]


def test_who_may_not_start_is_not_asked(transactional_db: None, visitor: Visitor) -> None:
    watched = visitor(make_person("vic", Role.VIEWER), viewport=PHONE, has_touch=True, is_mobile=True)
    page = watched.visit("/strategies/")
    page.get_by_role("row", name="ema_cross").click()
    expect(page.locator("#drawer")).to_contain_text("Backtest it")
    expect(page.locator("#drawer").get_by_role("button", name="Start it")).to_have_count(0)
    assert watched.overflow() == []
