"""With recovery=deltas the state of lost processes comes back and no user code runs again.

usage: deltas_test.py SLUICE GATE

Each call of the job's functions leaves a line in a file. No checkpoint has anything of the state:
by rollback, every one of these calls would be made again after each loss, which a second job shows.
"""
import collections
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402
from gate_job import GateJob, gate_lines  # noqa: E402

CONF = ["partitions=3", "checkpoint_interval=10m", "replication_min=2", "worker_lease=1s"]
LINES = 40  # of each step


class CountedJob:
    def __init__(self, cluster, gate, recovery):
        self.cluster, self.name = cluster, recovery
        self.job = GateJob(cluster, recovery)
        self.calls_file = cluster.path(recovery, "calls")
        open(self.calls_file, "w").close()
        self.lines = []
        self.job.submit(gate, "--push=lines", conf=[*CONF, f"recovery={recovery}"],
                        args=[f"--calls={self.calls_file}"])
        # The first batch is in a checkpoint; it shall not be one that has records.
        wait_until(lambda: self.status().get("state") == "RUNNING", f"{recovery} to run")
        cluster.decided(recovery, 10)

    def status(self):
        return self.cluster.job(self.name) or {}

    def calls(self):
        with open(self.calls_file) as f:
            return collections.Counter(f.read().splitlines())

    def push_more(self):
        """Further records, until their sums are published: their batches are decided then."""
        self.lines += gate_lines(len(self.lines), LINES)
        client = self.cluster.push(self.name, "lines", self.lines)  # those it has it drops
        if client.wait() != 0:
            raise Failure(f"the push ended otherwise: {client.tail()}")
        self.job.await_sums(self.lines)

    def lose(self, what, kill):
        """Returns which calls that were over were made again because of the loss."""
        before = self.calls()
        if sum(count for call, count in before.items() if call.startswith("map ")) < LINES:
            raise Failure(f"the calls were not counted: {before}")
        was = self.status()
        kill(self)
        wait_until(lambda: self.generation() > (was["epoch"], was["generation"]),
                   f"a new generation after the loss of {what}")
        self.push_more()
        after = self.calls()
        return {call: (count, after[call]) for call, count in before.items()
                if after[call] != count}

    def generation(self):
        status = self.status()
        return (status.get("epoch", 0), status.get("generation", 0))


def kill_executor(job):
    os.kill(job.cluster.executors(job.name)[0][1], signal.SIGKILL)


def kill_job_driver(job):
    os.kill(job.status()["driver_pid"], signal.SIGKILL)


def lose_node(job):
    """A worker with its executors, which end with it, and its disk; another one comes."""
    name = next(iter(job.cluster.workers))
    job.cluster.workers.pop(name).kill()
    job.cluster.start_worker(name, fresh=True)


LOSSES = {"an executor": kill_executor, "a node": lose_node, "the job driver": kill_job_driver}


def run(cluster, gate):
    cluster.start_driver("--conf=worker_lease=1s")
    for name in ("w0", "w1", "w2"):
        cluster.start_worker(name)
    job = CountedJob(cluster, gate, "deltas")
    job.push_more()
    for what, kill in LOSSES.items():
        again = job.lose(what, kill)
        if again:
            raise Failure(f"the loss of {what} made user code run again: {again}")
        print(f"{what} was lost: {len(job.lines)} records are exact, and no call was made again")
    cluster.run("job", "drain", "deltas", "--deadline=50s", seconds=60)
    job = CountedJob(cluster, gate, "rollback")
    job.push_more()
    before = len(job.calls())
    again = job.lose("an executor", kill_executor)
    if len(again) < before:
        raise Failure(f"a rollback made only {len(again)} of {before} calls again")
    print(f"by rollback all of {before} calls are made again")


if __name__ == "__main__":
    with Cluster(sys.argv[1]) as cluster:
        run(cluster, os.path.abspath(sys.argv[2]))
