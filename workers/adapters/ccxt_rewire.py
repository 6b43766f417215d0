"""Point a ccxt exchange at another server: same class, same signatures, only the addresses change.

The original host becomes the first segment of the path, so that one server can be every host of an exchange. A server
that plays several exchanges gives each a path of its own, under which no host is named.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, TypeVar
from urllib.parse import urlsplit

_URL = re.compile(r"(https?|wss?)://([^/:]+)(?::\d+)?(.*)")
_PATH = re.compile(r"(/[\w~-][\w.~-]*)*/?", re.ASCII)
_Exchange = TypeVar("_Exchange")


def rewire(exchange: _Exchange, url: str, *, alone: bool = False) -> _Exchange:
    """Rewrite every address of a ``ccxt.async_support`` or ``ccxt.pro`` instance to ``url`` and return it.

    A server that plays several exchanges has each below its host's name, unless ``url`` has a path. With ``alone`` it
    is another address of this one exchange.

    ValueError when ``url`` is not ``http://host[:port]`` or ``https://host[:port]``, with or without a plain path.
    """
    check_address(url)
    target = urlsplit(url)
    urls: dict[str, Any] = exchange.urls  # type: ignore[attr-defined]  # ccxt is not typed
    hostname: str = getattr(exchange, "hostname", None) or ""
    base = f"{target.netloc}{target.path.rstrip('/')}"
    urls["api"] = _walk(urls["api"], target.scheme == "https", base, hostname, alone=alone)
    return exchange


def check_address(url: str, schemes: Collection[str] = ("http", "https")) -> None:
    """ValueError unless it is a server and perhaps a path that reads the same however it is joined and signed."""
    target = urlsplit(url)
    plain = target.scheme in schemes and target.hostname and _PATH.fullmatch(target.path) and target.port != 0
    whole = f"{target.scheme}://{target.netloc}{target.path}"
    if not plain or url != whole or {"@", "\\"} & set(url):
        raise ValueError(f"expected a server like {next(iter(schemes))}://127.0.0.1:18010, was {url!r}")


def server_of(url: str) -> str:
    """The server without the path."""
    target = urlsplit(url)
    return f"{target.scheme}://{target.netloc}"


def host_url(url: str, host: str) -> str:
    """Where the server at ``url`` answers in the place of ``host``."""
    base = url.rstrip("/")
    return base if urlsplit(base).path else f"{base}/{host}"


def _walk(value: Any, secure: bool, base: str, hostname: str, *, alone: bool) -> Any:
    if isinstance(value, dict):
        return {key: _walk(inner, secure, base, hostname, alone=alone) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    found = _URL.match(value.replace("{hostname}", hostname))
    if found is None:
        return value
    scheme = ("ws" if found[1].startswith("ws") else "http") + ("s" if secure else "")
    there = f"{scheme}://{base}"
    return (there if alone else host_url(there, found[2])) + found[3]
