"""Workers that are away: every one is gone and none returns, with the received-data log and without
it, or one is stopped for thirty leases and wakes up among the others; or its daemon alone is, or
the driver's.

usage: away_test.py SLUICE GATE
"""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, kill, wait_until  # noqa: E402
from gate_job import GateJob, gate_lines  # noqa: E402

CONF = ["worker_lease=1s", "checkpoint_interval=500ms"]
LEASES = 30
LINES = 200


class Run:
    """A cluster with a job that counts what is pushed to it."""

    def __init__(self, cluster, gate, conf=()):
        self.cluster, self.lines = cluster, []
        cluster.start_driver("--conf=worker_lease=1s")
        for name in ("w0", "w1"):
            cluster.start_worker(name)
        self.job = GateJob(cluster, "away")
        self.job.submit(gate, "--push=lines", [*CONF, *conf])

    def push(self):
        """Some more lines, to their end: acknowledged, and counted once."""
        more = gate_lines(len(self.lines), LINES)
        self.lines += more
        self.acknowledge(more, f"p{len(self.lines)}")
        self.job.await_sums(self.lines)

    def acknowledge(self, lines, producer):
        client = self.cluster.push("away", "lines", lines, producer=producer)
        if client.wait(60) != 0:
            raise Failure(f"push ended with {client.popen.returncode}: {client.tail()}")

    def lose_workers(self):
        for name, worker in self.cluster.workers.items():
            worker.kill()
            for pid in self.cluster.pids_with(self.cluster.path(name)):
                kill(pid)
        self.job_is("WAITING")
        for name in ("w2", "w3"):
            self.cluster.start_worker(name)

    def status(self):
        return self.cluster.job("away") or {}

    def await_state(self, worker, up):
        pid = self.cluster.workers[worker].pid

        def is_up():
            return any(w["pid"] == pid and w["state"] == "UP" for w in self.cluster.worker_list())
        wait_until(lambda: is_up() == up, f"{worker} to be {'up' if up else 'lost'}")

    def job_is(self, state):
        wait_until(lambda: self.status().get("state") == state, f"the job to be {state}")


def none_returns(sluice, gate):
    """The job waits and shows it; workers that were never there before let it go on."""
    with Cluster(sluice) as cluster:
        run = Run(cluster, gate, ["received_log=on"])
        run.push()
        run.lose_workers()
        run.job_is("RUNNING")
        run.push()
        if run.status()["driver_restarts"] != 0:
            raise Failure(f"the job driver was launched again: {run.status()}")
        print(f"ok none returned, others came: {len(run.lines)} lines exact")


def all_copies_are_lost(sluice, gate):
    """No log has what was acknowledged and not yet decided: it is named, and the job waits until
    somebody says that it is to go on without."""
    with Cluster(sluice) as cluster:
        run = Run(cluster, gate)
        run.push()
        wait_until(lambda: not any(w["blocks_bytes"] for w in cluster.worker_list()),
                   "a checkpoint to cover all blocks")
        run.job.shut()
        run.acknowledge(gate_lines(0, LINES), "lost")
        run.job.held()
        run.lose_workers()
        wait_until(lambda: "received blocks are lost, first" in run.status().get("failure", ""),
                   "the job to name what is lost")
        run.job.open()
        run.job.expect_sums(run.lines)
        cluster.run("job", "accept-loss", "away")
        wait_until(lambda: run.status().get("failure") == "", "the loss to be accepted")
        run.push()
        print(f"ok lost and named: {len(run.lines)} other lines exact")


def one_sleeps(sluice, gate):
    """A worker with all its executors: the others go on, and it is taken in again."""
    with Cluster(sluice) as cluster:
        run = Run(cluster, gate, ["received_log=on"])
        run.push()
        stopped = {cluster.workers["w0"].pid, *cluster.pids_with(cluster.path("w0"))}
        if len(stopped) < 2:
            raise Failure("w0 has no executor")
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        begun = time.monotonic()
        try:
            run.await_state("w0", up=False)
            while time.monotonic() - begun < LEASES:
                run.push()
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        run.await_state("w0", up=True)
        run.job_is("RUNNING")
        run.push()
        print(f"ok asleep for {LEASES} leases: {len(run.lines)} lines exact")


def a_receivers_daemon_hangs(sluice, gate):
    """The receiver itself is up and takes records; whoever pushes finds its successor."""
    with Cluster(sluice) as cluster:
        run = Run(cluster, gate, ["received_log=on"])
        run.push()
        (holder, _), = cluster.executors("away", "receivers")
        daemon = next(w["pid"] for w in cluster.worker_list() if w["id"] == holder)
        os.kill(daemon, signal.SIGSTOP)
        try:
            run.push()
        finally:
            os.kill(daemon, signal.SIGCONT)
        run.job_is("RUNNING")
        run.push()
        print(f"ok a receiver whose daemon hung: {len(run.lines)} lines exact")


def the_driver_hangs(sluice, gate):
    """Whoever pushes meanwhile, and whose receiver has moved, waits for it and loses nothing."""
    with Cluster(sluice) as cluster:
        run = Run(cluster, gate, ["received_log=on"])
        said = cluster.path("push.log")
        with open(said, "w") as log:
            client = subprocess.Popen(
                cluster.client_words("push", f"--driver={cluster.address}", "--job=away",
                                     "--stream=lines", "--connect-timeout=1s"),
                text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)

        def give():
            more = gate_lines(len(run.lines), LINES)
            run.lines += more
            client.stdin.write("".join(line + "\n" for line in more))
            client.stdin.flush()

        def tries_again():
            with open(said) as log:
                return "trying again" in log.read()
        give()
        run.job.await_sums(run.lines)
        (holder, _), = cluster.executors("away", "receivers")
        worker = next(w["pid"] for w in cluster.worker_list() if w["id"] == holder)
        cluster.driver.kill(signal.SIGSTOP)
        try:
            kill(worker)
            wait_until(tries_again, "push to miss the driver")
        finally:
            cluster.driver.kill(signal.SIGCONT)
        give()
        out, _ = client.communicate(timeout=60)
        if client.returncode != 0 or out != f"acknowledged {len(run.lines)}\n":
            raise Failure(f"push ended with {client.returncode} and said {out!r}")
        run.job.await_sums(run.lines)
        print(f"ok a driver that hung: {len(run.lines)} lines exact")


def main():
    sluice, gate = (os.path.abspath(p) for p in sys.argv[1:3])
    none_returns(sluice, gate)
    all_copies_are_lost(sluice, gate)
    one_sleeps(sluice, gate)
    a_receivers_daemon_hangs(sluice, gate)
    the_driver_hangs(sluice, gate)
    print("away_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
