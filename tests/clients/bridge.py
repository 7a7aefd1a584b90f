"""Publishes and calls with crossbarhttp, at a publisher and a caller that want signed requests."""

import logging
import sys

from crossbarhttp import (
    Client,
    ClientCallRuntimeError,
    ClientNoCalleeRegistered,
    ClientSignatureError,
)


def fails(error, function, *args):
    try:
        function(*args)
    except error as why:
        return str(why)
    raise AssertionError(f"{function} with {args} has worked")


logging.disable()
base = sys.argv[1]
publisher = Client(base + "/publish", key="me", secret="secret")
caller = Client(base + "/call", key="me", secret="secret")

for number in range(3):
    assert publisher.publish("com.x", number, "é", key=[number]) > 0
fails(ClientSignatureError, Client(base + "/publish", key="me", secret="wrong").publish, "com.x")
fails(ClientNoCalleeRegistered, caller.call, "com.nothing")
assert caller.call("com.add", 2, 3) == 5
assert caller.call("com.add", 2.5, 3) == 5.5
assert "no sum" in fails(ClientCallRuntimeError, caller.call, "com.add", "é", 3)
