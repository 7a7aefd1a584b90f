import os

from autobahn.asyncio.component import Component, run

component = Component(transports=os.environ.get("COREBAR_URL", "ws://127.0.0.1:8080/"), realm="realm1")


@component.subscribe("com.example.hello")
async def hello(text):
    print("event:", text, flush=True)


@component.register("com.example.add")
async def add(a, b):
    return a + b


run([component], log_level="warn")
