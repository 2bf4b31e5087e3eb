"""A batch ends while one of its tasks is stuck on its node: a copy of it elsewhere counts.

usage: straggler_test.py SLUICE GATE

Tasks wait for the lock of a file that is there on one node only, and that this test holds. So what
has happened before the lock is let go has happened before the task ended.
"""
import fcntl
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402
from gate_job import GateJob, gate_lines  # noqa: E402
from outputs import drop_file  # noqa: E402

LINES = 2700  # of a file: at a thousand bytes each there is enough for all of nine tasks


def waiting_locks(pid):
    """How many threads of a process wait for the lock of a file."""
    with open("/proc/locks") as f:
        rows = [line.split() for line in f]
    return sum(1 for row in rows if "->" in row and "FLOCK" in row and str(pid) in row)


def status(cluster):
    return wait_until(lambda: cluster.job("sums"), "the status of the job")


def run(cluster, gate, copies="on"):
    cluster.start_driver()
    for name in ("w0", "w1", "w2"):
        cluster.start_worker(name, slots=1)
    job = GateJob(cluster, "sums")
    cluster.submit(gate, "sums", [f"--dir={job.inputs}", f"--output={job.output}", "--gate=gate"],
                   conf=["partitions=3", f"straggler_copies={copies}"])
    lines = []

    def add_file():
        lines.extend(gate_lines(len(lines), LINES, 1000))
        drop_file(job.inputs, f"{len(lines)}.txt", lines[-LINES:])
        job.await_sums(lines)

    wait_until(lambda: len(cluster.executors("sums")) == 3, "three executors")
    add_file()
    before = status(cluster)
    slow, pid = cluster.executors("sums")[1]
    name = next(name for name, process in cluster.workers.items()
                if process.pid == next(row["pid"] for row in cluster.worker_list()
                                       if row["id"] == slow))
    with open(cluster.path(name, "work", "sums", "gate"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        add_file()
        if waiting_locks(pid) == 0:
            raise Failure(f"no task of executor {pid} is stuck")
        wait_until(lambda: status(cluster)["straggler_copies_won"] > 0, "copies to be counted")
    wait_until(lambda: waiting_locks(pid) == 0, "the stuck tasks to go on")
    add_file()
    after = status(cluster)
    for what in ("generation", "failed_batches", "straggler_copies_differ", "driver_restarts"):
        if after[what] != before[what]:
            raise Failure(f"{what} was {before[what]} and is {after[what]}")
    if (slow, pid) not in cluster.executors("sums"):
        raise Failure(f"executor {pid} is gone")
    code, _, said = cluster.run("job", "drain", "sums", "--deadline=50s", check=False)
    if code != 0:
        raise Failure(f"the drain ended with {code}: {said}")
    job.expect_sums(lines)
    print(f"{after['straggler_copies']} copies, {after['straggler_copies_won']} were first; "
          f"{len(lines)} records are exact")


if __name__ == "__main__":
    with Cluster(sys.argv[1]) as cluster:
        run(cluster, os.path.abspath(sys.argv[2]), *sys.argv[3:])
