"""Applications that call each other, with the SDK of OpenTelemetry: traces.py URL PORT. It is the collector of the router
as well, at this port. Prints all spans, those of the router among them."""

import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from corebar import App, Details
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

URL, PORT = sys.argv[1], int(sys.argv[2])
PATIENCE = 30
SPANS_OF_THE_ROUTER = 4

kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
tracer = provider.get_tracer("test")
propagator = TraceContextTextMapPropagator()
received = []


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = ExportTraceServiceRequest()
        request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                received.extend(scope.spans)
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def context():
    """The present context, for options or keyword arguments."""
    carrier = {}
    propagator.inject(carrier)
    return {f"_{key}": value for key, value in carrier.items()}


def span(name, fields=None):
    """A span under the context of these fields, or under the present one."""
    carrier = {key: (fields or {}).get(f"_{key}") for key in ("traceparent", "tracestate")}
    found = propagator.extract({key: value for key, value in carrier.items() if value}) if fields is not None else None
    return tracer.start_as_current_span(name, context=found)


server, client = App(URL, "realm1"), App(URL, "realm1")
heard_it = asyncio.Event()


@server.register("com.example.outer")
async def outer(details: Details):
    with span("outer", details.fields):
        return await server.call("com.example.inner", options=context())


@server.register("com.example.inner")
async def inner(details: Details):
    with span("inner", details.fields):
        await server.publish("com.example.topic", options=context())
        return 42


@client.event("com.example.topic")
async def heard(details: Details):
    with span("heard", details.fields):
        heard_it.set()


class Old(ApplicationSession):
    async def onJoin(self, details):
        def old(number, **fields):
            with span("old", fields):
                return number

        await self.register(old, "com.example.old")
        with span("old caller"):
            assert await self.call("com.example.old", 7, **context()) == 7
        self.config.extra["done"].set()
        self.leave()

    def onDisconnect(self):
        pass


async def main():
    collector = ThreadingHTTPServer(("127.0.0.1", PORT), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    async with server, client:
        with span("caller"):
            assert await client.call("com.example.outer", options=context()) == 42
        await asyncio.wait_for(heard_it.wait(), PATIENCE)
    old_is_done = asyncio.Event()
    await ApplicationRunner(URL, "realm1", extra={"done": old_is_done}).run(Old, start_loop=False)
    await asyncio.wait_for(old_is_done.wait(), PATIENCE)
    for _ in range(PATIENCE * 20):
        if len(received) >= SPANS_OF_THE_ROUTER:
            break
        await asyncio.sleep(0.05)
    spans = [
        {"router": True, "name": one.name, "trace": one.trace_id.hex(), "span": one.span_id.hex(),
         "parent": one.parent_span_id.hex() or None}
        for one in received
    ]
    for one in kept.get_finished_spans():
        spans.append({
            "router": False, "name": one.name, "trace": f"{one.context.trace_id:032x}",
            "span": f"{one.context.span_id:016x}", "parent": f"{one.parent.span_id:016x}" if one.parent else None,
        })
    print(json.dumps(spans))


asyncio.run(main())
