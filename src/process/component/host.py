"""Runs one component of a node: an application session or functions, written for autobahn.

The router starts this program once per component. It finds `description`, read from standard input, among its globals:
what to run, where to connect and who it is. It ends with 0 when the component has stopped, with 1 when it has failed,
and with 78 when it cannot be loaded, so that another try would be no use.
"""

import importlib
import re
import sys
import traceback

STOPPED, FAILED, USELESS = 0, 1, 78

# The router may take a moment until it accepts, others may be starting: seconds before each further try to connect.
RETRY_DELAYS = (0.5, 1, 2, 4, 8)
# Seconds for the last words of a session that has lost its connection, or has to stop.
LAST_WORDS = 3
SHUTDOWN = "wamp.close.system_shutdown"
CLEAN_REASONS = ("wamp.close.normal", "wamp.close.goodbye_and_out")


def say(text):
    """A line for the log of the router, as a warning."""
    show(" ".join(str(text).split()) + "\n")


def show(text):
    """Lines of the same kind. Twisted takes `sys.stderr` for itself."""
    sys.__stderr__.write(text)
    sys.__stderr__.flush()


class Useless(Exception):
    """The component cannot be loaded."""


class Plain:
    """Where autobahn logs to. The log of the router has the time already."""

    TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* ?", re.MULTILINE)

    def __init__(self, stream):
        self.stream = stream
        self.encoding = "utf-8"

    def write(self, text):
        if isinstance(text, bytes):
            text = text.decode("utf8", "replace")
        self.stream.write(self.TIME.sub("", text))
        self.stream.flush()

    def flush(self):
        self.stream.flush()

    def isatty(self):
        return False


def attribute(name):
    """What a dotted name means."""
    module, _, last = name.rpartition(".")
    if not module:
        raise Useless("cannot load {}: a name of the form module.name is needed".format(name))
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module + ".").startswith(error.name + "."):
            path = ", ".join(description["pythonpath"]) or "none"
            raise Useless("cannot load {}: there is no module {} (pythonpath: {})".format(name, error.name, path))
        raise Useless("cannot load {}: {}".format(name, error))
    except BaseException as error:
        show(traceback.format_exc())
        raise Useless("cannot load {}: {}: {}".format(name, type(error).__name__, error))
    try:
        return getattr(found, last)
    except AttributeError:
        raise Useless("cannot load {}: there is no {} in {}".format(name, last, found.__file__))


def has_twisted():
    try:
        import twisted.internet  # noqa: F401
    except ImportError:
        return False
    return True


def flavour(bases):
    """`twisted` or `asyncio`: what these base classes, or else the modules that have been imported, need."""
    for base in bases:
        for name in ("twisted", "asyncio"):
            if base.__module__.startswith("autobahn." + name):
                return name
    import txaio

    return getattr(txaio, "_explicit_framework", None) or ("twisted" if has_twisted() else "asyncio")


def load():
    """Gives the flavour, and what makes the session of a configuration."""
    try:
        import autobahn  # noqa: F401
        from autobahn.wamp.protocol import ApplicationSession
    except ImportError as error:
        raise Useless("{} has no autobahn: {}".format(sys.executable, error))
    if description["class"] is not None:
        name = description["class"]
        made = attribute(name)
        if not (isinstance(made, type) and issubclass(made, ApplicationSession)):
            raise Useless("cannot load {}: it is not derived from ApplicationSession".format(name))
        return flavour(made.__mro__), made
    if description["authenticator"] is not None:
        return authenticator(**description["authenticator"])
    callbacks = {name: attribute(function) for name, function in description["functions"].items()}
    framework = flavour(())
    wamp = importlib.import_module("autobahn.{}.wamp".format(framework))

    class Functions(wamp.ApplicationSession):
        def onConnect(self):
            if getattr(self, "_authenticators", None):
                super().onConnect()
            else:
                self.join(self.config.realm, authrole=description["role"])

    # The newer kind of session can answer challenges.
    if description["auth"]:
        from autobahn.wamp.auth import create_authenticator

        Functions = wamp.Session

    def make(config):
        session = Functions(config)
        for method, arguments in (description["auth"] or {}).items():
            try:
                session.add_authenticator(create_authenticator(method, **arguments))
            except Exception as error:
                raise Useless("auth.{}: {}".format(method, error))
        for name, function in callbacks.items():
            session.on(name, function)
        return session

    return framework, make


def authenticator(create, config, procedure):
    """A session that offers the function that says who clients are."""
    import txaio

    # In Crossbar.io modules of authenticators find Twisted chosen.
    framework = "twisted" if has_twisted() else "asyncio"
    getattr(txaio, "use_" + framework)()
    maker = attribute(create)

    class Authenticator(importlib.import_module("autobahn.{}.wamp".format(framework)).ApplicationSession):
        async def onJoin(self, details):
            function = await txaio.as_future(maker, config, self.config.controller)
            if not callable(function):
                raise TypeError("{} gives no function but {!r}".format(create, function))

            async def answer(realm, authid, details):
                told = await txaio.as_future(function, realm or None, authid, details)
                # None and False are a no; anything else is a mistake that looks like a wrong password to the client.
                if not isinstance(told, (str, dict)) and told not in (None, False):
                    say("{} answered {!r}, which is no role and no dictionary: that lets nobody in".format(create, told))
                return told

            await self.register(answer, procedure)

    return framework, Authenticator


class Component:
    """The one component of this process, and how it is doing."""

    def __init__(self, framework, make):
        self.framework = framework
        self.make = make
        self.code = None
        self.session = self.controller = None
        self.connected = self.joined = self.asked = self.over = self.joining = False

    # What the session tells.

    def create(self):
        """Makes the session; its connection is made afterwards."""
        from autobahn.wamp.types import ComponentConfig

        extra = dict(description["extra"], cbdir=description["directory"])
        if description["controller"] is not None:
            self.controller = self.make_controller(**description["controller"])
        config = ComponentConfig(
            realm=description["realm"],
            extra=extra,
            keyring=None,
            controller=self.controller,
            shared=self.make_shared() if description["shared"] else None,
        )
        config.runner = self
        check = getattr(self.make, "check_config", None)
        if callable(check) and description["extra"]:
            try:
                check(None, extra)
            except Exception as error:
                raise Useless("its extra is refused: {}".format(error))
        session = self.session = self.make(config)
        self.hear(session)
        if description["login"] is not None:
            self.let_in(session)
        return session

    def make_shared(self):
        """What the components of a worker have in common in Crossbar.io: the loop, and what they put there."""
        if self.framework == "asyncio":
            import txaio

            return {"loop": txaio.config.loop}
        from twisted.internet import reactor

        return {"reactor": reactor}

    def make_controller(self, realm, login, **_):
        """The session by which the node can be managed. The component connects when it is there."""
        from autobahn.wamp.types import ComponentConfig

        component = self

        class Controller(importlib.import_module("autobahn.{}.wamp".format(self.framework)).ApplicationSession):
            def onConnect(self):
                self.join(realm, authmethods=["ticket"], authid=login["authid"])

            def onChallenge(self, challenge):
                return login["ticket"]

            def onJoin(self, details):
                component.connect()

            def onLeave(self, details):
                if not component.connected and component.code is None:
                    component.settle(FAILED, "may not manage the node: {}".format(details.message or details.reason))
                    component.finish()

        return Controller(ComponentConfig(realm=realm))

    def prepare(self, connector):
        """Gives what begins: it connects the session, after the controller if there is one."""
        self.connect = connector(description["transport"], self.session, self.lost)
        if self.controller is None:
            return self.connect
        return connector(description["controller"]["transport"], self.controller, self.lost_control)

    def lost_control(self, reason):
        """Without its controller a component does not begin; one that has begun is told by its calls."""
        if not self.connected:
            self.settle(FAILED, "cannot reach its controller: {}".format(reason))
            self.finish()

    def hear(self, session):
        leaving, disconnect = session.onLeave, session.disconnect

        def on_leave(details):
            self.left(details)
            return leaving(details)

        def disconnecting():
            self.asked = True
            return disconnect()

        session.onLeave, session.disconnect = on_leave, disconnecting
        session._swallow_error = self.panic
        if self.framework == "asyncio":
            self.await_join(session)
        if not hasattr(session, "stop"):
            session.stop = self.stop
        session.on("connect", lambda *_: setattr(self, "connected", True))
        session.on("join", self.has_joined)
        session.on("ready", lambda *_: self.joining or self.ready())
        session.on("disconnect", lambda *_, **__: self.finish())

    def await_join(self, session):
        """With asyncio, autobahn neither waits for onJoin nor looks how it ends."""
        import asyncio

        on_join = session.onJoin

        def joining(details):
            result = on_join(details)
            if not (asyncio.iscoroutine(result) or asyncio.isfuture(result)):
                return result
            self.joining = True
            task = asyncio.ensure_future(result)
            task.add_done_callback(done)
            return task

        def done(task):
            if task.cancelled():
                return
            error = task.exception()
            if error is None:
                self.ready()
            else:
                lines = traceback.format_exception(type(error), error, error.__traceback__)
                self.fail("While firing onJoin", "{}: {}".format(type(error).__name__, error), "".join(lines))

        session.onJoin = joining

    def let_in(self, session):
        """The way in beside the router: who joins is known, whatever the class would say about itself."""
        login, join = description["login"], session.join

        def joining(realm, *_, **__):
            join(description["realm"], authmethods=["ticket"], authid=login["authid"])

        session.join, session.onChallenge = joining, lambda challenge: login["ticket"]

    def has_joined(self, session, details):
        self.joined = True
        who = (details.realm, details.authid, details.authrole, details.session)
        print('joined the realm "{}" as {}, role {}, session {}'.format(*who), flush=True)

    def ready(self):
        if self.code is None:
            print("component ready", flush=True)

    def left(self, details):
        """A session may have been left, or never joined."""
        if self.joined and (self.asked or details.reason in CLEAN_REASONS):
            self.settle(STOPPED)
            return
        text = "{}: {}".format(details.reason, details.message) if details.message else details.reason
        if self.joined and details.reason == SHUTDOWN:
            # That is the order of the day where it comes from.
            self.settle(FAILED)
        elif self.joined:
            self.settle(FAILED, "the session has ended: " + text)
        else:
            self.settle(FAILED, 'cannot join the realm "{}": {}'.format(description["realm"], text))
            # A class may forget that.
            self.later(LAST_WORDS, self.finish)

    def panic(self, failure, text):
        """An exception in a callback of the session's life is the end of it."""
        import txaio

        self.fail(text, txaio.failure_message(failure), txaio.failure_format_traceback(failure))

    def fail(self, text, message, lines):
        if self.code is not None:
            return
        show(lines)
        self.settle(FAILED, "fatal error: {}: {}".format(text, message))
        self.session.disconnect()
        self.later(LAST_WORDS, self.finish)

    # How it ends.

    def settle(self, code, text=None):
        """The first verdict counts."""
        if self.code is None and not self.over:
            self.code = code
            if text:
                say(text)

    def lost(self, reason):
        """The connection is no more. A session that was there has its last words."""
        if self.joined and self.asked:
            self.settle(STOPPED)
        if not self.connected:
            self.settle(FAILED, "cannot connect: {}".format(reason))
        else:
            self.settle(FAILED, "the connection is lost: {}".format(reason))
        self.later(LAST_WORDS if self.connected else 0, self.finish)

    def stop(self):
        """Takes leave, and ends."""
        self.asked = True
        session = self.session
        try:
            if session is not None and session.is_attached():
                session.leave()
            elif session is not None and session.is_connected():
                session.disconnect()
            else:
                self.finish()
        except Exception:
            self.finish()
        self.later(LAST_WORDS, self.finish)

    def told_to_stop(self):
        """By the router."""
        self.settle(STOPPED)
        self.stop()

    def finish(self):
        if not self.over:
            self.over = True
            self.end()


def seconds(options, key):
    return options[key] / 1000.0 if key in options else None


def websocket_options(options):
    """The options of a transport, in the names of autobahn."""
    from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateResponse
    from autobahn.websocket.compress import PerMessageDeflateResponseAccept

    names = {
        "max_frame_size": "maxFramePayloadSize",
        "max_message_size": "maxMessagePayloadSize",
        "auto_fragment_size": "autoFragmentSize",
        "fail_by_drop": "failByDrop",
        "echo_close_codereason": "echoCloseCodeReason",
        "tcp_nodelay": "tcpNoDelay",
        "validate_utf8": "utf8validateIncoming",
        "apply_mask": "applyMask",
        "auto_ping_size": "autoPingSize",
        "auto_ping_restart_on_any_traffic": "autoPingRestartOnAnyTraffic",
    }
    given = {theirs: options[ours] for ours, theirs in names.items() if ours in options}
    times = {
        "open_handshake_timeout": "openHandshakeTimeout",
        "close_handshake_timeout": "closeHandshakeTimeout",
        "auto_ping_interval": "autoPingInterval",
        "auto_ping_timeout": "autoPingTimeout",
    }
    given.update({theirs: seconds(options, ours) for ours, theirs in times.items() if ours in options})
    deflate = (options.get("compression") or {}).get("deflate")
    if deflate is not None:
        offer = PerMessageDeflateOffer(
            accept_no_context_takeover=True,
            accept_max_window_bits=True,
            request_no_context_takeover=deflate.get("request_no_context_takeover", False),
            request_max_window_bits=deflate.get("request_max_window_bits", 0),
        )

        def accept(response):
            if isinstance(response, PerMessageDeflateResponse):
                return PerMessageDeflateResponseAccept(
                    response,
                    no_context_takeover=deflate.get("no_context_takeover"),
                    window_bits=deflate.get("max_window_bits"),
                    mem_level=deflate.get("memory_level"),
                )

        given.update(perMessageCompressionOffers=[offer], perMessageCompressionAccept=accept)
    return given


def serializers(names):
    """Those that are named and there; none: all that are there."""
    from autobahn.wamp import serializer

    classes = {
        "cbor": "CBORSerializer",
        "msgpack": "MsgPackSerializer",
        "ubjson": "UBJSONSerializer",
        "json": "JsonSerializer",
    }
    there = [getattr(serializer, classes[name])() for name in names if hasattr(serializer, classes[name])]
    if names and not there:
        raise Useless("autobahn has none of the serializers " + ", ".join(names))
    return there or None


def factory(framework, transport, session, lost):
    """What makes the connection's protocol, with the session above it; `lost` is called with the reason of its end."""
    options = transport.get("options") or {}
    if transport["type"] == "websocket":
        module = importlib.import_module("autobahn.{}.websocket".format(framework))
        chosen = serializers(transport.get("serializers") or [])
        made = module.WampWebSocketClientFactory(lambda: session, url=transport["url"], serializers=chosen)
        made.setProtocolOptions(**websocket_options(options))
    else:
        module = importlib.import_module("autobahn.{}.rawsocket".format(framework))
        # Beside the router, the best that is there.
        chosen = (serializers(transport.get("serializers") or []) or [None])[0]
        made = module.WampRawSocketClientFactory(lambda: session, serializer=chosen)
        if "max_message_size" in options:
            made.setProtocolOptions(maxMessagePayloadSize=options["max_message_size"])
    made.noisy = False

    class Protocol(made.protocol):
        """Tells when the connection is lost."""

        def connectionLost(self, reason=None):
            super().connectionLost(reason)
            if reason is not None:
                lost(why(self, reason.getErrorMessage()))

        def connection_lost(self, error):
            super().connection_lost(error)
            lost(why(self, error or "it was closed"))

    made.protocol = Protocol
    return made


def why(protocol, text):
    """WebSocket knows better why a connection has ended."""
    return getattr(protocol, "wasNotCleanReason", None) or text


def run_twisted(component):
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    stopped = Deferred()

    def end():
        if not stopped.called:
            stopped.callback(None)
        if reactor.running:
            try:
                reactor.stop()
            except Exception:
                # It is stopping.
                pass

    def before_shutdown():
        # By a signal, or by the component's own reactor.stop().
        if component.over:
            return None
        component.told_to_stop()
        return stopped

    def connector(transport, session, lost):
        protocols = factory("twisted", transport, session, lost)
        endpoint = twisted_endpoint(reactor, transport["endpoint"])

        def connect(delays=RETRY_DELAYS):
            def failed(failure):
                text = failure.getErrorMessage()
                if not delays:
                    component.settle(FAILED, "cannot connect: " + text)
                    component.finish()
                else:
                    say("cannot connect: {}; tries again in {} seconds".format(text, delays[0]))
                    reactor.callLater(delays[0], connect, delays[1:])

            endpoint.connect(protocols).addErrback(failed)

        return connect

    component.end = end
    component.later = lambda delay, call: reactor.callLater(delay, call)
    first = component.prepare(connector)
    reactor.addSystemEventTrigger("before", "shutdown", before_shutdown)
    reactor.callWhenRunning(first)
    reactor.run()


def twisted_endpoint(reactor, config):
    from twisted.internet import endpoints

    timeout = config.get("timeout", 10)
    if config["type"] == "unix":
        return endpoints.UNIXClientEndpoint(reactor, config["path"], timeout=timeout)
    if config["type"] == "twisted":
        return endpoints.clientFromString(reactor, config["client_string"])
    kinds = {4: endpoints.TCP4ClientEndpoint, 6: endpoints.TCP6ClientEndpoint}
    kind = kinds.get(config.get("version"), endpoints.HostnameEndpoint)
    plain = kind(reactor, config["host"], config["port"], timeout=timeout)
    tls = config.get("tls")
    if tls is None:
        return plain
    try:
        from twisted.internet import ssl
    except ImportError as error:
        raise Useless("TLS needs the packages pyopenssl and service_identity: {}".format(error))
    trust, certificate = None, None
    if tls.get("ca_certificates"):
        texts = [open(path, "rb").read() for path in tls["ca_certificates"]]
        trust = ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(text) for text in texts])
    if tls.get("certificate"):
        texts = [open(tls[key], "rb").read() for key in ("certificate", "key")]
        certificate = ssl.PrivateCertificate.loadPEM(b"\n".join(texts))
    options = ssl.optionsForClientTLS(tls["hostname"], trustRoot=trust, clientCertificate=certificate)
    return endpoints.wrapClientTLS(options, plain)


def run_asyncio(component):
    import asyncio
    import signal
    import socket

    import txaio

    loop = txaio.config.loop
    tasks = []

    def connector(transport, session, lost):
        endpoint = transport["endpoint"]
        if endpoint["type"] == "twisted":
            raise Useless("an endpoint of the type twisted needs a class for Twisted")
        protocols = factory("asyncio", transport, session, lost)
        protocols.loop = loop

        def attempt():
            if endpoint["type"] == "unix":
                return loop.create_unix_connection(protocols, endpoint["path"])
            tls = endpoint.get("tls")
            family = {4: socket.AF_INET, 6: socket.AF_INET6}.get(endpoint.get("version"), socket.AF_UNSPEC)
            secure = {"ssl": context(tls), "server_hostname": tls["hostname"]} if tls else {}
            return loop.create_connection(protocols, endpoint["host"], endpoint["port"], family=family, **secure)

        async def connect():
            for delay in RETRY_DELAYS + (None,):
                try:
                    await asyncio.wait_for(attempt(), endpoint.get("timeout", 10))
                    return
                except (OSError, asyncio.TimeoutError) as error:
                    text = str(error) or type(error).__name__
                if delay is not None:
                    say("cannot connect: {}; tries again in {} seconds".format(text, delay))
                    await asyncio.sleep(delay)
            component.settle(FAILED, "cannot connect: " + text)
            component.finish()

        return lambda: tasks.append(loop.create_task(connect()))

    component.end = loop.stop
    component.later = lambda delay, call: loop.call_later(delay, call)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, component.told_to_stop)
    component.prepare(connector)()
    loop.run_forever()
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception():
            raise task.exception()


def context(tls):
    import ssl

    made = ssl.create_default_context()
    if tls.get("ca_certificates"):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for path in tls["ca_certificates"]:
            made.load_verify_locations(path)
    if tls.get("certificate"):
        made.load_cert_chain(tls["certificate"], tls["key"])
    return made


def main():
    """Gives the exit code."""
    sys.path[:1] = description["pythonpath"] + sys.path[:1]
    try:
        framework, make = load()
        import txaio

        getattr(txaio, "use_" + framework)()
        if framework == "twisted" and not has_twisted():
            raise Useless("{} has no Twisted".format(sys.executable))
        txaio.start_logging(out=Plain(sys.stdout), level="info")
        component = Component(framework, make)
        component.end, component.later = (lambda: None), (lambda *_: None)
        if framework == "asyncio":
            import asyncio

            txaio.config.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(txaio.config.loop)
        component.create()
        {"twisted": run_twisted, "asyncio": run_asyncio}[framework](component)
    except Useless as error:
        say(error)
        return USELESS
    except Exception as error:
        show(traceback.format_exc())
        say("cannot run: {}: {}".format(type(error).__name__, error))
        return FAILED
    # A component that has stopped the loop itself wanted to stop.
    return STOPPED if component.code is None else component.code


if __name__ == "corebar_host":
    sys.exit(main())
