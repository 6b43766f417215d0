"""The one error tree.

DomainError
├── Invalid            400  the input is wrong; ``fields`` names each value
│   └── WrongCode           the second-factor or recovery code is not right
├── NotAuthenticated   401
│   ├── SecondFactorRequired the password was right, the code is still missing
│   └── SignInRefused        name or password is wrong; which of them is never said
├── StepUpRequired     403  a fresh second-factor code is needed for this action
├── PermissionRefused  403
├── NotFound           404
├── Conflict           409
│   ├── IllegalTransition   the object is in a state from which this is not possible
│   ├── IdempotencyMismatch the same key came with another request
│   └── IdempotencyInProgress the first request with this key is still being answered
├── StaleVersion       412  somebody changed the object first
├── PreconditionMissing 428 an If-Match version is required
├── Throttled          429  ``retry_after_s`` says when
└── Unavailable        503  a part that is needed cannot be reached
"""

from __future__ import annotations

from typing import Any, ClassVar


class DomainError(Exception):
    """Base of every error that a caller can act on.

    ``code`` is stable and documented; ``status`` is the HTTP status; ``fields`` holds named values for the client.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something failed"

    def __init__(self, detail: str, **fields: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = fields


class Invalid(DomainError):
    code, status, title = "invalid", 400, "The request is not valid"


class NotAuthenticated(DomainError):
    code, status, title = "not_authenticated", 401, "Sign in first"


class WrongCode(Invalid):
    code, title = "wrong_code", "The code is not right"


class SecondFactorRequired(NotAuthenticated):
    code, title = "second_factor_required", "Enter the code of your authenticator"


class SignInRefused(NotAuthenticated):
    code, title = "sign_in_refused", "Name or password is wrong"


class StepUpRequired(DomainError):
    code, status, title = "step_up_required", 403, "A fresh code is needed for this action"


class PermissionRefused(DomainError):
    code, status, title = "permission_refused", 403, "You may not do this"


class NotFound(DomainError):
    code, status, title = "not_found", 404, "There is no such object"


class Conflict(DomainError):
    code, status, title = "conflict", 409, "The request conflicts with the present state"


class IllegalTransition(Conflict):
    code, title = "illegal_transition", "This is not possible in the present state"


class IdempotencyMismatch(Conflict):
    code, title = "idempotency_mismatch", "This key was used for another request"


class IdempotencyInProgress(Conflict):
    code, title = "idempotency_in_progress", "The first request with this key is still being answered"


class StaleVersion(DomainError):
    code, status, title = "stale_version", 412, "Somebody changed this first"


class PreconditionMissing(DomainError):
    code, status, title = "precondition_missing", 428, "Say which version you mean"


class Throttled(DomainError):
    code, status, title = "throttled", 429, "Too many attempts"


class Unavailable(DomainError):
    code, status, title = "unavailable", 503, "A part that is needed cannot be reached"
