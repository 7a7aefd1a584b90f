"""The package corebar with Crossbar.io as the router: app_crossbar.py BASE. Prints `away` when the router may be killed, and OK
at the end."""

import asyncio
import contextlib
import sys

from corebar import App, ConnectionLost, Details, Last, Reconnect, Result, WampError

BASE = sys.argv[1]


def new(path="ws", **more):
    return App(f"{BASE}/{path}", "realm1", **{"reconnect": None, **more})


async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)


@contextlib.contextmanager
def raises(uri):
    try:
        yield
    except WampError as error:
        assert error.uri == uri, error
        return
    raise AssertionError(f"no {uri} was raised")


async def events(serializer):
    one, heard = new(serializers=[serializer]), []

    @one.event("py.a.b")
    async def exact(*args, **kwargs):
        heard.append(("exact", args, kwargs))

    @one.event("py.a.", match="prefix")
    async def prefix(*args, details: Details, **kwargs):
        heard.append((details.uri, args, kwargs))

    @one.event("py..b", match="wildcard")
    async def wildcard(*args, details: Details, **kwargs):
        heard.append((details.uri, args, kwargs))

    async with one, new(serializers=[serializer]) as other:
        assert isinstance(await other.publish("py.a.b", 1, "ü", k=None), int)
        await until(lambda: len(heard) == 3)
        assert sorted(heard, key=str) == sorted(
            [("exact", (1, "ü"), {"k": None})] + [("py.a.b", (1, "ü"), {"k": None})] * 2, key=str
        )
        await other.publish("py.a.b", b"\0\1", options={"acknowledge": False})
        await until(lambda: len(heard) == 6)


async def calls(serializer):
    one, canceled = new(serializers=[serializer]), []

    @one.register("py.add")
    async def add(a, b):
        return a + b

    @one.register("py.echo")
    def echo(*args, **kwargs):
        return Result(args, kwargs)

    @one.register("py.fail")
    async def fail():
        raise WampError("py.error", 1, k=2)

    @one.register("py.any.", match="prefix")
    async def any_of(details: Details):
        return details.uri

    @one.register("py.count")
    async def count(to):
        for at in range(to):
            yield at
        yield Last(to)

    @one.register("py.never")
    async def never():
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            canceled.append(True)
            raise

    async with one, new(serializers=[serializer]) as other:
        assert await other.call("py.add", 23, 7) == 30
        several = await other.call("py.echo", 1, [2], k="v")
        assert (list(several.args), several.kwargs) == ([1, [2]], {"k": "v"}), several
        with raises("py.error"):
            await other.call("py.fail")
        with raises("wamp.error.no_such_procedure"):
            await other.call("py.nobody")
        assert await other.call("py.any.thing") == "py.any.thing"
        assert [value async for value in other.stream("py.count", 3)] == [0, 1, 2, 3]
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(other.call("py.never"), 0.05)
        await until(lambda: len(canceled) == 1)


async def logins():
    for path, good, bad in [
        ("ticket", {"ticket": "secret!"}, {"ticket": "secret?"}),
        ("cra", {"secret": "secret!"}, {"secret": "secret?"}),
        ("salted", {"secret": "secret!"}, {"secret": "secret?"}),
        ("cryptosign", {"private_key": "07" * 32}, {"private_key": "08" * 32}),
        ("scram", {"password": "secret!"}, {"password": "secret?"}),
    ]:
        async with new(path, authid="joe", **good) as app:
            await app.publish("py.in")
        try:
            async with new(path, authid="joe", **bad):
                raise AssertionError(f"{path}: it is let in")
        except ConnectionError:
            pass


async def returns():
    app = new(reconnect=Reconnect(delay_first=0.05, delay_max=0.5))
    heard, joined, lost = [], [], []

    @app.event("py.back")
    async def back(number):
        heard.append(number)

    @app.register("py.back.add")
    async def add(a, b):
        return a + b

    @app.register("py.back.never")
    async def never():
        await asyncio.get_running_loop().create_future()

    @app.on_join
    async def on_join():
        joined.append(True)

    async with app:

        async def lose():
            try:
                await app.call("py.back.never")
            except ConnectionLost:
                lost.append(True)

        task = asyncio.ensure_future(lose())
        await asyncio.sleep(0.1)
        print("away", flush=True)
        await until(lambda: lost and len(joined) == 2)
        await task
        async with new() as other:
            assert await other.call("py.back.add", 2, 3) == 5
            await other.publish("py.back", 7)
            await until(lambda: heard == [7])


async def main():
    for serializer in ["json", "msgpack", "cbor"]:
        await events(serializer)
        await calls(serializer)
    await logins()
    await returns()
    print("OK", flush=True)


asyncio.run(main())
