"""A job goes by the constants that its first driver computed, however often that is killed, until
it is drained.

usage: constants_test.py SLUICE CONSTANTS
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, kill, wait_until  # noqa: E402
from outputs import batches  # noqa: E402

KILLS = 3


def run(cluster, constants, name, *conf):
    """From a submission to the drain; which process the first job driver was."""
    output = cluster.path("output", name)
    cluster.submit(constants, name, [f"--output={output}"], conf=conf)
    first = cluster.job(name)["driver_pid"]
    pid = first
    for _ in range(KILLS):
        # Of this driver: `decided_batches` of its status goes on from the former one's.
        before = cluster.decided(name, 1)["decided_batches"]
        cluster.decided(name, before + 3)
        kill(pid)
        pid = wait_until(lambda: relaunched(cluster, name, pid), "the next job driver")
    before = cluster.decided(name, 1)["decided_batches"]
    cluster.decided(name, before + 3)
    cluster.run("job", "drain", name, "--deadline=60s", seconds=90)
    wait_until(lambda: (cluster.job(name) or {}).get("state") == "FINISHED", "the drain")
    return first


def relaunched(cluster, name, former):
    job = cluster.job(name) or {}
    if job.get("state") == "FAILED":
        raise Failure(f"{name} has failed: {job.get('failure')}")
    pid = job.get("driver_pid")
    return pid if job.get("state") == "RUNNING" and pid != former else None


def values(cluster, name):
    """The lines of all batches without repetitions, in order."""
    found = batches(cluster.path("output"), name)
    lines = [line for ms in sorted(found) for line in found[ms]]
    return list(dict.fromkeys(lines))


def main():
    sluice, constants = sys.argv[1:]
    with Cluster(sluice) as cluster:
        os.makedirs(cluster.path("output"))
        cluster.start_driver("--conf=worker_lease=1s")
        cluster.start_worker("w0")
        # With a checkpoint of each batch most kills come when nothing is left to be finished.
        for name, conf in (("rare", ()), ("often", ("checkpoint_interval=1ms",))):
            wanted = []
            for _ in range(2):
                pid = run(cluster, constants, name, *conf)
                wanted.append(f"({pid},{pid})")
            seen = values(cluster, name)
            if seen != wanted:
                raise Failure(f"{name}: batches saw {seen}, not {wanted}")
            print(f"ok {name}: {seen}", flush=True)


if __name__ == "__main__":
    main()
