"""A real etcd of one member on loopback, for whole-system tests."""
import json
import os
import socket
import subprocess
import urllib.request

from cluster import Failure, Process, wait_until


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class EtcdServer:
    """What is put outlives the process."""

    def __init__(self, folder):
        found = subprocess.run(["tests/etcd_server.sh"], text=True, stdout=subprocess.PIPE)
        if found.returncode != 0:
            raise Failure("no etcd is installed")
        self.program, self.folder = found.stdout.strip(), folder
        self.port, self.peers = free_port(), free_port()
        self.process = None
        self.start()

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        client, peer = f"http://{self.endpoint}", f"http://127.0.0.1:{self.peers}"
        self.process = Process("etcd", [
            self.program, "--data-dir", os.path.join(self.folder, "etcd"), "--name", "one",
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"one={peer}", "--logger", "zap", "--log-level", "error"],
            self.folder)

        def healthy():
            if self.process.popen.poll() is not None:
                raise Failure(f"etcd ended:\n{self.process.tail()}")
            try:
                with urllib.request.urlopen(f"http://{self.endpoint}/health", timeout=2) as answer:
                    return json.load(answer)["health"] == "true"
            except OSError:
                return False
        wait_until(healthy, "etcd to be healthy")

    def stop(self):
        self.process.kill()
