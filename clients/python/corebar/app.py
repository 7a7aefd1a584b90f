"""Applications: functions that hear events and answer calls, as long as the program runs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import random
import signal
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Any, AsyncIterator, Awaitable, Callable, Mapping, Optional, Sequence, TypeVar

from .codec import codecs
from .entry import Entry, Registration, Subscription
from .errors import ConnectionLost, LoginError, SessionEnded, WampError
from .handler import Details, Function, Handler, Result
from .lane import Gate
from .link import Dialing, Host, Link, Loss, first_of
from .login import Answer, Lazy, Login, value_of
from .memory import OWN_MAX, Memory, Recent

log = logging.getLogger("corebar")
F = TypeVar("F", bound=Function)
E = TypeVar("E", bound=Entry)

# However far away the time is at which a router wants to see a client again, it comes back after this.
ADVICE_MAX = 3600.0
# When a procedure that somebody else still has is tried for once more, at first and at last.
AGAIN = (0.5, 30.0)
# Calls of a procedure that are worked on at a time.
CALLS = 64
# Somebody has meant the session to end.
FINAL = ("wamp.close.killed", "wamp.close.logout")
# A router that ends takes procedures away before it says so: they are asked for again after that.
LEAVES = ("wamp.close.system_shutdown", "wamp.close.close_realm")
# Trying once more does not help.
HOPELESS = ("wamp.error.authentication_denied", "wamp.error.no_matching_auth_method")


@dataclass
class Reconnect:
    """How an application outlives its connections. Times are in seconds."""

    delay_first: float = 0.25
    """Before the first attempt."""
    delay_max: float = 30.0
    """Between attempts, at most."""
    growth: float = 2.0
    """Each delay is so many times the one before; each is shortened at random by up to a half."""
    attempts_max: Optional[int] = None
    """Attempts in a row; without end."""
    from_the_start: bool = True
    """The first connection is tried for, too."""
    requests_wait: bool = False
    """Calls and publications wait for a connection. Otherwise they fail with `ConnectionLost`."""
    fill_gaps: bool = True
    """Events that were published meanwhile are taken from the history that the router keeps of the topic, if it does:
    `Details.replayed`."""

    def __post_init__(self) -> None:
        for name in ("delay_first", "delay_max", "growth"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
                raise ValueError(f"{name} is a number from 0, not {value!r}")

    def delay(self, attempt: int, advice: Any, shortened: float) -> float:
        """How long to wait before an attempt, counted from 1. `advice` is in ms, `shortened` from 0 to 1."""
        if isinstance(advice, (int, float)) and not isinstance(advice, bool) and advice >= 0:
            return min(advice / 1000, ADVICE_MAX)
        most = max(self.delay_max, self.delay_first)
        delay = min(self.delay_first * max(self.growth, 1.0) ** min(attempt - 1, 64), most)
        return delay * (1 - shortened / 2)


class Blocking:
    """The same for plain functions, which run in threads: waits."""

    def __init__(self, app: App) -> None:
        self._app = app

    def _wait(self, work: Any) -> Any:
        loop = self._app._loop
        try:
            here: Optional[asyncio.AbstractEventLoop] = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if loop is None or here is loop:
            work.close()
            raise RuntimeError("this is for plain functions of an application that runs; asynchronous ones await app.call(…)")
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ConnectionLost("the application has ended") from None

    def publish(self, topic: str, *args: Any, options: Optional[Mapping[str, Any]] = None, **kwargs: Any) -> Optional[int]:
        return self._wait(self._app.publish(topic, *args, options=options, **kwargs))  # type: ignore[no-any-return]

    def call(self, procedure: str, *args: Any, options: Optional[Mapping[str, Any]] = None, **kwargs: Any) -> Any:
        return self._wait(self._app.call(procedure, *args, options=options, **kwargs))


class App:
    """An application. Its functions are told by decorators; `run` connects, and comes back when a connection is lost.

    Times are in seconds. What identifies the application (`ticket`, `secret` for WAMP-CRA, `password` for SCRAM, `private_key`
    for cryptosign, `token` for JWT) may be a function, also an asynchronous one, which is asked for each connection.
    """

    def __init__(
        self,
        url: Optional[str] = None,
        realm: Optional[str] = None,
        *,
        authid: Optional[str] = None,
        ticket: Optional[Lazy] = None,
        secret: Optional[Lazy] = None,
        password: Optional[Lazy] = None,
        private_key: Optional[Lazy] = None,
        token: Optional[Lazy] = None,
        auth: Optional[Mapping[str, Answer]] = None,
        authmethods: Optional[Sequence[str]] = None,
        authextra: Optional[Mapping[str, Any]] = None,
        serializers: Sequence[str] = ("json",),
        reconnect: Optional[Reconnect] = Reconnect(),
        call_timeout: Optional[float] = None,
        open_timeout: float = 10.0,
        close_timeout: float = 5.0,
        grace: float = 10.0,
        ping_interval: float = 15.0,
        ping_timeout: float = 15.0,
        message_bytes_max: int = 16 << 20,
        queue_max: int = 4096,
        threads: int = 32,
        websocket: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """`url` and `realm` are those of COREBAR_URL and COREBAR_REALM, or of a router on this machine, if they are not said.
        `websocket` has arguments of `websockets.connect`, as `ssl`."""
        if queue_max < 1 or threads < 1:
            raise ValueError("queue_max and threads are numbers from 1")
        url = url or os.environ.get("COREBAR_URL", "ws://127.0.0.1:8080/")
        self.realm = realm or os.environ.get("COREBAR_REALM", "realm1")
        self._dialing = Dialing(
            url, self.realm, codecs(serializers), open_timeout, ping_interval, ping_timeout, message_bytes_max, websocket or {}
        )
        self._authid, self._auth = authid, auth or {}
        self._authmethods, self._authextra = authmethods, authextra or {}
        self._secrets = {
            "cryptosign": private_key, "scram": password, "wampcra": secret, "jwt": token, "ticket": ticket,
            # Crossbar.io lets nobody in who offers this before what it knows. Other routers know no `scram`.
            "wamp-scram": password,
        }  # fmt: skip
        self._policy = reconnect
        self._call_timeout, self._close_timeout, self._grace = call_timeout, close_timeout, grace
        self._queue_max, self._threads_max = queue_max, threads
        self._entries: list[Entry] = []
        self._hooks: dict[str, list[Handler]] = {"start": [], "stop": [], "join": [], "lost": []}
        self._every: list[tuple[float, Handler]] = []
        self._errors: dict[str, type[BaseException]] = {}
        self._uris: dict[type[BaseException], str] = {}
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._link: Optional[Link] = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._leaving = False
        self._used = False
        self.sync = Blocking(self)
        """`call` and `publish` for plain functions."""

    # What is told before the start.

    def event(self, topic: str, *, match: str = "exact", concurrency: int = 1, retained: bool = False, **options: Any) -> Callable[[F], F]:
        """The function is called with each event of a topic, or of all that match a pattern (`match`: "prefix" or "wildcard"), so
        many at a time; the last one that the router has kept, too, if `retained`. `options` are others of SUBSCRIBE."""
        if retained:
            options["get_retained"] = True

        def decorate(function: F) -> F:
            self._declare(self._subscription(topic, function, match, concurrency, options))
            return function

        return decorate

    def register(self, procedure: str, *, match: str = "exact", concurrency: Optional[int] = None, **options: Any) -> Callable[[F], F]:
        """The function answers calls of a procedure, so many at a time: the router is told so, and asks others that share the
        procedure. Without, 64; more wait. `options` are others of REGISTER, as
        `invoke="roundrobin"` for procedures that several programs share."""

        def decorate(function: F) -> F:
            self._declare(_registration(procedure, function, match, concurrency, options))
            return function

        return decorate

    def _subscription(
        self, topic: str, function: Function, match: str, concurrency: int, options: Mapping[str, Any]
    ) -> Subscription:
        entry = Subscription(topic, Handler(function), _matching(options, match), concurrency)
        if self._policy is not None and self._policy.fill_gaps:
            entry.memory = Memory()
        return entry

    def _declare(self, entry: Entry) -> None:
        if self._used:
            raise RuntimeError("the application has started: use await app.subscribe(…) or await app.offer(…)")
        self._entries.append(entry)

    def error(self, uri: str) -> Callable[[type], type]:
        """Exceptions of this class are errors with this URI in procedures, and errors with this URI are raised as such."""

        def decorate(kind: type) -> type:
            if not issubclass(kind, Exception):
                raise TypeError(f"{kind!r} is no class of exceptions")
            self._errors[uri] = kind
            self._uris[kind] = uri
            return kind

        return decorate

    def _hook(self, name: str, function: F) -> F:
        self._hooks[name].append(Handler(function))
        return function

    def on_start(self, function: F) -> F:
        """Called once, when there is a session with all subscriptions and registrations. If it fails the application ends."""
        return self._hook("start", function)

    def on_stop(self, function: F) -> F:
        """Called once at the end, while there is still a session, if there is any."""
        return self._hook("stop", function)

    def on_join(self, function: F) -> F:
        """Called whenever there is a session with all subscriptions and registrations: at first before `on_start`. It is canceled
        if the connection is lost meanwhile."""
        return self._hook("join", function)

    def on_lost(self, function: F) -> F:
        """Called whenever a connection is lost that shall be followed by another."""
        return self._hook("lost", function)

    def every(self, seconds: float) -> Callable[[F], F]:
        """The function is called again and again, while there is a session, the first time after the start. What it raises is
        logged. It is not called again before it has returned; what it misses meanwhile it misses."""
        if not seconds > 0:
            raise ValueError(f"seconds are more than 0, not {seconds!r}")

        def decorate(function: F) -> F:
            if self._used:
                raise RuntimeError("the application has started: use app.spawn(…)")
            self._every.append((seconds, Handler(function)))
            return function

        return decorate

    # What can be done while it runs.

    @property
    def session_id(self) -> Optional[int]:
        """The id of the session, if there is one."""
        return self._live.id if self._live else None

    @property
    def details(self) -> Mapping[str, Any]:
        """`WELCOME.Details` of the session that there is, as `authid` and `authrole`."""
        return self._live.welcome if self._live else {}

    @property
    def is_connected(self) -> bool:
        return self._live is not None

    @property
    def _live(self) -> Optional[Link]:
        return self._link if self._link is not None and self._link.loss is None else None

    async def _connection(self) -> Link:
        while True:
            if self._live is not None:
                return self._live
            if self._loop is None or self._ended.done():
                raise SessionEnded("the application has ended" if self._used else "the application is not started")
            if self._policy is None or not self._policy.requests_wait or self._leaving:
                raise ConnectionLost("there is no connection")
            joined = self._joined
            await first_of(joined, self._ended)

    async def publish(self, topic: str, *args: Any, options: Optional[Mapping[str, Any]] = None, **kwargs: Any) -> Optional[int]:
        """Publishes an event, and waits until the router has taken it; gives the id of the publication. `options` are those of
        PUBLISH, as `exclude_me` and `retain`; with `acknowledge` false it waits only for room in the queue, and gives nothing."""
        with _Errors(self):
            return await (await self._connection()).publish(topic, args, kwargs, options or {})

    async def call(self, procedure: str, *args: Any, options: Optional[Mapping[str, Any]] = None, **kwargs: Any) -> Any:
        """Calls a procedure; gives the value, None if there is none, and a `Result` if there are several or some with names.
        `options` are those of CALL, as `timeout` in ms. Who stops waiting (`asyncio.wait_for`) cancels the call."""
        options = dict(options or {})
        timeout = self._call_timeout if "timeout" not in options else None
        with _Errors(self):
            work = (await self._connection()).call(procedure, args, kwargs, options)
            if timeout is None:
                return _value(await work)
            try:
                return _value(await asyncio.wait_for(work, timeout))
            except asyncio.TimeoutError:
                raise WampError("wamp.error.timeout", f"{procedure} has not answered within {timeout:g} s") from None

    async def stream(
        self, procedure: str, *args: Any, options: Optional[Mapping[str, Any]] = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Calls a procedure; gives results on the way, and the last one, if it is not None. Who stops taking them cancels the
        call."""
        with _Errors(self):
            results = (await self._connection()).stream(procedure, args, kwargs, options or {})
            try:
                async for is_last, result in results:
                    value = _value(result)
                    if not is_last or value is not None:
                        yield value
            finally:
                await results.aclose()  # type: ignore[attr-defined]

    async def subscribe(
        self, topic: str, function: Function, *, match: str = "exact", concurrency: int = 1, **options: Any
    ) -> Subscription:
        """As `event`, while the application runs. `Subscription.end` takes it back."""
        return await self._attach_now(self._subscription(topic, function, match, concurrency, options))

    async def offer(
        self, procedure: str, function: Function, *, match: str = "exact", concurrency: Optional[int] = None, **options: Any
    ) -> Registration:
        """As `register`, while the application runs. `Registration.end` takes it back."""
        return await self._attach_now(_registration(procedure, function, match, concurrency, options))

    async def _attach_now(self, entry: E) -> E:
        if self._loop is None or self._ended.done() or self._leaving:
            raise SessionEnded("the application does not run")
        entry.begin(self._gate, self._remove)
        while self._live is None:
            await first_of(self._reached, self._ended)
            if self._ended.done():
                raise SessionEnded(*self._ended.result())
        link = self._live
        self._entries.append(entry)
        try:
            await link.attach(entry, self._entries.__contains__)
            entry.was_there = True
        except ConnectionLost:
            pass  # It is asked for again with all others.
        except BaseException:
            self._entries.remove(entry)
            raise
        return entry

    async def _remove(self, entry: Entry) -> None:
        if entry in self._entries:
            self._entries.remove(entry)
        if self._live is not None:
            try:
                await self._live.detach(entry)
            except ConnectionLost:
                pass

    def spawn(self, work: Awaitable[Any]) -> asyncio.Task[Any]:
        """Runs something beside, which is canceled when the application ends. What it raises is logged."""
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("something that runs beside has failed", exc_info=task.exception())

    def stop(self) -> None:
        """Ends `run`, in good order."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def ended(self) -> None:
        """Waits until the session is over and does not come back; raises `SessionEnded` unless it was left."""
        loss = await asyncio.shield(self._ended)
        if not self._leaving:
            raise SessionEnded(*loss)

    # How it runs.

    def run(self, log_level: int = logging.INFO) -> None:
        """Runs until SIGINT, SIGTERM or `stop`, and ends in good order. A second signal ends it at once. If the session cannot be
        had, or is over, that is logged, and the exit code is 1. Logs go to standard error unless logging is configured."""
        logging.basicConfig(level=log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        try:
            asyncio.run(self._run())
        except (ConnectionLost, LoginError, WampError) as error:
            log.error("%s", error)
            sys.exit(1)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        stopping = self._prepare()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self._signalled, number)
            except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread.
                try:
                    signal.signal(number, lambda number, _: loop.call_soon_threadsafe(self._signalled, number))
                except ValueError:
                    pass
        try:
            starting = asyncio.ensure_future(self._start())
            stopped = asyncio.ensure_future(stopping.wait())
            await first_of(starting, stopped)
            if not starting.done():
                starting.cancel()
                await asyncio.wait([starting])
            elif starting.exception() is not None:
                starting.result()
            else:
                await first_of(stopped, self._ended)
            stopped.cancel()
            if self._ended.done() and not stopping.is_set():
                raise SessionEnded(*self._ended.result())
        finally:
            await self.close()

    def _signalled(self, number: int) -> None:
        if self._stopping.is_set():
            log.warning("ended at once")
            logging.shutdown()
            os._exit(130)
        log.info("%s: stopping", signal.Signals(number).name)
        self._stopping.set()

    async def __aenter__(self) -> App:
        self._prepare()
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.close()

    def _prepare(self) -> asyncio.Event:
        """Nothing of a loop is made before there is one."""
        if self._used:
            raise RuntimeError("an application runs once: make another one")
        self._used = True
        self._loop = asyncio.get_running_loop()
        self._gate = Gate(self._queue_max)
        self._threads = concurrent.futures.ThreadPoolExecutor(self._threads_max, "corebar")
        self._stopping = asyncio.Event()
        self._joined: asyncio.Future[None] = self._loop.create_future()
        self._reached: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[Loss] = self._loop.create_future()
        for entry in self._entries:
            entry.begin(self._gate, self._remove)
        return self._stopping

    async def _start(self) -> None:
        self._keeper = asyncio.ensure_future(self._keep())
        self._keeper.add_done_callback(self._kept)
        first: asyncio.Future[None] = self._joined
        await first_of(first, self._keeper)
        if self._keeper.done():
            self._keeper.result()
        if not first.done():
            raise SessionEnded(*self._ended.result())
        first.result()
        for hook in self._hooks["start"]:
            await self._call_hook(hook)
        for seconds, handler in self._every:
            self.spawn(self._repeat(seconds, handler))

    def _kept(self, keeper: asyncio.Task[None]) -> None:
        error = None if keeper.cancelled() else keeper.exception()
        if error is None or self._ended.done():
            return
        if self._had_session:
            log.error("the session is over", exc_info=error)
        # Nobody looks for another connection.
        self._ended.set_result(Loss(f"the session is over: {error!r}"))

    async def _call_hook(self, handler: Handler) -> Any:
        return await handler.call((), {}, Details(handler.name, handler.name, {}), self._threads)

    async def _repeat(self, seconds: float, handler: Handler) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if self._live is not None:
                try:
                    await self._call_hook(handler)
                except ConnectionLost as error:
                    log.warning("%s was cut short: %s", handler.name, error)
                except Exception:
                    log.exception("%s has failed", handler.name)
            now = loop.time()
            due = max(due + seconds, now) if due + 2 * seconds > now else now
            await asyncio.sleep(due - now)

    async def _login(self) -> Login:
        shown = {method: await value_of(secret) for method, secret in self._secrets.items()}
        return Login(self._authid, shown, self._auth, self._authmethods, self._authextra)

    async def _keep(self) -> None:
        """Finds one connection after the other, until the session is over."""
        loop = asyncio.get_running_loop()
        host = Host(self._gate, self._threads, self._error_of, self._revoked, Recent(OWN_MAX))
        attempts = 0
        while True:
            policy = self._policy
            try:
                link = await Link.open(self._dialing, await self._login(), host)
            except LoginError as error:
                loss, is_final = Loss(str(error)), True
                if not self._joined.done() and not self._had_session:
                    raise
            except ConnectionLost as error:
                loss = Loss(str(error), error.reason, error.details)
                is_final = error.reason in HOPELESS or not (self._had_session or (policy and policy.from_the_start))
            except Exception as error:  # Of functions of the application that give what is shown to the router.
                if not self._had_session and not (policy and policy.from_the_start):
                    raise
                log.exception("the application cannot say who it is")
                loss, is_final = Loss(f"the application cannot say who it is: {error!r}"), False
            else:
                begun = loop.time()
                self._had_session = True
                await self._serve(link)
                loss = await asyncio.shield(link.ended)
                is_final = loss.reason in FINAL or loss.reason in HOPELESS
                # A connection that is lost at once is as good as none.
                if policy and loop.time() - begun >= policy.delay(attempts + 1, None, 0):
                    attempts = 0
            most = policy.attempts_max if policy else 0
            if self._leaving or is_final or policy is None or (most is not None and attempts >= most):
                self._link = None
                if not self._ended.done():
                    self._ended.set_result(loss)
                return
            attempts += 1
            delay = policy.delay(attempts, loss.details.get("_retry_after_ms"), random.random())
            log.warning("%s; attempt %d in %.1f s", loss.message, attempts, delay)
            if self._link is not None:
                self._link = None
                await self._announce("lost")
            await asyncio.sleep(delay)

    _had_session = False
    _has_joined = False

    async def _serve(self, link: Link) -> None:
        """Asks for all that there was, and lets those go on who wait; until the connection is lost."""
        self._link = link
        link.ended.add_done_callback(self._away)
        said = link.welcome
        log.info(
            "joined %s at %s as %s with the role %s, session %d",
            said.get("realm", self.realm), self._dialing.url, said.get("authid"), said.get("authrole"), link.id,
        )  # fmt: skip
        if not self._reached.done():
            self._reached.set_result(None)
        # Who hears an event may call something.
        entries = [e for e in self._entries if isinstance(e, Registration)] + [e for e in self._entries if isinstance(e, Subscription)]
        try:
            await asyncio.gather(*(self._attach(link, entry) for entry in entries))
        except WampError as error:
            # Only what was never there fails so: the application cannot do what it is for.
            if not self._joined.done():
                self._joined.set_exception(error)
                self._joined.exception()
            return
        if link.loss is None:
            self._has_joined = True
            log.info("ready, with %d procedures and %d subscriptions", *(sum(isinstance(e, k) for e in entries) for k in (Registration, Subscription)))
            await self._announce_join(link)
            if link.loss is None and not self._joined.done():
                self._joined.set_result(None)
        await asyncio.shield(link.ended)

    def _away(self, _: asyncio.Future[Loss]) -> None:
        """The connection is lost: who wants one waits for the next."""
        loop = asyncio.get_running_loop()
        if self._reached.done():
            self._reached = loop.create_future()
        if self._joined.done() and not self._joined.cancelled() and self._joined.exception() is None:
            self._joined = loop.create_future()

    async def _announce_join(self, link: Link) -> None:
        """As long as there is this connection: a hook that waits for another one must not keep it from being looked for."""
        hooks = asyncio.ensure_future(self._announce("join"))
        try:
            await first_of(hooks, link.ended)
        finally:
            if not hooks.done():
                hooks.cancel()
        if link.loss is not None:
            if not hooks.done():
                log.warning("what is done on joining was cut short: %s", link.loss.message)
            await asyncio.wait([hooks], timeout=self._close_timeout)

    async def _attach(self, link: Link, entry: Entry) -> None:
        try:
            await link.attach(entry, self._entries.__contains__)
            entry.was_there = True
        except ConnectionLost:
            return
        except WampError as error:
            if not entry.was_there and not self._has_joined:
                raise WampError(error.uri, f"{entry.uri} cannot be had: {error}") from error
            if entry.was_there and error.uri == "wamp.error.procedure_already_exists":
                # Perhaps it is the lost session, of which the router does not know yet that it is lost.
                self.spawn(self._attach_again(link, entry))
                return
            log.error("%s cannot be had any more: %s", entry.uri, error)
            if entry in self._entries:
                self._entries.remove(entry)

    async def _attach_again(self, link: Link, entry: Entry) -> None:
        delay, most = AGAIN
        while link.loss is None and entry in self._entries:
            await asyncio.sleep(delay)
            delay = min(delay * 2, most)
            try:
                return await link.attach(entry, self._entries.__contains__)
            except ConnectionLost:
                return
            except WampError as error:
                log.warning("%s cannot be had yet: %s", entry.uri, error)

    async def _announce(self, name: str) -> None:
        for hook in self._hooks[name]:
            try:
                await self._call_hook(hook)
            except Exception:
                log.exception("%s has failed", hook.name)

    def _revoked(self, entry: Entry, reason: str) -> None:
        if reason in LEAVES:
            return
        log.warning("the router has taken the %s of %s away: %s", entry.kind, entry.uri, reason)
        if entry in self._entries:
            self._entries.remove(entry)

    def _error_of(self, error: BaseException) -> Optional[WampError]:
        if isinstance(error, WampError):
            return error
        uri = next((self._uris[kind] for kind in type(error).__mro__ if kind in self._uris), None)
        if uri is None:
            return None
        answer = WampError(uri, *error.args)
        answer.kwargs = dict(getattr(error, "kwargs", {}))
        return answer

    def _raised(self, error: WampError) -> BaseException:
        kind = self._errors.get(error.uri)
        if kind is None:
            return error
        try:
            return kind(*error.args, **error.kwargs)
        except TypeError:
            return error

    # The end.

    async def close(self) -> None:
        """Withdraws what is offered, finishes what has begun (at most `grace` long) and leaves the session."""
        if self._loop is None or self._leaving:
            return
        self._leaving = True
        try:
            for task in list(self._tasks):
                task.cancel()
            if self._live is not None:
                await self._announce("stop")
                await self._withdraw()
                await self._live_leave()
        finally:
            keeper = getattr(self, "_keeper", None)
            if keeper is not None:
                keeper.cancel()
                await asyncio.wait([keeper])
            if not self._ended.done():
                self._ended.set_result(Loss("the application has ended", "wamp.close.normal"))
            for entry in self._entries:
                entry.lane.cancel()
            self._threads.shutdown(wait=False)
            # Sockets that are being closed.
            await asyncio.sleep(0)
            log.info("stopped")

    async def _withdraw(self) -> None:
        link = self._live
        if link is None:
            return
        try:
            work = [link.detach(entry) for entry in list(self._entries)]
            await asyncio.wait_for(asyncio.gather(*work, return_exceptions=True), self._close_timeout)
        except asyncio.TimeoutError:
            pass
        done = asyncio.ensure_future(self._gate.emptied())
        await first_of(done, link.ended, timeout=self._grace)
        if not done.done():
            done.cancel()
            log.warning("%d handlers have not ended within %g s, and are canceled", self._gate.held, self._grace)
            for entry in self._entries:
                entry.lane.cancel()
            await asyncio.sleep(0)

    async def _live_leave(self) -> None:
        if self._live is not None:
            await self._live.leave("wamp.close.normal", self._close_timeout)


class _Errors:
    """Raises errors with URIs as the classes of the application."""

    def __init__(self, app: App) -> None:
        self._app = app

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if isinstance(error, WampError):
            raised = self._app._raised(error)
            if raised is not error:
                raise raised from error


def _matching(options: Mapping[str, Any], match: str) -> dict[str, Any]:
    return {**options, "match": match}


def _registration(
    procedure: str, function: Function, match: str, concurrency: Optional[int], options: Mapping[str, Any]
) -> Registration:
    options = _matching(options, match)
    width = CALLS if concurrency is None else concurrency
    return Registration(procedure, Handler(function), options if concurrency is None else {**options, "concurrency": width}, width)


def _value(result: Result) -> Any:
    if result.kwargs or len(result.args) > 1:
        return result
    return result.args[0] if result.args else None
