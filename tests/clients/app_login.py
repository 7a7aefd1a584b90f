"""Logs in with corebar for Python: app_login.py URL METHOD AUTHID SECRET. Prints the role, or the reason of the refusal."""

import asyncio
import sys

from corebar import App, ConnectionLost

URL, METHOD, AUTHID, SECRET = sys.argv[1:]
NAMES = {"ticket": "ticket", "wampcra": "secret", "scram": "password", "cryptosign": "private_key"}


async def secret():
    return SECRET


async def main():
    app = App(URL, "realm1", authid=AUTHID, reconnect=None, **{NAMES[METHOD]: secret})
    try:
        async with app:
            print(app.details["authid"], app.details["authrole"], app.details["authmethod"].replace("wamp-", ""), "OK")
    except ConnectionLost as error:
        print("refused:", error.reason)


asyncio.run(main())
