"""What the programs that try the package corebar wait for, and what they expect to be raised."""

import asyncio
import contextlib


async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)


@contextlib.contextmanager
def raises(kind, text=""):
    try:
        yield
    except kind as error:
        assert text in str(error), f"{error!r} has no {text!r}"
        return
    raise AssertionError(f"no {kind.__name__} was raised")
