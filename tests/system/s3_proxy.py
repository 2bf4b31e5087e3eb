"""What goes wrong between a client and its S3 server, and how long it takes: a proxy that passes
requests on, late, or answers them itself, or loses them or their answers."""
import collections
import socket
import socketserver
import threading
import time

REASONS = {403: "AccessDenied", 409: "ConditionalRequestConflict", 412: "PreconditionFailed",
           500: "InternalError", 503: "SlowDown"}


def read_head(source):
    """The bytes up to the empty line, and what came behind it; nothing at the end."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = source.recv(65536)
        if not piece:
            return None, b""
        head += piece
    head, rest = head.split(b"\r\n\r\n", 1)
    return head, rest


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            self.pass_on()
        except OSError:
            pass

    def pass_on(self):
        head, body = read_head(self.request)
        if head is None:
            return
        lines = head.split(b"\r\n")
        method, path = lines[0].decode().split(" ")[:2]
        kept, length = [], 0
        for line in lines[1:]:
            name, value = line.split(b":", 1)
            if name.lower() == b"content-length":
                length = int(value)
            if name.lower() == b"expect":
                self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif name.lower() != b"connection":
                kept.append(line)
        while len(body) < length:
            piece = self.request.recv(1 << 20)
            if not piece:
                return
            body += piece
        proxy = self.server.proxy
        fault = proxy.take(method, path)
        if proxy.delay_s:
            time.sleep(proxy.delay_s)  # the time that a store takes is what this is for
        if isinstance(fault, int):
            text = f"<Error><Code>{REASONS[fault]}</Code><Message>scripted</Message></Error>"
            self.request.sendall(
                f"HTTP/1.1 {fault} Scripted\r\nContent-Length: {len(text)}\r\n"
                f"Connection: close\r\n\r\n{text if method != 'HEAD' else ''}".encode())
            return
        if fault == "cut":
            return
        with socket.create_connection(("127.0.0.1", proxy.upstream)) as upstream:
            head = b"\r\n".join([lines[0], *kept, b"Connection: close"])
            upstream.sendall(head + b"\r\n\r\n" + body)
            answer = b""
            while piece := upstream.recv(1 << 20):
                answer += piece
        if fault == "lost":
            return
        self.request.sendall(answer if fault != "half" else answer[:len(answer) - 1])


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64


class S3Proxy:
    """`fault(method, path)` says what happens to a request: None, a status that is answered in its
    place, "cut" (it never arrives), "lost" (it does, its answer does not) or "half" (the answer's
    last byte does not)."""

    def __init__(self, upstream, delay_s=0.0, fault=None):
        self.upstream, self.delay_s, self.fault = upstream, delay_s, fault
        self.lock = threading.Lock()
        self.requests = collections.Counter()
        self.faults = collections.Counter()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.proxy = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, method, path):
        with self.lock:
            self.requests[(method, self.kind(path))] += 1
            fault = self.fault(method, path) if self.fault else None
            if fault is not None:
                self.faults[fault] += 1
            return fault

    @staticmethod
    def kind(path):
        for part in ("/log/", "/manifest-", "/objects/", "list-type"):
            if part in path:
                return part.strip("/-")
        return "other"

    def count(self, method, kind):
        with self.lock:
            return self.requests[(method, kind)]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
