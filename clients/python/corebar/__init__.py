"""Applications for WAMP routers: Corebar, Crossbar.io or any other. README.md tells how to use it."""

from .app import App, Reconnect
from .entry import Registration, Subscription
from .errors import ConnectionLost, LoginError, SessionEnded, WampError
from .handler import Details, Last, Progress, Result

__all__ = [
    "App",
    "ConnectionLost",
    "Details",
    "Last",
    "LoginError",
    "Progress",
    "Reconnect",
    "Registration",
    "Result",
    "SessionEnded",
    "Subscription",
    "WampError",
]
__version__ = "0.1.0"
