"""Logs in with corebar for Python: app_login.py URL METHOD AUTHID SECRET. Prints the role, or the reason of the refusal."""

import asyncio
import sys

from corebar import App, ConnectionLost

URL, METHOD, AUTHID, SECRET = sys.argv[1:]
NAMES = {"ticket": "ticket", "wampcra": "secret", "scram": "password", "wamp-scram": "password", "cryptosign": "private_key"}


async def secret():
    return SECRET


async def main():
    # Both dialects are offered, unless one is asked for.
    only = {"authmethods": [METHOD]} if METHOD == "wamp-scram" else {}
    app = App(URL, "realm1", authid=AUTHID, reconnect=None, **{NAMES[METHOD]: secret}, **only)
    try:
        async with app:
            print(app.details["authid"], app.details["authrole"], app.details["authmethod"], "OK")
    except ConnectionLost as error:
        print("refused:", error.reason)


asyncio.run(main())
