"""A real PostgreSQL server in a temporary folder, for whole-system tests. It listens on a socket in
that folder only, and runs as the user postgres where the tests run as root, which it refuses.
"""
import os
import pwd
import shutil
import signal
import subprocess
import tempfile

from cluster import Failure, wait_until


class Postgres:
    def __init__(self):
        found = subprocess.run(["tests/postgres_server.sh"], text=True, stdout=subprocess.PIPE)
        if found.returncode != 0:
            raise Failure("no PostgreSQL server is installed")
        self.bin = found.stdout.strip()
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.as_user = {}
        self.folder = tempfile.mkdtemp(prefix="sluice-postgres-")
        if os.getuid() == 0:
            self.user = "postgres"
            self.as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.folder, "postgres", "postgres")
            os.chmod(self.folder, 0o755)
        self.words = f"host={self.folder} user={self.user} dbname=postgres"
        self.process = None

    def __enter__(self):
        self.call("initdb", "--pgdata=" + self.path("data"), "--auth=trust", "--encoding=UTF8",
                  "--username=" + self.user, "--locale=C.UTF-8")
        self.start()
        return self

    def __exit__(self, kind, error, trace):
        if self.process is not None and self.process.poll() is None:
            self.stop(signal.SIGQUIT)
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        return False

    def path(self, name):
        return os.path.join(self.folder, name)

    def call(self, program, *words):
        done = subprocess.run([os.path.join(self.bin, program), *words], text=True,
                              capture_output=True, cwd=self.folder, **self.as_user)
        if done.returncode != 0:
            raise Failure(f"{program} ended with {done.returncode}: {done.stderr.strip()}")

    def start(self):
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(
                [os.path.join(self.bin, "postgres"), "-D", self.path("data"),
                 "-c", "listen_addresses=", "-c", f"unix_socket_directories={self.folder}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, **self.as_user)

        def up():
            if self.process.poll() is not None:
                raise Failure(f"postgres ended with {self.process.returncode}")
            return self.query("SELECT 1", check=False) == ["1"]
        wait_until(up, "PostgreSQL to accept connections", 60)

    def stop(self, number=signal.SIGINT):
        """SIGINT ends all connections and rolls back; SIGQUIT is a crash, recovered at the start."""
        os.kill(self.process.pid, number)
        self.process.wait(60)

    def query(self, statement, check=True):
        """The rows of an answer, their columns parted by |."""
        done = subprocess.run([os.path.join(self.bin, "psql"), "-XAtq", "-d", self.words, "-c",
                               statement], text=True, capture_output=True)
        if check and done.returncode != 0:
            raise Failure(f"{statement}: {done.stderr.strip()}")
        return done.stdout.splitlines()
