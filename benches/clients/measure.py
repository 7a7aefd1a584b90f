"""How many calls and events one connection of a client for Python takes: measure.py CLIENT URL SECONDS. Run by run.py."""

import asyncio
import sys
import time

BURST = 1000


class Corebar:
    async def open(self, url):
        from corebar import App

        self.app = App(url, realm="realm1")
        await self.app.__aenter__()

    def call(self, procedure, *args):
        return self.app.call(procedure, *args)

    def send(self, topic, *args):
        return self.app.publish(topic, *args, options={"acknowledge": False})

    def publish(self, topic, *args):
        return self.app.publish(topic, *args)

    async def subscribe(self, topic, handler):
        async def hear(*args):
            handler()

        await self.app.subscribe(topic, hear)

    async def close(self):
        await self.app.__aexit__(None, None, None)


class Autobahn:
    async def open(self, url):
        from autobahn.asyncio.component import Component
        from autobahn.wamp.types import PublishOptions

        self.acknowledge = PublishOptions(acknowledge=True)
        component = Component(transports={"url": url, "serializers": ["json"]}, realm="realm1")
        joined = asyncio.get_running_loop().create_future()
        component.on_join(lambda session, details: joined.set_result(session))
        component.start(loop=asyncio.get_running_loop())
        self.session = await joined

    def call(self, procedure, *args):
        return self.session.call(procedure, *args)

    async def send(self, topic, *args):
        self.session.publish(topic, *args)

    async def publish(self, topic, *args):
        await self.session.publish(topic, *args, options=self.acknowledge)

    async def subscribe(self, topic, handler):
        await self.session.subscribe(lambda *args: handler(), topic)

    async def close(self):
        self.session.leave()


async def calls(client, window, seconds):
    start = time.perf_counter()
    made = 0

    async def one():
        nonlocal made
        while time.perf_counter() - start < seconds:
            await client.call("bench.add", 23, 7)
            made += 1

    await asyncio.gather(*(one() for _ in range(window)))
    return made / (time.perf_counter() - start)


async def publish(client, seconds):
    start = time.perf_counter()
    made = 1
    while time.perf_counter() - start < seconds:
        for number in range(BURST):
            await client.send("bench.nobody", "Hello!", made + number)
        made += BURST
        # autobahn knows no room: for it and us alike an acknowledged publication has to do.
        await client.publish("bench.nobody")
    return made / (time.perf_counter() - start)


async def receive(client, seconds):
    taken = 0
    tasks = set()
    done = asyncio.get_running_loop().create_future()

    def more():
        task = asyncio.ensure_future(client.call("bench.burst", "bench.events", BURST))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def hear():
        nonlocal taken
        taken += 1
        if taken % BURST == 0:
            if time.perf_counter() - start < seconds:
                more()
            elif not done.done():
                done.set_result(taken / (time.perf_counter() - start))

    await client.subscribe("bench.events", hear)
    start = time.perf_counter()
    more()
    more()
    rate = await done
    await asyncio.sleep(0.1)
    return rate


async def main():
    name, url, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    client = {"corebar": Corebar, "autobahn": Autobahn}[name]()
    await client.open(url)
    await calls(client, 64, 0.5)
    print("call", await calls(client, 1, seconds), flush=True)
    print("calls", await calls(client, 64, seconds), flush=True)
    print("publish", await publish(client, seconds), flush=True)
    print("receive", await receive(client, seconds), flush=True)
    await client.close()


asyncio.run(main())
