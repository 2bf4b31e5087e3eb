"""Network namespaces joined by a bridge, for tests with daemons on hosts of their own. Needs root.

The bridge stands in a namespace too, so that nothing of this machine's own network is touched.
"""
import os
import shutil
import subprocess


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def tool(name):
    """What may be in a folder that only root's shell looks into."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or name


def ip_tc(space, verb, device, *how):
    subprocess.run(["ip", "netns", "exec", space, tool("tc"), "qdisc", verb, "dev", device, "root",
                    *how], check=True)


NOWHERE = "02:00:00:00:00:ff"  # an address of no device


class Network:
    """One namespace for each name; each has one address, which the others reach, unless a link is
    cut: then what is sent is dropped without a word, as when a cable is pulled far away.
    """

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

    def cut(self, sender, receiver):
        """What `sender` sends to `receiver` is lost; the other direction goes on."""
        ip("-n", self.namespace(sender), "neigh", "replace", self.address(receiver), "lladdr",
           NOWHERE, "dev", "eth0", "nud", "permanent")

    def heal(self, sender, receiver):
        ip("-n", self.namespace(sender), "neigh", "del", self.address(receiver), "dev", "eth0")

    def unplug(self, name):
        """Nothing goes to it or comes from it."""
        self.set_port(name, "down")

    def plug(self, name):
        self.set_port(name, "up")

    def lose(self, name, percent):
        """So much of what comes to it is lost at random, and so much of what it sends; 0: nothing."""
        nft = [*self.inside(name), tool("nft")]
        subprocess.run([*nft, "add", "table", "inet", "lossy"], check=True)
        subprocess.run([*nft, "delete", "table", "inet", "lossy"], check=True)
        if percent == 0:
            return
        drop = f"numgen random mod 100 < {percent} drop"
        subprocess.run([*nft, f"""
            add table inet lossy
            add chain inet lossy in {{ type filter hook input priority 0; }}
            add chain inet lossy out {{ type filter hook output priority 0; }}
            add rule inet lossy in iifname eth0 {drop}
            add rule inet lossy out oifname eth0 {drop}"""], check=True)

    def narrow(self, name, rate):
        """What it sends, and what is sent to it, goes at `rate` at most, and waits for up to a
        second before it is dropped."""
        for space, device in self.ends(name):
            ip_tc(space, "replace", device, "tbf", "rate", rate, "burst", "16kb", "latency", "1s")

    def widen(self, name):
        for space, device in self.ends(name):
            ip_tc(space, "del", device)

    def ends(self, name):
        return ((self.namespace(name), "eth0"),
                (self.namespace("switch"), f"port{self.names.index(name)}"))

    def set_port(self, name, state):
        ip("-n", self.namespace("switch"), "link", "set", f"port{self.names.index(name)}", state)

    def reset_connections(self, name):
        """Both ends of every connection between it and others get an error."""
        for other in self.names:
            subprocess.run([*self.inside(name), "ss", "-K", "dst", self.address(other)],
                           check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def connections(self, name):
        shown = subprocess.run([*self.inside(name), "ss", "-Htn", "state", "established"],
                               check=True, text=True, capture_output=True).stdout
        return len(shown.splitlines())

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
