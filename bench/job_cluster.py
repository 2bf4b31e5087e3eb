"""A cluster with the job of bench/jobs/cluster_job.cc on it."""
import contextlib
import os
import subprocess

from cluster import Cluster, Failure, wait_until
from measured import Batches

NAME = "bench"


def start_worker(cluster, index, pinned=False):
    """Of one slot; with `pinned`, it and all that it starts have one core."""
    everywhere = os.sched_getaffinity(0)
    if pinned:
        os.sched_setaffinity(0, {sorted(everywhere)[index]})
    try:
        cluster.start_worker(f"w{index}", slots=1)
    finally:
        os.sched_setaffinity(0, everywhere)


@contextlib.contextmanager
def running(args, workers, conf, flags, checkpoint=None, pinned=False):
    """A cluster on which the job runs; its receiver, if it has one, waits for `go`."""
    with Cluster(args.sluice) as cluster:
        cluster.start_driver()
        for i in range(workers):
            start_worker(cluster, i, pinned)
        os.makedirs(cluster.path("job"))
        where = [f"--checkpoint=rocksdb:{checkpoint}"] if checkpoint else []
        done = subprocess.run(
            [args.sluice, "submit", f"--driver={cluster.address}", f"--name={NAME}", *where,
             *[f"--conf={pair}" for pair in conf], args.job, "--",
             f"--folder={cluster.path('job')}", *flags], text=True, capture_output=True)
        if done.returncode != 0:
            raise Failure(f"submit ended with {done.returncode}: {done.stderr}")
        yield cluster, Batches(cluster.path("job"))


def let_go(cluster, said=""):
    wait_until(lambda: os.path.exists(cluster.path("job", "ready")), "the receiver", 60)
    with open(cluster.path("job", "go.new"), "w") as f:
        f.write(said)
    os.rename(f.name, cluster.path("job", "go"))
