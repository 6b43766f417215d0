"""The form that asks for a report."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms

from apps.audit.selectors import FILTERS


class ReportForm(forms.Form):
    """Whole days in UTC, the last one included."""

    first_day = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}))
    last_day = forms.DateField(widget=forms.DateInput(attrs={"type": "date"}))
    actor = forms.CharField(required=False, max_length=150, help_text="name or id")
    event = forms.CharField(required=False, max_length=96, help_text="such as trading.halt.* or the full name")
    object_type = forms.CharField(required=False, max_length=64)
    object_id = forms.CharField(required=False, max_length=128)
    outcome = forms.ChoiceField(
        required=False, choices=[("", "any"), ("success", "success"), ("failure", "failure"), ("denied", "denied")]
    )
    request_id = forms.UUIDField(required=False)

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if data.get("first_day") and data.get("last_day") and data["last_day"] < data["first_day"]:
            self.add_error("last_day", "The last day lies before the first.")
        return data

    def query(self) -> dict[str, Any]:
        """The arguments of ``build_report``."""
        data = self.cleaned_data
        return {
            "start": datetime.combine(data["first_day"], time(), UTC),
            "end": datetime.combine(data["last_day"], time(), UTC) + timedelta(days=1),
            "filters": {name: data[name] for name in FILTERS if data.get(name)},
        }
