"""Everything that changes a person, a factor, a session or a token."""

from __future__ import annotations

from apps.accounts.services.factors import (
    Enrolment,
    begin_totp,
    check_totp,
    confirm_totp,
    regenerate_recovery_codes,
    use_recovery_code,
)
from apps.accounts.services.people import (
    NewOperator,
    assign_role,
    change_password,
    create_operator,
    disable_user,
    remove_role,
    reset_credentials,
)
from apps.accounts.services.sessions import end_all_sessions, open_session, revoke_session, sign_out
from apps.accounts.services.sign_in import sign_in_password, verify_second_factor
from apps.accounts.services.tokens import issue_token, revoke_token

__all__ = [
    "Enrolment",
    "NewOperator",
    "assign_role",
    "begin_totp",
    "change_password",
    "check_totp",
    "confirm_totp",
    "create_operator",
    "disable_user",
    "end_all_sessions",
    "issue_token",
    "open_session",
    "regenerate_recovery_codes",
    "remove_role",
    "reset_credentials",
    "revoke_session",
    "revoke_token",
    "sign_in_password",
    "sign_out",
    "use_recovery_code",
    "verify_second_factor",
]
