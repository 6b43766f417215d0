"""How lists are narrowed by the address."""

from __future__ import annotations

from django_filters import rest_framework as filters

from apps.deployments.choices import RunState
from apps.deployments.models import Release, Run


class ReleaseFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    class Meta:
        model = Release
        fields = ["strategy", "digest", "model_digest", "limits_version"]


class RunFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    venue = filters.CharFilter()
    state = filters.MultipleChoiceFilter(choices=RunState.choices)

    class Meta:
        model = Run
        fields = ["environment", "release"]
