"""Reading the fleet over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.core.context import service_context
from apps.fleet import services
from apps.fleet.services import Check, DeviceReport
from tests.factories.people import make_person, signed_in

pytestmark = pytest.mark.django_db
DIGEST = "ab" * 32
Ask = Callable[..., Any]


@pytest.fixture
def fleet() -> UUID:
    """Two machines with a CPU each, and a model that is ready on one."""
    ctx = service_context("gpu")
    report = DeviceReport(
        kind="cpu", index=0, name="a CPU", memory_bytes=None, unified=False, backend_version="torch", degraded=False,
        checks=(Check(name="known product", ok=True, detail="", seconds=0.01),),
    )  # fmt: skip
    nodes = [uuid4(), uuid4()]
    for number, node in enumerate(nodes):
        services.register_node(ctx, node_id=node, hostname=f"desk{number}", os="Linux", region="us-east", version="0")
        services.record_probe(ctx, node_id=node, devices=[report])
        services.heartbeat(ctx, node_id=node, telemetry={("cpu", 0): {"power_w": None}})
    services.register_model(
        ctx, digest=DIGEST, name="nhits", kind="nhits", config={}, metrics={"skill_mse": -0.1}, data=[], size_bytes=9
    )
    services.record_load(ctx, node_id=nodes[0], kind="cpu", index=0, digest=DIGEST, golden_ok=True, warm_ms=1.5)
    services.mark_ready(ctx, digest=DIGEST)
    return nodes[0]


@pytest.fixture
def viewer() -> Client:
    return signed_in(make_person())


def test_nodes_devices_and_models_are_listed(fleet: UUID, viewer: Client) -> None:
    nodes = viewer.get("/api/v1/fleet/nodes/").json()["results"]
    assert {node["hostname"] for node in nodes} == {"desk0", "desk1"}
    devices = viewer.get("/api/v1/fleet/devices/").json()["results"]
    assert devices[0]["telemetry"]["values"] == {"power_w": None}
    assert devices[0]["memory_bytes"] is None
    [model] = viewer.get("/api/v1/fleet/models/").json()["results"]
    assert (model["state"], model["metrics"]["skill_mse"]) == ("ready", -0.1)
    assert model["loads"][0]["golden_ok"] is True


def test_single_records_are_found_by_id_and_digest(fleet: UUID, viewer: Client) -> None:
    assert viewer.get(f"/api/v1/fleet/nodes/{fleet}/").json()["state"] == "online"
    assert viewer.get(f"/api/v1/fleet/models/{DIGEST}/").json()["name"] == "nhits"


@pytest.mark.parametrize("path", ["nodes/none/", f"nodes/{UUID(int=4)}/", "models/none/", "devices/1/"])
def test_what_is_not_there_is_not_found(fleet: UUID, viewer: Client, path: str) -> None:
    assert viewer.get(f"/api/v1/fleet/{path}").status_code == 404


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("nodes/?state=online", 2),
        ("nodes/?state=lost", 0),
        ("devices/?kind=cpu", 2),
        ("devices/?health=failed", 0),
        ("models/?name=other", 0),
        ("models/?state=ready", 1),
        ("nodes/?limit=1", 1),
    ],
)
def test_lists_are_narrowed(fleet: UUID, viewer: Client, query: str, count: int) -> None:
    assert len(viewer.get(f"/api/v1/fleet/{query}").json()["results"]) == count


def test_a_filter_value_that_cannot_be_is_refused(fleet: UUID, viewer: Client) -> None:
    answer = viewer.get("/api/v1/fleet/nodes/?state=asleep")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["nodes/", "devices/", "models/"])
def test_strangers_see_nothing(fleet: UUID, client: Client, path: str) -> None:
    assert client.get(f"/api/v1/fleet/{path}").status_code == 401


@pytest.mark.parametrize("path", ["nodes/", "devices/", "models/"])
def test_nothing_is_written_over_the_api(fleet: UUID, viewer: Any, path: str) -> None:
    assert viewer.send(f"/api/v1/fleet/{path}").status_code == 405


def test_a_list_takes_the_same_queries_for_more_rows(fleet: UUID, viewer: Client) -> None:
    def queries(limit: int) -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            viewer.get(f"/api/v1/fleet/devices/?limit={limit}")
        return len(seen)

    queries(1)
    assert queries(1) == queries(2)
