"""Environment variables: a bad value is named; production refuses what is unsafe."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from controlplane import environment, secrets

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("raw", "message"), [("http", "whole number, was 'http'"), ("70000", "was 70000"), ("-1", "was -1")]
)
def test_a_bad_port_is_named(monkeypatch: pytest.MonkeyPatch, raw: str, message: str) -> None:
    monkeypatch.setenv("GEKKO_WEB_PORT", raw)
    with pytest.raises(ImproperlyConfigured, match=rf"GEKKO_WEB_PORT must be .*{message}"):
        environment.port("GEKKO_WEB_PORT", 8000)


def test_a_bad_flag_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEKKO_X", "maybe")
    with pytest.raises(ImproperlyConfigured, match="GEKKO_X must be true or false, was 'maybe'"):
        environment.flag("GEKKO_X", default=False)


def test_a_secret_is_made_once_even_by_two_processes_at_a_time(tmp_path: Path) -> None:
    seen: list[str] = []
    threads = [threading.Thread(target=lambda: seen.append(secrets.text_secret(tmp_path, "one"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o600


def deploy_check(tmp_path: Path, **variables: str) -> str:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("GEKKO_", "DJANGO_", "DATABASE"))
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy"],
        cwd=ROOT,
        env={
            **clean,
            "GEKKO_STATE_DIR": str(tmp_path),
            "DJANGO_SETTINGS_MODULE": "controlplane.settings.prod",
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{done.returncode} {done.stdout}{done.stderr}"


def test_production_refuses_defaults_made_for_one_machine(tmp_path: Path) -> None:
    said = deploy_check(tmp_path, GEKKO_ALLOWED_HOSTS="*")
    assert said.startswith("1 ")
    for name in ("GEKKO_SECRET_KEY is not set", "DATABASE_URL is not set", "REDIS_URL is not set", "contains *"):
        assert name in said


def test_production_accepts_an_explicit_configuration(tmp_path: Path) -> None:
    said = deploy_check(
        tmp_path,
        GEKKO_SECRET_KEY="x7" * 40,
        GEKKO_ALLOWED_HOSTS="desk.example",
        DATABASE_URL="postgresql://gekko:word@db.example:5432/gekko?sslmode=verify-full",
        REDIS_URL="rediss://:word@cache.example:6379/0",
    )
    assert said.startswith("0 "), said
    assert "gekko.E" not in said


def test_live_trading_needs_production_settings(tmp_path: Path) -> None:
    said = deploy_check(tmp_path, DJANGO_SETTINGS_MODULE="controlplane.settings.dev", GEKKO_MODE="live")
    assert "gekko.E002" in said
