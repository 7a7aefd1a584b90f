"""An autobahn client that does with the commands of Corebar's client what they do with each other: commands.py URL"""

import asyncio
import sys

from autobahn.asyncio.component import Component
from autobahn.wamp import ApplicationError, CallOptions, PublishOptions, RegisterOptions

async def exercise(session):
    heard = asyncio.get_running_loop().create_future()
    await session.subscribe(lambda *args, **kwargs: heard.set_result((args, kwargs)), "com.example.to-python")

    def add(a, b, details=None):
        if b == 0:
            raise ApplicationError("com.example.error.zero", "nothing to add", b=b)
        for step in range(2):
            if details.progress:
                details.progress(step)
        return a + b

    await session.register(add, "com.example.add", options=RegisterOptions(details_arg="details"))
    print("ready", flush=True)
    args, kwargs = await heard
    assert args == ("hello", 5, [1.5, None], b"\x00\x01") and kwargs == {"key": {"inner": True}}, (args, kwargs)
    lines = []
    options = CallOptions(on_progress=lines.append)
    assert await session.call("com.example.shell", "a b", 7, options=options) is None
    assert lines == ["a b", "7"], lines
    try:
        await session.call("com.example.shell", "fail")
        raise AssertionError("it does not fail")
    except ApplicationError as error:
        assert error.error == "com.example.error.shell", error
        assert error.args[0] == "no good" and error.kwargs == {"exit_code": 3}, error
    options = PublishOptions(acknowledge=True)
    await session.publish("com.example.from-python", "Grüße", 2**60, key=[True], options=options)
    print("done", flush=True)


async def main():
    component = Component(transports=sys.argv[1], realm="realm1")
    outcome = asyncio.get_running_loop().create_future()

    @component.on_join
    async def joined(session, _details):
        # The library only logs what a handler raises.
        try:
            await exercise(session)
            outcome.set_result(None)
        except BaseException as error:
            outcome.set_exception(error)
        session.leave()

    component.start(loop=asyncio.get_running_loop())
    await asyncio.wait_for(outcome, 60)


asyncio.run(main())
