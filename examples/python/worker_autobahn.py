"""The same worker with autobahn: python worker_autobahn.py work, and python worker_autobahn.py ask NUMBER."""

import asyncio
import os
import sys

from autobahn.asyncio.component import Component, run
from autobahn.wamp.types import CallOptions, RegisterOptions

component = Component(transports=os.environ.get("COREBAR_URL", "ws://127.0.0.1:8080/"), realm="realm1")


async def primes(most, details):
    found, step = 0, max(most // 4, 1)
    for number in range(2, most + 1):
        found += all(number % divisor for divisor in range(2, int(number**0.5) + 1))
        if number % step == 0:
            if details.progress:
                details.progress(f"{100 * number // most} %")
            await asyncio.sleep(0)  # There are others, too.
    return found


async def work(session, details):
    await session.register(primes, "com.example.autobahn.primes", options=RegisterOptions(invoke="roundrobin", details_arg="details"))
    print("at work", flush=True)


async def ask(session, details):
    most = int(sys.argv[2])
    options = CallOptions(on_progress=lambda text: print(text, flush=True))
    found = await session.call("com.example.autobahn.primes", most, options=options)
    print(f"{found} primes up to {most}", flush=True)
    session.leave()


component.on_join({"work": work, "ask": ask}[sys.argv[1]])
run([component], log_level="warn")
