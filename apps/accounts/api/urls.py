from django.urls import URLPattern, URLResolver, include, path
from rest_framework.routers import SimpleRouter

from apps.accounts.api import records, views

router = SimpleRouter(use_regex_path=False)
router.register("auth/sessions", records.Sessions, basename="session")
router.register("auth/tokens", records.Tokens, basename="token")
router.register("users", records.Users, basename="user")

urlpatterns: list[URLPattern | URLResolver] = [
    path("auth/state/", views.State.as_view(), name="auth-state"),
    path("auth/sign-in/", views.SignIn.as_view(), name="auth-sign-in"),
    path("auth/second-factor/", views.SecondFactor.as_view(), name="auth-second-factor"),
    path("auth/recovery/", views.Recovery.as_view(), name="auth-recovery"),
    path("auth/totp/", views.Enrol.as_view(), name="auth-totp"),
    path("auth/totp/confirm/", views.ConfirmEnrol.as_view(), name="auth-totp-confirm"),
    path("auth/sign-out/", views.SignOut.as_view(), name="auth-sign-out"),
    path("auth/step-up/", views.StepUp.as_view(), name="auth-step-up"),
    path("auth/recovery-codes/", views.RecoveryCodes.as_view(), name="auth-recovery-codes"),
    path("auth/password/", views.Password.as_view(), name="auth-password"),
    path("", include(router.urls)),
]
