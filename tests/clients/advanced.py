"""What autobahn can ask for beyond the basics, between a few sessions of one process: advanced.py URL SERIALIZER PREFIX"""

import asyncio
import sys

from autobahn.asyncio.component import Component
from autobahn.wamp import ApplicationError, CallResult, PublishOptions, RegisterOptions, SubscribeOptions
from autobahn.wamp.types import CallOptions

URL, SERIALIZER, PREFIX = sys.argv[1:]
DETAILED = SubscribeOptions(details_arg="details")
ACKNOWLEDGED = PublishOptions(acknowledge=True)


def transport():
    if URL.startswith("rs://"):
        host, port = URL[5:].rstrip("/").split(":")
        endpoint = {"type": "tcp", "host": host, "port": int(port)}
        return {"type": "rawsocket", "url": URL, "endpoint": endpoint, "serializer": SERIALIZER}
    return {"type": "websocket", "url": URL, "serializers": [SERIALIZER]}


class Inbox:
    """Takes the events of subscriptions."""

    def __init__(self):
        self.queue = asyncio.Queue()

    def take(self, *args, details=None, **kwargs):
        self.queue.put_nowait((args, details))

    async def next(self):
        return await asyncio.wait_for(self.queue.get(), 10)

    async def args(self):
        return list((await self.next())[0])

    async def until(self, wanted):
        """Skips what other sessions of the realm cause."""
        while True:
            args = await self.args()
            if wanted(args):
                return args


async def join():
    """A session of its own; `left` is done when it has ended."""
    component = Component(transports=[transport()], realm="realm1")
    loop = asyncio.get_running_loop()
    joined, left = loop.create_future(), loop.create_future()

    @component.on_join
    async def on_join(session, details):
        session.left = left
        joined.set_result((session, details))

    @component.on_leave
    def on_leave(_session, details):
        if not left.done():
            left.set_result(details)

    @component.on_connectfailure
    def on_connectfailure(_component, error):
        if not joined.done():
            joined.set_exception(error)

    component.start(loop=loop)
    session, details = await asyncio.wait_for(joined, 10)
    return session, details


async def leave(session):
    session.leave()
    return await asyncio.wait_for(session.left, 10)


async def refused(uri, request):
    try:
        await request
    except ApplicationError as error:
        assert error.error == uri, error
        return error
    raise AssertionError(f"{uri} was expected")


async def patterns(one, two):
    inboxes = {match: Inbox() for match in ("exact", "prefix", "wildcard")}
    for match, topic in (("exact", "event.a.1"), ("prefix", "event."), ("wildcard", "event..1")):
        options = SubscribeOptions(match=match, details_arg="details")
        await one.subscribe(inboxes[match].take, f"{PREFIX}.{topic}", options=options)
    await two.publish(f"{PREFIX}.event.a.1", "both", options=ACKNOWLEDGED)
    await two.publish(f"{PREFIX}.event.b", "prefix", options=ACKNOWLEDGED)
    await two.publish(f"{PREFIX}.event.c.1", "last", options=ACKNOWLEDGED)
    for match, wanted in (
        ("exact", [("both", None)]),
        ("prefix", [("both", "event.a.1"), ("prefix", "event.b"), ("last", "event.c.1")]),
        ("wildcard", [("both", "event.a.1"), ("last", "event.c.1")]),
    ):
        for name, topic in wanted:
            (got,), details = await inboxes[match].next()
            assert got == name, (match, got)
            # A subscriber to one topic need not be told which it is, and autobahn then knows it.
            assert topic is None or details.topic == f"{PREFIX}.{topic}", (match, details)

    def named(name):
        return lambda details: [name, details.procedure]

    for match, procedure in (("exact", "call.a.1"), ("prefix", "call."), ("wildcard", "call..1")):
        options = RegisterOptions(match=match, details_arg="details")
        await one.register(named(match), f"{PREFIX}.{procedure}", options=options)
    for procedure, wanted in (("call.a.1", "exact"), ("call.b", "prefix"), ("call.a", "prefix"), ("call.q.1", "prefix")):
        got = await two.call(f"{PREFIX}.{procedure}")
        assert got[0] == wanted, (procedure, got)
        assert wanted == "exact" or got[1] == f"{PREFIX}.{procedure}", got


async def audience(one, two, three):
    topic, inboxes, sessions = f"{PREFIX}.audience", [Inbox(), Inbox(), Inbox()], (one, two, three)
    for session, inbox in zip(sessions, inboxes):
        await session.subscribe(inbox.take, topic, options=DETAILED)
    ids, authids = [s._session_id for s in sessions], [s.authid for s in sessions]
    cases = [
        ({}, (1, 2)),
        ({"exclude_me": False}, (0, 1, 2)),
        ({"exclude": [ids[1]]}, (2,)),
        ({"eligible": [ids[0], ids[1]]}, (1,)),
        ({"eligible": []}, ()),
        ({"exclude_authid": [authids[2]]}, (1,)),
        ({"eligible_authid": [authids[2]]}, (2,)),
        ({"exclude_authrole": ["anonymous"]}, ()),
        ({"eligible_authrole": ["anonymous"], "exclude": [ids[2]]}, (1,)),
        ({"eligible_authrole": ["nobody"]}, ()),
    ]
    for number, (options, _) in enumerate(cases):
        await one.publish(topic, number, options=PublishOptions(acknowledge=True, **options))
    await one.publish(topic, "end", options=PublishOptions(acknowledge=True, exclude_me=False))
    for index, inbox in enumerate(inboxes):
        wanted = [[number] for number, (_, audience) in enumerate(cases) if index in audience] + [["end"]]
        got = [await inbox.args() for _ in wanted]
        assert got == wanted, (index, got, wanted)


async def retention(one, two):
    topic = f"{PREFIX}.retained"
    publication = await one.publish(topic, "kept", options=PublishOptions(acknowledge=True, retain=True))
    await one.publish(topic, "not kept", options=ACKNOWLEDGED)
    wanting, plain = Inbox(), Inbox()
    await two.subscribe(wanting.take, topic, options=SubscribeOptions(get_retained=True, details_arg="details"))
    args, details = await wanting.next()
    assert args == ("kept",) and details.retained and details.publication == publication.id, (args, details)
    await one.subscribe(plain.take, topic, options=DETAILED)
    await two.publish(topic, "new", options=PublishOptions(acknowledge=True, exclude_me=False))
    for inbox in (wanting, plain):
        args, details = await inbox.next()
        assert args == ("new",) and not details.retained, (args, details)
    await one.publish(topic, options=PublishOptions(acknowledge=True, retain=True, eligible=[]))


async def sharing(sessions, caller):
    procedure = f"{PREFIX}.shared"
    for number, session in enumerate(sessions):
        await session.register(lambda number=number: number, procedure, options=RegisterOptions(invoke="roundrobin"))
    got = [await caller.call(procedure) for _ in range(6)]
    assert got == [0, 1, 2, 0, 1, 2], got
    await refused(
        "wamp.error.procedure_already_exists",
        caller.register(lambda: 9, procedure, options=RegisterOptions(invoke="random")),
    )
    for policy, wanted in (("first", 0), ("last", 2)):
        for number, session in enumerate(sessions):
            options = RegisterOptions(invoke=policy)
            await session.register(lambda number=number: number, f"{PREFIX}.{policy}", options=options)
        assert await caller.call(f"{PREFIX}.{policy}") == wanted
    single = f"{PREFIX}.single"
    await sessions[0].register(lambda: "old", single)
    await refused("wamp.error.procedure_already_exists", sessions[1].register(lambda: "new", single))
    await sessions[1].register(lambda: "new", single, options=RegisterOptions(force_reregister=True))
    assert await caller.call(single) == "new"


async def concurrency(callee, caller):
    running, most = 0, 0

    async def slow():
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1

    await callee.register(slow, f"{PREFIX}.slow", options=RegisterOptions(concurrency=2))
    # Those beyond the limit wait or are refused, but never reach the callee.
    calls = [caller.call(f"{PREFIX}.slow") for _ in range(6)]
    outcomes = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)
    assert most == 2, (most, outcomes)
    for outcome in outcomes:
        assert outcome is None or isinstance(outcome, ApplicationError), outcome


async def long_calls(callee, caller):
    started, stopped = asyncio.Event(), asyncio.Event()

    async def count(to, details):
        for number in range(to):
            details.progress(number)
        return to

    async def sleep():
        started.set()
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            stopped.set()
            raise

    await callee.register(count, f"{PREFIX}.count", options=RegisterOptions(details_arg="details"))
    await callee.register(sleep, f"{PREFIX}.sleep")
    parts = []
    result = await caller.call(f"{PREFIX}.count", 5, options=CallOptions(on_progress=parts.append))
    assert (parts, result) == ([0, 1, 2, 3, 4], 5), (parts, result)
    # autobahn interrupts the endpoint on INTERRUPT.
    await refused("wamp.error.timeout", caller.call(f"{PREFIX}.sleep", options=CallOptions(timeout=100)))
    await asyncio.wait_for(stopped.wait(), 10)
    started.clear()
    stopped.clear()
    call = caller.call(f"{PREFIX}.sleep")
    await asyncio.wait_for(started.wait(), 10)
    call.cancel()
    await asyncio.wait_for(stopped.wait(), 10)


async def meta(one, two):
    inboxes = {}
    for name in (
        "session.on_join session.on_leave subscription.on_create subscription.on_subscribe subscription.on_unsubscribe "
        "subscription.on_delete registration.on_create registration.on_register registration.on_unregister "
        "registration.on_delete"
    ).split():
        inboxes[name] = Inbox()
        await one.subscribe(inboxes[name].take, f"wamp.{name}")
    guest, welcome = await join()
    me, topic, procedure = guest._session_id, f"{PREFIX}.meta.topic", f"{PREFIX}.meta.procedure"
    (info,) = await inboxes["session.on_join"].until(lambda args: args[0]["session"] == me)
    assert info["authid"] == welcome.authid and info["authrole"] == "anonymous", info
    assert (await two.call("wamp.session.get", me))["session"] == me
    assert me in await two.call("wamp.session.list")
    assert await two.call("wamp.session.count") >= 3
    await refused("wamp.error.no_such_session", two.call("wamp.session.get", 1))
    await refused("wamp.error.no_such_session", two.call("wamp.session.kill", two._session_id))

    subscription = await guest.subscribe(lambda: None, topic)
    registration = await guest.register(lambda: None, procedure)
    for kind, uri, id, lookup, members, count in (
        ("subscription", topic, subscription.id, "lookup", "list_subscribers", "count_subscribers"),
        ("registration", procedure, registration.id, "lookup", "list_callees", "count_callees"),
    ):
        _, created = await inboxes[f"{kind}.on_create"].until(lambda args: args[0] == me)
        assert (created["id"], created["uri"], created["match"]) == (id, uri, "exact"), created
        joined = "on_subscribe" if kind == "subscription" else "on_register"
        await inboxes[f"{kind}.{joined}"].until(lambda args: args == [me, id])
        assert await two.call(f"wamp.{kind}.{lookup}", uri) == id
        assert await two.call(f"wamp.{kind}.{lookup}", f"{uri}.none") is None
        assert (await two.call(f"wamp.{kind}.get", id))["uri"] == uri
        assert id in (await two.call(f"wamp.{kind}.list"))["exact"]
        match = await two.call(f"wamp.{kind}.match", uri)
        assert match == ([id] if kind == "subscription" else id), match
        assert await two.call(f"wamp.{kind}.{members}", id) == [me]
        assert await two.call(f"wamp.{kind}.{count}", id) == 1
        await refused(f"wamp.error.no_such_{kind}", two.call(f"wamp.{kind}.get", 2**53))

    await two.call("wamp.session.kill", me, reason="com.test.enough", message="go")
    details = await asyncio.wait_for(guest.left, 10)
    assert details.reason == "com.test.enough", details
    await inboxes["session.on_leave"].until(lambda args: args == [me, welcome.authid, "anonymous"])
    await inboxes["subscription.on_unsubscribe"].until(lambda args: args == [me, subscription.id])
    await inboxes["subscription.on_delete"].until(lambda args: args == [me, subscription.id])
    await inboxes["registration.on_unregister"].until(lambda args: args == [me, registration.id])
    await inboxes["registration.on_delete"].until(lambda args: args == [me, registration.id])


async def testaments(one):
    inbox, topic = Inbox(), f"{PREFIX}.testament"
    await one.subscribe(inbox.take, topic)
    guest, _ = await join()
    await guest.call("wamp.session.add_testament", topic, ["flushed"], {})
    await guest.call("wamp.session.flush_testaments")
    await guest.call("wamp.session.add_testament", topic, ["last will"], {"a": 1}, scope="destroyed")
    await leave(guest)
    assert await inbox.args() == ["last will"]


async def main():
    (one, _), (two, _), (three, _) = [await join() for _ in range(3)]
    steps = [
        ("patterns", patterns(one, two)),
        ("audience", audience(one, two, three)),
        ("retention", retention(one, two)),
        ("sharing", sharing((one, two, three), one)),
        ("concurrency", concurrency(one, two)),
        ("long calls", long_calls(one, two)),
        ("meta", meta(one, two)),
        ("testaments", testaments(one)),
    ]
    for name, step in steps:
        print(name, flush=True)
        await asyncio.wait_for(step, 120)
    for session in (one, two, three):
        await leave(session)
    print("OK", flush=True)


asyncio.run(main())
