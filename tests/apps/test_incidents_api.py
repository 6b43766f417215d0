"""Incidents, deployments and limits over HTTP: versions, keys, problems."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.domain.roles import Role
from apps.core.context import service_context
from apps.deployments import models as deployments
from apps.deployments import rows as deployment_rows
from apps.deployments.api.serializers import ReleaseSerializer, RunSerializer
from apps.incidents import services
from apps.incidents.api.serializers import IncidentSerializer
from apps.incidents.models import Incident
from apps.incidents.rows import incident_row
from apps.policies.api.serializers import LimitsSerializer
from apps.policies.domain.limits import default_limits
from apps.policies.rows import limits_row
from apps.policies.services_publications import ensure_default_limits
from apps.trading.services import ensure_venue
from tests.factories.people import Browser, Person, make_person, signed_in

pytestmark = pytest.mark.django_db
SETUP = service_context("bootstrap")


def raised(fingerprint: str = "f") -> Incident:
    return services.open_incident(
        service_context("incidents"), kind="feed_stale", fingerprint=fingerprint, severity="warning", title="t",
        detail="d", source="s",
    )  # fmt: skip


@pytest.fixture
def operator() -> Browser:
    return signed_in(make_person("ann", Role.OPERATOR))


def stepped(browser: Browser, who: Person, action: str, object_id: str) -> str:
    answer = browser.send("/api/v1/auth/step-up/", {"code": who.fresh_code(), "action": action, "object_id": object_id})
    return str(answer.json()["grant"])


def test_acknowledging_needs_the_version_that_was_seen(operator: Browser) -> None:
    path = f"/api/v1/incidents/{raised().pk}/"
    etag = operator.get(path).headers["ETag"]
    bare = operator.send(path + "acknowledge/", {"comment": "mine"})
    assert (bare.status_code, bare.json()["code"]) == (428, "precondition_missing")
    taken = operator.send(path + "acknowledge/", {"comment": "mine"}, **{"If-Match": etag})
    assert (taken.status_code, taken.json()["state"], taken.headers["ETag"]) == (200, "acknowledged", '"2"')
    other = signed_in(make_person("bob", Role.OPERATOR))
    late = other.send(path + "acknowledge/", {"comment": "mine"}, **{"If-Match": etag})
    assert (late.status_code, late.json()["code"]) == (412, "stale_version")
    assert late.json()["fields"]["by"] == "ann"
    noted = other.send(path + "notes/", {"text": "cable"})
    resolved = other.send(path + "resolve/", {"comment": "replaced"}, **{"If-Match": noted.headers["ETag"]})
    assert (resolved.status_code, [line["kind"] for line in resolved.json()["timeline"]]) == (
        200,
        ["opened", "acknowledged", "noted", "resolved"],
    )


def test_incidents_are_filtered_and_paged(operator: Browser) -> None:
    for number in range(7):
        raised(f"f{number}")
    page = operator.get("/api/v1/incidents/?limit=3&open=true&severity=warning").json()
    assert [incident["number"] for incident in page["results"]] == [7, 6, 5]
    assert [i["number"] for i in operator.get(page["next"]).json()["results"]] == [4, 3, 2]
    assert operator.get("/api/v1/incidents/?open=false").json()["results"] == []
    assert operator.get("/api/v1/incidents/not-a-uuid/").status_code == 404


def test_a_page_takes_few_queries_however_long_it_is(operator: Browser) -> None:
    ensure_venue(SETUP, name="paper", mode="paper")
    release = deployments.Release.objects.create(
        number=1, limits_version=1, interval_ns=1, digest="d", created_at=SETUP.now()
    )
    for number in range(20):
        raised(f"f{number}")
        deployments.Run.objects.create(
            number=number, release=release, venue_id="paper", created_at=SETUP.now(), changed_at=SETUP.now()
        )
    for path in ("incidents", "deployments/runs"):
        operator.get(f"/api/v1/{path}/")
        with CaptureQueriesContext(connection) as queries:
            assert len(operator.get(f"/api/v1/{path}/").json()["results"]) == 20
        assert len(queries) <= 8, [query["sql"] for query in queries]


def test_a_viewer_reads_and_changes_nothing() -> None:
    viewer = signed_in(make_person("vic"))
    incident = raised()
    path = f"/api/v1/incidents/{incident.pk}/"
    assert viewer.get(path).status_code == 200
    refused = viewer.send(path + "acknowledge/", {}, **{"If-Match": '"1"'})
    assert (refused.status_code, refused.json()["fields"]["capability"]) == (403, "incidents.acknowledge")


def test_limits_are_drafted_replaced_and_published() -> None:
    rita = make_person("rita", Role.RISK_OFFICER)
    browser = signed_in(rita)
    wrong = browser.send("/api/v1/policies/limits/", {"limits": {**default_limits(), "burst": -1}})
    assert (wrong.status_code, wrong.json()["fields"]) == (400, {"burst": ["expected 1 to 1000, was -1"]})
    made = browser.send("/api/v1/policies/limits/", {"limits": default_limits(), "note": "first"})
    assert (made.status_code, made.json()["number"], made.headers["ETag"]) == (201, 1, '"1"')
    changed = browser.send(
        "/api/v1/policies/limits/1/", {"limits": {**default_limits(), "burst": 7}}, method="PUT", **{"If-Match": '"1"'}
    )
    assert (changed.status_code, changed.json()["limits"]["burst"]) == (200, 7)
    stale = browser.send(
        "/api/v1/policies/limits/1/", {"limits": default_limits()}, method="PUT", **{"If-Match": '"1"'}
    )
    assert stale.status_code == 412
    grant = stepped(browser, rita, "policies.publish", f"1:{changed.json()['digest']}")
    assert browser.send("/api/v1/policies/limits/1/publish/", {"grant": grant}).json()["state"] == "active"
    assert browser.get("/api/v1/policies/limits/?state=active").json()["results"][0]["number"] == 1
    assert browser.get("/api/v1/policies/limits/1/").json()["signature"]


def test_a_release_is_made_started_and_stopped() -> None:
    ensure_venue(SETUP, name="paper", mode="paper")
    ensure_default_limits(SETUP)
    dan = make_person("dan", Role.DEPLOYER)
    browser = signed_in(dan)
    content = {"strategy": "forecast_portfolio", "limits_version": 1, "instruments": ["BTCUSDT"]}
    release = browser.send("/api/v1/deployments/releases/", content).json()
    assert browser.send("/api/v1/deployments/releases/", content).json()["id"] == release["id"]
    half = browser.send("/api/v1/deployments/releases/", {**content, "capital_share": "0.50"}).json()
    assert (release["capital_share"], half["capital_share"]) == (None, "0.5")
    wrong = browser.send("/api/v1/deployments/releases/", {**content, "capital_share": "1.5"})
    assert (wrong.status_code, "up to 1" in wrong.json()["detail"]) == (400, True), wrong.content
    grant = stepped(browser, dan, "deployments.start", release["id"])
    run = browser.send("/api/v1/deployments/runs/", {"release": release["id"], "grant": grant})
    assert (run.status_code, run.json()["state"], run.json()["actions"]) == (201, "validating", ["stop"]), run.content
    grant = stepped(browser, dan, "deployments.start", release["id"])
    second = browser.send("/api/v1/deployments/runs/", {"release": release["id"], "grant": grant})
    assert (second.status_code, second.json()["code"]) == (409, "run_active")
    path = f"/api/v1/deployments/runs/{run.json()['id']}/"
    assert browser.get(path).json()["steps"][0]["name"] == "limits_active"
    stopped = browser.send(path + "stop/", {"reason": "enough"}, **{"If-Match": run.headers["ETag"]})
    assert (stopped.status_code, stopped.json()["state"]) == (200, "stopping")
    rows = browser.get("/api/v1/deployments/runs/?state=stopping").json()["results"]
    assert rows[0]["stop_reason"] == "enough"


def test_serializers_describe_exactly_the_rows() -> None:
    ensure_venue(SETUP, name="paper", mode="paper")
    limits = ensure_default_limits(SETUP)
    release = deployments.Release(created_at=SETUP.now())
    run = deployments.Run(release=release, venue_id="paper", created_at=SETUP.now(), changed_at=SETUP.now())
    pairs: list[tuple[Any, dict[str, Any]]] = [
        (IncidentSerializer, incident_row(raised())),
        (LimitsSerializer, limits_row(limits)),
        (ReleaseSerializer, deployment_rows.release_row(release)),
        (RunSerializer, deployment_rows.run_row(run)),
    ]
    for kind, row in pairs:
        assert set(kind().fields) == set(row), kind
