"""Driver daemons on hosts of their own, their table in an etcd of three members: the network is
parted so that one daemon has a minority of the members on its side, and so that both sides share
one member. There is never more than one leader, and the majority goes on.

usage: standby_parted_test.py SLUICE SEQUENCE
"""
import itertools
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402
from etcd_server import EtcdCluster  # noqa: E402
from network import Network  # noqa: E402
from standby import CONF, Drivers, Feeder, judge  # noqa: E402

MEMBERS = ["e0", "e1", "e2"]
WORKERS = ["w0", "w1"]
JOB = "one"


class Watch:
    """Looks for two daemons that lead at a time, until it is closed."""

    def __init__(self, parted):
        self.parted = parted
        self.over = threading.Event()
        self.looks, self.both = 0, False
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self):
        while not self.over.wait(0.05):
            seen = [self.parted.leads(name) for name in ("a", "b", "a")]
            self.looks += 1
            self.both |= all(seen)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.over.set()
        self.thread.join()
        return False


class Parted:
    def __init__(self, cluster, network, drivers, etcd):
        self.cluster, self.network, self.drivers, self.etcd = cluster, network, drivers, etcd

    def leads(self, name):
        """As its own host sees it."""
        asked = subprocess.run(
            [*self.network.inside(name), "curl", "-s", "-m", "2", "-o", "/dev/null", "-w",
             "%{http_code}", f"http://{self.drivers.http[name]}/readyz"], text=True,
            capture_output=True)
        return asked.stdout == "200"

    def part(self, one, other, cut=True):
        for here, there in itertools.product(one, other):
            for sender, receiver in ((here, there), (there, here)):
                (self.network.cut if cut else self.network.heal)(sender, receiver)

    def a_minority_does_not_lead(self):
        """The leader's side has one member of three, the other side all else."""
        before = self.cluster.decided(JOB, 4)
        sides = ["a", "e0"], ["b", "e1", "e2", *WORKERS, "client"]
        begun = time.monotonic()
        self.part(*sides)
        wait_until(lambda: not self.leads("a"), "a to notice", 30)
        wait_until(lambda: self.leads("b"), "b to lead", 60)
        print(f"a has a minority: b led after {time.monotonic() - begun:.1f} s")
        self.stays("b")
        self.part(*sides, cut=False)
        wait_until(lambda: self.etcd.healthy("e0"), "the member to be back", 60)
        self.stays("b")
        wait_until(lambda: (self.cluster.job(JOB) or {}).get("decided_batches", 0) >=
                   before["decided_batches"] + 8, "the job to go on", 60)

    def stays(self, name):
        """Five leases long nobody else leads."""
        other = "a" if name == "b" else "b"
        begun = time.monotonic()
        while time.monotonic() - begun < 5:
            if self.leads(other):
                raise Failure(f"{other} leads, and {name} had all that it needed")
            time.sleep(0.05)
        if not self.leads(name):
            raise Failure(f"{name} leads no more")

    def sides_that_share_a_member(self):
        """Each daemon reaches one member of its own and the shared one."""
        sides = ["a", "e0"], ["b", "e2"]
        self.part(*sides)
        wait_until(lambda: self.leads("a") or self.leads("b"), "somebody to lead", 60)
        before = self.cluster.decided(JOB, 1)
        self.cluster.decided(JOB, before["decided_batches"] + 8)
        self.part(*sides, cut=False)
        wait_until(lambda: all(self.etcd.healthy(name) for name in MEMBERS), "all members", 60)
        wait_until(lambda: self.leads("a") or self.leads("b"), "somebody to lead", 60)


def main():
    sluice, sequence = (os.path.abspath(p) for p in sys.argv[1:3])
    with (Network("a", "b", *WORKERS, *MEMBERS, "client") as network,
          Cluster(sluice, network=network, security=lambda name: ["--insecure"]) as cluster):
        etcd = EtcdCluster(cluster.folder, network, MEMBERS)
        cluster.workers.update(etcd.members)
        drivers = Drivers(cluster, etcd.url("sluice/test"))
        parted = Parted(cluster, network, drivers, etcd)
        for name in ("b", "a"):
            drivers.start(name)
        for name in WORKERS:
            cluster.start_worker(name)
        output = cluster.path("out")
        os.makedirs(output)
        # Its job driver is on the node of b, with the majority.
        cluster.submit(sequence, JOB, [f"--output={output}", f"--gate={cluster.path('gate')}",
                                       f"--doom={cluster.path('doom')}"], conf=CONF)
        feeder = Feeder(cluster, JOB, 1)
        feeder.start()
        try:
            with Watch(parted) as watch:
                # so a leads, and the job driver is not cut off
                drivers.process("b").kill()
                wait_until(lambda: parted.leads("a"), "a to lead", 30)
                drivers.start("b")
                parted.a_minority_does_not_lead()
                parted.sides_that_share_a_member()
            if watch.both or watch.looks < 20:
                raise Failure(f"two lead at a time: {watch.both}, {watch.looks} looks")
            feeder.finish()
        finally:
            feeder.end()
        cluster.run("job", "drain", JOB, "--deadline=60s", seconds=90)
        print(f"{judge(output, feeder.given)} records, each once and in order")
    print("standby_parted_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
