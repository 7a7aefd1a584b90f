"""One autobahn client that does everything with every peer of a group: peer.py URL SERIALIZER PREFIX ME NAME..."""

import asyncio
import sys

from autobahn.asyncio.component import Component
from autobahn.wamp import ApplicationError, CallResult, PublishOptions

URL, SERIALIZER, PREFIX, ME, *NAMES = sys.argv[1:]
ARGS = [1, -70000, "Grüße 😀", None, 3.5, True, [1, [2, []]], {"key": {"inner": False}}]
KWARGS = {"number": 70000, "list": [], "text": "ключ"}


def transport():
    if URL.startswith("rs://"):
        host, port = URL[5:].rstrip("/").split(":")
        endpoint = {"type": "tcp", "host": host, "port": int(port)}
        return {"type": "rawsocket", "url": URL, "endpoint": endpoint, "serializer": SERIALIZER}
    return {"type": "websocket", "url": URL, "serializers": [SERIALIZER]}


async def exercise(session, broken):
    unsubscribed = []
    seen = {"hello": set(), "done": set()}
    changed = asyncio.Event()

    def listener(kind):
        def on_event(*args, **kwargs):
            # The library only logs what a handler raises.
            try:
                take(*args, **kwargs)
            except BaseException as error:
                if not broken.done():
                    broken.set_exception(error)

        def take(name, *rest, **kwargs):
            assert not unsubscribed, "an event after UNSUBSCRIBED"
            if name == "nobody":
                return  # From a peer that has unsubscribed already.
            assert list(rest) == ARGS and kwargs == KWARGS, (rest, kwargs)
            assert name not in seen[kind], f"{kind} of {name} came twice"
            seen[kind].add(name)
            changed.set()

        return on_event

    async def everybody(kind):
        while seen[kind] != set(NAMES):
            changed.clear()
            await changed.wait()

    def echo(*args, **kwargs):
        return CallResult(*args, **kwargs)

    def fail(*args, **kwargs):
        raise ApplicationError("com.test.failed", *args, **kwargs)

    subscriptions = [await session.subscribe(listener(kind), f"{PREFIX}.{kind}") for kind in ("hello", "done")]
    registrations = [await session.register(echo, f"{PREFIX}.{ME}.echo"), await session.register(fail, f"{PREFIX}.{ME}.fail")]
    options = PublishOptions(acknowledge=True, exclude_me=False)

    for name in NAMES:
        while True:
            try:
                result = await session.call(f"{PREFIX}.{name}.echo", *ARGS, **KWARGS)
                break
            except ApplicationError as error:
                assert error.error == "wamp.error.no_such_procedure", error
                await asyncio.sleep(0.05)
        assert list(result.results) == ARGS and result.kwresults == KWARGS, result
        # The peer registers this one last.
        while True:
            try:
                await session.call(f"{PREFIX}.{name}.fail", *ARGS, **KWARGS)
                raise AssertionError("the call must fail")
            except ApplicationError as error:
                if error.error == "wamp.error.no_such_procedure":
                    await asyncio.sleep(0.05)
                    continue
                assert error.error == "com.test.failed", error
                assert list(error.args) == ARGS and error.kwargs == KWARGS, error
                break
    await session.publish(f"{PREFIX}.hello", ME, *ARGS, options=options, **KWARGS)
    await everybody("hello")
    await session.publish(f"{PREFIX}.done", ME, *ARGS, options=options, **KWARGS)
    await everybody("done")

    for registration in registrations:
        await registration.unregister()
    try:
        await session.call(f"{PREFIX}.{ME}.echo")
        raise AssertionError("the procedure must be gone")
    except ApplicationError as error:
        assert error.error == "wamp.error.no_such_procedure", error
    for subscription in subscriptions:
        await subscription.unsubscribe()
    unsubscribed.append(True)
    await session.publish(f"{PREFIX}.hello", "nobody", options=options)


async def main():
    component = Component(transports=[transport()], realm="realm1")
    outcome = asyncio.get_running_loop().create_future()

    @component.on_join
    async def joined(session, details):
        try:
            assert details.realm == "realm1"
            await exercise(session, outcome)
            session.leave()
        except BaseException as error:
            if not outcome.done():
                outcome.set_exception(error)

    @component.on_leave
    def left(session, details):
        if not outcome.done():
            if details.reason in ("wamp.close.normal", "wamp.close.goodbye_and_out"):
                outcome.set_result(details.reason)
            else:
                outcome.set_exception(RuntimeError(f"left: {details}"))

    component.start(loop=asyncio.get_running_loop())
    await asyncio.wait_for(outcome, 120)
    print("OK", flush=True)


asyncio.run(main())
