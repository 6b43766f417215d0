"""How lists are narrowed by the address."""

from __future__ import annotations

from django.db.models import QuerySet
from django_filters import rest_framework as filters

from apps.incidents.choices import Severity, State
from apps.incidents.models import Incident


class IncidentFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    state = filters.MultipleChoiceFilter(choices=State.choices)
    severity = filters.MultipleChoiceFilter(choices=Severity.choices)
    open = filters.BooleanFilter(
        method="is_open", help_text="Only incidents that are not resolved, or only the others."
    )

    class Meta:
        model = Incident
        fields = ["kind"]

    def is_open(self, queryset: QuerySet[Incident], name: str, value: bool) -> QuerySet[Incident]:  # noqa: ARG002 - django-filter's signature
        return queryset.exclude(state=State.RESOLVED) if value else queryset.filter(state=State.RESOLVED)
