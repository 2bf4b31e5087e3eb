"""A worker is lost that had copies of received blocks, and there is one to spare: every block has
two copies again within the time that docs/architecture.md states.

usage: copies_test.py SLUICE GATE [--mib=N]
"""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402
from gate_job import GateJob, gate_lines  # noqa: E402

JOB = "copied"
LINE = 1000
# From the loss on, one holder having all the blocks.
WITHIN = 5  # seconds
WITHIN_MORE_PER_GIB = 5
POLL = 0.2  # the status is as old as this, and the loss is known a moment after it


def lacking(cluster):
    return (cluster.job(JOB) or {}).get("under_replicated_blocks", -1)


def holders(cluster, received, count):
    """So many workers that hold all that was received; None: there are not so many."""
    found = [row["id"] for row in cluster.worker_list()
             if row["state"] == "UP" and row["blocks_bytes"] >= received]
    return found if len(found) == count else None


def run(cluster, gate, received):
    cluster.start_driver()
    for name in ("w0", "w1", "w2"):
        cluster.start_worker(name, slots=1)
    job = GateJob(cluster, JOB)
    # Blocks stay for as long as no checkpoint covers them.
    job.submit(gate, "--push=lines", ["checkpoint_interval=10m", "backpressure=off"])
    lines = gate_lines(0, received // LINE, LINE)
    push = cluster.push(JOB, "lines", lines, batch=500)
    if push.wait(120) != 0:
        raise Failure(f"push ended with {push.popen.returncode}: {push.tail()}")
    # A receiver's worker has all its blocks, and one peer the other copies.
    receiver = cluster.executors(JOB, "receivers")[0][0]
    wait_until(lambda: lacking(cluster) == 0 and holders(cluster, received, 2),
               "two workers to hold all blocks")
    lost = next(worker for worker in holders(cluster, received, 2) if worker != receiver)
    pid = next(row["pid"] for row in cluster.worker_list() if row["id"] == lost)
    name = next(name for name, process in cluster.workers.items() if process.pid == pid)
    begun = time.monotonic()
    cluster.workers.pop(name).kill()
    wait_until(lambda: lacking(cluster) > 0, "the loss to be shown")
    most = WITHIN + WITHIN_MORE_PER_GIB * received / (1 << 30)
    wait_until(lambda: lacking(cluster) == 0, f"copies within {most:.1f} s",
               begun + most + POLL - time.monotonic())
    took = time.monotonic() - begun
    # Not because blocks have gone: their workers say it with their next beats.
    wait_until(lambda: lost not in (holders(cluster, received, 2) or [lost]),
               "the two that are left to hold all blocks")
    job.await_sums(lines)
    print(f"{received >> 20} MiB have two copies again after {took:.1f} s (at most {most:.1f})")


def main():
    parser = argparse.ArgumentParser()
    for program in ["sluice", "gate"]:
        parser.add_argument(program)
    parser.add_argument("--mib", type=int, default=64)
    args = parser.parse_args()
    with Cluster(os.path.abspath(args.sluice)) as cluster:
        run(cluster, os.path.abspath(args.gate), args.mib << 20)
    print("copies_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
