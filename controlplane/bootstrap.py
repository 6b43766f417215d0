"""Setting an installation up: ``prepare`` before the processes start, ``deploy`` when they run.

Run as a process by the supervisor, so that it never holds Django itself. Prints JSON lines: progress, then the result.
Both steps may run again at any time and change nothing that is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings.dev")

Say = Callable[[str], None]
TRAINING_SECONDS = 20
TRAINING_LIMIT_S = 240
HEALTHY_LIMIT_S = 90


def prepare(say: Say) -> dict[str, Any]:
    """Migrate, collect static files and create the first operator, whose credentials are in the result once."""
    from django.core.management import call_command

    from apps.accounts.models import User

    say("migrating the database")
    call_command("migrate", interactive=False, verbosity=0)
    say("collecting static files")
    collect_static()
    user = User.objects.order_by("date_joined").first()
    if user is not None:
        return {"username": user.username}
    say("creating the first operator")
    return {"operator": create_first_operator("operator")}


def collect_static() -> None:
    """Collect only when a source file changed: compressing everything takes seconds."""
    from django.conf import settings
    from django.contrib.staticfiles.finders import get_finders
    from django.core.management import call_command

    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            digest.update(f"{path} {storage.size(path)} {storage.get_modified_time(path)}\n".encode())
    stamp: Path = settings.STATIC_ROOT / ".collected"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    call_command("collectstatic", interactive=False, verbosity=0, clear=True)
    stamp.write_text(digest.hexdigest())


def create_first_operator(username: str) -> dict[str, Any]:
    from apps.accounts.services.people import create_operator
    from apps.core.context import service_context

    made = create_operator(service_context("bootstrap", origin="command"), username=username)
    return credentials(username, made.password, made.otpauth_uri, made.recovery_codes)


def credentials(username: str, password: str, uri: str, codes: list[str]) -> dict[str, Any]:
    """What the operator must see, once."""
    secret = parse_qs(urlsplit(uri).query)["secret"][0]
    return {
        "username": username,
        "password": password,
        "otpauth_uri": uri,
        "totp_secret": secret,
        "recovery_codes": codes,
    }


def main() -> int:
    steps = {"prepare": prepare, "deploy": deploy}

    def emit(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    django.setup()
    from apps.core.errors import DomainError

    try:
        emit(steps[sys.argv[1]](lambda text: emit({"progress": text})))
    except DomainError as error:
        emit({"error": error.detail})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
