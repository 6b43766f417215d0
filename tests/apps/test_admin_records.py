"""The admin's records: every page opens for who may look, none for who may not, and nothing can be changed."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin

from tests.factories.people import make_person, signed_in

pytestmark = pytest.mark.django_db(transaction=True)

OURS = ("trading", "policies", "deployments", "incidents", "fleet")


def pages() -> list[str]:
    admin.autodiscover()
    models = [model for model in admin.site._registry if model._meta.app_label in OURS]
    return sorted(f"/admin/{model._meta.app_label}/{model._meta.model_name}/" for model in models)


def test_records_are_there_to_look_at_and_nothing_to_edit() -> None:
    browser = signed_in(make_person("", "operator", "auditor"))
    listed = pages()
    assert len(listed) >= len(OURS)
    for path in listed:
        answer: Any = browser.get(path)
        assert answer.status_code == 200, path
        assert browser.get(f"{path}add/").status_code == 403, path


def test_records_of_another_role_stay_closed() -> None:
    browser = signed_in(make_person("", "operator"))
    assert browser.get("/admin/trading/order/").status_code == 200
    assert browser.get("/admin/audit/auditentry/").status_code == 403


def test_nobody_looks_without_signing_in(client: Any) -> None:
    for path in pages():
        assert client.get(path).status_code == 302, path
