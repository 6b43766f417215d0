"""What a new user meets: one command, one screen, a desk that trades."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx
import pytest

from tests.support.desk import Desk
from tests.support.stack import Stack, eventually
from tests.support.truth import Checker

pytestmark = pytest.mark.stack


def test_the_screen_says_where_who_what_and_how_to_stop(stack: Stack) -> None:
    screen = " ".join(stack.screen.split())
    told = stack.credentials()
    for word in (stack.web_url, told["username"], told["password"], "otpauth://totp/", "SYNTHETIC", "PAPER", "Ctrl-C"):
        assert word in screen, f"{word} is not on the screen:\n{stack.screen}"
    assert stat.S_IMODE(stack.credentials_path.stat().st_mode) == 0o600


def test_profit_moves_within_seconds_and_orders_and_fills_arrive(desk: Desk) -> None:
    def moves() -> bool:
        series = desk.get("trading/pnl/")["equity"]
        return len(series) >= 2 and len(set(series)) >= 2

    eventually(moves, "equity moves", 30)
    eventually(lambda: desk.get("trading/fills/")["results"], "a fill", 90)
    order = desk.get("trading/orders/")["results"][0]
    assert order["model_digest"]
    assert order["limits_version"] == 1
    account = desk.get("trading/account/")
    assert account["control"]["observed_state"] == "ACTIVE"
    assert {feed["state"] for feed in account["feeds"]} == {"LIVE"}


def test_the_deployment_is_healthy_and_the_fleet_shows_a_device(desk: Desk) -> None:
    run = desk.active_run()
    assert run is not None
    assert run["state"] == "healthy"
    assert {step["state"] for step in run["steps"]} == {"passed"}
    assert desk.get("fleet/devices/")["results"]
    assert desk.get("fleet/models/")["results"]


def test_every_process_answers_for_its_health(stack: Stack) -> None:
    for name, url in stack.process_urls.items():
        for path in ("/healthz", "/metrics"):
            answer = httpx.get(f"{url}{path}", timeout=10)
            assert answer.status_code == 200, f"{name}{path}: {answer.status_code}"

        def ready(url: str = url) -> bool:
            return httpx.get(f"{url}/readyz", timeout=10).status_code == 200

        eventually(ready, f"{name} is ready", 20)


def test_books_agree_with_the_venue_to_the_last_digit(checker: Checker) -> None:
    checker.nothing_lost()


def test_no_log_holds_a_secret(stack: Stack) -> None:
    assert len(stack.secrets()) > len(stack.credentials()["recovery_codes"]) + 4
    assert list((stack.state / "logs").iterdir())
    assert not stack.leaks()


def refused(stack: Stack) -> str:
    """The one line of a ``gekko up`` that cannot start."""
    ended = stack.run("up")
    assert ended.returncode == 1, ended.stdout
    said = " ".join(ended.stdout.split())
    assert "Traceback" not in ended.stdout + ended.stderr
    return said


def test_a_second_supervisor_on_the_same_folder_is_refused(stack: Stack) -> None:
    assert "already runs from" in refused(stack)
    assert httpx.get(f"{stack.web_url}/healthz").status_code == 200


def test_a_port_in_use_is_named_with_its_variable(stack: Stack, tmp_path: Path) -> None:
    said = refused(Stack(tmp_path / "other", base=stack.base))
    assert f"port {stack.base} is in use" in said
    assert "GEKKO_WEB_PORT=" in said


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text(json.dumps("no folder"))
    said = refused(Stack(place / "state"))
    assert f"cannot write to {place / 'state'}" in said
    assert "GEKKO_STATE_DIR" in said
