"""What accounts writes to the audit trail."""

from __future__ import annotations

from typing import Final

EVENTS: Final[dict[str, str]] = {
    "accounts.permission.denied": "An action was refused because no role of the actor allows it",
    "accounts.user.created": "A person was given an account",
    "accounts.user.disabled": "An account was closed",
    "accounts.user.password_changed": "A password was changed",
    "accounts.user.credentials_reset": "A person who lost password or authenticator was given new ones",
    "accounts.role.assigned": "A person was given a role",
    "accounts.role.removed": "A role was taken from a person",
    "accounts.sign_in.password_accepted": "Name and password were right; the second factor is awaited",
    "accounts.sign_in.succeeded": "A person signed in with a second factor",
    "accounts.sign_in.refused": "A sign-in was refused",
    "accounts.sign_in.throttled": "A sign-in was refused because too many had failed",
    "accounts.session.ended": "A person signed out",
    "accounts.session.revoked": "A session was ended from outside",
    "accounts.session.expired": "A session ended for idleness or age",
    "accounts.totp.enrolment_started": "A new authenticator was begun",
    "accounts.totp.enrolled": "A new authenticator was confirmed; older ones ended",
    "accounts.totp.refused": "An authenticator code was refused",
    "accounts.recovery_codes.regenerated": "A new set of recovery codes replaced the old one",
    "accounts.recovery_code.used": "A recovery code was used; it allows only to enrol a new authenticator",
    "accounts.step_up.granted": "A fresh code authorised one action",
    "accounts.step_up.refused": "A step-up was refused",
    "accounts.token.issued": "An API token was issued",
    "accounts.token.revoked": "An API token was revoked",
}
