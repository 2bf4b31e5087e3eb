"""A function that takes all memory of its node, with real processes in a memory cgroup.

usage: leaks_test.py SLUICE POISON
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bad_tasks_test import KEYS, Job, check  # noqa: E402
from cluster import Cluster, Failure, kill, wait_until  # noqa: E402


class MemoryGroup:
    """A memory cgroup (version 1), into which what is started by `program` is put."""

    def __init__(self, cluster, sluice, mebibytes):
        self.folder = f"/sys/fs/cgroup/memory/sluice-test-{os.getpid()}"
        os.mkdir(self.folder)
        with open(self.folder + "/memory.limit_in_bytes", "w") as f:
            f.write(str(mebibytes << 20))
        swap = self.folder + "/memory.memsw.limit_in_bytes"
        if os.path.exists(swap):
            with open(swap, "w") as f:
                f.write(str(mebibytes << 20))
        self.program = cluster.path("limited")
        with open(self.program, "w") as f:
            f.write(f'#!/bin/sh\necho $$ > {self.folder}/cgroup.procs\nexec {sluice} "$@"\n')
        os.chmod(self.program, 0o755)

    def kills(self):
        with open(self.folder + "/memory.oom_control") as f:
            return int(dict(line.split() for line in f)["oom_kill"])

    def end(self):
        with open(self.folder + "/cgroup.procs") as f:
            for pid in f.read().split():
                kill(int(pid))
        wait_until(lambda: not open(self.folder + "/cgroup.procs").read(), "the group to be empty")
        os.rmdir(self.folder)


def score_of(pid):
    with open(f"/proc/{pid}/oom_score_adj") as f:
        return int(f.read())


def leaks(sluice, poison):
    """A function that takes all memory of its node, again and again: the kernel ends its executor,
    which nobody can tell from a kill from outside. Others on that node go on."""
    with Cluster(sluice) as cluster:
        group = MemoryGroup(cluster, os.path.abspath(sluice), 600)
        try:
            cluster.start_driver()
            cluster.sluice = group.program
            cluster.start_worker("w0", slots=4)
            cluster.sluice = os.path.abspath(sluice)
            job = Job(cluster, poison, "leaks", "max_slots=2")
            neighbour = Job(cluster, poison, "neighbour", "max_slots=2")
            job.good("a")
            job.await_totals()
            daemon = score_of(cluster.workers["w0"].pid)
            check(all(score_of(pid) > daemon for _, pid in cluster.executors("leaks")),
                  "the kernel may choose the daemon")
            job.drop("b", ["leak"] + KEYS)
            wait_until(lambda: group.kills() >= 3, "the kernel to end three executors", 240)
            neighbour.good("a")
            neighbour.await_totals()
            status = job.status()
            check(status["state"] in ("RECOVERING", "RUNNING") and status["failed_batches"] == 0,
                  f"somebody is blamed: {status}")
            wait_until(lambda: "ended: signal 9" in job.driver_log(), "the job's log to say so")
            check(job.totals() == dict(job.expected), "the batch has left something behind")
            check(cluster.workers["w0"].popen.poll() is None, "the worker has ended")
            cluster.run("job", "cancel", "leaks")
            neighbour.good("b")
            neighbour.await_totals()
        finally:
            group.end()
    print("ok a function that takes all memory", flush=True)


def main():
    sluice, poison = (os.path.abspath(p) for p in sys.argv[1:3])
    leaks(sluice, poison)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
