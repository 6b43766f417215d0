"""In place of ``django.contrib.admin`` in the settings: the admin site is Gekko's own.

A module of its own, as settings load it before there are models.
"""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class GekkoAdminConfig(AdminConfig):
    default_site = "apps.core.admin_site.GekkoAdminSite"
