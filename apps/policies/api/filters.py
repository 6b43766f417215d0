"""How lists are narrowed by the address."""

from __future__ import annotations

from django_filters import rest_framework as filters

from apps.policies.models import RiskLimits


class LimitsFilter(filters.FilterSet):
    class Meta:
        model = RiskLimits
        fields = ["state"]
