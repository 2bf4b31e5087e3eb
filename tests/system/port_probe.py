"""What a port speaks: one line `HOST:PORT plain=yes|no tls=yes|no` for each argument.

Asks in plain text first, as HTTP/2 and as HTTP/1.1, then for a TLS handshake, trusting anybody.
"""
import socket
import ssl
import sys

HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
HTTP1 = b"GET /livez HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"
TLS_ALERT = 0x15


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=5)


def answers_plainly(address, greeting):
    with connect(address) as link:
        link.sendall(greeting)
        try:
            answer = link.recv(100)
        except (ConnectionError, TimeoutError):
            return False
    return bool(answer) and answer[0] != TLS_ALERT


def speaks_tls(address):
    anybody = ssl.create_default_context()
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    anybody.set_alpn_protocols(["h2", "http/1.1"])
    with connect(address) as link:
        try:
            with anybody.wrap_socket(link) as secured:
                return bool(secured.getpeercert(binary_form=True))
        except (ssl.SSLError, OSError):
            return False


for where in sys.argv[1:]:
    plain = answers_plainly(where, HTTP2) or answers_plainly(where, HTTP1)
    print(f"{where} plain={'yes' if plain else 'no'} tls={'yes' if speaks_tls(where) else 'no'}")
