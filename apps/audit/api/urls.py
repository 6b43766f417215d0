from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from apps.audit.api import views

router = SimpleRouter(use_regex_path=False)
router.register("audit/entries", views.Entries, basename="audit-entry")
router.register("audit/checkpoints", views.Checkpoints, basename="audit-checkpoint")
router.register("audit/verify", views.Verifications, basename="audit-verification")
router.register("audit/reports", views.Reports, basename="audit-report")

urlpatterns: list[URLPattern | URLResolver] = [
    path("audit/reports/<uuid:report_id>/<str:form>/", views.Download.as_view(), name="audit-report-download"),
    path("", include(router.urls)),
]
