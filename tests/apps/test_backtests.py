"""Backtests asked of the control plane: asked, taken, done, cancelled, lost, searched, read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.domain.roles import Role
from apps.audit.models import AuditEntry
from apps.core.clock import FrozenClock
from apps.core.context import service_context
from apps.core.errors import IllegalTransition, Invalid, PermissionRefused
from apps.core.models import OutboxMessage
from apps.trading import selectors_backtests
from apps.trading.models.backtests import Backtest, BacktestState
from apps.trading.selectors_backtests import data_names, trials_of
from apps.trading.services import backtests as services
from tests.factories.people import make_person, signed_in
from tests.support.backtests import columns
from workers.backtest import load_bars, run
from workers.live import backtests as host

pytestmark = pytest.mark.django_db
WORKER = service_context("backtest")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with one file of bars, and an empty store."""
    (tmp_path / "bars").mkdir()
    frame = pd.DataFrame(columns(600))
    frame["timestamp"] = pd.to_datetime(frame["timestamp"])
    frame.to_csv(tmp_path / "bars" / "synusd.csv", index=False)
    settings.GEKKO_DATA = tmp_path
    monkeypatch.setenv("GEKKO_STORE", str(tmp_path / "store"))
    return tmp_path


def ask(ctx: Any = WORKER, **changes: Any) -> Backtest:
    order = {"strategy": "ema_cross", "data": "bars/synusd.csv", "params": {"fast": 5}, "settings": {}, **changes}
    return services.request_backtest(ctx, **order)


def kinds() -> list[str]:
    return list(OutboxMessage.objects.filter(topic="backtests").order_by("id").values_list("kind", flat=True))


def test_a_run_comes_to_the_result_that_it_has_on_the_command_line(folder):
    asked = ask(settings={"fee_bps": "5", "seed": 3})
    assert host.work(WORKER, str(asked.pk)) == BacktestState.DONE
    done = Backtest.objects.get(pk=asked.pk)
    here = run(
        "ema_cross",
        load_bars(folder / "bars" / "synusd.csv"),
        {"fast": 5},
        taker_fee="0.0005",
        maker_fee="0.0005",
        seed=3,
    )
    assert (done.fingerprint, done.inputs) == (here.fingerprint, here.inputs)
    assert done.summary is not None
    assert done.summary["trades"] == len(here.closed) > 0
    assert kinds() == ["backtest.requested", "backtest.started", "backtest.done"]
    events = AuditEntry.objects.filter(object_id=str(asked.pk)).order_by("seq").values_list("event", flat=True)
    assert list(events) == ["trading.backtest.requested", "trading.backtest.finished"]


def test_the_command_and_the_workers_mean_the_same_inputs():
    from workers.backtest.__main__ import config_of, main

    asked = main.make_context("backtest", ["ema_cross", "--data", "x", "--fee-bps", "5", "--latency-ms", "3"]).params
    over_http = {"capital": "100000.00000000", "fee_bps": "5.0000", "latency_ms": 3.0}
    assert config_of(asked).digest("data") == host.config_of("ema_cross", {}, over_http).digest("data")


def test_a_message_that_comes_twice_finds_the_run_taken_or_over():
    asked = ask()
    assert services.begin(WORKER, run_id=asked.pk) is not None
    assert services.begin(WORKER, run_id=asked.pk) is None
    services.fail(WORKER, run_id=asked.pk, attempt=1, detail="test")
    assert host.work(WORKER, str(asked.pk)) == BacktestState.FAILED


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": "nothing.csv"}, "no data named 'nothing.csv'; known are bars/synusd.csv"),
        ({"data": "../../etc/passwd"}, "no data named"),
        ({"settings": {"start": "2030-01-01"}}, "no bar of"),
        ({"strategy": "forecast_portfolio", "params": {}}, "give a forecaster"),
    ],
)
def test_a_run_that_cannot_be_done_says_why(changes, words):
    asked = ask(**changes)
    assert host.work(WORKER, str(asked.pk)) == BacktestState.FAILED
    assert words in Backtest.objects.get(pk=asked.pk).detail


@pytest.mark.parametrize("changes", [{"strategy": "nothing"}, {"params": {"fast": 0}}, {"params": {"quick": 3}}])
def test_what_no_strategy_can_be_is_refused_at_once(changes):
    with pytest.raises(Invalid):
        ask(**changes)
    assert not Backtest.objects.exists()


def test_cancelling_before_and_during_a_run(monkeypatch):
    waiting, running = ask(), ask()
    assert services.cancel_backtest(WORKER, run_id=waiting.pk).state == BacktestState.CANCELLED
    assert host.work(WORKER, str(waiting.pk)) == BacktestState.CANCELLED
    monkeypatch.setattr(host, "REPORT_EVERY_S", 0.0)
    reported = services.report_progress

    def cancel_then_report(ctx: Any, **words: Any) -> bool:
        if not Backtest.objects.get(pk=running.pk).cancel_requested:
            services.cancel_backtest(ctx, run_id=running.pk)
        return reported(ctx, **words)

    monkeypatch.setattr(services, "report_progress", cancel_then_report)
    assert host.work(WORKER, str(running.pk)) == BacktestState.CANCELLED
    with pytest.raises(IllegalTransition, match="is cancelled already"):
        services.cancel_backtest(WORKER, run_id=running.pk)


def test_a_run_whose_worker_is_lost_is_given_to_another_and_not_for_ever(django_capture_on_commit_callbacks):
    clock = FrozenClock()
    ctx = service_context("backtest", clock=clock)
    asked = ask(ctx)
    for attempt in range(1, services.MOST_ATTEMPTS + 1):
        taken = services.begin(ctx, run_id=asked.pk)
        assert taken is not None
        assert taken.attempts == attempt
        assert services.resend_overdue(ctx) == 0
        clock.advance(seconds=61)
        assert services.resend_overdue(ctx) == 1
    lost = Backtest.objects.get(pk=asked.pk)
    assert (lost.state, lost.detail) == (BacktestState.FAILED, "its worker was lost 3 times")
    assert AuditEntry.objects.filter(object_id=str(asked.pk), event="trading.backtest.failed").count() == 1


def test_a_worker_that_was_taken_for_dead_is_not_heard():
    clock = FrozenClock()
    ctx = service_context("backtest", clock=clock)
    asked = ask(ctx)
    services.begin(ctx, run_id=asked.pk)
    clock.advance(seconds=61)
    assert services.resend_overdue(ctx) == 1
    assert services.resend_overdue(ctx) == 0, "it was sent just now"
    services.begin(ctx, run_id=asked.pk)
    assert not services.report_progress(ctx, run_id=asked.pk, attempt=1, done=0.5)
    assert services.fail(ctx, run_id=asked.pk, attempt=1, detail="x").state == BacktestState.RUNNING
    assert services.report_progress(ctx, run_id=asked.pk, attempt=2, done=0.5)


def test_a_run_that_breaks_fails_with_what_it_raised(monkeypatch):
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("hook")

    monkeypatch.setattr(host, "run", broken)
    search = ask(settings={"ranges": {"fast": "3:15"}, "trials": 1})
    host.work(WORKER, str(search.pk))
    search.refresh_from_db()
    assert (search.state, search.detail) == (BacktestState.FAILED, "every trial failed: ZeroDivisionError: hook")


def test_the_largest_seed_is_taken_and_no_larger_one():
    browser = signed_in(make_person("bob", Role.OPERATOR))
    order = {"strategy": "ema_cross", "data": "bars/synusd.csv", "params": {"fast": 5}, "seed": 2**53}
    taken = browser.send("/api/v1/backtests/", order)
    assert (taken.status_code, taken.json()["settings"]["seed"]) == (202, 2**53)
    assert host.work(WORKER, taken.json()["id"]) == BacktestState.DONE
    refused = browser.send("/api/v1/backtests/", {**order, "seed": 2**53 + 1})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["seed"])


def test_a_search_under_a_large_seed_is_drawn():
    asked = ask(settings={"ranges": {"fast": "3:15"}, "trials": 1, "seed": 2**32 - 1})
    host.work(WORKER, str(asked.pk))
    asked.refresh_from_db()
    assert asked.state == BacktestState.DONE, asked.detail


def test_a_trial_that_is_lost_again_and_again_fails_and_its_search_ends():
    clock = FrozenClock()
    ctx = service_context("backtest", clock=clock)
    asked = ask(ctx, settings={"ranges": {"fast": "3:15"}, "trials": 1})
    for attempt in range(1, services.MOST_ATTEMPTS + 1):
        trial = services.begin_trial(ctx, search_id=asked.pk)
        assert trial is not None
        clock.advance(seconds=30)
        with CaptureQueriesContext(connection) as seen:
            assert services.report_progress(ctx, run_id=trial.pk, attempt=attempt, done=0.5)
        locks = [one["sql"] for one in seen if "FOR UPDATE" in one["sql"]]
        assert [asked.pk.hex in sql.replace("-", "") for sql in locks] == [True, False], "the search comes first"
        assert Backtest.objects.get(pk=asked.pk).heard_at == ctx.now()
        clock.advance(seconds=61)
    assert services.begin_trial(ctx, search_id=asked.pk) is None
    asked.refresh_from_db()
    assert asked.detail == "every trial failed: its worker was lost 3 times"


def test_a_search_that_ends_ends_its_trials():
    asked = ask(settings={"ranges": {"fast": "3:15"}, "trials": 2})
    trial = services.begin_trial(WORKER, search_id=asked.pk)
    assert trial is not None
    services.cancel_backtest(WORKER, run_id=asked.pk)
    assert Backtest.objects.get(pk=trial.pk).state == BacktestState.CANCELLED


def test_a_search_ends_with_its_best_trial():
    asked = ask(
        settings={"ranges": {"fast": "3:15", "slow": "20|40"}, "trials": 4, "metric": "total_return", "seed": 2}
    )
    states = [host.work(WORKER, str(asked.pk)) for _ in range(5)]
    search = Backtest.objects.get(pk=asked.pk)
    assert states[-1] == search.state == BacktestState.DONE
    trials = list(trials_of(asked.pk))
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    best = max(trials, key=lambda trial: trial.score or 0.0)
    assert (search.score, search.fingerprint, search.params) == (best.score, best.fingerprint, best.params)
    assert {trial.params["slow"] for trial in trials} <= {20, 40}
    assert search.progress == 1.0


def test_a_cancelled_search_starts_no_trial():
    asked = ask(settings={"ranges": {"fast": "3:15"}, "trials": 4})
    host.work(WORKER, str(asked.pk))
    services.cancel_backtest(WORKER, run_id=asked.pk)
    assert host.work(WORKER, str(asked.pk)) == BacktestState.CANCELLED
    assert trials_of(asked.pk).count() == 1


def test_names_of_data_are_bounded_however_many_files_there_are(folder, monkeypatch):
    for number in range(30):
        (folder / "bars" / f"a{number:02}.csv").touch()
    (folder / "ohlcv" / "deep").mkdir(parents=True)
    (folder / "ohlcv" / "deep" / "z.parquet").touch()
    assert len(data_names()) == 32
    monkeypatch.setattr(selectors_backtests, "DATA_NAMES", 5)
    assert data_names() == [f"bars/a{number:02}.csv" for number in range(5)]
    ask()
    assert data_names()[-1] == "bars/synusd.csv"
    monkeypatch.setattr(selectors_backtests, "LOOKED_AT", 3)
    assert len(data_names()) == 4


class TestOverHttp:
    def test_from_asking_to_the_tear_sheet(self):
        browser = signed_in(make_person("olga", Role.OPERATOR))
        order = {"strategy": "ema_cross", "data": "bars/synusd.csv", "params": {"fast": 5}, "fee_bps": "5"}
        key = "backtest-key-1"
        first, again = (browser.send("/api/v1/backtests/", order, key=key) for _ in range(2))
        assert (first.status_code, again.json()["id"]) == (202, first.json()["id"])
        assert Backtest.objects.count() == 1
        run_id = first.json()["id"]
        assert browser.get(f"/api/v1/backtests/{run_id}/tear-sheet/").status_code == 404
        host.work(WORKER, run_id)
        row = browser.get(f"/api/v1/backtests/{run_id}/").json()
        assert (row["state"], row["has_sheet"], row["trials"]) == ("done", True, [])
        page = browser.get(f"/api/v1/backtests/{run_id}/tear-sheet/")
        assert page.headers["Content-Type"].startswith("text/html")
        assert "sandbox" in page.headers["Content-Security-Policy"]
        assert row["fingerprint"] in page.content.decode()
        listed = browser.get("/api/v1/backtests/?strategy=ema_cross").json()
        assert [one["id"] for one in listed["results"]] == [run_id]
        assert listed["data"] == data_names() == ["bars/synusd.csv"]

    def test_who_only_looks_may_not_run_or_cancel(self):
        asked = ask()
        browser = signed_in(make_person("vic"))
        assert browser.get("/api/v1/backtests/").status_code == 200
        assert browser.send("/api/v1/backtests/", {"strategy": "ema_cross", "data": "x"}).status_code == 403
        assert browser.send(f"/api/v1/backtests/{asked.pk}/cancel/").status_code == 403

    def test_cancelling(self):
        asked = ask()
        browser = signed_in(make_person("olga", Role.OPERATOR))
        answer = browser.send(f"/api/v1/backtests/{asked.pk}/cancel/")
        assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
        assert browser.send(f"/api/v1/backtests/{asked.pk}/cancel/").status_code == 409

    def test_strategies_with_their_parameters(self):
        told = {one["name"]: one for one in signed_in(make_person("vic")).get("/api/v1/strategies/").json()}
        assert {"ema_cross", "forecast_portfolio", "market_making", "mean_reversion"} <= set(told)
        fast = told["ema_cross"]["params"][0]
        assert fast == {"name": "fast", "type": "int", "default": 10, "bounds": "at least 1", "choices": []}


def test_permission_is_asked_in_the_service_too():
    with pytest.raises(PermissionRefused):
        ask(make_person("vic").context())
