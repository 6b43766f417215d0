"""Environment variables: a bad value is named; production refuses what is unsafe."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from controlplane import checks, environment, secrets
from controlplane.venues import OtherVenue

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


SAFE = {
    "GEKKO_SECRET_KEY": "x7" * 40,
    "GEKKO_ALLOWED_HOSTS": "desk.example",
    "DATABASE_URL": "postgresql://gekko:word@db.example:5432/gekko?sslmode=verify-full",
    "REDIS_URL": "rediss://:word@cache.example:6379/0",
}


def production(tmp_path: Path, command: tuple[str, ...], **variables: str) -> str:
    """Exit status and output of ``command`` under production settings."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("GEKKO_", "DJANGO_", "DATABASE"))
    }
    done = subprocess.run(
        command,
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
        timeout=60,
    )
    return f"{done.returncode} {done.stdout}{done.stderr}"


def deploy_check(tmp_path: Path, **variables: str) -> str:
    secrets.provide(tmp_path / "secrets", live=False)
    return production(tmp_path, (sys.executable, "manage.py", "check", "--deploy"), **variables)


def test_production_refuses_defaults_made_for_one_machine(tmp_path: Path) -> None:
    said = deploy_check(tmp_path, GEKKO_ALLOWED_HOSTS="*")
    assert said.startswith("1 ")
    for name in ("GEKKO_SECRET_KEY is not set", "DATABASE_URL is not set", "REDIS_URL is not set", "contains *"):
        assert name in said


def test_production_accepts_an_explicit_configuration(tmp_path: Path) -> None:
    said = deploy_check(tmp_path, **SAFE)
    assert said.startswith("0 "), said
    assert "gekko.E" not in said


def test_live_trading_needs_production_settings(tmp_path: Path) -> None:
    said = deploy_check(tmp_path, DJANGO_SETTINGS_MODULE="controlplane.settings.dev", GEKKO_MODE="live")
    assert "gekko.E002" in said


PROCESSES = {
    "web": ("-m", "uvicorn", "controlplane.asgi:application", "--port", "0", "--lifespan", "off"),
    "control": ("-m", "celery", "-A", "controlplane", "worker", "-Q", "control", "--pool", "solo"),
    "beat": ("-m", "celery", "-A", "controlplane", "beat"),
    "relay": ("-m", "apps.streaming.relay"),
    "projector": ("-m", "workers.live.projector"),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_each_process_refuses_unsafe_settings_by_itself(tmp_path: Path, name: str) -> None:
    unsafe = {**SAFE, "GEKKO_ALLOWED_HOSTS": "*", "CELERY_BROKER_URL": "amqp://guest:guest@mq.example"}
    unsafe.pop("GEKKO_SECRET_KEY")
    secrets.provide(tmp_path / "secrets", live=False)
    said = production(tmp_path, (sys.executable, *PROCESSES[name]), **unsafe, GEKKO_MODE="paper")
    assert not said.startswith("0 "), said
    for told in ("GEKKO_SECRET_KEY is not set", "contains *", "CELERY_BROKER_URL leaves the host without TLS"):
        assert told in said
    assert "guest:guest" not in said


def test_live_without_production_settings_is_refused_by_a_process(tmp_path: Path) -> None:
    dev = {"DJANGO_SETTINGS_MODULE": "controlplane.settings.dev", "GEKKO_MODE": "live"}
    said = production(tmp_path, (sys.executable, *PROCESSES["relay"]), **dev)
    assert not said.startswith("0 ")
    assert "gekko.E002 live trading without production settings" in said


def test_production_makes_no_secret_and_says_how(tmp_path: Path) -> None:
    command = (sys.executable, *PROCESSES["relay"])
    said = production(tmp_path, command, GEKKO_MODE="live", **SAFE)
    assert not said.startswith("0 ")
    line = said.strip().splitlines()[-1]
    assert f"missing in {tmp_path}/secrets: field_key, recovery_pepper, audit_signing_key.pem" in line
    assert "make them with: gekko secrets" in line
    assert "GEKKO_VENUE_API_KEY, GEKKO_VENUE_API_SECRET (set them to the venue's key pair)" in line
    assert not (tmp_path / "secrets").exists()


def test_the_secrets_command_makes_what_is_missing_once(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "controlplane.cli", "secrets")
    said = production(tmp_path, command)
    assert said.startswith("0 made in")
    made = {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == {*secrets.OWN, *secrets.VENUE}
    secrets.demand(tmp_path / "secrets", live=True)
    assert "are in" in production(tmp_path, command)
    assert made == {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}


def test_a_live_venue_has_no_keys_of_our_making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in secrets.VENUE.values():
        monkeypatch.delenv(name, raising=False)
    assert secrets.provide(tmp_path, live=True) == list(secrets.OWN)
    with pytest.raises(ImproperlyConfigured, match="GEKKO_VENUE_API_KEY, GEKKO_VENUE_API_SECRET"):
        secrets.demand(tmp_path, live=True)
    for name in secrets.VENUE.values():
        monkeypatch.setenv(name, "given")
    secrets.demand(tmp_path, live=True)


@pytest.fixture
def safe(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Production settings with nothing to refuse, for a test to spoil."""
    for name, value in SAFE.items():
        monkeypatch.setenv(name, value)
    settings.GEKKO_PRODUCTION = True
    settings.SECRET_KEY = SAFE["GEKKO_SECRET_KEY"]
    settings.ALLOWED_HOSTS = ["desk.example"]
    settings.REDIS_URL = settings.CELERY_BROKER_URL = SAFE["REDIS_URL"]
    database = {"HOST": "db.example", "OPTIONS": {"sslmode": "verify-full"}}
    monkeypatch.setitem(settings.DATABASES, "default", {**settings.DATABASES["default"], **database})
    return settings


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("SECRET_KEY", "x", "E024"),
        ("SECRET_KEY", "x" * 80, "E024"),
        ("ALLOWED_HOSTS", ["desk.example", "*"], "E020"),
        ("ALLOWED_HOSTS", [], "E023"),
        ("DEBUG", True, "E022"),
        ("REDIS_URL", "redis://:127.0.0.1@cache.example/0", "E021"),
        ("REDIS_URL", "redis://:word@127.0.0.1.example/0", "E021"),
        ("REDIS_URL", "redis:///0?host=cache.example", "E021"),
        ("REDIS_URL", "rediss://:word@cache.example/0?ssl_cert_reqs=none", "E021"),
        ("CELERY_BROKER_URL", "amqp://guest:guest@mq.example", "E025"),
        ("CELERY_BROKER_URL", "amqps://mq.example;amqp://mq2.example", "E025"),
        ("GEKKO_MODE", "Live", "E001"),
    ],
)
def test_what_is_unsafe_is_refused(safe: Any, name: str, value: Any, code: str) -> None:
    checks.refuse_unsafe()
    setattr(safe, name, value)
    with pytest.raises(ImproperlyConfigured, match=f"gekko.{code}"):
        checks.refuse_unsafe()


@pytest.mark.parametrize(
    ("host", "options", "accepted"),
    [
        ("db.example", {}, False),
        ("db.example", {"sslmode": "prefer"}, False),
        ("localhost,db.example", {}, False),
        ("/run/postgresql", {"hostaddr": "192.0.2.1"}, False),
        ("db.example", {"sslmode": "require"}, True),
        ("db.example", {"sslmode": "verify-ca"}, True),
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("/run/postgresql", {}, True),
    ],
)
def test_a_database_elsewhere_needs_tls(
    safe: Any, monkeypatch: pytest.MonkeyPatch, host: str, options: dict[str, str], accepted: bool
) -> None:
    monkeypatch.setitem(safe.DATABASES, "default", {"HOST": host, "OPTIONS": options})
    found = [error.id for error in checks.nothing_leaves_in_the_clear()]
    assert found == ([] if accepted else ["gekko.E026"])


@pytest.mark.parametrize("url", ["redis://127.0.0.1:6379/0", "redis://[::1]:6379/0", "unix:///run/valkey.sock"])
def test_what_stays_on_this_host_needs_no_tls(safe: Any, url: str) -> None:
    safe.REDIS_URL = safe.CELERY_BROKER_URL = url
    checks.refuse_unsafe()


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("https://api.binance.us", True),
        ("http://127.0.0.1:18010", True),
        ("http://api.binance.us", False),
        ("http://10.0.0.7:18010", False),
    ],
)
def test_orders_leave_the_host_over_tls_only(safe: Any, url: str, accepted: bool) -> None:
    safe.GEKKO_VENUE_URL = url
    safe.GEKKO_OTHER_VENUES = (OtherVenue("beta", "key", "secret", url), OtherVenue("exchange", "key", "secret"))
    wanted = ["gekko.E027", "gekko.E028"]
    found = [error.id for error in checks.nothing_leaves_in_the_clear() if error.id in wanted]
    assert found == ([] if accepted else wanted)
