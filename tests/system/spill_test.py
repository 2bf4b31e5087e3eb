"""Received data far beyond the memory for blocks, while tasks are held back: it goes to disk.

usage: spill_test.py SLUICE GATE
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure  # noqa: E402
from gate_job import GateJob, gate_lines  # noqa: E402

RECEIVED = 100 << 20
LINE = 1000
GROWTH_MAX = RECEIVED // 3  # each of the two workers holds all blocks


def resident_most(pid):
    """The most memory that a process has had at a time, in bytes."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmHWM:"))


def spilled(cluster, name):
    folder = cluster.path(name, "spill")
    return sum(os.path.getsize(os.path.join(folder, file)) for file in os.listdir(folder))


def run(cluster, gate):
    cluster.start_driver("--conf=worker_lease=1s")
    for name in ("w0", "w1"):
        cluster.start_worker(name, flags=["--conf=block_memory=1MiB"])
    job = GateJob(cluster, "held", shut=True)
    job.submit(gate, "--push=lines", ["worker_lease=1s", "checkpoint_interval=500ms",
                                         "backpressure=off"])
    begun = {name: resident_most(process.pid) for name, process in cluster.workers.items()}
    lines = gate_lines(0, RECEIVED // LINE, LINE)
    push = cluster.push("held", "lines", lines, batch=200)
    if push.wait(120) != 0:
        raise Failure(f"push ended with {push.popen.returncode}: {push.tail()}")
    job.held()
    for name, process in cluster.workers.items():
        grown = resident_most(process.pid) - begun[name]
        on_disk = spilled(cluster, name)
        print(f"{name}: grew by {grown >> 20} MiB, {on_disk >> 20} MiB on disk")
        if grown > GROWTH_MAX:
            raise Failure(f"{name} grew by {grown} bytes for {RECEIVED} received ones")
        if on_disk < RECEIVED * 9 // 10:
            raise Failure(f"{name} has {on_disk} bytes on disk")
    job.open()
    job.await_sums(lines, 90)
    status = cluster.job("held")
    if status["generation"] != 1:
        raise Failure(f"a worker was taken for lost: generation {status['generation']}")
    cluster.run("job", "drain", "held", "--deadline=30s")
    job.expect_sums(lines)
    print(f"exact: {len(lines)} lines, {RECEIVED >> 20} MiB")


def main():
    sluice, gate = (os.path.abspath(p) for p in sys.argv[1:3])
    with Cluster(sluice) as cluster:
        run(cluster, gate)
    print("spill_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
