"""Optimistic locking over HTTP: ``ETag: "7"`` out, ``If-Match: "7"`` in."""

from __future__ import annotations

import re
from typing import Any, Final

from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.errors import Invalid, PreconditionMissing, StaleVersion

_ETAG: Final = re.compile(r'^"(\d{1,18})"$')


def etag(version: int) -> str:
    return f'"{version}"'


def required_version(request: Request) -> int:
    """The version that the caller last saw; PreconditionMissing without ``If-Match``, Invalid for another form."""
    header = request.headers.get("If-Match", "").strip()
    if not header:
        raise PreconditionMissing('send If-Match with the version that you last saw, such as If-Match: "7"')
    found = _ETAG.match(header)
    if found is None:
        raise Invalid(f'expected one strong version such as "7" in If-Match, was {header[:64]}', field="If-Match")
    return int(found[1])


def check_version(*, expected: int, actual: int) -> None:
    """StaleVersion when the object moved on since the caller looked."""
    if expected != actual:
        raise StaleVersion(
            f"you saw version {expected}, it is at version {actual} by now; look again and repeat",
            expected=expected,
            actual=actual,
        )


def with_etag(response: Response, data: Any = None) -> Response:
    """Set ``ETag`` from the ``version`` of ``data`` (the answer's own data by default)."""
    row = response.data if data is None else data
    if isinstance(row, dict) and "version" in row:
        response.headers["ETag"] = etag(int(row["version"]))
    return response
