"""Routing decisions: projected with what became of their legs, told over HTTP in words, and made again from rows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from click.testing import CliRunner

from apps.accounts.domain.roles import Role
from apps.core.context import service_context
from apps.trading import services
from apps.trading.domain.parents import plan_request
from apps.trading.models import Order, ParentOrder, ParentRoute
from apps.trading.selectors_routes import check_routes
from controlplane.commands.routes import routes as routes_command
from tests.factories import journal
from tests.factories.people import Browser, make_person, signed_in
from tests.support.kernels import BTC
from tests.support.routes import BETA, DARK, HOME, World
from workers.engine import events as e
from workers.engine.execution.parent import Parent
from workers.engine.vocabulary import Side

pytestmark = pytest.mark.django_db


def project(world: World, *, each: int = 0) -> None:
    records = journal.records(world.rig.journal)  # type: ignore[arg-type]  # all are Journalled
    step = each or len(records)
    for first in range(0, len(records), step):
        services.project(service_context("projector"), worker="w", records=records[first : first + step])


def told() -> tuple[World, Parent]:
    """A ping that met a part, then a sweep of which one leg was rejected, then the rest."""
    world = World()
    world.inside[Side.SELL] = 90
    parent = world.start(250)
    world.answer(world.waiting()[0])
    at_beta = next(order for order in world.waiting() if order.symbol == BETA)
    world.rig.report(e.OrderRejected(ts=world.rig.now, client_id=at_beta.client_id, code="-2010", message="no"))
    world.answer_all()
    world.rig.wait(2.0)
    world.refresh()
    world.answer_all()
    return world, parent


@pytest.fixture
def browser() -> Browser:
    return signed_in(make_person("ann", Role.OPERATOR))


def get(browser: Browser, path: str) -> Any:
    answer = browser.get(f"/api/v1/parents/{path}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_decisions_are_told_with_what_became_of_their_legs(browser: Browser) -> None:
    world, parent = told()
    project(world, each=7)
    row = ParentOrder.objects.get()
    assert (row.route, row.status, row.filled_quantity) == (True, "FILLED", Decimal("2.5"))
    page = get(browser, "p-1/routes/?limit=2")
    assert page["next"]
    newest = page["results"]
    first = get(browser, "p-1/routes/")["results"][-1]
    assert [one["number"] for one in newest] == [len(world.decisions(parent)), len(world.decisions(parent)) - 1]
    assert (first["kind"], first["legs"][0]["filled_quantity"]) == ("PING", "0.9")
    assert first["text"].startswith("Ask the dark venue first: Buy 2.5 at dark, at most 100.01, 0.62 at least.")
    assert [one["symbol"] for one in first["venues"]] == [HOME, BETA, DARK]
    # 0.9 at the middle of 100 with 0.1 % fee, against 100.01 and 100.02 at home.
    assert Decimal(first["saving"]) == Decimal("0.5") * Decimal("0.01") + Decimal("0.4") * Decimal("0.02") + (
        (Decimal("0.5") * Decimal("0.01") + Decimal("0.4") * Decimal("0.02")) * Decimal("0.001") + Decimal("0.09")
    )
    swept = get(browser, "p-1/routes/")["results"][-2]
    rejected = next(leg for leg in swept["legs"] if leg["venue"] == "beta")
    assert (rejected["status"], rejected["detail"], rejected["filled_quantity"]) == ("REJECTED", "no", "0")
    assert sum(
        Decimal(leg["filled_quantity"]) for one in get(browser, "p-1/routes/")["results"] for leg in one["legs"]
    ) == Decimal("2.5")


def test_the_sum_says_what_routing_made_of_a_parent(browser: Browser) -> None:
    world, parent = told()
    project(world)
    summed = get(browser, "p-1/routing/")
    assert (summed["decisions"], summed["pings"], summed["ping_hits"]) == (len(world.decisions(parent)), 2, 1)
    by_venue = {one["venue"]: one for one in summed["venues"]}
    assert by_venue["dark"]["quantity"] == "0.9"
    assert sum(Decimal(one["quantity"]) for one in summed["venues"]) == Decimal("2.5")
    assert Decimal(summed["saving_bps"]) > 0
    assert browser.get("/api/v1/parents/none/routes/").status_code == 404
    orders = browser.get("/api/v1/trading/orders/?parent_id=p-1").json()["results"]
    assert {one["execution_venue"] for one in orders} == {"paper", "beta", "dark"}


def test_stored_decisions_are_made_again_from_rows_and_differences_are_named() -> None:
    world, parent = told()
    project(world)
    number = len(world.decisions(parent))
    assert check_routes() == (number, [])
    done = CliRunner().invoke(routes_command, ["check"])
    assert (done.exit_code, done.output) == (0, f"ok: {number} decisions made again, all as they were\n")
    forged = ParentRoute.objects.get(number=1)
    forged.decision["legs"][0]["lots"] += 1
    forged.save()
    done = CliRunner().invoke(routes_command, ["check"])
    assert done.exit_code == 1
    assert "decision 1 of parent p-1: legs was" in done.output


def test_a_denied_leg_is_a_leg_of_its_decision(browser: Browser) -> None:
    world = World()
    world.rig.top(BETA, 7000, 8000)
    world.start(200)
    world.answer_all()
    project(world)
    denied = Order.objects.get(status="DENIED")
    [decision] = [one for one in get(browser, "p-1/routes/")["results"] if one["number"] == denied.decision["route"]]
    assert "DENIED" in {leg["status"] for leg in decision["legs"]}


def test_a_person_may_ask_for_a_route() -> None:
    order = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "1", "algorithm": "sweep", "route": True}
    request = plan_request(order, BTC, now_ns=1)
    assert (request.route, request.algorithm, request.end) == (True, "sweep", 0)
