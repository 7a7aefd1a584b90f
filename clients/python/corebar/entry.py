"""Subscriptions and registrations: they outlive connections."""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Mapping, Optional

from .handler import Handler
from .lane import Gate, Lane
from .memory import Memory


class Entry:
    """What is asked of the router once for each connection."""

    kind = "entry"

    def __init__(self, uri: str, handler: Handler, options: Mapping[str, Any], width: int) -> None:
        if not isinstance(uri, str) or not uri:
            raise TypeError(f"a URI is a text that is not empty, not {uri!r}")
        if isinstance(width, bool) or not isinstance(width, int) or width < 1:
            raise ValueError(f"concurrency is a number from 1, not {width!r}")
        match = options.get("match", "exact")
        if match not in ("exact", "prefix", "wildcard"):
            raise ValueError(f"match is 'exact', 'prefix' or 'wildcard', not {match!r}")
        self.uri = uri
        self.handler = handler
        self.options = dict(options)
        self.id: Optional[int] = None
        """The id that the router knows it by: another one after each connection, and none while there is none."""
        self.was_there = False
        self._width = width
        self._lane: Optional[Lane] = None
        self._end: Optional[Callable[[Any], Awaitable[None]]] = None

    def begin(self, gate: Gate, end: Callable[[Any], Awaitable[None]]) -> None:
        self._lane = Lane(self._width, gate)
        self._end = end

    @property
    def lane(self) -> Lane:
        assert self._lane is not None, "the application is started"
        return self._lane

    async def end(self) -> None:
        """Takes it back: the handler is not called any more. What has begun goes on."""
        if self._end is not None:
            await self._end(self)


class Subscription(Entry):
    """A function that is called with each event of a topic or pattern."""

    kind = "subscription"
    memory: Optional[Memory] = None
    """What it has heard, if what it misses is asked for."""


class Registration(Entry):
    """A function that answers calls of a procedure or pattern."""

    kind = "registration"
