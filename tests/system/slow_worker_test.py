"""A worker that is alive and slow is found by comparison, drained, and nothing is lost.

usage: slow_worker_test.py SLUICE GATE

What the tasks need takes sixty milliseconds for each key on one node, as from a disk that is about
to fail. Its worker beats, answers, and holds every batch up.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402
from gate_job import GateJob, Paced  # noqa: E402


def run(cluster, gate):
    cluster.start_driver("--conf=slow_workers=drain", "--conf=drain_deadline=60s")
    for name in ("w0", "w1", "w2"):
        cluster.start_worker(name, slots=1)
    job = GateJob(cluster, "sums")
    job.submit(gate, "--push=lines", args=["--slow_ms=60"],
               conf=["partitions=3"])
    push = Paced(cluster, "sums")
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
    job.expect_sums(push.lines)
    print(f"{slow} was found slow and drained; {len(push.lines)} records are exact")


def name_of(cluster, worker):
    pid = next(row["pid"] for row in cluster.worker_list() if row["id"] == worker)
    return next(name for name, process in cluster.workers.items() if process.pid == pid)


def state_of(cluster, worker):
    return next((row["state"] for row in cluster.worker_list() if row["id"] == worker), None)


if __name__ == "__main__":
    with Cluster(sys.argv[1]) as cluster:
        run(cluster, os.path.abspath(sys.argv[2]))
