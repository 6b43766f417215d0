"""Fixtures of the browser tests. They run in a pytest process of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.factories.people import Person
from tests.support.browser import Watched, launch, open_page, relay_process, web_server

expect.set_options(timeout=15_000)


@pytest.fixture(scope="session")
def chrome() -> Iterator[Browser]:
    patch = pytest.MonkeyPatch()
    # The driver keeps an event loop on this thread, which Django takes for a coroutine that uses the database.
    patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()
    patch.undo()


@pytest.fixture(scope="session")
def web(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with web_server(tmp_path_factory.mktemp("web") / "web.log") as url:
        yield url


@pytest.fixture
def relay(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    with relay_process(tmp_path / "relay.log"):
        yield


@pytest.fixture
def visitor(transactional_db: None, chrome: Browser, web: str) -> Iterator[Callable[..., Watched]]:
    """Open watched pages; all are closed at the end, and nothing may have gone wrong on any of them."""
    opened: list[Watched] = []

    def visit(who: Person | None = None, **options: Any) -> Watched:
        opened.append(open_page(chrome, web, who, **options))
        return opened[-1]

    yield visit
    problems = [problem for watched in opened for problem in watched.problems]
    for watched in opened:
        watched.page.context.close()
    assert problems == []
