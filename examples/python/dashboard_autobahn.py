"""The same feed with autobahn: python dashboard_autobahn.py feed, and python dashboard_autobahn.py view."""

import asyncio
import os
import random
import sys

from autobahn.asyncio.component import Component, run
from autobahn.wamp.types import PublishOptions, SubscribeOptions

component = Component(transports=os.environ.get("COREBAR_URL", "ws://127.0.0.1:8080/"), realm="realm1")


async def feed(session, details):
    value, options = 50.0, PublishOptions(acknowledge=True, retain=True)
    while session.is_attached():
        value += random.uniform(-1, 1)
        await session.publish("com.example.autobahn.value.room1", round(value, 2), options=options)
        await asyncio.sleep(0.2)


async def view(session, details):
    def show(number, details):
        print(details.topic.rsplit(".", 1)[-1], number, "(the last one)" if details.retained else "", flush=True)

    options = SubscribeOptions(match="prefix", get_retained=True, details_arg="details")
    await session.subscribe(show, "com.example.autobahn.value", options=options)


component.on_join({"feed": feed, "view": view}[sys.argv[1]])
run([component], log_level="warn")
