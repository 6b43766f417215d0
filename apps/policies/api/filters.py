"""How lists are narrowed by the address."""

from __future__ import annotations

from django_filters import rest_framework as filters

from apps.policies.models import LimitOverride, LimitsPublication, RiskLimits


class LimitsFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    class Meta:
        model = RiskLimits
        fields = ["state"]


class PublicationFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    number = filters.NumberFilter(field_name="limits__number")

    class Meta:
        model = LimitsPublication
        fields = ["state", "number"]


class OverrideFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter ships no types
    class Meta:
        model = LimitOverride
        fields = ["state", "scope", "code"]
