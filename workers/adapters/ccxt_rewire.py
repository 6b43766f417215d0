"""Point a ccxt exchange at another server: same class, same signatures, only the addresses change.

The original host becomes the first segment of the path, so that one server can be every host of an exchange.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar
from urllib.parse import urlsplit

_URL = re.compile(r"(https?|wss?)://([^/:]+)(?::\d+)?(.*)")
_Exchange = TypeVar("_Exchange")


def rewire(exchange: _Exchange, url: str) -> _Exchange:
    """Rewrite every address of a ``ccxt.async_support`` or ``ccxt.pro`` instance to ``url`` and return it.

    ValueError when ``url`` is not ``http://host[:port]`` or ``https://host[:port]``.
    """
    target = urlsplit(url)
    if target.scheme not in {"http", "https"} or not target.netloc or target.path.strip("/"):
        raise ValueError(f"expected a server like http://127.0.0.1:18010, was {url!r}")
    urls: dict[str, Any] = exchange.urls  # type: ignore[attr-defined]  # ccxt is not typed
    hostname: str = getattr(exchange, "hostname", None) or ""
    urls["api"] = _walk(urls["api"], target.scheme == "https", target.netloc, hostname)
    return exchange


def _walk(value: Any, secure: bool, netloc: str, hostname: str) -> Any:
    if isinstance(value, dict):
        return {key: _walk(inner, secure, netloc, hostname) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    found = _URL.match(value.replace("{hostname}", hostname))
    if found is None:
        return value
    scheme = ("ws" if found[1].startswith("ws") else "http") + ("s" if secure else "")
    return f"{scheme}://{netloc}/{found[2]}{found[3]}"
