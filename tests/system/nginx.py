"""A real nginx on loopback, its access log, and clients that count what they asked for."""
import collections
import glob
import http.client
import os
import random
import signal
import socket
import subprocess
import threading

from cluster import Failure, Process, wait_until

BINARY = "/usr/sbin/nginx"
PATHS = ("/page", "/page?a=b", "/page?c", "/long", "/nosuch", "/other/nosuch")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    """It has ended, and its log is whole, when the block is left. In so many processes, under a
    master."""

    def __init__(self, folder, processes=1):
        self.folder = folder
        self.log = os.path.join(folder, "access.log")
        self.port = free_port()
        self.rotated = 0
        self.configuration = os.path.join(folder, "nginx.conf")
        with open(self.configuration, "w") as f:
            f.write(f"""
                {"user root;" if os.getuid() == 0 else ""}
                daemon off; worker_processes {processes}; pid {folder}/nginx.pid;
                error_log {folder}/error.log;
                events {{}}
                http {{
                  access_log {self.log} combined;
                  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2;
                  fastcgi_temp_path {folder}/3; uwsgi_temp_path {folder}/4;
                  scgi_temp_path {folder}/5;
                  server {{
                    listen 127.0.0.1:{self.port};
                    location = /page {{ return 200 "0123456789"; }}
                    location = /long {{ return 200 "{'x' * 1000}"; }}
                    location / {{ return 404 "gone"; }}
                  }}
                }}""")
        self.process = Process("nginx", self.words(), folder)

    def __enter__(self):
        wait_until(self.listens, "nginx to listen")
        return self

    def __exit__(self, kind, error, trace):
        self.process.kill(signal.SIGQUIT if kind is None else signal.SIGTERM)
        self.process.wait()
        return False

    def words(self, *more):
        return [BINARY, "-c", self.configuration, "-e", os.path.join(self.folder, "start.log"),
                *more]

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def link(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def ask(self, path, link=None):
        """How many bytes it answered; over a connection of its own, or one that is kept."""
        kept = link or self.link()
        kept.request("GET", path, headers={"User-Agent": 'a "quoted" agent'})
        body = kept.getresponse().read()
        if link is None:
            kept.close()
        return len(body)

    def rotate(self, folder):
        """Moves what is logged so far into a folder, once no process of nginx writes it."""
        self.rotated += 1
        name = f"access.log.{self.rotated}"
        aside = os.path.join(self.folder, name)
        os.rename(self.log, aside)
        if self.process.popen.poll() is None:
            subprocess.run(self.words("-s", "reopen"), check=True)
            wait_until(lambda: os.path.exists(self.log) and not self.writes(aside),
                       "nginx to open its log again")
        os.rename(aside, os.path.join(folder, name))

    def writes(self, path):
        pids = [self.process.pid]
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            pids += map(int, f.read().split())
        for pid in pids:
            for descriptor in glob.glob(f"/proc/{pid}/fd/*"):
                try:
                    if os.path.samefile(descriptor, path):
                        return True
                except OSError:
                    pass  # closed meanwhile, or no file
        return False


class Clients:
    """So many at a time, with so many requests each, over connections that are kept."""

    def __init__(self, nginx, count, requests):
        self.nginx = nginx
        self.requests = requests
        self.done = [0] * count
        self.hits = [collections.Counter() for _ in range(count)]
        self.bytes = [collections.Counter() for _ in range(count)]
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True)
                        for n in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, client):
        chance = random.Random(client)
        link = self.nginx.link()
        for _ in range(self.requests):
            path = chance.choice(PATHS)
            size = self.nginx.ask(path, link)
            self.bytes[client][path.split("?")[0]] += size
            self.hits[client][path.split("?")[0]] += 1
            self.done[client] += 1
        link.close()

    def answered(self):
        return sum(self.done)

    def over(self):
        return not any(thread.is_alive() for thread in self.threads)

    def counts(self):
        """{path: (hits, bytes)} of what was answered to all of them."""
        if self.answered() != self.requests * len(self.threads):
            raise Failure(f"nginx answered {self.answered()} requests only")
        hits = sum(self.hits, collections.Counter())
        size = sum(self.bytes, collections.Counter())
        return {path: (hits[path], size[path]) for path in hits}
