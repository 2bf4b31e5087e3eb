"""A real etcd for whole-system tests: one member on loopback, or several on hosts of their own."""
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


def etcd_program():
    found = subprocess.run(["tests/etcd_server.sh"], text=True, stdout=subprocess.PIPE)
    if found.returncode != 0:
        raise Failure("no etcd is installed")
    return found.stdout.strip()


def start_etcd(folder, name, client, peer, members, netns=None):
    """One member; `members` are the URLs for peers of all, by name."""
    return Process(name, [
        etcd_program(), "--data-dir", os.path.join(folder, name), "--name", name,
        "--listen-client-urls", client, "--advertise-client-urls", client,
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        "--initial-cluster", ",".join(f"{each}={url}" for each, url in members.items()),
        "--logger", "zap", "--log-level", "error"], folder, netns=netns)


class EtcdServer:
    """What is put outlives the process."""

    def __init__(self, folder):
        self.folder = folder
        self.port, self.peers = free_port(), free_port()
        self.process = None
        self.start()

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        peer = f"http://127.0.0.1:{self.peers}"
        self.process = start_etcd(self.folder, "etcd", f"http://{self.endpoint}", peer,
                                  {"etcd": peer})

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


class EtcdCluster:
    """A member on each of these hosts of the network (network.py)."""

    def __init__(self, folder, network, names):
        self.network, self.names = network, names
        peers = {name: f"http://{network.address(name)}:2380" for name in names}
        self.members = {name: start_etcd(folder, name, f"http://{network.address(name)}:2379",
                                         peers[name], peers, network.namespace(name))
                        for name in names}
        wait_until(lambda: all(self.healthy(name) for name in names), "etcd to be healthy")

    def url(self, prefix):
        endpoints = ",".join(f"{self.network.address(name)}:2379" for name in self.names)
        return f"etcd://{endpoints}/{prefix}"

    def healthy(self, name):
        """As its own host sees it: it reaches a majority."""
        asked = subprocess.run([*self.network.inside(name), "curl", "-s", "-m", "5",
                                f"http://{self.network.address(name)}:2379/health"], text=True,
                               capture_output=True)
        return '"health":"true"' in asked.stdout
