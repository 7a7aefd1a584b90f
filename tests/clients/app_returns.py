"""An application that tells what happens to it: app_returns.py URL."""

import functools
import sys

from corebar import App, ConnectionLost

say = functools.partial(print, flush=True)
app = App(sys.argv[1], "realm1")


@app.event("com.test.note")
async def note(text):
    say("event", text)


@app.register("com.test.add")
def add(a, b):
    return a + b


@app.on_start
async def start():
    say("start")


@app.on_join
async def join():
    say("join", await app.call("com.test.add", 1, 2))


@app.on_lost
async def lost():
    try:
        await app.publish("com.test.note", "nobody")
    except ConnectionLost as error:
        say("lost", error)


@app.on_stop
async def stop():
    say("stop")


app.run()
