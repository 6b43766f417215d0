"""A changing request may be repeated: the second gets the first one's answer, and the change happens once.

The answer is stored in the transaction of the change, so after a crash there are both or neither. While the first
request runs, an advisory lock makes a repeat fail at once with 409 instead of waiting. Only answers below 400 are
kept: a refused request changed nothing, and its key may be used again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from django.db import connection, transaction
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core import crypto
from apps.core.api.context import context_of
from apps.core.context import Context
from apps.core.errors import IdempotencyInProgress, IdempotencyMismatch, Invalid
from apps.core.models import IdempotencyRecord

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
_KEY: Final = re.compile(r"^[\x21-\x7e]{8,128}$")
_KEPT_HEADERS: Final = ("ETag", "Location")

Handler = TypeVar("Handler", bound=Callable[..., Response])


def idempotent(handler: Handler) -> Handler:
    """Decorate a view method that changes something: it runs at most once per (caller, Idempotency-Key)."""

    @functools.wraps(handler)
    def once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        ctx = context_of(request)
        key = required_key(request)
        fingerprint = _fingerprint(request)
        with transaction.atomic():
            _lock(ctx, key)
            stored = IdempotencyRecord.objects.filter(actor=ctx.actor.id, key=key).first()
            if stored is not None:
                return _replay(stored, fingerprint)
            response = handler(view, request, *args, **kwargs)
            if response.status_code < 400:
                _store(ctx, key, fingerprint, response)
            else:
                transaction.set_rollback(True)
            return response

    once.idempotent = True  # type: ignore[attr-defined]  # read by the schema hook
    return cast("Handler", once)


def required_key(request: Request) -> str:
    key = request.headers.get(HEADER, "").strip()
    if not _KEY.match(key):
        raise Invalid(f"send {HEADER} with 8 to 128 visible ASCII characters, such as a UUID", field=HEADER)
    return key


def _fingerprint(request: Request) -> str:
    """What is asked for. The grant of a fresh code is proof and no part of it: whoever repeats needs a new one."""
    asked = request.data
    if isinstance(asked, dict):
        asked = {name: value for name, value in asked.items() if name != "grant"}
    body = json.dumps(asked, sort_keys=True, separators=(",", ":"), default=str)
    parts = (str(request.method), request.get_full_path(), request.headers.get("If-Match", ""), body)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _lock(ctx: Context, key: str) -> None:
    name = hashlib.sha256(f"idempotency\n{ctx.actor.id}\n{key}".encode()).digest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [int.from_bytes(name[:8], "big", signed=True)])
        (free,) = cursor.fetchone()
    if not free:
        raise IdempotencyInProgress(f"the first request with {HEADER} {key} is still running", retry_after_s=1)


def _store(ctx: Context, key: str, fingerprint: str, response: Response) -> None:
    record = IdempotencyRecord(
        actor=ctx.actor.id,
        key=key,
        request_hash=fingerprint,
        status=response.status_code,
        headers={name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers},
        created_at=ctx.now(),
    )
    body = JSONRenderer().render(response.data)
    record.body = crypto.seal(body, place=("core.IdempotencyRecord", "body", str(record.pk)))
    record.save(force_insert=True)


def _replay(stored: IdempotencyRecord, fingerprint: str) -> Response:
    if stored.request_hash != fingerprint:
        raise IdempotencyMismatch(f"{HEADER} {stored.key} was used for another request; use a fresh key")
    body = crypto.unseal(bytes(stored.body), place=("core.IdempotencyRecord", "body", str(stored.pk)))
    data = json.loads(body) if body else None
    return Response(data, status=stored.status, headers={**stored.headers, REPLAYED: "true"})
