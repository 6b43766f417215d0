"""Point a ccxt exchange at another server: same class, same signatures, only the addresses change.

The original host becomes the first segment of the path, so that one server can be every host of an exchange. A server
that plays several exchanges gives each a path of its own, under which no host is named.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar
from urllib.parse import urlsplit

_URL = re.compile(r"(https?|wss?)://([^/:]+)(?::\d+)?(.*)")
_Exchange = TypeVar("_Exchange")


def rewire(exchange: _Exchange, url: str) -> _Exchange:
    """Rewrite every address of a ``ccxt.async_support`` or ``ccxt.pro`` instance to ``url`` and return it.

    ValueError when ``url`` is not ``http://host[:port]`` or ``https://host[:port]``, with or without a path.
    """
    target = urlsplit(url)
    if target.scheme not in {"http", "https"} or not target.netloc or target.query or target.fragment:
        raise ValueError(f"expected a server like http://127.0.0.1:18010, was {url!r}")
    urls: dict[str, Any] = exchange.urls  # type: ignore[attr-defined]  # ccxt is not typed
    hostname: str = getattr(exchange, "hostname", None) or ""
    urls["api"] = _walk(urls["api"], target.scheme == "https", f"{target.netloc}{target.path.rstrip('/')}", hostname)
    return exchange


def host_url(url: str, host: str) -> str:
    """Where the server at ``url`` answers in the place of ``host``."""
    base = url.rstrip("/")
    return base if urlsplit(base).path else f"{base}/{host}"


def _walk(value: Any, secure: bool, base: str, hostname: str) -> Any:
    if isinstance(value, dict):
        return {key: _walk(inner, secure, base, hostname) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    found = _URL.match(value.replace("{hostname}", hostname))
    if found is None:
        return value
    scheme = ("ws" if found[1].startswith("ws") else "http") + ("s" if secure else "")
    return host_url(f"{scheme}://{base}", found[2]) + found[3]
