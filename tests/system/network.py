"""Network namespaces joined by a bridge, for tests with daemons on hosts of their own. Needs root.

The bridge stands in a namespace too, so that nothing of this machine's own network is touched.
"""
import os
import subprocess


def ip(*words):
    subprocess.run(["ip", *words], check=True)


class Network:
    """One namespace for each name; each has one address, which the others reach."""

    def __init__(self, *names):
        self.prefix = f"sluice{os.getpid()}"
        self.names = names

    def namespace(self, name):
        return f"{self.prefix}-{name}"

    def address(self, name):
        return f"10.77.0.{self.names.index(name) + 1}"

    def inside(self, name):
        """What to put before a command so that it runs there."""
        return ["ip", "netns", "exec", self.namespace(name)]

    def __enter__(self):
        switch = self.namespace("switch")
        ip("netns", "add", switch)
        ip("-n", switch, "link", "add", "bridge0", "type", "bridge")
        ip("-n", switch, "link", "set", "bridge0", "up")
        for number, name in enumerate(self.names):
            space, port = self.namespace(name), f"port{number}"
            ip("netns", "add", space)
            ip("link", "add", "eth0", "netns", space, "type", "veth",
               "peer", "name", port, "netns", switch)
            ip("-n", switch, "link", "set", port, "master", "bridge0", "up")
            ip("-n", space, "address", "add", f"{self.address(name)}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "link", "set", "lo", "up")
        return self

    def __exit__(self, kind, error, trace):
        for name in (*self.names, "switch"):
            subprocess.run(["ip", "netns", "del", self.namespace(name)], check=False)
        return False

    def listeners(self, name):
        """{pid: [address and port]} of what listens in that namespace."""
        shown = subprocess.run([*self.inside(name), "ss", "-Hltnp"], check=True, text=True,
                               capture_output=True).stdout
        found = {}
        for line in shown.splitlines():
            words = line.split()
            pid = int(words[5].split("pid=")[1].split(",")[0])
            found.setdefault(pid, []).append(f"{self.address(name)}:{words[3].rsplit(':', 1)[1]}")
        return found
