"""An application of WSGI (PEP 3333), with a thread for each request."""

import io
import re
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


CONTROL = re.compile("[\x00-\x1f\x7f]")
NAME = re.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Answer(ServerHandler):
    """A response whose end the router knows for sure: by its length, or by the last of its chunks. So one that breaks off in
    the middle does not look whole."""

    http_version = "1.1"
    server_software = None
    chunked = False

    def start_response(self, status, headers, exc_info=None):
        # PEP 3333 leaves it to servers to look: what has a line end in it would be read as more headers.
        if CONTROL.search(status):
            raise ValueError("a control character in the status {!r}".format(status))
        for name, value in headers:
            if not NAME.fullmatch(name) or CONTROL.search(value):
                raise ValueError("{!r}: {!r} is no header".format(name, value))
        return super().start_response(status, headers, exc_info)

    def is_head(self):
        return self.environ["REQUEST_METHOD"] == "HEAD"

    def set_content_length(self):
        if self.bytes_sent or not self.is_head():
            super().set_content_length()
        bodyless = self.is_head() or self.status[:1] == "1" or self.status[:3] in ("204", "304")
        self.chunked = not bodyless and "Content-Length" not in self.headers
        if self.chunked:
            self.headers["Transfer-Encoding"] = "chunked"

    def write(self, data):
        if not self.status:
            raise AssertionError("write() before start_response()")
        if self.headers_sent:
            self.bytes_sent += len(data)
        else:
            self.bytes_sent = len(data)
            self.send_headers()
        if self.chunked:
            data = b"%x\r\n%s\r\n" % (len(data), data) if data else b""
        if data:
            self._write(data)
        self._flush()

    def finish_content(self):
        if not self.headers_sent and self.is_head():
            # How long it would be is not known: nothing is said of that.
            self.send_headers()
        elif not self.headers_sent:
            super().finish_content()
        elif self.chunked:
            self._write(b"0\r\n\r\n")
            self._flush()


class Handler(WSGIRequestHandler):
    def address_string(self):
        return ""

    def log_message(self, *_):
        pass

    def environment(self):
        told = self.headers
        base, server = self.server.base, told.get("X-Forwarded-Host", "")
        self.client_address = (told.get("X-Real-IP", ""), 0)
        env = self.get_environ()
        name, _, port = server.rpartition(":")
        env["SERVER_NAME"] = name if name and port.isdigit() else server
        env["SERVER_PORT"] = told.get("X-Forwarded-Port", "80")
        env["SCRIPT_NAME"] = base
        if env["PATH_INFO"].startswith(base):
            env["PATH_INFO"] = env["PATH_INFO"][len(base) :]
        if "Content-Type" not in told:
            # The one above takes it for plain text.
            env.pop("CONTENT_TYPE", None)
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
        handler = Answer(body, self.wfile, sys.stderr, env, multithread=True)
        handler.request_handler = self
        handler.run(self.server.application)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 4096

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
