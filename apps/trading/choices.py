"""The closed sets of words in trading records. Order words are the engine's own."""

from __future__ import annotations

from django.db import models

from workers.engine.execution.conditional_types import ConditionalStatus
from workers.engine.execution.parent import ParentStatus as EngineParentStatus
from workers.engine.vocabulary import OPEN_STATUSES
from workers.engine.vocabulary import FeedState as EngineFeedState
from workers.engine.vocabulary import OrderStatus as EngineOrderStatus
from workers.engine.vocabulary import TradingState as EngineTradingState


class Mode(models.TextChoices):
    PAPER = "paper", "Paper"
    LIVE = "live", "Live"


class OrderSide(models.TextChoices):
    BUY = "BUY", "Buy"
    SELL = "SELL", "Sell"


class ResumeState(models.TextChoices):
    """PENDING waits for another person; the rest are final."""

    PENDING = "pending", "Waiting for approval"
    APPROVED = "approved", "Approved"
    EXPIRED = "expired", "Expired"
    SUPERSEDED = "superseded", "Superseded"


HELD_STATUSES = [status for status in ConditionalStatus if status.is_live]
"""What only a conditional order can be: it waits in the kernel, or works through the orders that it released."""
ORDER_STATUSES = [
    (status.value, status.value.replace("_", " ").capitalize())
    for status in (*EngineOrderStatus, *HELD_STATUSES, ConditionalStatus.RELEASED)
]
STILL_OPEN = frozenset(status.value for status in (*OPEN_STATUSES, *HELD_STATUSES))
"""Statuses of an order that may still do something."""
PARENT_STATUSES = [
    ("REQUESTED", "Requested"),
    *((status.value, status.value.capitalize()) for status in EngineParentStatus),
]
TRADING_STATES = [(state.value, state.value.capitalize()) for state in EngineTradingState]
FEED_STATES = [(state.value, state.value.capitalize()) for state in EngineFeedState]
