"""The embedded PostgreSQL and Valkey for tests: the servers that ``gekko up`` starts, without fsync."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from controlplane.embedded import postgres, valkey


def wait_for(ready: Callable[[], bool], what: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise RuntimeError(f"{what} ended with {process.returncode} before it was ready")
        if time.monotonic() > end:
            raise RuntimeError(f"{what} was not ready after {seconds} s")
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes], signal_number: int) -> None:
    process.send_signal(signal_number)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def running_services(state: Path, valkey_port: int, valkey_password: str) -> Iterator[None]:
    """Both servers up for the block; a second test process on the same state folder waits for the first to end."""
    state.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (state / "services.lock").open("w") as lock, contextlib.ExitStack() as stack:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pg = postgres.locate(state)
        postgres.prepare(pg)
        pg_log = stack.enter_context((state / "postgres.log").open("ab"))
        server = subprocess.Popen(
            postgres.server_command(pg, durable=False),
            cwd=pg.data,
            stdout=pg_log,
            stderr=pg_log,
            **postgres.run_as(pg.user),
        )
        stack.callback(_stop, server, 2)
        kv = valkey.locate(state, port=valkey_port, password=valkey_password)
        valkey.prepare(kv)
        kv_log = stack.enter_context((state / "valkey.log").open("ab"))
        cache = subprocess.Popen(valkey.server_command(kv), stdout=kv_log, stderr=kv_log)
        stack.callback(_stop, cache, 15)
        wait_for(lambda: postgres.is_ready(pg), "PostgreSQL", server)
        wait_for(lambda: valkey.is_ready(kv), "Valkey", cache)
        postgres.ensure_database(pg)
        yield
