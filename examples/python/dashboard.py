"""A live feed: python dashboard.py feed, and python dashboard.py view, as often as wanted."""

import random
import sys

from corebar import App, Details

app = App()
value = 50.0


def feed():
    @app.every(0.2)
    async def measure():
        global value
        value += random.uniform(-1, 1)
        await app.publish("com.example.python.value.room1", round(value, 2), options={"retain": True})


def view():
    @app.event("com.example.python.value", match="prefix", retained=True)
    async def show(number, details: Details):
        room = details.uri.rsplit(".", 1)[-1]
        print(room, number, "(the last one)" if details.retained else "", flush=True)


roles = {"feed": feed, "view": view}
if len(sys.argv) != 2 or sys.argv[1] not in roles:
    sys.exit(__doc__)
roles[sys.argv[1]]()
app.run()
