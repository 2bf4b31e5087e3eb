"""Two releases in one cluster: daemons replaced one by one, there and back, under a running job; a
job that goes on as another release's binary. A release of another protocol is refused by name.

usage: releases_test.py SLUICE GATE OTHER_SLUICE OTHER_GATE NEXT_SLUICE NEXT_GATE

OTHER_… are of another release with the same protocol, NEXT_… of one that speaks the next
protocol.
"""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402
from gate_job import GateJob, Paced  # noqa: E402

JOB = "sums"
WORKERS = ["w0", "w1", "w2"]
CONF = ["worker_lease=1s", "checkpoint_interval=500ms", "partitions=6"]


def expect(seen, wanted, what):
    if seen != wanted:
        raise Failure(f"{what}: {seen!r}, not {wanted!r}")
    print(f"ok {what}", flush=True)


def version(program):
    return subprocess.run([program, "--version"], text=True, capture_output=True).stdout


class Rolling:
    def __init__(self, cluster):
        self.cluster = cluster
        self.job = GateJob(cluster, JOB)

    def start(self, program, gate):
        self.cluster.sluice = program
        self.cluster.start_driver("--conf=worker_lease=1s")
        for name in WORKERS:
            self.cluster.start_worker(name)
        self.submit(gate)

    def submit(self, gate):
        self.job.submit(gate, "--push=lines", CONF)

    def status(self):
        return self.cluster.job(JOB)

    def goes_on(self):
        """It runs on every worker and decides batches there."""
        def spread():
            up = {w["id"] for w in self.cluster.worker_list() if w["state"] == "UP"}
            on = {worker for worker, _ in self.cluster.executors(JOB)}
            return len(up) == len(WORKERS) and on == up
        wait_until(spread, "the job to be on all workers", 60)
        wait_until(lambda: (self.status() or {}).get("state") == "RUNNING", "the job to run")
        self.cluster.decided(JOB, self.status()["decided_batches"] + 8)

    def roll(self, program):
        """One worker after the other, then the driver daemon."""
        self.cluster.sluice = program
        for name in WORKERS:
            process = self.cluster.workers[name]
            process.kill(signal.SIGTERM)  # hands over what only it has
            expect(process.wait(), 0, f"{name} is drained")
            self.cluster.start_worker(name)
            self.goes_on()
        before = self.status()
        self.cluster.driver.kill(signal.SIGTERM)
        expect(self.cluster.driver.wait(), 0, "the driver daemon ends")
        self.cluster.start_driver("--conf=worker_lease=1s")
        self.goes_on()
        for field in ("epoch", "generation", "driver_restarts"):
            if self.status()[field] != before[field]:
                raise Failure(f"another driver daemon changed {field} of the job from "
                              f"{before[field]} to {self.status()[field]}")
        print(f"ok all daemons are {version(program).strip()}", flush=True)


def next_protocol_is_refused(rolling, next_sluice, next_gate):
    cluster, own = rolling.cluster, rolling.cluster.sluice
    cluster.sluice = next_sluice
    cluster.start_worker("odd", ready=False)
    odd = cluster.workers.pop("odd")
    expect(odd.wait(), 3, "a worker of the next protocol is refused")
    if "speaks protocol" not in odd.tail():
        raise Failure(f"it does not say why: {odd.tail()}")
    cluster.sluice = own
    for sluice in (own, next_sluice):
        done = subprocess.run([sluice, "submit", f"--driver={cluster.address}", "--name=odd",
                               next_gate, "--", *rolling.job.flags()], text=True,
                              capture_output=True, timeout=60)
        expect((done.returncode, "it speaks protocol" in done.stderr), (3, True),
               f"a job of the next protocol is refused: {done.stderr.strip()}")
    expect(cluster.job("odd"), None, "and is not there")


def next_driver_is_refused(rolling, next_sluice):
    """Workers that have work do not end; with the driver daemon that was all goes on."""
    cluster, own = rolling.cluster, rolling.cluster.sluice
    cluster.driver.kill(signal.SIGTERM)
    cluster.driver.wait()
    cluster.sluice = next_sluice
    cluster.start_driver("--conf=worker_lease=1s")
    wait_until(lambda: all("speaks protocol" in cluster.workers[name].tail() for name in WORKERS),
               "all workers to say that they are refused")
    cluster.driver.kill(signal.SIGTERM)
    cluster.driver.wait()
    cluster.sluice = own
    cluster.start_driver("--conf=worker_lease=1s")
    rolling.goes_on()


def main():
    sluice, gate, other, other_gate, next_sluice, next_gate = map(os.path.abspath, sys.argv[1:7])
    if version(sluice) == version(other):
        raise Failure("the other release is the same")
    with Cluster(sluice) as cluster:
        rolling = Rolling(cluster)
        rolling.start(sluice, gate)
        push = Paced(cluster, JOB)
        rolling.goes_on()
        rolling.roll(other)
        rolling.roll(sluice)
        next_protocol_is_refused(rolling, next_sluice, next_gate)
        next_driver_is_refused(rolling, next_sluice)
        push.end()
        lines = push.lines
        rolling.job.await_sums(lines)
        for number, binary in enumerate((other_gate, gate)):
            cluster.run("job", "drain", JOB, "--deadline=30s")
            rolling.job.expect_sums(lines)
            rolling.submit(binary)
            push = Paced(cluster, JOB, f"later{number}", len(lines))
            rolling.goes_on()
            push.end()
            lines = lines + push.lines
            rolling.job.await_sums(lines)
        print(f"{len(lines)} records are exact")
    print("releases_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
