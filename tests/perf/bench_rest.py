"""Authenticated reads over REST, through a real server.

Run: ``python -m tests.perf.bench_rest`` for a server of its own, or with GEKKO_BENCH_URL and GEKKO_BENCH_TOKEN
(scopes audit.view and trading.view) against a running one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

import httpx

WARM, ROUNDS, CALLERS = 50, 1000, 4
PATHS = ("/api/v1/auth/tokens/", "/api/v1/audit/entries/?limit=50")
Row = tuple[str, float, float, float, int]


def main() -> None:
    url, token = os.environ.get("GEKKO_BENCH_URL", ""), os.environ.get("GEKKO_BENCH_TOKEN", "")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    own = contextlib.nullcontext((url, token)) if url else _own_server()
    with own as (address, value):
        rows = [_alone(address, value, path) for path in PATHS]
        rows.append(_together(address, value, PATHS[1]))
    _print(rows)


@contextlib.contextmanager
def _own_server() -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory(prefix="gekko-bench-") as folder:
        os.environ["GEKKO_TEST_STATE"] = folder
        os.environ["DJANGO_SETTINGS_MODULE"] = "controlplane.settings.test"
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command

        from controlplane.secrets import text_secret
        from tests.support.services import running_services

        password = text_secret(settings.SECRETS, "valkey_password")
        with running_services(settings.GEKKO_STATE_DIR, settings.GEKKO_VALKEY_PORT, password):
            call_command("migrate", verbosity=0)
            token = _prepare()
            with _uvicorn() as url:
                yield url, token


def _prepare() -> str:
    """A person with a token and some hundred entries to read."""
    from datetime import timedelta

    from django.db import connections, transaction

    from apps.accounts.services import issue_token
    from apps.audit.services import record
    from tests.factories.people import make_person

    who = make_person("bench", "auditor")
    for index in range(500):
        with transaction.atomic():
            record(who.context(), event="accounts.role.assigned", object_type="user", object_id=str(index))
    _, value = issue_token(who.context(), name="bench", scopes=["audit.view"], lifetime=timedelta(hours=1))
    connections.close_all()
    return value


@contextlib.contextmanager
def _uvicorn() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "controlplane.asgi:application", "--port", str(port)]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.perf.settings",
        "GEKKO_STATE_DIR": os.environ["GEKKO_TEST_STATE"],
    }
    server = subprocess.Popen([*command, "--log-level", "warning", "--no-access-log"], env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{url}/api/v1/auth/state/", timeout=10)
                break
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def _measure(client: httpx.Client, path: str, count: int, spent: list[float]) -> None:
    for _ in range(count):
        began = time.perf_counter()
        answer = client.get(path)
        spent.append(time.perf_counter() - began)
        if answer.status_code != 200:
            raise SystemExit(f"{path} answered {answer.status_code}: {answer.text[:200]}")


def _client(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Token {token}"}, timeout=30)


def _alone(url: str, token: str, path: str) -> Row:
    spent: list[float] = []
    with _client(url, token) as client:
        _measure(client, path, WARM, [])
        began = time.perf_counter()
        _measure(client, path, ROUNDS, spent)
        return _row(path, spent, time.perf_counter() - began)


def _together(url: str, token: str, path: str) -> Row:
    spent: list[float] = []

    def run() -> None:
        with _client(url, token) as client:
            _measure(client, path, ROUNDS // CALLERS, spent)

    threads = [threading.Thread(target=run) for _ in range(CALLERS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _row(f"{path} x{CALLERS}", spent, time.perf_counter() - began)


def _row(name: str, spent: list[float], wall: float) -> Row:
    ordered = sorted(spent)
    p50, p99 = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
    return (name, p50 * 1000, p99 * 1000, len(spent) / wall, len(spent))


def _print(rows: list[Row]) -> None:
    out = sys.stdout.write
    out(f"{'authenticated read':<40} {'p50 ms':>8} {'p99 ms':>8} {'per s':>8} {'count':>8}\n")
    for name, p50, p99, rate, count in rows:
        out(f"{name:<40} {p50:>8.2f} {p99:>8.2f} {rate:>8.0f} {count:>8}\n")
    out(f"load average {' '.join(f'{value:.2f}' for value in os.getloadavg())}\n")


if __name__ == "__main__":
    main()
