"""The package corebar with servers that play a router: app_staged.py. Prints OK."""

import asyncio
import contextlib
import json
import logging

import corebar.app
from corebar import App, ConnectionLost, Details, Reconnect, SessionEnded, WampError
from waiting import raises, until
from websockets.asyncio.server import serve

HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE, ERROR = 1, 2, 3, 4, 5, 6, 8
PUBLISH, PUBLISHED, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, UNSUBSCRIBED, EVENT = 16, 17, 32, 33, 34, 35, 36
CALL, RESULT, REGISTER, REGISTERED, UNREGISTER, UNREGISTERED, INVOCATION = 48, 50, 64, 65, 66, 67, 68
QUICK = dict(delay_first=0.01, delay_max=0.01)
ROLES = {"roles": {"broker": {"features": {"event_history": True}}}}
logged = []


class Note(logging.Handler):
    def emit(self, record):
        logged.append(record.getMessage())


logging.getLogger("corebar").addHandler(Note())
logging.getLogger("corebar").propagate = False


async def settled():
    """What can be done without the network is done."""
    for _ in range(50):
        await asyncio.sleep(0)


class Stage:
    """Answers as a router does, unless the script has answers of its own: it takes the number of the connection and a message.
    The history has `history`, and sessions are numbered as connections are."""

    def __init__(self, script=lambda number, message: None):
        self.script, self.sockets, self.heard, self.history, self.publications = script, [], [], [], iter(range(10_000, 20_000))

    async def __aenter__(self):
        self.server = await serve(self._serve, "127.0.0.1", 0, subprotocols=["wamp.2.json"])
        self.url = f"ws://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *_):
        self.server.close()
        await self.server.wait_closed()

    async def _serve(self, socket):
        self.sockets.append(socket)
        number = len(self.sockets)
        with contextlib.suppress(Exception):
            async for data in socket:
                message = json.loads(data)
                self.heard.append((number, *message))
                answers = self.script(number, message)
                for answer in self._answer(number, *message) if answers is None else answers:
                    await socket.send(json.dumps(answer))

    def _answer(self, number, kind, *rest):
        if kind == HELLO:
            return [[WELCOME, number, ROLES]]
        if kind == GOODBYE:
            return [[GOODBYE, {}, "wamp.close.goodbye_and_out"]]
        if kind == CALL and rest[2] == "wamp.subscription.get_events":
            return [[RESULT, rest[0], {}, self._told(**rest[4])]]
        extra = {PUBLISH: [next(self.publications)], SUBSCRIBE: [7], REGISTER: [8], CALL: [{}, [f"from {number}"]]}.get(kind, [])
        known = (PUBLISH, SUBSCRIBE, UNSUBSCRIBE, REGISTER, UNREGISTER)
        return [[kind + 1, rest[0], *extra]] if kind in known else [[RESULT, rest[0], *extra]] if kind == CALL else []

    def _told(self, limit, reverse=False, from_publication=None, after_publication=None, topic=None):
        found = self.history[::-1] if reverse else self.history
        anchor = from_publication or after_publication
        if anchor is not None:
            place = found.index(anchor) if anchor in found else len(found)
            found = found[place + (after_publication is not None):]
        return [{"publication": id, "timestamp": f"{id:08}", "args": [id]} for id in found[:limit]]

    async def say(self, *message):
        await self.sockets[-1].send(json.dumps(message))

    def cut(self):
        self.sockets[-1].transport.abort()

    def count(self, kind):
        return sum(message[1] == kind for message in self.heard)


def new(stage, **more):
    policy = more.pop("policy", {})
    return App(stage.url, "realm1", **{"reconnect": Reconnect(**QUICK, **policy), **more})


async def credentials():
    """Functions of the application that fail now and then do not end the session."""
    asked = []

    def token():
        asked.append(1)
        if len(asked) == fails:
            raise OSError("no token now")
        return "token"

    async with Stage() as stage:
        fails = 2
        async with new(stage, token=token) as one:
            stage.cut()
            await until(lambda: one.session_id == 2)
        assert len(asked) == 3 and any("cannot say who it is" in line for line in logged)
        asked.clear()
        fails = 1
        async with new(stage, token=token) as one:
            assert one.is_connected and len(asked) == 2, "it is tried from the start"
        for policy in (None, Reconnect(from_the_start=False)):
            asked.clear()
            with raises(OSError, "no token now"):
                async with new(stage, token=token, reconnect=policy):
                    pass

    def challenge(number, message):
        if message[0] == HELLO:
            return [[CHALLENGE, "own", {}]]
        return [[WELCOME, number, {}]] if message[0] == AUTHENTICATE else None

    async def own(_):
        asked.append(1)
        if len(asked) == 2:
            raise OSError("a secret of the application")
        return "signature"

    asked.clear()
    async with Stage(challenge) as stage, new(stage, auth={"own": own}) as one:
        stage.cut()
        await until(lambda: one.session_id == 3)
        refused = [message for message in stage.heard if message[1] == ABORT]
        assert refused == [(2, ABORT, {"message": "the challenge cannot be answered"}, "wamp.error.cannot_authenticate")], refused
    async with Stage() as stage:
        with raises(corebar.LoginError, "no WebSocket with these options"):
            async with new(stage, websocket={"no_such_option": 1}):
                pass
        # Whatever ends the search for connections is told.
        async with new(stage) as one:

            async def broken(_):
                raise RuntimeError("a fault")

            one._announce = broken
            stage.cut()
            with raises(SessionEnded, "a fault"):
                await one.ended()


async def hooks():
    """What waits for a connection does not keep it from coming."""
    async with Stage() as stage:
        one, said = new(stage, policy=dict(requests_wait=True)), []
        started = asyncio.Event()

        @one.on_join
        async def join():
            said.append(f"join {one.session_id}")
            if one.session_id in (1, 3):
                try:
                    stage.cut()
                    await until(lambda: not one.is_connected)
                    said.append(await one.call("com.wait"))
                except asyncio.CancelledError:
                    said.append("canceled")
                    raise

        @one.on_start
        async def start():
            said.append("start")
            started.set()

        @one.on_lost
        async def lost():
            said.append("lost")

        async with one:
            assert said == ["join 1", "canceled", "lost", "join 2", "start"], said
            said.clear()
            stage.cut()
            await until(lambda: said[-1:] == ["join 4"])
            assert said == ["lost", "join 3", "canceled", "lost", "join 4"], said
    # Who waits is not asked again and again.
    may, looks = asyncio.Event(), []
    first_of = corebar.app.first_of

    async def counted(*futures, timeout=None):
        looks.append(1)
        await first_of(*futures, timeout=timeout)

    async def token():
        await may.wait()
        return "token"

    async with Stage() as stage:
        may.set()
        async with new(stage, token=token, policy=dict(requests_wait=True)) as one:
            may.clear()
            stage.cut()
            await until(lambda: not one.is_connected)
            await settled()
            corebar.app.first_of = counted
            try:
                waits = [asyncio.ensure_future(work) for work in (one.call("com.x"), one.subscribe("com.y", len))]
                await settled()
                assert len(looks) == 2, looks
            finally:
                corebar.app.first_of = first_of
            may.set()
            assert await waits[0] == "from 2"
            await waits[1]


async def cancellation():
    """Who does not wait any more has nothing."""
    holds, kept = True, []

    def slow(number, message):
        if holds and message[0] in (SUBSCRIBE, REGISTER):
            kept.append(message)
            return []

    async with Stage(slow) as stage, new(stage) as one:
        for kind, ask in ((SUBSCRIBE, one.subscribe), (REGISTER, one.offer)):
            asks = asyncio.ensure_future(ask("com.given.up", len))
            await until(lambda: kept)
            asks.cancel()
            with raises(asyncio.CancelledError):
                await asks
            await stage.say(kind + 1, kept.pop()[1], 7)
            await until(lambda: stage.count(kind + 2) == 1)
        # One of the same topic is not taken away before it is known whose the subscription is.
        holds, heard = False, []
        first = await one.subscribe("com.kept", heard.append)
        holds = True
        asks = asyncio.ensure_future(one.subscribe("com.kept", heard.append))
        await until(lambda: kept)
        asks.cancel()
        ends = asyncio.ensure_future(first.end())
        await settled()
        # What is said before is heard before.
        assert await one.call("com.x") == "from 1" and stage.count(UNSUBSCRIBE) == 1
        await stage.say(SUBSCRIBED, kept.pop()[1], 7)
        await stage.say(EVENT, 7, 1, {}, ["nobody"])
        await ends
        assert stage.count(UNSUBSCRIBE) == 2 and heard == []


async def text():
    """What is no text is told who says it."""

    async def half():
        return "\ud83d"

    async with Stage() as stage, new(stage) as one:
        with raises(TypeError, "cannot be sent"):
            await one.publish("com.x", "\ud83d")
        await one.offer("com.half", half)
        await stage.say(INVOCATION, 1, 8, {})
        await until(lambda: stage.count(ERROR) == 1)
        assert await one.call("com.x", "\U0001f600") == "from 1"


async def gaps():
    """What was missed comes from the history: all of it, once, and nothing of one's own."""
    heard = []

    async def note(id, details: Details):
        heard.append(id)

    async def missed(stage, one):
        number = one.session_id
        stage.cut()
        await until(lambda: one.session_id not in (None, number))

    # Nothing was there, and nothing was heard.
    async with Stage() as stage, new(stage) as one:
        await one.subscribe("com.x", note)
        await until(lambda: not one._link._fills)
        stage.history = list(range(1, 701))
        await missed(stage, one)
        await until(lambda: len(heard) >= 700)
        assert heard == list(range(1, 701)), heard
    # The oldest that are remembered have left the history.
    heard.clear()
    async with Stage() as stage, new(stage) as one:
        stage.history = [4]
        await one.subscribe("com.x", note)
        await until(lambda: not one._link._fills)
        for id in range(5, 401):
            await stage.say(EVENT, 7, id, {}, [id])
        await until(lambda: len(heard) == 396)
        stage.history = list(range(300, 1300))
        await missed(stage, one)
        await until(lambda: len(heard) >= 1295)
        assert heard == list(range(5, 1300)), heard
        # All that were heard have left it.
        heard.clear()
        stage.history = list(range(2000, 3000))
        await missed(stage, one)
        await until(lambda: len(heard) >= 1000)
        assert heard == list(range(2000, 3000)), heard
    # What the application has published itself does not come, unless it would have come.
    heard.clear()
    async with Stage() as stage, new(stage) as one:
        stage.history = [1]
        await one.subscribe("com.x", note)
        own = [await one.publish("com.x", options=options) for options in ({}, {"exclude_me": True}, {"exclude_me": False})]
        stage.history += [*own, 30_000]
        await missed(stage, one)
        await until(lambda: 30_000 in heard)
        assert heard == [own[2], 30_000], heard


async def gaps_that_are_cut_short():
    """A connection that is lost while the past is asked for leaves nothing behind."""
    heard, may = [], asyncio.Event()
    asked = []

    def script(number, message):
        if number == 3 and message[0] == CALL and not answers:
            asked.append(message)
            return []

    async def note(id):
        await may.wait()
        heard.append(id)

    answers = False
    async with Stage(script) as stage, new(stage) as one:
        stage.history = [1]
        await one.subscribe("com.x", note)
        await until(lambda: not one._link._fills)
        stage.history = list(range(1, 2000))
        stage.cut()
        # So many of it wait that no more is asked for.
        await until(lambda: one.session_id == 2 and one._gate.held == 511)
        await stage.say(EVENT, 7, 3000, {}, [3000])
        await until(lambda: one._gate.held == 512)
        stage.cut()
        await until(lambda: asked)
        stage.history = [*range(300, 513), 3000, 3001]
        await stage.say(EVENT, 7, 3001, {}, [3001])
        await until(lambda: one._gate.held == 513)
        may.set()
        await until(lambda: len(heard) == 512)
        await settled()
        answers = True
        _, request, _, _, _, filter = asked[0]
        await stage.say(RESULT, request, {}, stage._told(**filter))
        await until(lambda: 3001 in heard)
        await settled()
        assert heard == [*range(2, 513), 3000, 3001], heard
        assert one._gate.held == 0


async def main():
    for part in (credentials, hooks, cancellation, text, gaps, gaps_that_are_cut_short):
        await asyncio.wait_for(part(), 60)
    print("OK", flush=True)


asyncio.run(main())
