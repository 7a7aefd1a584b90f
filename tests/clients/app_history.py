"""The package corebar with a router that keeps the events below PREFIX: app_history.py URL SERIALIZER PREFIX. What is published
while an application is away comes when it is back, each event once and in its order. Prints OK."""

import asyncio
import sys

from corebar import App, Details, Reconnect

URL, SERIALIZER, PREFIX = sys.argv[1:]


def new(policy):
    return App(URL, "realm1", serializers=[SERIALIZER], reconnect=policy)


async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)


async def main():
    quick = dict(delay_first=0.05, delay_max=0.05)
    one, without, other = new(Reconnect(**quick)), new(Reconnect(**quick, fill_gaps=False)), new(None)
    exact, wide, quiet, plain, joined = [], [], [], [], []

    def note(heard):
        async def handle(number, details: Details):
            assert details.publication > 0 and details.uri.startswith(PREFIX)
            heard.append(-number if details.replayed else number)

        return handle

    one.event(f"{PREFIX}.topic")(note(exact))
    one.event(f"{PREFIX}.quiet")(note(quiet))
    without.event(f"{PREFIX}.topic")(note(plain))

    @one.on_join
    async def on_join():
        joined.append(one)

    @without.on_join
    async def on_join_without():
        joined.append(without)

    @one.on_lost
    async def on_lost():
        # Not before everything is published.
        await back.wait()

    back = asyncio.Event()

    async def publish(first, last):
        for number in range(first, last + 1):
            await other.publish(f"{PREFIX}.topic", number)

    rounds = 1

    async def lose():
        nonlocal rounds
        rounds += 1
        back.clear()
        for app in (one, without):
            number = app.session_id
            await other.call("wamp.session.kill", number, reason="com.go.away")
            await until(lambda app=app, number=number: app.session_id != number)

    async def come_back():
        back.set()
        await until(lambda: joined.count(one) == rounds and joined.count(without) == rounds)

    async with other, one, without:
        held = await one.subscribe(PREFIX, note(wide), match="prefix")
        # Before anything was heard.
        await asyncio.sleep(0.2)
        await lose()
        await publish(1, 3)
        await come_back()
        await until(lambda: len(exact) == 3 and len(wide) == 3)
        assert exact == wide == [-1, -2, -3], (exact, wide)
        await publish(4, 5)
        await until(lambda: len(exact) == 5 and 5 in plain)
        # More than is asked for at a time, while others go on to publish.
        await lose()
        await publish(6, 700)
        await asyncio.gather(come_back(), publish(701, 900))
        await until(lambda: len(exact) >= 900 and len(wide) >= 900)
        await asyncio.sleep(0.1)
        for heard in (exact, wide):
            assert [abs(number) for number in heard] == list(range(1, 901)), heard
        assert sum(number < 0 for number in exact) >= 698, "what was missed is told as such"
        assert all(number > 0 for number in plain), "who wants nothing of the past gets nothing"
        # Nothing is missed: nothing comes once more.
        await held.end()
        await lose()
        await come_back()
        await asyncio.sleep(0.1)
        await publish(901, 901)
        await until(lambda: len(exact) >= 901)
        assert [len(exact), len(wide), len(quiet)] == [901, 900, 0]
    print("OK", flush=True)


asyncio.run(asyncio.wait_for(main(), 120))
