"""Logs in with autobahn for Python: login.py URL METHOD AUTHID SECRET. Prints the role, or the reason of the refusal."""

import asyncio
import sys

from autobahn.asyncio.component import Component

URL, METHOD, AUTHID, SECRET = sys.argv[1:]
options = {"authid": AUTHID, "ticket" if METHOD == "ticket" else "secret": SECRET}
transport = {"type": "websocket", "url": URL, "max_retries": 0}
component = Component(transports=[transport], realm="realm1", authentication={METHOD: options})
said = []


@component.on_join
async def joined(session, details):
    said.append(f"{details.authid} {details.authrole} {details.authmethod} OK")
    session.leave()


@component.on_leave
async def left(session, details):
    said.append(f"refused: {details.reason}")


async def main():
    try:
        await component.start(loop=asyncio.get_running_loop())
    except RuntimeError:
        # All attempts have failed: there was one, and why it failed has been said.
        pass


asyncio.run(main())
print(said[0])
