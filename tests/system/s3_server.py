"""A real S3 server for whole-system tests: versitygw over a folder (tests/s3_server.sh has it)."""
import glob
import http.server
import os
import pwd
import socket
import subprocess
import threading

from cluster import Failure, Process, wait_until

BUCKET = "bucket"


class ForgetfulStore:
    """A store that takes every condition and ignores it."""

    def __init__(self):
        self.objects = objects = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words):
                pass

            def answer(self, status, body=b""):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_PUT(self):
                objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(200)

            def do_GET(self):
                if "list-type" in self.path:
                    self.answer(200, b"<ListBucketResult></ListBucketResult>")
                elif self.path in objects:
                    self.answer(200, objects[self.path])
                else:
                    self.answer(404)

            def do_POST(self):  # of deletions
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                for key in body.split("<Key>")[1:]:
                    objects.pop(f"/{BUCKET}/" + key.split("<")[0], None)
                self.answer(200, b"<DeleteResult></DeleteResult>")

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()


def binary():
    home = pwd.getpwuid(os.getuid()).pw_dir
    folder = os.environ.get("SLUICE_TEST_TOOLS", os.path.join(home, ".cache/sluice-test-tools"))
    found = sorted(glob.glob(os.path.join(folder, "versitygw-*")))
    if not found:
        raise Failure("no S3 server: run tests/s3_server.sh first")
    return found[-1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class S3Server:
    """One bucket; what is put outlives the process. Keys go by its environment, never by flags."""

    def __init__(self, folder, access="test-access", secret="test-secret", tls=None,
                 host="127.0.0.1", netns=None):
        self.folder, self.access, self.secret = folder, access, secret
        self.host, self.netns = host, netns
        self.scheme = "https" if tls else "http"
        self.flags = ["--cert", tls[0], "--key", tls[1]] if tls else []
        self.port = free_port()
        self.process = None
        for name in ("objects", "meta"):
            os.makedirs(os.path.join(folder, "s3", name), exist_ok=True)
        os.makedirs(os.path.join(folder, "s3", "objects", BUCKET), exist_ok=True)
        self.start()

    @property
    def endpoint(self):
        return f"{self.scheme}://{self.host}:{self.port}"

    def environment(self, keys=True):
        """What clients need, beside what this process has."""
        values = {"AWS_ENDPOINT_URL": self.endpoint, "AWS_REGION": "us-east-1"}
        if keys:
            values |= {"AWS_ACCESS_KEY_ID": self.access, "AWS_SECRET_ACCESS_KEY": self.secret}
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return clean | values

    def start(self):
        env = os.environ | {"ROOT_ACCESS_KEY": self.access, "ROOT_SECRET_KEY": self.secret}
        path = os.path.join(self.folder, "s3")
        self.process = Process("s3", [
            binary(), "--port", f"{self.host}:{self.port}", "--keep-alive", "--quiet", *self.flags,
            "posix", "--sidecar", os.path.join(path, "meta"), os.path.join(path, "objects")],
            self.folder, env=env, netns=self.netns)

        def accepts():
            if self.process.popen.poll() is not None:
                raise Failure(f"the S3 server ended:\n{self.process.tail()}")
            if self.netns:
                inside = ["ip", "netns", "exec", self.netns, "ss", "-Hltn"]
                return f"{self.host}:{self.port}" in subprocess.run(
                    inside, text=True, capture_output=True).stdout
            with socket.socket() as probe:
                return probe.connect_ex((self.host, self.port)) == 0
        wait_until(accepts, "the S3 server to accept")

    def stop(self):
        self.process.kill()

    def write_credentials(self, path):
        """As a program that renews keys does it: whole at once, readable by its owner alone."""
        with open(os.open(path + ".new", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as f:
            f.write(f"[default]\naws_access_key_id={self.access}\n"
                    f"aws_secret_access_key={self.secret}\n")
        os.rename(path + ".new", path)

    def spoil(self, key):
        """Flips a bit of an object, as a disk may."""
        path = os.path.join(self.folder, "s3", "objects", BUCKET, key)
        with open(path, "r+b") as f:
            byte = f.read(1)[0]
            f.seek(0)
            f.write(bytes([byte ^ 1]))

    def keys(self):
        root = os.path.join(self.folder, "s3", "objects", BUCKET)
        return sorted(os.path.relpath(os.path.join(at, name), root)
                      for at, _, names in os.walk(root) for name in names)
