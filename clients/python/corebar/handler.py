"""The functions of applications: what they want, and how they are called."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import typing
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, AsyncIterator, Callable, Iterator, Mapping, Optional, Sequence

from .errors import WampError

Function = Callable[..., Any]


@dataclass
class Result:
    """Several values, or some with names: what a call gives, or a procedure returns."""

    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    """What the router says besides; in an answer: `YIELD.Options`."""


@dataclass
class Last:
    """Yielded by a generator, the result of the call; what is yielded before are results on the way."""

    value: Any = None


@dataclass(frozen=True)
class Details:
    """Where an event or a call comes from. A parameter with this annotation gets it."""

    uri: str
    """The topic or procedure, also for patterns."""
    pattern: str
    """What was subscribed to or registered."""
    fields: Mapping[str, Any]
    """`EVENT.Details` or `INVOCATION.Details`, with `publication` besides for events."""

    def get(self, name: str, default: Any = None) -> Any:
        """One of the fields."""
        return self.fields.get(name, default)

    @property
    def session(self) -> Any:
        """The id of the session that publishes or calls, if it is disclosed."""
        return self.fields.get("caller", self.fields.get("publisher"))

    @property
    def authid(self) -> Any:
        """Who publishes or calls, if that is disclosed."""
        return self.fields.get("caller_authid", self.fields.get("publisher_authid"))

    @property
    def authrole(self) -> Any:
        """The role of who publishes or calls, if that is disclosed."""
        return self.fields.get("caller_authrole", self.fields.get("publisher_authrole"))

    @property
    def publication(self) -> Any:
        return self.fields.get("publication")

    @property
    def retained(self) -> bool:
        """The event was published before the subscription was made."""
        return self.fields.get("retained") is True

    @property
    def replayed(self) -> bool:
        """The event was published while there was no connection, and comes from the history of the router."""
        return self.fields.get("replayed") is True


class Progress:
    """Gives results on the way, also from a thread. A parameter with this annotation gets it."""

    def __init__(self, send: Optional[Callable[[Any], None]], loop: asyncio.AbstractEventLoop) -> None:
        self._send = send
        self._loop = loop

    @property
    def wanted(self) -> bool:
        """The caller takes such results; otherwise they go nowhere."""
        return self._send is not None

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        if self._send is None:
            return
        value = args[0] if len(args) == 1 and not kwargs else Result(args, kwargs)
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._send(value)
        else:
            self._loop.call_soon_threadsafe(self._send, value)


class Handler:
    """A function of an application."""

    def __init__(self, function: Function) -> None:
        if not callable(function):
            raise TypeError(f"a handler is a function, not {function!r}")
        self.function = function
        target = function
        if not inspect.isroutine(function) and not inspect.isclass(function) and hasattr(function, "__call__"):
            wrapped = getattr(function, "func", None)
            target = wrapped if wrapped is not None else function.__call__
        self.is_async = inspect.iscoroutinefunction(target)
        self.is_stream = inspect.isasyncgenfunction(target)
        self.is_generator = inspect.isgeneratorfunction(target)
        self.signature = inspect.signature(function)
        self.wanted = {name: kind for name, kind in _kinds(target, self.signature).items() if name in self.signature.parameters}
        rest = [p for name, p in self.signature.parameters.items() if name not in self.wanted]
        self.rest = self.signature.replace(parameters=rest)

    @property
    def name(self) -> str:
        return getattr(self.function, "__qualname__", repr(self.function))

    def _bind(self, args: Sequence[Any], kwargs: Mapping[str, Any], details: Details, progress: Optional[Progress]) -> Any:
        try:
            bound = self.rest.bind(*args, **kwargs)
        except TypeError as error:
            raise WampError("wamp.error.invalid_argument", f"{details.uri}: {error}") from None
        bound.apply_defaults()
        given = {"details": details, "progress": progress}
        values = {name: given[self.wanted[name]] if name in self.wanted else bound.arguments[name] for name in self.signature.parameters}
        whole = inspect.BoundArguments(self.signature, typing.cast(Any, values))
        return whole.args, whole.kwargs

    async def call(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        details: Details,
        threads: Executor,
        send: Optional[Callable[[Any], None]] = None,
        room: Optional[Callable[[], Any]] = None,
    ) -> Any:
        """Calls the function. Plain ones run in a thread. `send` takes results on the way, `room` waits until they are sent."""
        loop = asyncio.get_running_loop()
        positional, named = self._bind(args, kwargs, details, Progress(send, loop))
        if self.is_async:
            return await self.function(*positional, **named)
        if self.is_stream:
            return await _drain(self.function(*positional, **named), send, room)
        context = contextvars.copy_context()

        def in_thread(function: Function, *values: Any, **more: Any) -> Any:
            return loop.run_in_executor(threads, lambda: context.run(function, *values, **more))

        if self.is_generator:
            return await _drain(_threaded(self.function(*positional, **named), in_thread), send, room)
        result = await in_thread(self.function, *positional, **named)
        if inspect.isawaitable(result):
            return await result
        return result


def _kinds(target: Any, signature: inspect.Signature) -> dict[str, str]:
    """Which parameters are not arguments of the event or call."""
    try:
        hints = typing.get_type_hints(target)
    except Exception:  # Names that are not there when the program runs: what stands there has to do.
        hints = {name: p.annotation for name, p in signature.parameters.items()}
    kinds = {}
    for name, hint in hints.items():
        text = hint.rsplit(".", 1)[-1] if isinstance(hint, str) else None
        if hint is Details or text == "Details":
            kinds[name] = "details"
        elif hint is Progress or text == "Progress":
            kinds[name] = "progress"
    kinds.pop("return", None)
    return kinds


_END = object()


async def _threaded(iterator: Iterator[Any], in_thread: Function) -> AsyncIterator[Any]:
    """A plain generator, each step of it in a thread."""
    try:
        while True:
            value = await in_thread(next, iterator, _END)
            if value is _END:
                return
            yield value
    finally:
        try:
            iterator.close()  # type: ignore[attr-defined]
        except ValueError:
            pass  # It is at work in its thread, and ends there.


async def _drain(values: Any, send: Optional[Callable[[Any], None]], room: Optional[Callable[[], Any]]) -> Any:
    try:
        async for value in values:
            if isinstance(value, Last):
                return value.value
            if send is not None:
                send(value)
                if room is not None:
                    await room()
        return None
    finally:
        await values.aclose()
