"""Incidents and what happened to them."""

from __future__ import annotations

from django.db import models

from apps.core.ids import new_id
from apps.incidents.choices import Kind, Severity, State


class Incident(models.Model):
    """Something a person should know of. One is open per fingerprint; further sightings only count up."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    number = models.BigIntegerField(unique=True)
    kind = models.CharField(max_length=32, choices=Kind.choices)
    fingerprint = models.CharField(max_length=200)
    severity = models.CharField(max_length=8, choices=Severity.choices)
    title = models.CharField(max_length=200)
    detail = models.TextField(blank=True)
    source = models.CharField(max_length=100, blank=True)
    evidence = models.JSONField(default=dict)
    state = models.CharField(max_length=12, choices=State.choices, default=State.TRIGGERED)
    count = models.IntegerField(default=1)
    opened_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    source_cleared_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    acknowledged_at = models.DateTimeField(null=True)
    resolved_by = models.CharField(max_length=150, blank=True)
    resolved_at = models.DateTimeField(null=True)
    version = models.IntegerField(default=1)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["fingerprint"], condition=~models.Q(state=State.RESOLVED), name="incident_open_once"
            )
        ]
        indexes = [models.Index(fields=["state", "-number"], name="incident_state")]

    def __str__(self) -> str:
        return f"#{self.number} {self.title}"


class TimelineEntry(models.Model):
    """One thing that happened to an incident; entries are only ever added."""

    id = models.BigAutoField(primary_key=True)
    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="timeline")
    at = models.DateTimeField()
    kind = models.CharField(max_length=24)
    by = models.CharField(max_length=150)
    text = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "timeline entries"

    def __str__(self) -> str:
        return f"{self.kind} by {self.by}"


class ProcessSighting(models.Model):
    """How often the supervisor had restarted a process when we last looked."""

    name = models.CharField(max_length=64, primary_key=True)
    restarts = models.IntegerField(default=0)
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.restarts}"
