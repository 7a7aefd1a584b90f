"""An application of WSGI (PEP 3333), with a thread for each request."""

import io
import socketserver
import sys
import threading
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler


class Body(io.RawIOBase):
    """The body of a request, which ends where it does."""

    def __init__(self, source, left):
        self.source, self.left = source, left

    def readable(self):
        return True

    def readinto(self, buffer):
        octets = self.source.read1(min(len(buffer), self.left)) if self.left else b""
        buffer[: len(octets)] = octets
        self.left -= len(octets)
        return len(octets)


class Handler(WSGIRequestHandler):
    def address_string(self):
        return ""

    def log_message(self, *_):
        pass

    def environment(self):
        told = self.headers
        base, server = self.server.base, told.get("X-Forwarded-Host", "")
        self.client_address = (told.get("X-Forwarded-For", "").split(",")[-1].strip(), 0)
        env = self.get_environ()
        name, _, port = server.rpartition(":")
        env["SERVER_NAME"] = name if name and port.isdigit() else server
        env["SERVER_PORT"] = told.get("X-Forwarded-Port", "80")
        env["SCRIPT_NAME"] = base
        if env["PATH_INFO"].startswith(base):
            env["PATH_INFO"] = env["PATH_INFO"][len(base) :]
        if told.get("X-Forwarded-Proto") == "https":
            env["HTTPS"] = "on"
        return env

    def handle(self):
        self.raw_requestline = self.rfile.readline(65537)
        if len(self.raw_requestline) > 65536:
            return self.send_error(414)
        if not self.parse_request():
            return None
        env = self.environment()
        body = io.BufferedReader(Body(self.rfile, int(self.headers.get("Content-Length") or 0)))
        handler = ServerHandler(body, self.wfile, sys.stderr, env, multithread=True)
        handler.request_handler = self
        handler.run(self.server.application)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path, application, base, threads):
        self.application, self.base = application, base
        self.room = threading.BoundedSemaphore(threads)
        self.base_environ = {
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SERVER_NAME": "",
            "SERVER_PORT": "",
            "REMOTE_HOST": "",
            "CONTENT_LENGTH": "",
            "SCRIPT_NAME": "",
        }
        super().__init__(path, Handler)

    def process_request(self, request, client_address):
        self.room.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.room.release()


def load(told):
    return attribute(told["module"], told["object"])  # noqa: F821


def serve(told, application):
    with Server(told["socket"], application, told["base"], told["threads"]) as server:
        ready()  # noqa: F821
        server.serve_forever()
