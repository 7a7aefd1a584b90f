"""The package corebar, with a router: apps.py URL SERIALIZER PREFIX. Prints OK."""

import asyncio
import dataclasses
import functools
import logging
import sys
import threading

from corebar import App, ConnectionLost, Details, Last, Progress, Reconnect, Result, SessionEnded, WampError
from corebar.handler import Handler
from waiting import raises, until

URL, SERIALIZER, PREFIX = sys.argv[1:]
logged = []


class Note(logging.Handler):
    def emit(self, record):
        logged.append(record.getMessage())


logging.getLogger("corebar").addHandler(Note())
logging.getLogger("corebar").propagate = False


def new(**more):
    return App(URL, "realm1", serializers=[SERIALIZER], **{"reconnect": None, **more})


def uri(name):
    return f"{PREFIX}.{name}"


async def events():
    one, heard, threads = new(), [], set()

    @one.event(uri("a.b"))
    async def exact(*args, **kwargs):
        heard.append(("exact", args, kwargs))

    @one.event(uri("a.b"))
    def plain(*args, details: Details, **kwargs):
        threads.add(threading.current_thread())
        heard.append((details.uri, args, kwargs))

    @one.event(uri("a"), match="prefix")
    async def wide(*args, details: "Details", **kwargs):
        assert details.pattern == uri("a") and details.publication
        heard.append((details.uri, args, kwargs))

    @one.event(uri("kept"), retained=True)
    async def kept(value, details: Details):
        heard.append((value, details.retained))

    @one.event(uri("wrong"))
    async def wrong():
        raise ValueError("no")

    async with new() as other:
        await other.publish(uri("kept"), "kept", options={"retain": True})
        async with one:
            await until(lambda: heard == [("kept", True)])
            heard.clear()
            assert isinstance(await other.publish(uri("a.b"), 1, k=None), int)
            await until(lambda: len(heard) == 3)
            assert sorted(name for name, *_ in heard) == sorted(["exact", uri("a.b"), uri("a.b")]), heard
            assert all(rest == [(1,), {"k": None}] for _, *rest in heard)
            assert threading.main_thread() not in threads and len(threads) == 1
            # Events come in their order, one after the other.
            heard.clear()
            slow = await one.subscribe(uri("slow"), functools.partial(slowly, heard))
            for number in range(20):
                assert await other.publish(uri("slow"), number, options={"acknowledge": False}) is None
            await until(lambda: len(heard) == 40)
            assert heard == [x for number in range(20) for x in (number, number)]
            await slow.end()
            await slow.end()
            heard.clear()
            # One of two with the same topic goes, the other one stays; and one comes while the other one goes.
            note = lambda value: heard.append(value)  # noqa: E731
            first, second = await asyncio.gather(one.subscribe(uri("x"), note), one.subscribe(uri("x"), note))
            assert first.id == second.id
            await first.end()
            third, _ = await asyncio.gather(one.subscribe(uri("x"), note), second.end())
            await other.publish(uri("x"), b"\0\xff")
            await until(lambda: heard == [b"\0\xff"])
            await third.end()
            await other.publish(uri("wrong"))
            await other.publish(uri("wrong"), 1)
            await until(lambda: len([line for line in logged if uri("wrong") in line]) == 2)
            for call in (one.subscribe("not a topic", note), one.publish("wamp.mine")):
                with raises(WampError, "wamp.error.invalid_uri"):
                    await call
            with raises(TypeError, "cannot be sent"):
                await one.publish(uri("x"), object())
            with raises(TypeError):
                await one.subscribe(uri("x"), 5)


async def slowly(heard, value):
    heard.append(value)
    await asyncio.sleep(0)
    heard.append(value)


class Odd(Exception):
    pass


async def calls():
    one, other = new(), new()
    values = {"nothing": None, "list": [1, [2]], "several": Result([1, 2]), "named": Result([], {"a": 1})}
    for app in (one, other):
        app.error("com.example.odd")(Odd)

    @one.register(uri("value"))
    async def value(name, default="x", /, *, options=None):
        return values[name]

    @one.register(uri("wide"), match="prefix")
    def wide(details: Details):
        return details.uri

    @one.register(uri("sum"))
    def total(*numbers):
        # A thread may call and publish, too.
        return sum(one.sync.call(uri("same"), number) for number in numbers)

    @one.register(uri("same"))
    async def same(value):
        return value

    @one.register(uri("fails"))
    async def fails(how):
        if how == "odd":
            raise Odd("odd", 1)
        if how == "uri":
            raise WampError("com.no", 1, 2, why="so")
        if how == "circle":
            return object()
        raise ValueError("oh")

    async with one, other:
        for name, wanted in values.items():
            got = await other.call(uri("value"), name)
            plain = (list(got.args), got.kwargs) if isinstance(got, Result) else got
            assert plain == ((list(wanted.args), wanted.kwargs) if isinstance(wanted, Result) else wanted), (name, got)
        assert await other.call(uri("wide.deep")) == uri("wide.deep")
        assert await other.call(uri("sum"), 1, 2, 3) == 6
        many = await asyncio.gather(*(other.call(uri("same"), number) for number in range(300)))
        assert many == list(range(300))
        with raises(Odd):
            await other.call(uri("fails"), "odd")
        try:
            await other.call(uri("fails"), "uri")
        except WampError as error:
            assert (error.uri, error.args, error.kwargs) == ("com.no", (1, 2), {"why": "so"}), error
        else:
            raise AssertionError
        for how, wanted in (("x", "wamp.error.runtime_error: oh"), ("circle", "wamp.error.runtime_error: this cannot")):
            with raises(WampError, wanted):
                await other.call(uri("fails"), how)
        assert any("fails has failed" in line for line in logged)
        for args in ((), ("list", 2, 3)):
            with raises(WampError, "wamp.error.invalid_argument"):
                await other.call(uri("value"), *args)
        with raises(WampError, "wamp.error.no_such_procedure"):
            await other.call(uri("none"))
        with raises(WampError, "wamp.error.procedure_already_exists"):
            await other.offer(uri("same"), same)
        with raises(RuntimeError, "plain functions"):
            other.sync.call(uri("same"), 1)
        taken = await one.offer(uri("taken"), same)
        assert await other.call(uri("taken"), 1) == 1
        await taken.end()
        with raises(WampError, "wamp.error.no_such_procedure"):
            await other.call(uri("taken"), 1)
    with raises(ConnectionLost):
        await other.call(uri("same"), 1)


async def progress():
    one, begun, ended, working, most = new(), [], [], set(), []

    @one.register(uri("count"))
    async def count(to):
        try:
            for number in range(to):
                yield number
                await asyncio.sleep(0)
            yield Last("done")
        finally:
            ended.append(to)

    @one.register(uri("plain"))
    def plain(to):
        yield from range(to)

    @one.register(uri("told"))
    def told(to, progress: Progress):
        for number in range(to):
            progress(number, odd=number % 2)
        return progress.wanted

    @one.register(uri("sleep"))
    async def sleep():
        begun.append("sleep")
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            ended.append("sleep")
            raise

    @one.register(uri("narrow"), concurrency=2)
    async def narrow(number):
        working.add(number)
        most.append(len(working))
        await asyncio.sleep(0.001)
        working.discard(number)

    async with one, new(call_timeout=0.05) as other:
        assert [x async for x in other.stream(uri("count"), 3)] == [0, 1, 2, "done"]
        assert await other.call(uri("count"), 3, options={"timeout": 20000}) == "done"
        assert [x async for x in other.stream(uri("plain"), 3)] == [0, 1, 2]
        got = [x async for x in other.stream(uri("told"), 2)]
        assert [(list(x.args), x.kwargs) for x in got[:-1]] == [([0], {"odd": 0}), ([1], {"odd": 1})] and got[-1] is True
        assert await other.call(uri("told"), 2, options={"timeout": 20000}) is False
        ended.clear()
        results = other.stream(uri("count"), 1_000_000)
        assert [await results.__anext__() for _ in range(3)] == [0, 1, 2]
        await results.aclose()
        await until(lambda: ended == [1_000_000])
        ended.clear()
        with raises(WampError, "wamp.error.timeout"):
            await other.call(uri("sleep"))
        # It may have been canceled before it began.
        begun.clear()
        ended.clear()
        call = asyncio.ensure_future(other.call(uri("sleep"), options={"timeout": 20000}))
        await until(lambda: begun)
        call.cancel()
        await until(lambda: ended)
        await asyncio.gather(*(other.call(uri("narrow"), number, options={"timeout": 20000}) for number in range(20)))
        assert max(most) == 2, most


async def lives():
    """What is called when; what has begun is finished."""
    said = []
    one = new(grace=20)

    @one.on_start
    async def start():
        said.append("start")

    @one.on_join
    def join():
        said.append("join")

    @one.on_stop
    async def stop():
        said.append("stop")
        await one.publish(uri("bye"))

    @one.every(0.01)
    async def tick():
        said.append("tick")
        raise ValueError("tick")

    @one.register(uri("long"))
    async def long():
        said.append("long")
        await asyncio.sleep(0.3)
        return "kept"

    async with new() as other:
        await other.subscribe(uri("bye"), lambda: said.append("bye"))
        async with one:
            assert said[:2] == ["join", "start"] and one.is_connected and one.session_id and one.details["authrole"]
            await until(lambda: said.count("tick") > 2)
            call = asyncio.ensure_future(other.call(uri("long")))
            await until(lambda: "long" in said)
        assert await call == "kept"
        await until(lambda: said[-1] == "bye")
        said.clear()
        await asyncio.sleep(0.05)
        assert not said
        with raises(RuntimeError, "runs once"):
            await one.__aenter__()
    busy = new(grace=0.05)
    with raises(SessionEnded):
        await busy.publish(uri("x"))
    begun = []

    @busy.register(uri("busy"))
    async def work():
        begun.append(1)
        await asyncio.sleep(1000)

    async with new() as other:
        async with busy:
            call = asyncio.ensure_future(other.call(uri("busy")))
            await until(lambda: begun)
        with raises(WampError, "wamp.error.canceled"):
            await call
        # What the application is for must be had.
        async with new() as first:
            await first.offer(uri("mine"), len)
            second = new()
            second.register(uri("mine"))(len)
            with raises(WampError, "procedure_already_exists"):
                async with second:
                    pass
        killed = new(reconnect=Reconnect())
        async with killed:
            await other.call("wamp.session.kill", killed.session_id, reason="wamp.close.killed")
            with raises(SessionEnded, "killed"):
                await asyncio.wait_for(killed.ended(), 20)
    with raises(ConnectionLost, "no connection"):
        async with App("ws://127.0.0.1:1/", "realm1", reconnect=Reconnect(from_the_start=False)):
            pass
    with raises(ConnectionLost, "no_such_realm"):
        async with App(URL, "nowhere", reconnect=None):
            pass


async def pressure():
    """A handler that is slow does not make anything grow, and may call meanwhile."""
    one, heard = new(queue_max=10), []

    @one.event(uri("many"))
    async def many(number):
        heard.append(await one.call(uri("same"), number))

    @one.register(uri("same"))
    async def same(number):
        return number

    async with one, new() as other:
        await asyncio.gather(*(other.publish(uri("many"), number) for number in range(150)))
        await until(lambda: len(heard) == 150)
        assert heard == list(range(150))


def bad():
    app = App()
    for wrong in (
        lambda: app.event("")(len),
        lambda: app.event("com.x", match="some")(len),
        lambda: app.register("com.x", concurrency=0)(len),
        lambda: app.every(0),
        lambda: App(serializers=["xml"]),
        lambda: App(queue_max=0),
        lambda: Reconnect(delay_first=-1),
    ):
        with raises((TypeError, ValueError)):
            wrong()
    policy = Reconnect()
    assert [policy.delay(n, None, 0) for n in (1, 2, 3, 8, 1000)] == [0.25, 0.5, 1, 30, 30]
    assert [policy.delay(n, None, 1) for n in (1, 1000)] == [0.125, 15]
    assert policy.delay(3, 7000, 1) == 7 and policy.delay(3, 10**12, 1) == 3600 and policy.delay(1, "x", 0) == 0.25
    assert dataclasses.replace(policy, growth=0).delay(9, None, 0) == 0.25
    assert set(Handler(lambda a, details=None: a).wanted) == set()


async def main():
    bad()
    for part in (events, calls, progress, lives, pressure):
        await asyncio.wait_for(part(), 60)
    print("OK")


asyncio.run(main())
