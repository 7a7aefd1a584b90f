"""The same chat with autobahn: python chat_autobahn.py NAME."""

import asyncio
import os
import sys
import threading

from autobahn.asyncio.component import Component, run
from autobahn.wamp.types import PublishOptions, SubscribeOptions

name = sys.argv[1]
component = Component(transports=os.environ.get("COREBAR_URL", "ws://127.0.0.1:8080/"), realm="realm1")


def said(who, text):
    print(f"{who}: {text}", flush=True)


@component.on_join
async def joined(session, details):
    await session.subscribe(said, "com.example.chat", options=SubscribeOptions(get_retained=True))
    loop = asyncio.get_running_loop()

    # Nothing of this library may be used in another thread: each line is handed to the loop.
    async def say(text):
        options = PublishOptions(acknowledge=True, retain=True)
        await session.publish("com.example.chat", name, text, options=options)

    def read():
        for line in sys.stdin:
            asyncio.run_coroutine_threadsafe(say(line.rstrip("\n")), loop).result()
        loop.call_soon_threadsafe(session.leave)

    print("joined", flush=True)
    threading.Thread(target=read, daemon=True).start()


run([component], log_level="warn")
