from django.urls import URLPattern, URLResolver, path

from apps.core.api.openapi import Schema

urlpatterns: list[URLPattern | URLResolver] = [
    path("schema/", Schema.as_view(), name="schema"),
]
