"""One connection, with one session of WAMP. What it says and hears is in the order of the messages."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from concurrent.futures import Executor
from functools import partial
from typing import Any, AsyncIterator, Callable, Coroutine, Deque, Mapping, NamedTuple, Optional, Sequence

import websockets
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as dial
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from .codec import Codec, Data
from .entry import Entry, Registration, Subscription
from .errors import LOST, ConnectionLost, LoginError, WampError
from .handler import Details, Result
from .lane import Gate, Job
from .login import Login, value_of
from .memory import PAGE, SOURCES_MAX, Heard, Memory, Question, Recent, page_of

log = logging.getLogger("corebar")

HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE, ERROR = 1, 2, 3, 4, 5, 6, 8
PUBLISH, PUBLISHED, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, UNSUBSCRIBED, EVENT = 16, 17, 32, 33, 34, 35, 36
CALL, CANCEL, RESULT, REGISTER, REGISTERED, UNREGISTER, UNREGISTERED = 48, 49, 50, 64, 65, 66, 67
INVOCATION, INTERRUPT, YIELD = 68, 69, 70

# The answers to requests.
ANSWERS = {
    PUBLISH: PUBLISHED, SUBSCRIBE: SUBSCRIBED, UNSUBSCRIBE: UNSUBSCRIBED, CALL: RESULT, REGISTER: REGISTERED, UNREGISTER: UNREGISTERED,
}  # fmt: skip

# What a router may say: an id (i), an id or 0 (0), a type of message (t), text (s), a dictionary (d); in the end there may be a
# dictionary (?), or arguments and then those with names (*).
SHAPES = {
    WELCOME: "id", ABORT: "ds", CHALLENGE: "sd", GOODBYE: "ds", ERROR: "tids*", PUBLISHED: "ii", SUBSCRIBED: "ii",
    UNSUBSCRIBED: "0?", EVENT: "iid*", RESULT: "id*", REGISTERED: "ii", UNREGISTERED: "0?", INVOCATION: "iid*", INTERRUPT: "id",
}  # fmt: skip

# Requests wait while so many octets wait to be sent.
WRITE_MAX = 1 << 18


def _features(*names: str) -> dict[str, Any]:
    return {"features": {name: True for name in names}}


ROLES = {
    "publisher": _features("publisher_identification", "subscriber_blackwhite_listing", "publisher_exclusion"),
    "subscriber": _features("pattern_based_subscription", "publisher_identification", "event_history", "subscription_revocation"),
    "caller": _features("caller_identification", "call_canceling", "call_timeout", "progressive_call_results"),
    "callee": _features(
        "caller_identification", "call_canceling", "call_reroute", "progressive_call_results", "pattern_based_registration",
        "shared_registration", "registration_revocation",
    ),
}  # fmt: skip


class Loss(NamedTuple):
    """How a connection ended."""

    message: str
    reason: str = LOST
    details: Mapping[str, Any] = {}


class Host(NamedTuple):
    """What connections need of their application."""

    gate: Gate
    threads: Executor
    error_of: Callable[[BaseException], Optional[WampError]]
    """What an exception of a procedure is as an answer, if it is known."""
    revoked: Callable[[Entry, str], None]
    own: Recent
    """Publications that do not come to the application, though histories have them."""


class Dialing(NamedTuple):
    """Where and how to connect. Times are in seconds."""

    url: str
    realm: str
    codecs: Mapping[str, Codec]
    open_timeout: float
    ping_interval: float
    ping_timeout: float
    message_bytes_max: int
    options: Mapping[str, Any]
    """For `websockets`, as `ssl`."""


class Waiter:
    """Who waits for the answer to a request."""

    def __init__(self, kind: int, done: Optional[Callable[[list[Any]], None]] = None) -> None:
        self.kind = kind
        self.answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.done = done
        """Called before the next message is read."""
        self.progress: Optional[Callable[[list[Any]], None]] = None


def result_of(message: Sequence[Any]) -> Result:
    return Result(message[3] if len(message) > 3 else [], message[4] if len(message) > 4 else {}, message[2])


class Link:
    def __init__(self, socket: ClientConnection, codec: Codec, dialing: Dialing, host: Host) -> None:
        self._socket = socket
        self._codec = codec
        self._dialing = dialing
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._last = 0
        self._waiting: dict[int, Waiter] = {}
        self._working: dict[int, Job] = {}
        self._subscriptions: dict[int, list[Subscription]] = {}
        self._registrations: dict[int, Registration] = {}
        self._lines: Deque[Data] = deque()
        self._unsent = 0
        self._has_lines = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        # SUBSCRIBEs and UNSUBSCRIBEs of one topic must not be on the way at the same time: whose it is would not be known.
        self._asking = 0
        self._ending = 0
        self._calm = asyncio.Condition()
        self._paused = False
        self._heard = self._loop.time()
        self._dropped = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._aside: set[asyncio.Task[None]] = set()
        # Those that ask for what was published meanwhile, and the ids that they have.
        self._fills: dict[Subscription, tuple[asyncio.Task[None], int]] = {}
        self._goodbye: asyncio.Future[None] = self._loop.create_future()
        self.id = 0
        self.welcome: Mapping[str, Any] = {}
        self.leaving = False
        self.loss: Optional[Loss] = None
        self.ended: asyncio.Future[Loss] = self._loop.create_future()

    # Connecting.

    @classmethod
    async def open(cls, dialing: Dialing, login: Login, host: Host) -> Link:
        try:
            return await asyncio.wait_for(cls._open(dialing, login, host), dialing.open_timeout)
        except asyncio.TimeoutError:
            raise ConnectionLost(f"there was no session within {dialing.open_timeout:g} s") from None

    @classmethod
    async def _open(cls, dialing: Dialing, login: Login, host: Host) -> Link:
        try:
            # It is asked for here whether the router is there: the library would take one for gone that is made to wait.
            socket = await dial(
                dialing.url, subprotocols=[Subprotocol(name) for name in dialing.codecs], max_size=dialing.message_bytes_max, ping_interval=None,
                open_timeout=None, close_timeout=2, **dialing.options,
            )  # fmt: skip
        except websockets.exceptions.InvalidURI as error:
            raise LoginError(f"{dialing.url} is no address of a WebSocket: {error}") from None
        except TypeError as error:
            raise LoginError(f"there is no WebSocket with these options: {error}") from error
        except (OSError, EOFError, websockets.exceptions.WebSocketException) as error:
            raise ConnectionLost(f"there is no connection to {dialing.url}: {error}") from error
        try:
            codec = dialing.codecs.get(str(socket.subprotocol))
            if codec is None:
                raise ConnectionLost(f"{dialing.url} does not speak {' or '.join(dialing.codecs)}")
            link = cls(socket, codec, dialing, host)
            await link._join(login)
            return link
        except BaseException:
            socket.transport.abort()
            raise

    async def _join(self, login: Login) -> None:
        hello = {**login.details(), "roles": ROLES, "agent": "corebar-python"}
        await self._send([HELLO, self._dialing.realm, hello])
        while True:
            message = await self._receive()
            if message[0] == WELCOME:
                login.confirm(message[2])
                self.id, self.welcome = message[1], message[2]
                self._tasks = [asyncio.ensure_future(task) for task in (self._read(), self._write_lines(), self._watch())]
                return
            if message[0] == CHALLENGE:
                try:
                    signature, extra = await self._answer(login, message[1], message[2])
                except Exception as error:
                    # What functions of the application raise is not for the router.
                    why = str(error) if isinstance(error, LoginError) else "the challenge cannot be answered"
                    await self._send([ABORT, {"message": why}, "wamp.error.cannot_authenticate"])
                    raise
                await self._send([AUTHENTICATE, signature, extra])
            elif message[0] == ABORT:
                raise _refused("the router does not let us in", message[2], message[1])
            else:
                raise ConnectionLost(f"the router broke the protocol: a message of type {message[0]} before WELCOME")

    async def _answer(self, login: Login, method: str, challenge: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        if method in login.auth and method in login.offered:
            return str(await value_of(partial(login.auth[method], challenge))), {}
        return await self._loop.run_in_executor(self._host.threads, login.answer, method, challenge)

    async def _send(self, message: list[Any]) -> None:
        try:
            await self._socket.send(self._codec.encode(message))
        except ConnectionClosed as error:
            raise ConnectionLost(f"the connection was closed: {error}") from None

    async def _receive(self) -> list[Any]:
        try:
            data = await self._socket.recv()
        except ConnectionClosed as error:
            raise ConnectionLost(f"the connection was closed: {error}") from None
        try:
            message = self._codec.decode(data)
        except Exception as error:
            raise ConnectionLost(f"the router broke the protocol: {error}", "wamp.error.protocol_violation") from None
        self._heard = self._loop.time()
        fault = _fault(message)
        if fault:
            raise ConnectionLost(f"the router broke the protocol: {fault}", "wamp.error.protocol_violation")
        checked: list[Any] = message
        return checked

    # What runs as long as there is a connection.

    async def _read(self) -> None:
        gate = self._host.gate
        try:
            while self.loss is None:
                # While an answer is waited for, more is read: what takes the events may be what waits.
                while gate.is_full and not self._waiting and not self.leaving:
                    self._paused = True
                    await gate.changed()
                if self._paused:
                    self._paused, self._heard = False, self._loop.time()
                self._take(await self._receive())
        except ConnectionLost as error:
            if error.reason != LOST:
                self._write([ABORT, {"message": str(error)}, error.reason])
                await asyncio.sleep(0)
            self.lose(Loss(str(error), error.reason))
        except Exception as error:  # A fault of this library must not leave a session that hears nothing.
            log.exception("a message could not be taken")
            self.lose(Loss(f"a message could not be taken: {error}"))

    async def _write_lines(self) -> None:
        try:
            while True:
                await self._has_lines.wait()
                self._has_lines.clear()
                while self._lines:
                    line = self._lines.popleft()
                    await self._socket.send(line)
                    self._unsent -= len(line)
                    if self._unsent <= WRITE_MAX:
                        self._has_room.set()
        except ConnectionClosed as error:
            # The reader may still have what the router has said at last.
            await asyncio.sleep(1)
            self.lose(Loss(f"the connection was closed: {error}"))
        except Exception as error:  # What waits to be sent would wait for ever.
            log.exception("a message could not be sent")
            self.lose(Loss(f"a message could not be sent: {error}"))

    async def _watch(self) -> None:
        """Asks a router that has said nothing for a while whether it is there."""
        interval, timeout = self._dialing.ping_interval, self._dialing.ping_timeout
        while interval > 0:
            silent = self._loop.time() - self._heard
            if silent < interval or self._paused:
                await asyncio.sleep(max(interval - silent, interval / 10))
                continue
            try:
                pong = await self._socket.ping()
                await asyncio.wait_for(pong, timeout)
                self._heard = self._loop.time()
            except ConnectionClosed:
                return
            except asyncio.TimeoutError:
                if not self._paused and self._loop.time() - self._heard > timeout:
                    return self.lose(Loss("the router does not answer"))

    def _write(self, message: list[Any]) -> None:
        """Raises what is wrong with a value that cannot be said."""
        try:
            line = self._codec.encode(message)
        except Exception as error:  # Each codec has exceptions of its own.
            raise TypeError(f"this cannot be sent: {error}") from None
        self._lines.append(line)
        self._unsent += len(line)
        if self._unsent > WRITE_MAX:
            self._has_room.clear()
        self._has_lines.set()

    async def room(self) -> None:
        """Waits while much waits to be sent."""
        if self.loss is None:
            await self._has_room.wait()
        self._check()

    def _check(self) -> None:
        if self.loss is not None:
            raise ConnectionLost(*self.loss)

    # Requests.

    def _ask(self, kind: int, *rest: Any, done: Optional[Callable[[list[Any]], None]] = None) -> tuple[int, Waiter]:
        self._check()
        request = self._last + 1
        self._write([kind, request, *rest])
        self._last = request
        waiter = self._waiting[request] = Waiter(kind, done)
        self._host.gate.nudge()
        return request, waiter

    async def publish(self, topic: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> Optional[int]:
        await self.room()
        options = {"acknowledge": True, **options}
        if options["acknowledge"] is True:
            excluded = options.get("exclude_me") is not False

            def done(message: list[Any]) -> None:
                if excluded and self._subscriptions:
                    self._host.own.add(message[2])

            _, waiter = self._ask(PUBLISH, options, topic, *_payload(args, kwargs), done=done)
            message = await waiter.answer
            return int(message[2])
        self._check()
        self._write([PUBLISH, self._last + 1, options, topic, *_payload(args, kwargs)])
        self._last += 1
        return None

    async def call(self, procedure: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> Result:
        await self.room()
        request, waiter = self._ask(CALL, dict(options), procedure, *_payload(args, kwargs))
        return result_of(await self._answered(request, waiter))

    async def _answered(self, request: int, waiter: Waiter) -> list[Any]:
        try:
            return await waiter.answer
        except asyncio.CancelledError:
            self._give_up(request)
            raise

    def _give_up(self, request: int) -> None:
        if self._waiting.pop(request, None) is not None and self.loss is None and not self.leaving:
            self._write([CANCEL, request, {"mode": "killnowait"}])

    async def stream(
        self, procedure: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
    ) -> AsyncIterator[tuple[bool, Result]]:
        """Results on the way, and the last one, which is told by True. Who stops taking them gives the call up."""
        await self.room()
        gate = self._host.gate
        arrived: Deque[list[Any]] = deque()
        changed = asyncio.Event()

        def progress(message: list[Any]) -> None:
            gate.enter()
            arrived.append(message)
            changed.set()

        request, waiter = self._ask(CALL, {**options, "receive_progress": True}, procedure, *_payload(args, kwargs))
        waiter.progress = progress
        waiter.answer.add_done_callback(lambda _: changed.set())
        try:
            while True:
                while arrived:
                    message = arrived.popleft()
                    gate.leave()
                    yield False, result_of(message)
                if waiter.answer.done():
                    break
                changed.clear()
                await changed.wait()
            yield True, result_of(waiter.answer.result())
        finally:
            self._give_up(request)
            for _ in arrived:
                gate.leave()
            if waiter.answer.done() and not waiter.answer.cancelled():
                waiter.answer.exception()

    async def attach(self, entry: Entry, wanted: Callable[[Entry], bool]) -> None:
        """Asks for a subscription or registration; takes it back if it is not wanted any more when it is there."""

        def done(message: list[Any]) -> None:
            entry.id = message[2]
            is_wanted = wanted(entry)
            if isinstance(entry, Subscription):
                entries = self._subscriptions.setdefault(message[2], [])
                if is_wanted:
                    entries.append(entry)
                    self._remember(entry, message[2])
            elif isinstance(entry, Registration) and is_wanted:
                self._registrations[message[2]] = entry
            if not is_wanted:
                # Who has asked for it may have been canceled, and does not wait any more.
                self._beside(self._let_go(entry))

        await self.room()
        if isinstance(entry, Subscription):
            async with self._calm:
                await self._calm.wait_for(lambda: not self._ending)
        kind = SUBSCRIBE if isinstance(entry, Subscription) else REGISTER
        _, waiter = self._ask(kind, entry.options, entry.uri, done=done)
        if isinstance(entry, Subscription):
            self._asking += 1
            waiter.answer.add_done_callback(self._asked)
        # Also of who is canceled it must be known what became of it.
        await asyncio.shield(waiter.answer)
        if not wanted(entry):
            await self.detach(entry)

    def _asked(self, _: asyncio.Future[list[Any]]) -> None:
        self._asking -= 1
        self._settle()

    async def _let_go(self, entry: Entry) -> None:
        try:
            await self.detach(entry)
        except (ConnectionLost, WampError) as error:
            log.debug("%s is gone already: %s", entry.uri, error)

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    def _settle(self) -> None:
        async def notify() -> None:
            async with self._calm:
                self._calm.notify_all()

        self._beside(notify())

    async def detach(self, entry: Entry) -> None:
        if entry.id is None:
            return
        number, entry.id = entry.id, None
        if isinstance(entry, Registration):
            # Calls that are on the way are answered with an error, so that the router asks somebody else.
            self._registrations.pop(number, None)
            await self._ask(UNREGISTER, number)[1].answer
            return
        others = self._subscriptions.get(number, [])
        if entry in others:
            others.remove(entry)
        async with self._calm:
            await self._calm.wait_for(lambda: not self._asking and not self._ending)
            if others or self._subscriptions.get(number) is not others:
                return
            del self._subscriptions[number]
            self._ending += 1
        try:
            await self._ask(UNSUBSCRIBE, number)[1].answer
        finally:
            self._ending -= 1
            self._settle()

    # What the router says.

    def _take(self, message: list[Any]) -> None:
        kind = message[0]
        if kind == EVENT:
            self._deliver(*message[1:])
        elif kind == INVOCATION:
            self._invoked(*message[1:])
        elif kind == INTERRUPT:
            self._interrupt(message[1])
        elif kind == ERROR:
            self._settled(message[1], message[2], message)
        elif kind in (UNSUBSCRIBED, UNREGISTERED) and message[1] == 0:
            self._revoked(kind, message[2] if len(message) > 2 else {})
        elif kind in ANSWERS.values():
            self._settled(kind, message[1], message)
        elif kind == GOODBYE:
            if self.leaving:
                if not self._goodbye.done():
                    self._goodbye.set_result(None)
                return
            self._write([GOODBYE, {}, "wamp.close.goodbye_and_out"])
            self.lose(_loss("the router has ended the session", message[2], message[1]))
        elif kind == ABORT:
            self.lose(_loss("the router has ended the session", message[2], message[1]))
        else:
            raise ConnectionLost(f"the router broke the protocol: a message of type {kind} now", "wamp.error.protocol_violation")

    def _settled(self, kind: int, request: int, message: list[Any]) -> None:
        waiter = self._waiting.get(request)
        if waiter is None:
            return  # The end of a call that was given up.
        is_error = message[0] == ERROR
        if kind != (waiter.kind if is_error else ANSWERS[waiter.kind]):
            raise ConnectionLost(f"the router broke the protocol: no answer to request {request}", "wamp.error.protocol_violation")
        if not is_error and kind == RESULT and message[2].get("progress") is True:
            if waiter.progress is not None:
                waiter.progress(message)
            return
        del self._waiting[request]
        if is_error:
            if not waiter.answer.done():
                waiter.answer.set_exception(_error(message))
            return
        if waiter.done is not None:
            waiter.done(message)
        if not waiter.answer.done():
            waiter.answer.set_result(message)

    def _deliver(
        self, number: int, publication: int, said: dict[str, Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] = {}
    ) -> None:
        # One that nobody wants any more may still have events on the way.
        for entry in self._subscriptions.get(number, ()):
            if self._host.gate.is_over:
                self._dropped += 1
                if self._dropped & (self._dropped - 1) == 0:
                    log.warning("%s: events come faster than they are taken; %d are lost so far", entry.uri, self._dropped)
                continue
            event = Heard(args, kwargs, {**said, "publication": publication})
            if entry.memory is not None and entry.memory.holds:
                self._host.gate.enter()
                entry.memory.hold(event)
            elif entry.memory is None or entry.memory.arrives(event):
                self._hand(entry, event)

    def _hand(self, entry: Subscription, event: Heard) -> None:
        details = Details(event.fields.get("topic", entry.uri), entry.uri, event.fields)
        entry.lane.submit(partial(self._handle, entry, event.args, event.kwargs, details))

    # What was published while there was no connection.

    def _remember(self, entry: Subscription, number: int) -> None:
        """Begins to ask for it; at first for what is the newest, so that it is known later what is new. What comes meanwhile
        waits."""
        memory = entry.memory
        features = self.welcome.get("roles", {}).get("broker", {}).get("features", {})
        if memory is None or memory.refused or features.get("event_history") is not True:
            return
        memory.begin()
        self._fills[entry] = asyncio.ensure_future(self._fill(entry, memory, number)), number

    async def _fill(self, entry: Subscription, memory: Memory, own: int) -> None:
        holds = memory.holds
        try:
            found = await self._past(entry, memory, own, own)
            if not found and entry.options.get("match", "exact") == "exact":
                # The history may be one of a pattern.
                for source in await self._sources(entry, own):
                    found = found or await self._past(entry, memory, own, source)
            if not found and not holds:
                memory.nothing()
        except ConnectionLost:
            pass
        except WampError as error:
            # Nobody may ask, or there is no such procedure. It need not be asked for once more.
            log.debug("the history of %s is not to be had: %s", entry.uri, error)
            memory.refused = True
        finally:
            # Not if the connection was lost meanwhile: the next one may have begun to ask.
            if entry in self._fills:
                self._filled(entry)

    def _filled(self, entry: Subscription) -> None:
        """Nothing more is asked: what has come meanwhile is handed on."""
        _, number = self._fills.pop(entry)
        assert entry.memory is not None, "it fills gaps"
        wanted = entry in self._subscriptions.get(number, ())
        for event in entry.memory.end():
            self._host.gate.leave()
            if wanted and entry.memory.arrives(event):
                self._hand(entry, event)

    async def _sources(self, entry: Subscription, own: int) -> list[int]:
        """Other subscriptions that may have a history of the topic."""
        try:
            answer = await self.call("wamp.subscription.match", [entry.uri], {}, {})
        except WampError:
            return []
        known = answer.args[0] if answer.args and isinstance(answer.args[0], list) else []
        return [number for number in known if isinstance(number, int) and number != own][:SOURCES_MAX]

    async def _past(self, entry: Subscription, memory: Memory, own: int, source: int) -> bool:
        """Reads one history; gives whether there was anything."""
        question: Optional[Question] = memory.first()
        found = False
        while question is not None:
            named = question.filter if source == own else {**question.filter, "topic": entry.uri}
            try:
                answer = await self.call("wamp.subscription.get_events", [source], named, {})
            except WampError:
                if source == own:
                    raise
                return found
            page = page_of(answer, question.kind == "newest")
            if page:
                found = True
                for past in memory.takes(question, page, self._host.own):
                    if entry in self._subscriptions.get(own, ()):
                        self._hand(entry, past.heard())
            question = memory.next(question, page)
            if found and question is not None:
                await entry.lane.room(PAGE)
        return found

    async def _handle(self, entry: Subscription, args: Sequence[Any], kwargs: Mapping[str, Any], details: Details) -> None:
        try:
            await entry.handler.call(args, kwargs, details, self._host.threads)
        except ConnectionLost as error:
            log.warning("%s: what %s does with the event was cut short: %s", details.uri, entry.handler.name, error)
        except WampError as error:
            log.error("%s: %s could not take the event: %s", details.uri, entry.handler.name, error)
        except Exception:
            log.exception("%s: %s could not take the event", details.uri, entry.handler.name)

    def _invoked(
        self, request: int, number: int, said: dict[str, Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] = {}
    ) -> None:
        entry = self._registrations.get(number)
        if entry is None or self._host.gate.is_over:
            why = "the procedure is being withdrawn" if entry is None else "there is too much to do"
            return self._fail(request, WampError("wamp.error.unavailable", why))
        details = Details(said.get("procedure", entry.uri), entry.uri, said)
        self._working[request] = entry.lane.submit(partial(self._work, entry, request, args, kwargs, details))

    async def _work(
        self, entry: Registration, request: int, args: Sequence[Any], kwargs: Mapping[str, Any], details: Details
    ) -> None:
        def send(value: Any) -> None:
            if request in self._working:
                self._yield(request, value, {"progress": True})

        wants = details.get("receive_progress") is True
        try:
            value = await entry.handler.call(args, kwargs, details, self._host.threads, send if wants else None, self.room)
            if request in self._working:
                self._yield(request, value, {})
        except asyncio.CancelledError:
            if request in self._working:
                self._fail(request, WampError("wamp.error.canceled", "the procedure was stopped"))
            raise
        except Exception as error:
            known = self._host.error_of(error)
            if known is None and not (isinstance(error, ConnectionLost) and self.loss is not None):
                log.exception("%s: %s has failed", details.uri, entry.handler.name)
            if request in self._working:
                self._fail(request, known or WampError("wamp.error.runtime_error", str(error) or type(error).__name__))
        finally:
            self._working.pop(request, None)

    def _yield(self, request: int, value: Any, options: Mapping[str, Any]) -> None:
        result = value if isinstance(value, Result) else Result(() if value is None else (value,))
        if isinstance(value, Result):
            options = {**result.details, **options}
        if self.loss is None:
            self._write([YIELD, request, options, *_payload(result.args, result.kwargs)])

    def _fail(self, request: int, error: WampError) -> None:
        if self.loss is not None:
            return
        try:
            self._write([ERROR, INVOCATION, request, {}, error.uri, *_payload(error.args, error.kwargs)])
        except TypeError as why:
            self._write([ERROR, INVOCATION, request, {}, "wamp.error.invalid_payload", [str(why)]])

    def _interrupt(self, request: int) -> None:
        job = self._working.pop(request, None)
        if job is not None:
            self._fail(request, WampError("wamp.error.canceled"))
            job.cancel()

    def _revoked(self, kind: int, details: Mapping[str, Any]) -> None:
        gone: list[Entry] = []
        if kind == UNSUBSCRIBED:
            gone = [*self._subscriptions.pop(details.get("subscription", 0), [])]
        else:
            registration = self._registrations.pop(details.get("registration", 0), None)
            gone = [registration] if registration is not None else []
        for entry in gone:
            entry.id = None
            self._host.revoked(entry, str(details.get("reason", "no reason was given")))

    # The end.

    async def leave(self, reason: str, timeout: float) -> None:
        """Says GOODBYE, and waits so long for the answer."""
        if self.loss is None and not self.leaving:
            self.leaving = True
            self._write([GOODBYE, {}, reason])
            self._host.gate.nudge()
            await first_of(self._goodbye, self.ended, timeout=timeout)
            self.lose(Loss("the session was left", reason))

    def lose(self, loss: Loss) -> None:
        if self.loss is not None:
            return
        self.loss = loss
        for request, waiter in self._waiting.items():
            if not waiter.answer.done():
                waiter.answer.set_exception(ConnectionLost(*loss))
                # Nobody may be waiting.
                waiter.answer.exception()
        self._waiting.clear()
        working, self._working = self._working, {}
        for job in working.values():
            job.cancel()
        for entry in [*self._registrations.values(), *(e for several in self._subscriptions.values() for e in several)]:
            entry.id = None
        for subscription, (task, _) in list(self._fills.items()):
            self._filled(subscription)
            task.cancel()
        self._has_room.set()
        asyncio.ensure_future(self._close())
        self.ended.set_result(loss)

    async def _close(self) -> None:
        # What was said at last is sent, if the router reads.
        if self._lines or self._unsent:
            await asyncio.sleep(0.05)
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.wait_for(self._socket.close(), 3)
        except Exception:
            self._socket.transport.abort()


async def first_of(*futures: asyncio.Future[Any], timeout: Optional[float] = None) -> None:
    """Waits until one of them is done, and cancels none."""
    await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)


def _payload(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
    return [list(args), dict(kwargs)] if kwargs else [list(args)] if args else []


def _error(message: Sequence[Any]) -> WampError:
    error = WampError(message[4], *(message[5] if len(message) > 5 else ()))
    # Names may be those of the parameters.
    error.kwargs = dict(message[6]) if len(message) > 6 else {}
    error.details = message[3]
    return error


def _loss(what: str, reason: str, details: Mapping[str, Any]) -> Loss:
    said = details.get("message")
    return Loss(f"{what}: {reason}{f' ({said})' if said else ''}", reason, details)


def _refused(what: str, reason: str, details: Mapping[str, Any]) -> ConnectionLost:
    return ConnectionLost(*_loss(what, reason, details))


def _fault(message: Any) -> Optional[str]:
    """What is wrong with a message of the router, if anything is."""
    if not isinstance(message, list) or not message or isinstance(message[0], bool) or not isinstance(message[0], int):
        return "a message that is no list with a type"
    shape = SHAPES.get(message[0])
    if shape is None:
        return f"a message of the unknown type {message[0]}"
    wrong = f"a message of type {message[0]} that is not as it should be"
    at = 1
    for wanted in shape:
        left = message[at:]
        if wanted == "*":
            good = (not left or isinstance(left[0], list)) and (len(left) < 2 or isinstance(left[1], dict))
            at += 2
        elif wanted == "?":
            good = not left or isinstance(left[0], dict)
            at += 1
        else:
            good = bool(left) and _fits(wanted, left[0])
            at += 1
        if not good:
            return wrong
    return wrong if len(message) > at else None


def _fits(wanted: str, value: Any) -> bool:
    if wanted == "s":
        return isinstance(value, str)
    if wanted == "d":
        return isinstance(value, dict)
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return value in ANSWERS if wanted == "t" else value >= (0 if wanted == "0" else 1)
