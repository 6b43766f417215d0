"""The projector between a real journal file and real PostgreSQL: every record once, whatever stops in between."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from apps.trading import services
from apps.trading.models import Fill, JournalCursor, Order
from apps.trading.selectors import journal_cursor
from tests.factories.journal import trading_day
from workers.adapters.journal import Journal, JournalCorrupt
from workers.live import projection
from workers.live.projection import Projector

pytestmark = pytest.mark.django_db(transaction=True)
DAY = trading_day(seed=3, orders=20)


@pytest.fixture
def journal(tmp_path: Path, settings: Any) -> Path:
    """A journal with some orders and fills, where the projector looks for it."""
    settings.GEKKO_STATE_DIR = tmp_path
    writer = Journal(tmp_path / "journal")
    writer.append(DAY)
    writer.close()
    return tmp_path / "journal"


def drain(projector: Projector) -> int:
    total = 0
    while count := projector.step():
        total += count
    return total


def test_everything_is_projected_once_by_however_many_projectors(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "BATCH", 7)
    first = Projector()
    for _ in range(3):
        first.step()
    assert journal_cursor("execution")["seq"] == 21
    total = len(DAY)
    assert drain(Projector()) == total - 21
    assert drain(first) == total - 21, "the first one delivers again what it had not read"
    assert journal_cursor("execution")["seq"] == total
    orders, fills = Order.objects.count(), Fill.objects.count()
    assert orders
    assert fills
    drain(Projector())
    assert (Order.objects.count(), Fill.objects.count()) == (orders, fills)


def test_a_database_that_goes_away_costs_time_and_nothing_else(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "FIRST_RETRY_S", 0.01)
    real, failures = services.project, [3]

    def project(*args: Any, **kwargs: Any) -> int:
        if failures[0]:
            failures[0] -= 1
            raise OperationalError("server closed the connection unexpectedly")
        return real(*args, **kwargs)

    monkeypatch.setattr(projection, "project", project)
    projector = Projector()
    thread = threading.Thread(target=projector.run)
    thread.start()
    total = len(DAY)
    for _ in range(500):
        if projector.position.seq == total:
            break
        threading.Event().wait(0.02)
    projector.stop()
    thread.join(10)
    assert projector.position.seq == total
    assert journal_cursor("execution")["seq"] == total
    assert projector.problem == ""


def test_another_journal_than_the_projected_one_is_refused_in_words(journal: Path) -> None:
    drain(Projector())
    cursor = JournalCursor.objects.get(worker="execution")
    cursor.hash = "e" * 64
    cursor.save()
    with pytest.raises(JournalCorrupt, match="another hash"):
        Projector().step()
