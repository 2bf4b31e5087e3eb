"""Links that are cut: a driver, four workers and a client in network namespaces of their own, while
numbered records run through a job. At the end each record must have come out once and in order, and
no connection may be left over.

usage: cuts_test.py SLUICE SEQUENCE [--rounds=N]
"""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402
from network import Network  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "soak"))
from sequence import Feeder, check_that_it_notices, judge  # noqa: E402

JOB = "cuts"
WORKERS = ["w0", "w1", "w2", "w3"]
CONF = ["checkpoint_interval=1s", "partitions=4", "replication=2"]  # and leases of five seconds
FLAP = 2.0
CONNECTIONS_MORE = 12  # than before: some links open at their first use


class Cuts:
    def __init__(self, cluster, network, feeder):
        self.cluster, self.network, self.feeder = cluster, network, feeder

    def status(self):
        self.feeder.check_alive()
        status = self.cluster.job(JOB)
        if status and status["state"] in ("FAILED", "FENCED", "FINISHED"):
            raise Failure(f"the job is {status['state']}: {status['failure']}")
        return status

    def generation(self, status):
        return status["epoch"], status["generation"]

    def whole(self, decided=0):
        """Every worker runs tasks, every block has its copies, batches are decided."""
        status = self.status()
        if not status or status["state"] != "RUNNING" or status["waiting_batches"] > 4:
            return None
        if status["under_replicated_blocks"] or status["decided_batches"] < decided:
            return None
        up = [w for w in self.cluster.worker_list() if w["state"] == "UP"]
        executors = {executor[0] for executor in self.cluster.executors(JOB)}
        receivers = self.cluster.executors(JOB, "receivers")
        return status if len(up) == len(executors) == len(WORKERS) and receivers else None

    def await_whole(self, what, decided=0):
        return wait_until(lambda: self.whole(decided), what, 60)

    def goes_on(self, before, more=8):
        """Batches are decided while the fault lasts."""
        wait_until(lambda: (self.status() or {}).get("decided_batches", 0) >= before + more,
                   "batches to be decided beside the fault", 60)

    def one(self, name, begin, end, calm):
        """A fault; a calm one must not cost the job a generation, one that is not must, and with
        None it may.
        """
        before = self.await_whole(f"all to be well before: {name}")
        started = time.monotonic()
        begin()
        if calm is False:
            wait_until(lambda: self.generation(self.status() or before) > self.generation(before),
                       f"a new generation: {name}", 60)
        noticed = time.monotonic() - started
        self.goes_on((self.status() or before)["decided_batches"])
        end()
        healed = time.monotonic()
        after = self.await_whole(f"all to be well after: {name}",
                                 self.status()["decided_batches"] + 4)
        if calm and self.generation(after) != self.generation(before):
            raise Failure(f"{name}: generation {self.generation(before)} became "
                          f"{self.generation(after)}")
        same = self.generation(after) == self.generation(before)
        print(f"{name}: " + ("no new generation" if same else f"new generation in {noticed:.1f} s")
              + f", all well {time.monotonic() - healed:.1f} s after its end", flush=True)

    # ---- the faults ------------------------------------------------------------------------------

    def flapping(self, name, times):
        def flap():
            for _ in range(times):
                self.network.unplug(name)
                time.sleep(FLAP)
                self.network.plug(name)
                time.sleep(FLAP)
        self.one(f"{name}'s link flaps {times} times", flap, lambda: None, calm=True)

    def reset(self, name):
        self.one(f"every connection of {name} is reset",
                 lambda: self.network.reset_connections(name), lambda: None, calm=True)

    def lossy(self, name, percent):
        # A third of all packets may well look like a host that is gone.
        self.one(f"{percent} % of what {name} sends and gets is lost",
                 lambda: self.network.lose(name, percent), lambda: self.network.lose(name, 0),
                 calm=True if percent <= 10 else None)

    def narrow(self, name):
        self.one(f"{name} has 3 Mbit/s", lambda: self.network.narrow(name, "3mbit"),
                 lambda: self.network.widen(name), calm=True)

    def unplugged(self, name):
        self.one(f"{name} is cut off", lambda: self.network.unplug(name),
                 lambda: self.network.plug(name), calm=False)

    def one_way(self, sender, receiver):
        self.one(f"what {sender} sends to {receiver} is lost",
                 lambda: self.network.cut(sender, receiver),
                 lambda: self.network.heal(sender, receiver), calm=False)

    def pair(self, one, other):
        def cut():
            self.network.cut(one, other)
            self.network.cut(other, one)

        def heal():
            self.network.heal(one, other)
            self.network.heal(other, one)
        self.one(f"{one} and {other} lose each other", cut, heal, calm=False)

    def run(self, rounds):
        first = self.await_whole("the job to run everywhere", 8)
        hosts = ["driver", *WORKERS]
        connections = {name: self.network.connections(name) for name in hosts}
        print(f"begun at generation {self.generation(first)}, connections {connections}")
        # Any worker may have the receiver in the end, which has connections of its own.
        of_a_worker = max(connections[name] for name in WORKERS)
        allowed = {name: CONNECTIONS_MORE + (of_a_worker if name in WORKERS else connections[name])
                   for name in hosts}
        for number in range(rounds):
            name = WORKERS[number % len(WORKERS):] + WORKERS[:number % len(WORKERS)]
            self.flapping(name[0], 3)
            self.reset(name[1])
            self.lossy(name[2], 10)
            self.narrow(name[0])
            # Last of the calm ones: a connection may wait for seconds yet before it sends again.
            self.lossy(name[3], 30)
            self.unplugged(name[1])
            self.one_way(name[2], "driver")
            self.one_way("driver", name[3])
            self.pair(name[0], name[2])

        def settled():
            now = {name: self.network.connections(name) for name in hosts}
            return now if all(now[name] <= allowed[name] for name in hosts) else None
        print(f"connections at the end: {wait_until(settled, 'connections to be closed', 60)}")


def main():
    parser = argparse.ArgumentParser()
    for program in ["sluice", "sequence"]:
        parser.add_argument(program)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    check_that_it_notices()
    sluice, sequence = os.path.abspath(args.sluice), os.path.abspath(args.sequence)
    with (Network("driver", *WORKERS, "client") as network,
          Cluster(sluice, network=network, keep=args.keep,
                  security=lambda name: ["--insecure"]) as cluster):
        cluster.start_driver()
        for name in WORKERS:
            cluster.start_worker(name)
        output = cluster.path("out")
        os.makedirs(output)
        cluster.submit(sequence, JOB, [f"--output={output}", f"--gate={cluster.path('gate')}",
                                       f"--doom={cluster.path('doom')}"], conf=CONF)
        feeder = Feeder(cluster, JOB, 1)
        feeder.start()
        try:
            Cuts(cluster, network, feeder).run(args.rounds)
            feeder.finish()
        finally:
            feeder.end()
        cluster.run("job", "drain", JOB, "--deadline=60s", seconds=90)
        print(f"{judge(output, feeder.given)} records, each once and in order")
    print("cuts_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
