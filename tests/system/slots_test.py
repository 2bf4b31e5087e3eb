"""Jobs that share the slots of the workers, with real processes.

usage: slots_test.py SLUICE GATE
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402
from gate_job import GateJob, gate_lines  # noqa: E402
from outputs import drop_file  # noqa: E402

CONF = ("worker_lease=1s", "checkpoint_interval=300ms")


def slots(cluster, name):
    return (cluster.job(name) or {}).get("slots")


def executor_slots(cluster, job):
    """{worker: slots} of the job's running task executors, as their processes were told."""
    found = {}
    for worker, pid in cluster.executors(job):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().decode().split("\0")
        except OSError:
            continue
        found[worker] = int(next(w.split("=")[1] for w in words if w.startswith("--sluice-slots=")))
    return found


class Fed:
    """A job that is fed files and must have counted them all."""

    def __init__(self, cluster, gate, name, *conf):
        self.job = GateJob(cluster, name)
        self.job.submit(gate, conf=[*CONF, *conf])
        self.lines = []

    def feed(self, count=300):
        more = gate_lines(len(self.lines), count)
        drop_file(self.job.inputs, f"f{len(self.lines)}", more)
        self.lines += more

    def exact(self):
        self.job.await_sums(self.lines)


def run(cluster, gate):
    cluster.start_driver("--conf=worker_lease=1s")
    for name in ("w0", "w1"):
        cluster.start_worker(name)
    first = Fed(cluster, gate, "first")
    first.feed()
    first.exact()
    workers = [w["id"] for w in cluster.worker_list()]
    if slots(cluster, "first") != 4:
        raise Failure(f"one job alone has {slots(cluster, 'first')} of 4 slots")
    second = Fed(cluster, gate, "second")
    if (slots(cluster, "first"), slots(cluster, "second")) != (2, 2):
        raise Failure(f"not shared: {cluster.job('first')} {cluster.job('second')}")
    each = {worker: 1 for worker in workers}
    for name in ("first", "second"):
        wait_until(lambda: executor_slots(cluster, name) == each,
                   f"one slot of {name} on each worker: {executor_slots(cluster, name)}")
    for job in (first, second, first):
        job.feed()
    first.exact()
    second.exact()
    _, table, _ = cluster.run("job", "list")
    column = table.splitlines()[0].split().index("SLOTS")
    shown = {row.split()[0]: row.split()[column] for row in table.splitlines()[1:]}
    if shown != {"first": "2", "second": "2"}:
        raise Failure(f"job list says otherwise: {table}")
    print("ok two jobs side by side")
    refused = cluster.path("none")
    code, _, _ = cluster.run("submit", "--name=bad", gate, "--", f"--output={refused}", "--no=1",
                             check=False)
    if code == 0 or slots(cluster, "first") != 2:
        raise Failure(f"a refused job ended with {code} and took slots")
    cluster.run("job", "drain", "second", "--deadline=30s")
    wait_until(lambda: cluster.job("second")["state"] == "FINISHED", "the drain")
    wait_until(lambda: executor_slots(cluster, "first") == {worker: 2 for worker in workers},
               "the first to have all again")
    first.feed()
    first.exact()
    print("ok what one leaves the other takes")
    cluster.run("job", "drain", "first", "--deadline=30s")
    wait_until(lambda: cluster.job("first")["state"] == "FINISHED", "the drain")
    bound = Fed(cluster, gate, "bound", "max_slots=3")
    other = Fed(cluster, gate, "other", "max_slots=1")
    if (slots(cluster, "bound"), slots(cluster, "other")) != (3, 1):
        raise Failure(f"bounds: {cluster.job('bound')} {cluster.job('other')}")
    waiting = GateJob(cluster, "waiting")
    waiting.submit(gate, conf=CONF)
    if cluster.job("waiting")["state"] != "WAITING" or slots(cluster, "waiting") != 0:
        raise Failure(f"there is no slot for it: {cluster.job('waiting')}")
    for job in (bound, other):
        job.feed()
        job.exact()
    cluster.run("job", "cancel", "bound")
    wait_until(lambda: cluster.job("waiting")["state"] == "RUNNING", "the waiting one to run")
    print("ok bounds are kept, and who comes later waits")


def main():
    sluice, gate = (os.path.abspath(p) for p in sys.argv[1:3])
    with Cluster(sluice) as cluster:
        run(cluster, gate)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
