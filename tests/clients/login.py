"""Logs in with autobahn for Python: login.py URL METHOD AUTHID SECRET. Prints the role, or the reason of the refusal."""

import asyncio
import base64
import sys

from autobahn.asyncio.component import Component
from autobahn.wamp import auth

URL, METHOD, AUTHID, SECRET = sys.argv[1:]
KEYS = {"ticket": "ticket", "wampcra": "secret", "scram": "password", "cryptosign": "privkey"}
options = {"authid": AUTHID, KEYS[METHOD]: SECRET}


def pbkdf2(password, salt, iterations):
    """In place of autobahn's own function for SCRAM, which does not decode the salt and so always fails."""
    return auth.pbkdf2(password, base64.b64decode(salt), iterations, keylen=32)


auth._hash_pbkdf2_secret = pbkdf2
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
