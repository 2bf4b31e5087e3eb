"""A worker that is alive and slow is found by comparison, drained, and nothing is lost.

usage: slow_worker_test.py SLUICE GATE

What the tasks need takes sixty milliseconds for each key on one node, as from a disk that is about
to fail. Its worker beats, answers, and holds every batch up.
"""
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, Process, wait_until  # noqa: E402
from gate_job import GateJob, gate_lines  # noqa: E402
from outputs import latest  # noqa: E402


class Paced:
    """A push client that is given thirty lines every tenth of a second, until it is ended."""

    def __init__(self, cluster, lines):
        self.over = threading.Event()
        self.lines = lines
        reading, writing = os.pipe()
        self.process = Process("push", [
            cluster.sluice, "push", f"--driver={cluster.address}", "--job=sums",
            "--stream=lines", "--batch=10"], cluster.folder, stdin=reading)
        os.close(reading)
        self.out = os.fdopen(writing, "w")
        self.thread = threading.Thread(target=self.feed, daemon=True)
        self.thread.start()

    def feed(self):
        for first in range(0, len(self.lines), 30):
            if self.over.wait(0.1):
                return
            self.out.writelines(line + "\n" for line in self.lines[first:first + 30])
            self.out.flush()

    def end(self):
        """Returns when all that was given is acknowledged."""
        self.over.set()
        self.thread.join()
        self.out.close()
        if self.process.wait() != 0:
            raise Failure(f"push ended with {self.process.popen.returncode}")


def run(cluster, gate):
    cluster.start_driver("--conf=slow_workers=drain", "--conf=drain_deadline=60s")
    for name in ("w0", "w1", "w2"):
        cluster.start_worker(name, slots=1)
    job = GateJob(cluster, "sums")
    job.submit(gate, "--push=lines", args=["--slow_ms=60"],
               conf=["partitions=3"])
    lines = gate_lines(0, 60_000)
    push = Paced(cluster, lines)
    receiver = wait_until(lambda: cluster.executors("sums", "receivers"), "a receiver")[0][0]
    cluster.decided("sums", 30)
    if cluster.job("sums")["slow_workers"]:
        raise Failure(f"a healthy worker is called slow: {cluster.job('sums')['slow_workers']}")
    slow = next(worker for worker, _ in cluster.executors("sums") if worker != receiver)
    name = name_of(cluster, slow)
    open(cluster.path(name, "work", "sums", "slow"), "w").close()
    process = cluster.workers.pop(name)
    wait_until(lambda: state_of(cluster, slow) == "DRAINED", f"{slow} to be drained", 120)
    if process.wait() != 0:
        raise Failure(f"the drained worker ended with {process.popen.returncode}")
    _, log, _ = cluster.run("job", "logs", "sums")
    if f"worker {slow} is slow" not in log:
        raise Failure(f"the job's log does not name {slow}: {log[-500:]}")
    push.end()
    code, _, said = cluster.run("job", "drain", "sums", "--deadline=50s", check=False)
    if code != 0:
        raise Failure(f"the drain ended with {code}: {said}")
    job.expect_sums(lines[:sum_of_records(job)])
    print(f"{slow} was found slow and drained; {sum_of_records(job)} records are exact")


def name_of(cluster, worker):
    pid = next(row["pid"] for row in cluster.worker_list() if row["id"] == worker)
    return next(name for name, process in cluster.workers.items() if process.pid == pid)


def state_of(cluster, worker):
    return next((row["state"] for row in cluster.worker_list() if row["id"] == worker), None)


def sum_of_records(job):
    return sum(int(row.split("(")[2].split(",")[0]) for row in latest(job.output, "sums"))


if __name__ == "__main__":
    with Cluster(sys.argv[1]) as cluster:
        run(cluster, os.path.abspath(sys.argv[2]))
