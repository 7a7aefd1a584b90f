"""A resource of twisted.web."""

import sys


class Useless(Exception):
    """What was loaded cannot be served."""


def load(told):
    try:
        from twisted.web.resource import IResource
    except ImportError as error:
        raise Useless("{} has no Twisted: {}".format(sys.executable, error))
    start_logging()
    module, _, name = told["class"].rpartition(".")
    resource = attribute(module, name)(told["extra"])  # noqa: F821
    if not IResource.providedBy(resource):
        raise Useless("{} gives no resource of twisted.web".format(told["class"]))
    return resource


def start_logging():
    """What is logged goes where the router reads it: warnings, and what failed, as such."""
    from twisted import logger

    def written(stream):
        def write(event):
            text = logger.eventAsText(event, includeTimestamp=False, includeSystem=False)
            if text:
                stream.write(text + "\n")
                stream.flush()

        return write

    said = logger.LogLevelFilterPredicate(defaultLogLevel=logger.LogLevel.info)
    grave = logger.LogLevelFilterPredicate(defaultLogLevel=logger.LogLevel.warn)
    output, errors = written(sys.stdout), written(sys.stderr)
    observer = logger.FilteringLogObserver(errors, [grave], negativeObserver=output)
    observer = logger.FilteringLogObserver(observer, [said])
    logger.globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)


def placed(resource, base):
    """A root that leads to a resource at its path, so that `prepath` and `postpath` are what they are in Crossbar.io."""
    from twisted.web.resource import Resource

    root, names = resource, base.split("/")[1:]
    for name in reversed(names):
        outer = Resource()
        outer.putChild(name.encode("ascii"), root)
        root = outer
    return root


def serve(told, resource):
    from twisted.internet import address, reactor, tcp
    from twisted.web import server

    def of(host, port):
        kind = address.IPv6Address if ":" in host else address.IPv4Address
        return kind("TCP", host, port)

    class Request(server.Request):
        """Its client is that of the router in front."""

        def told(self, name, default):
            return (self.getHeader(name) or default).rpartition(",")[2].strip()

        def process(self):
            self.client = of(self.told("x-real-ip", ""), 0)
            port = self.told("x-forwarded-port", "80")
            host = self.getRequestHostname().decode("latin-1")
            self.host = of(host, int(port) if port.isdigit() else 80)
            server.Request.process(self)

        def isSecure(self):
            return self.told("x-forwarded-proto", "http") == "https"

    site = server.Site(placed(resource, told["base"]), requestFactory=Request, timeout=None)
    site.displayTracebacks = False
    site.noisy = False
    port = reactor.listenUNIX(told["socket"], site, backlog=4096, mode=0o600)
    # The socket stays when it ends: another process, of a router that takes over, may have put its own there by then.
    port.connectionLost = lambda reason: tcp.Port.connectionLost(port, reason)
    reactor.callWhenRunning(ready)  # noqa: F821
    reactor.run()
