"""Routing decisions of parent orders, as projected from the execution journal."""

from __future__ import annotations

from django.db import models

from apps.trading.models.fields import exact, exact_or_none
from apps.trading.models.reference import Venue


class ParentRoute(models.Model):
    """One decision where a slice of a parent goes. ``decision`` is all of it, as the engine can make it again."""

    id = models.BigAutoField(primary_key=True)
    venue = models.ForeignKey(Venue, on_delete=models.PROTECT, related_name="routes")
    parent_id = models.CharField(max_length=64)
    number = models.IntegerField()
    """Among the parent's decisions, from 1."""
    at = models.DateTimeField()
    kind = models.CharField(max_length=8)
    quantity = exact(default=None)
    """What was to be routed, in the base asset."""
    unrouted = exact()
    mid = exact_or_none()
    """Middle of the parent's own market."""
    decision = models.JSONField()
    left_out = models.JSONField(default=dict)
    """By symbol, why an instrument of the pair was not among the inputs."""
    seq = models.BigIntegerField()

    class Meta:
        ordering = ["parent_id", "-number"]
        constraints = [models.UniqueConstraint(fields=["parent_id", "number"], name="route_once")]

    def __str__(self) -> str:
        return f"{self.parent_id} {self.number} {self.kind}"
