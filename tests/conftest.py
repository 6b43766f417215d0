"""Fixtures that every test may use."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_django
from django.conf import settings
from hypothesis import settings as property_settings

from tests.support.desk import Desk
from tests.support.services import running_services
from tests.support.stack import STRATEGIES, Stack
from tests.support.truth import Checker

property_settings.register_profile("repeatable", derandomize=True, print_blob=True)
property_settings.register_profile("explore", derandomize=False, print_blob=True)
property_settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def embedded_services() -> Iterator[None]:
    """PostgreSQL and Valkey, real ones, for the whole session."""
    from controlplane.secrets import text_secret

    password = text_secret(settings.SECRETS, "valkey_password")
    with running_services(settings.GEKKO_STATE_DIR, settings.GEKKO_VALKEY_PORT, password):
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(embedded_services: None) -> None:
    """pytest-django creates its database only after the servers are up."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker) -> None:
    """Transactional tests empty every table, which the audit trail refuses anywhere else."""
    from tests.support.audit import allow_truncate

    with django_db_blocker.unblock():
        allow_truncate()


@pytest.fixture
def valkey_url(embedded_services: None) -> str:
    return str(settings.REDIS_URL)


@pytest.fixture(scope="session")
def market_data() -> Path:
    """Folder of recordings and reference results; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("GEKKO_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no market data in {folder}; set GEKKO_DATA to test with it")
    return folder


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """One running installation for all tests marked ``stack``, as starting it takes most of a minute.

    It is outside pytest's own folder, which other users, such as PostgreSQL's, cannot enter. After a failure it stays
    for whoever looks for the cause.
    """
    extra = {"GEKKO_MARKET": "synthetic", "GEKKO_STRATEGIES": str(STRATEGIES)}
    stack = Stack(Path(tempfile.mkdtemp(prefix="gekko-stack-")), extra=extra)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        if not request.session.testsfailed:
            shutil.rmtree(stack.state)


@pytest.fixture(scope="session")
def desk(stack: Stack) -> Iterator[Desk]:
    """The first operator, signed in."""
    desk = Desk(stack)
    with desk.http:
        desk.sign_in()
        yield desk


@pytest.fixture(scope="session")
def checker(stack: Stack, desk: Desk) -> Checker:
    return Checker(stack, desk)
