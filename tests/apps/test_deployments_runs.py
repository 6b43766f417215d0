"""From release to healthy run and to its end, with a real venue port, real heartbeats and real records."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from django.db import IntegrityError, connection, transaction

from apps.accounts.domain.roles import Role
from apps.accounts.services import stepup
from apps.audit.models import AuditEntry
from apps.core import heartbeats
from apps.core.clock import FrozenClock
from apps.core.context import Context, service_context
from apps.core.errors import Invalid, NotFound, PermissionRefused, StaleVersion, StepUpRequired
from apps.core.models import OutboxMessage
from apps.deployments import models, selectors, services
from apps.deployments.domain.release import Content
from apps.deployments.domain.shares import CapitalTaken
from apps.deployments.rows import release_row
from apps.deployments.services import checks
from apps.deployments.services.runs import RunActive
from apps.fleet import services as fleet
from apps.policies import services_publications as policies
from apps.trading import services as trading
from apps.trading.domain.states import at
from tests.factories import journal
from tests.factories.people import Person, make_person
from workers.engine import events as ev

pytestmark = pytest.mark.django_db
MODEL = "ab" * 32
HALF = Decimal("0.5")
SETUP = service_context("bootstrap")
CLOCK = FrozenClock(at(journal.START))
CTX = service_context("deployments", clock=CLOCK)


@pytest.fixture(autouse=True)
def clock() -> None:
    CLOCK.at = at(journal.START)


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Commands that would have gone to the broker; the test takes the steps itself."""
    found: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(
        "apps.core.dispatch.current_app.send_task", lambda name, kwargs, **_: found.append((name, kwargs))
    )
    return found


class Ping(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: Any, **kwargs: Any) -> None:
        """Tests are quiet."""


@pytest.fixture
def venue_port(settings: Any) -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Ping) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        settings.GEKKO_VENUE_URL = f"http://127.0.0.1:{server.server_port}"
        yield server
        server.shutdown()
        thread.join()


def beat(url: str, name: str, **detail: Any) -> None:
    value = {"name": name, "pid": 1, "ts": CLOCK.now().timestamp(), "detail": detail}
    with redis.Redis.from_url(url) as client:
        client.hset(heartbeats.KEY, name, json.dumps(value))


@pytest.fixture
def desk(valkey_url: str, venue_port: HTTPServer) -> None:
    """Everything that a run needs."""
    trading.ensure_venue(SETUP, name="paper", mode="paper")
    policies.ensure_default_limits(SETUP)
    gpu, node = service_context("gpu"), uuid4()
    fleet.register_node(gpu, node_id=node, hostname="desk", os="Linux", region="local", version="0")
    probe = fleet.DeviceReport(
        kind="cpu", index=0, name="a CPU", memory_bytes=None, unified=False, backend_version="t", degraded=False,
        checks=(fleet.Check(name="known product", ok=True, detail="", seconds=0.01),),
    )  # fmt: skip
    fleet.record_probe(gpu, node_id=node, devices=[probe])
    fleet.register_model(gpu, digest=MODEL, name="nhits", kind="nhits", config={}, metrics={}, data=[], size_bytes=1)
    fleet.record_load(gpu, node_id=node, kind="cpu", index=0, digest=MODEL, golden_ok=True, warm_ms=1.0)
    fleet.mark_ready(gpu, digest=MODEL)
    beat(valkey_url, "execution")


def release(ctx: Context = SETUP, **changes: Any) -> models.Release:
    content: dict[str, Any] = {
        "strategy": "forecast_portfolio",
        "params": {"gross": "0.5"},
        "model_digest": MODEL,
        "limits_version": 1,
        "instruments": ["BTCUSDT", "ETHUSDT"],
    }
    return services.create_release(ctx, **{**content, **changes})


def started(**changes: Any) -> models.Run:
    return services.start_run(
        service_context("bootstrap", clock=CLOCK), release_id=release(**changes).pk, venue="paper", grant=None
    )


def step(run: models.Run) -> models.Run:
    run.refresh_from_db()
    services.advance(CTX, run_id=run.pk, ticket=run.ticket)
    run.refresh_from_db()
    return run


def validated(run: models.Run) -> models.Run:
    for _ in range(5):
        step(run)
    return run


def loop_reports(*events: ev.Journalled) -> None:
    records = journal.records([*journal.opening(), *events])
    trading.project(CTX, worker="w", records=records)


def test_a_run_goes_from_validation_to_healthy_to_stopped(
    desk: None, sent: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        run = validated(started())
    assert run.state == "starting"
    assert [s.state for s in run.steps.all()] == ["passed"] * 5
    evidence = {s.name: s.evidence for s in run.steps.all()}
    assert evidence["model_ready"]["devices"] == ["cpu:0"]
    assert evidence["venue_reachable"]["status"] == 200
    assert ("gekko.execution.start_run", {"plan": run.plan}) in sent
    assert selectors.desired_runs("paper") == [run.plan]
    begun = journal.run_started(str(run.pk))
    loop_reports(begun)
    assert step(run).state == "running"
    trading.project(
        CTX, worker="w", records=journal.records([*journal.opening(), begun, journal.marked(journal.START)])
    )
    assert step(run).state == "healthy"
    assert run.due_at is None
    services.stop_run(make_person("dan", Role.DEPLOYER).context(), run_id=run.pk, reason="end of day")
    assert selectors.desired_runs("paper") == []
    ended = ev.RunStopped(ts=journal.START, run_id=str(run.pk), reason="end of day")
    whole = [*journal.opening(), begun, journal.marked(journal.START), ended]
    trading.project(CTX, worker="w", records=journal.records(whole))
    assert step(run).state == "stopped"
    audited = AuditEntry.objects.filter(object_type="run").order_by("seq").values_list("event", flat=True)
    assert [name.rsplit(".", 1)[1] for name in audited] == [
        "requested", "validating", "starting", "running", "healthy", "stopping", "stopped",
    ]  # fmt: skip


def test_an_exchange_is_reachable_when_the_worker_that_speaks_to_it_says_so(
    desk: None, valkey_url: str, settings: Any
) -> None:
    run = started()
    settings.GEKKO_MODE = "live"
    for connected, outcome in ((False, "waiting"), (True, "passed")):
        beat(valkey_url, "execution", phase="trading", connected=connected)
        found = checks.perform("venue_reachable", run, CLOCK.now())
        assert (found.outcome, found.evidence["phase"]) == (outcome, "trading")
    with redis.Redis.from_url(valkey_url) as client:
        client.hdel(heartbeats.KEY, "execution")
    assert checks.perform("venue_reachable", run, CLOCK.now()).detail.endswith("shows no heartbeat")


def test_what_is_missing_is_waited_for_and_then_failed(desk: None, valkey_url: str) -> None:
    with redis.Redis.from_url(valkey_url) as client:
        client.hdel(heartbeats.KEY, "execution")
    run = validated(started())
    assert (run.state, run.steps.order_by("-position")[0].detail) == (
        "validating",
        "the execution worker shows no heartbeat",
    )
    version = run.version
    assert step(run).version == version, "the same finding is not news"
    CLOCK.advance(minutes=11)
    assert step(run).state == "failed"
    assert "validation took too long" in run.detail
    signal = OutboxMessage.objects.get(topic="signals")
    assert signal.data["kind"] == "deployment_failed"
    started()


def test_what_can_never_pass_fails_at_once(desk: None) -> None:
    run = step(started(model_digest="cd" * 32))
    run = step(step(run))
    assert (run.state, run.detail) == ("failed", "no model cdcdcdcdcdcd is registered")
    assert not selectors.active_runs("paper")
    assert not models.TradedInstrument.objects.exists(), "what it would have traded is free again"


def test_a_late_or_repeated_task_does_nothing(desk: None) -> None:
    run = started()
    old = run.ticket
    assert services.advance(CTX, run_id=run.pk, ticket=old) is not None
    assert services.advance(CTX, run_id=run.pk, ticket=old) is None
    assert services.advance(CTX, run_id=uuid4(), ticket=old) is None
    run.refresh_from_db()
    assert run.steps.filter(state="passed").count() == 1


def test_the_auditor_takes_a_step_whose_task_was_lost(desk: None) -> None:
    run = started()
    assert services.audit_overdue(CTX) == 0
    CLOCK.advance(seconds=16)
    assert services.audit_overdue(CTX) == 1
    run.refresh_from_db()
    assert run.steps.filter(state="passed").count() == 1


def test_a_run_that_nobody_takes_up_fails(desk: None) -> None:
    run = validated(started())
    assert step(run).state == "starting"
    CLOCK.advance(seconds=61)
    assert (step(run).state, run.detail) == ("failed", "the execution worker did not take it up in time")


def test_a_healthy_run_survives_a_restart_of_its_worker(desk: None) -> None:
    run = validated(started())
    begun, mark = journal.run_started(str(run.pk)), journal.marked(journal.START)
    loop_reports(begun, mark)
    assert step(step(run)).state == "healthy"
    CLOCK.advance(minutes=30)
    assert services.audit_overdue(CTX) == 1
    run.refresh_from_db()
    assert (run.state, run.detail.startswith("the loop last valued")) == ("running", True)
    assert step(run).state == "running", "what was healthy is waited for, and stays wanted"
    later = journal.marked(journal.START + 1800 * journal.SECOND)
    trading.project(CTX, worker="w", records=journal.records([*journal.opening(), begun, mark, later]))
    assert step(run).state == "healthy"


def test_stopping_ends_even_when_the_worker_is_dead(desk: None, valkey_url: str) -> None:
    run = validated(started())
    loop_reports(journal.run_started(str(run.pk)))
    step(run)
    services.stop_run(service_context("bootstrap", clock=CLOCK), run_id=run.pk, reason="x")
    assert step(run).state == "stopping"
    CLOCK.advance(seconds=31)
    assert (step(run).state, run.detail) == ("stopped", "the execution worker is not running, so nothing runs it")
    assert services.stop_run(SETUP, run_id=run.pk, reason="again").state == "stopped"


def test_releases_are_named_by_their_content(desk: None) -> None:
    first = release()
    assert release().pk == first.pk
    assert release(params={"gross": "0.6"}).digest != first.digest
    with pytest.raises(Invalid, match="instruments: name at least one"):
        release(instruments=[])
    with pytest.raises(NotFound):
        release(limits_version=9)


def granted_start(who: Person, release_id: UUID) -> models.Run:
    ctx = who.context()
    grant = stepup.grant(ctx, code=who.fresh_code(), action="deployments.start", object_id=str(release_id))
    return services.start_run(ctx, release_id=release_id, venue="paper", grant=grant.pk)


def test_people_start_with_a_fresh_code_and_processes_only_on_paper(desk: None) -> None:
    dan = make_person("dan", Role.DEPLOYER)
    made = release()
    with pytest.raises(StepUpRequired), transaction.atomic():
        services.start_run(dan.context(), release_id=made.pk, venue="paper", grant=None)
    assert granted_start(dan, made.pk).requested_by == "dan"
    trading.ensure_venue(SETUP, name="real", mode="live")
    with pytest.raises(StepUpRequired, match="only a person"), transaction.atomic():
        services.start_run(SETUP, release_id=made.pk, venue="real", grant=None)
    with pytest.raises(PermissionRefused), transaction.atomic():
        services.start_run(make_person().context(), release_id=made.pk, venue="paper", grant=None)


def test_a_stop_of_something_that_moved_on_is_refused(desk: None) -> None:
    run = started()
    with pytest.raises(StaleVersion, match="you saw version 1"), transaction.atomic():
        services.stop_run(SETUP, run_id=run.pk, reason="x", expected_version=1)
    with pytest.raises(Invalid), transaction.atomic():
        services.stop_run(SETUP, run_id=run.pk, reason=" ", expected_version=run.version)


def test_the_database_itself_lets_one_active_run_trade_an_instrument(desk: None) -> None:
    run = started()
    with pytest.raises(IntegrityError, match="traded_once"), transaction.atomic():
        models.TradedInstrument.objects.create(run=run, environment="paper", venue=run.venue, symbol="BTCUSDT")


def test_runs_on_other_instruments_are_active_together(desk: None) -> None:
    first = started(instruments=["BTCUSDT"], capital_share=HALF)
    with pytest.raises(RunActive, match=r"trades BTCUSDT; stop it first, or leave these"), transaction.atomic():
        started(instruments=["BTCUSDT", "ETHUSDT"])
    with pytest.raises(RunActive, match="this release needs bars of 1 s"), transaction.atomic():
        started(instruments=["ETHUSDT"], interval_ns=10**9)
    second = started(instruments=["ETHUSDT"], strategy="ema_cross", params={}, model_digest="", capital_share=HALF)
    assert [run.pk for run in selectors.active_runs("paper")] == [second.pk, first.pk]
    services.stop_run(service_context("bootstrap", clock=CLOCK), run_id=first.pk, reason="x")
    for _ in range(2):
        CLOCK.advance(seconds=31)
        first = step(first)
    assert first.state == "stopped"
    assert [run.pk for run in selectors.active_runs("paper")] == [second.pk]
    assert started(instruments=["BTCUSDT"], capital_share=HALF).state == "validating"


def refused_share(match: str, **changes: Any) -> dict[str, Any]:
    with pytest.raises(CapitalTaken, match=match) as refused, transaction.atomic():
        started(**{"instruments": ["ETHUSDT"], **changes})
    return {"runs": refused.value.fields["runs"], "left": refused.value.fields["left"]}


def test_active_runs_have_no_more_than_the_account_together(desk: None) -> None:
    first = started(instruments=["BTCUSDT"], capital_share=Decimal("0.700000"))
    assert (first.plan["capital_share"], first.release.capital_share) == ("0.7", Decimal("0.7"))
    found = refused_share(r"run 1 has 0.7 of the account's capital; 0.3 is left: give the run a capital share")
    assert found == {"runs": {"1": "0.7"}, "left": "0.3"}
    refused_share(r"0.3 is left, 0.300001 was asked for", capital_share=Decimal("0.300001"))
    assert models.Run.objects.count() == 1
    assert started(instruments=["ETHUSDT"], capital_share=Decimal("0.3")).plan["capital_share"] == "0.3"
    refused_share(r"run 1 has 0.7, run 2 has 0.3 .* nothing is left", instruments=["SOLUSDT"], capital_share=HALF)


def test_the_only_run_has_all_of_the_account(desk: None) -> None:
    made = release(instruments=["BTCUSDT"])
    assert (made.capital_share, release_row(made)["capital_share"]) == (None, None)
    run = started(instruments=["BTCUSDT"])
    assert run.plan["capital_share"] == "1"
    refused_share("run 1 has 1 of the account's capital; nothing is left", capital_share=HALF)
    run.plan.pop("capital_share")
    run.save()
    refused_share("run 1 has 1 of", capital_share=HALF)


def test_a_share_is_part_of_the_release_and_audited(desk: None) -> None:
    plain, half = release(), release(capital_share=HALF)
    assert half.pk != plain.pk
    assert release(capital_share=Decimal("0.50")).pk == half.pk
    half.refresh_from_db()
    assert release_row(half)["capital_share"] == "0.5"
    told = AuditEntry.objects.filter(event="deployments.release.created", object_id=str(half.pk)).get()
    assert (told.after or {})["capital_share"] == "0.5"
    for wrong in ("0", "-0.5", "1.01", "0.0000001", "NaN"):
        with pytest.raises(Invalid, match="capital_share: expected a number above 0 and up to 1"):
            release(capital_share=Decimal(wrong))


def test_a_release_without_a_share_keeps_the_digest_that_it_had() -> None:
    content = Content(
        strategy="ema_cross", params={}, model_digest="", limits_version=1, limits_digest="ab", instruments=["BTCUSDT"],
        interval_ns=10**9,
    )  # fmt: skip
    before = {name: getattr(content, name) for name in (
        "strategy", "params", "model_digest", "limits_version", "limits_digest", "instruments", "interval_ns",
    )}  # fmt: skip
    text = json.dumps(before, sort_keys=True, separators=(",", ":"))
    assert content.digest == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.django_db(transaction=True)
def test_fifty_starts_at_once_make_one_active_run(desk: None) -> None:
    made = release()

    def start(_: int) -> str:
        try:
            services.start_run(SETUP, release_id=made.pk, venue="paper", grant=None)
        except RunActive:
            return "refused"
        finally:
            connection.close()
        return "started"

    with ThreadPoolExecutor(10) as pool:
        outcomes = list(pool.map(start, range(50)))
    assert outcomes.count("started") == 1
    assert models.Run.objects.count() == 1


def test_snapshot_plus_messages_is_a_fresh_snapshot(desk: None) -> None:
    run = started()
    since = OutboxMessage.objects.order_by("id").last()
    held = dict(selectors.snapshot("paper"))
    validated(run)
    CLOCK.advance(seconds=61)
    step(run)
    started(params={})
    for message in OutboxMessage.objects.filter(topic="deployments", id__gt=since.id if since else 0).order_by("id"):
        held[message.key] = message.data
    assert held == dict(selectors.snapshot("paper"))


@pytest.fixture(autouse=True)
def forget_heartbeats(valkey_url: str) -> Iterator[None]:
    yield
    with redis.Redis.from_url(valkey_url) as client:
        client.delete(heartbeats.KEY)


def test_a_killed_worker_changes_no_outcome(desk: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails inside a step, nothing of it stays, and the same ticket takes it again."""
    module = import_module("apps.deployments.services.advance")
    run = started()
    for broken in ("save_and_publish", "book_next"):
        run.refresh_from_db()
        with monkeypatch.context() as patch:
            patch.setattr(module, broken, lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                services.advance(CTX, run_id=run.pk, ticket=run.ticket)
        before = run.ticket
        run.refresh_from_db()
        assert run.ticket == before
        assert step(run).ticket != before
    assert run.steps.filter(state="passed").count() == 2
