"""What goes wrong."""

from __future__ import annotations

from typing import Any, Mapping, Optional

LOST = "wamp.close.transport_lost"


class WampError(Exception):
    """An error with a URI, of a callee or the router. Raised by a procedure, it is the answer to the call.

    `args` and `kwargs` are what the error carries, `details` what the router says besides.
    """

    def __init__(self, uri: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args)
        self.uri = uri
        self.kwargs = kwargs
        self.details: Mapping[str, Any] = {}

    def __str__(self) -> str:
        return f"{self.uri}: {self.args[0]}" if self.args and isinstance(self.args[0], str) else self.uri

    def __repr__(self) -> str:
        return f"WampError({self.uri!r}, args={self.args!r}, kwargs={self.kwargs!r})"


class ConnectionLost(ConnectionError):
    """There is no connection, or it was lost before there was an answer: whether what was asked for was done is not known.

    `reason` is what the router has said in GOODBYE or ABORT, `details` its details.
    """

    def __init__(self, message: str, reason: str = LOST, details: Optional[Mapping[str, Any]] = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.details: Mapping[str, Any] = details or {}


class SessionEnded(ConnectionLost):
    """The session is over and does not come back."""


class LoginError(Exception):
    """Logging in is not possible so, however often it is tried."""
