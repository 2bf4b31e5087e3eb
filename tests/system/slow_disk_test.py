"""Disks that are slow, or hang, under real processes: the driver's log, checkpoints (of all nodes,
and of one), received blocks, all of a worker, all of the driver daemon. Others go on, nothing is
lost or counted twice, and all is caught up when the disk answers. Needs root.

usage: slow_disk_test.py SLUICE GATE
"""
import os
import queue
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, Process, kill, wait_until  # noqa: E402
from gate_job import GateJob, gate_lines  # noqa: E402
from slow_disk import SlowDisk  # noqa: E402

SLOW = {"call": 0.05, "sync": 2.0}
HANGS_S = 15
SOON = ["worker_lease=1s", "checkpoint_interval=500ms", "max_slots=4"]


def expect(seen, wanted, what):
    if seen != wanted:
        raise Failure(f"{what}: {seen!r}, not {wanted!r}")
    print(f"ok {what}", flush=True)


class Pushed:
    """A job of pushed lines, and the lines that were sent."""

    def __init__(self, cluster, name, gate, checkpoint=True, conf=()):
        self.cluster, self.name = cluster, name
        self.job = GateJob(cluster, name)
        self.job.submit(gate, "--push=lines", [*SOON, *conf], checkpoint)
        self.lines = []
        self.client = Process(f"push-{name}", [
            cluster.sluice, "push", f"--driver={cluster.address}", f"--job={name}",
            "--stream=lines", "--producer=p"], cluster.folder, stdin=subprocess.PIPE)
        cluster.workers[f"push-{name}"] = self.client  # ended with the others
        self.unread = queue.SimpleQueue()
        threading.Thread(target=self.feed, daemon=True).start()

    def feed(self):
        """The client reads no more than may wait for its acknowledgement: who sends does not wait
        for it."""
        while more := self.unread.get():
            try:
                self.client.popen.stdin.write(more)
                self.client.popen.stdin.flush()
            except BrokenPipeError:
                return  # it has ended
        self.client.popen.stdin.close()

    def send(self, count, width=0):
        more = gate_lines(len(self.lines), count, width)
        self.lines += more
        self.unread.put("".join(line + "\n" for line in more).encode())

    def await_sums(self, seconds=60):
        self.job.await_sums(self.lines, seconds)

    def goes_on(self, seconds=10):
        self.send(100)
        self.await_sums(seconds)

    def status(self):
        return self.cluster.job(self.name)

    def life(self):
        status = self.status()
        return {field: status[field] for field in ("epoch", "generation", "driver_restarts")}

    def checkpoints(self):
        shown = self.cluster.run("job", "checkpoints", self.name)[1]
        return {line.split()[0] for line in shown.splitlines() if line.startswith("manifest")}

    def sealed_anew(self):
        known = self.checkpoints()
        wait_until(lambda: self.checkpoints() - known, "a further checkpoint")

    def end(self, what):
        self.unread.put(b"")
        expect(self.client.wait(90), 0, f"{what}: all that was sent is acknowledged")
        self.await_sums()
        self.cluster.run("job", "drain", self.name, "--deadline=30s")
        self.job.expect_sums(self.lines)


class Cases:
    def __init__(self, sluice, gate):
        self.sluice = sluice
        self.gate = gate

    def start(self, cluster):
        cluster.start_driver("--conf=worker_lease=1s")
        for name in ("w0", "w1"):
            cluster.start_worker(name, slots=4)

    def hang(self, disk, meanwhile):
        """The disk answers nothing for so long that the patience of many is over."""
        disk.hang()
        begun = time.monotonic()
        while time.monotonic() - begun < HANGS_S:
            meanwhile()

    def log(self):
        with Cluster(self.sluice) as cluster, SlowDisk(cluster.path("c", "log")) as disk:
            self.start(cluster)
            other = Pushed(cluster, "other", self.gate)
            job = Pushed(cluster, "logged", self.gate, cluster.path("c"))
            job.goes_on()
            before = job.life()
            disk.slow(**SLOW)
            job.goes_on(60)
            counted = list(job.lines)
            job.send(1000)
            self.hang(disk, other.goes_on)
            expect("driver log has not answered" in job.status()["failure"], True,
                   "the status says that the log does not answer")
            job.job.expect_sums(counted)
            disk.answer()
            job.await_sums()
            wait_until(lambda: job.status()["failure"] == "", "the status to say so no more")
            expect(job.life(), before, "nothing else happened")
            job.end("a log that hung")
            other.end("another job")

    def checkpoints(self):
        """Of all nodes: nobody needs them for a batch."""
        with Cluster(self.sluice) as cluster, SlowDisk(cluster.path("c", "objects")) as disk:
            self.start(cluster)
            job = Pushed(cluster, "kept", self.gate, cluster.path("c"))
            job.goes_on()
            before = job.life()
            disk.slow(**SLOW)
            job.goes_on()
            job.sealed_anew()
            self.hang(disk, job.goes_on)
            expect(disk.waiting() > 0, True, "somebody waited for the disk of checkpoints")
            disk.answer()
            job.sealed_anew()
            expect(job.life(), before, "nothing else happened")
            job.end("checkpoints that hung")

    def checkpoints_of_one(self):
        """One node's way to the checkpoints hangs, and its executor is held back by the kernel."""
        with Cluster(self.sluice) as cluster:
            objects = cluster.path("c", "objects")
            with SlowDisk(cluster.path("slow"), objects) as disk:
                self.start_seeing(cluster, disk.folder, objects)
                job = Pushed(cluster, "kept", self.gate, cluster.path("c"))
                job.goes_on()
                disk.hang()
                wait_until(disk.waiting, "an executor to wait for the disk")
                job.goes_on()
                victim = self.on(cluster, "w1", cluster.executors("kept"))[0]
                kill(victim)
                job.goes_on()
                expect(os.path.exists(f"/proc/{victim}"), True, "what the disk holds is there")
                job.sealed_anew()
                disk.answer()
                wait_until(lambda: not os.path.exists(f"/proc/{victim}"), "it to end")
                wait_until(lambda: self.on(cluster, "w1", cluster.executors("kept")),
                           "its worker to take part again")
                job.end("one node's checkpoints")

    @staticmethod
    def start_seeing(cluster, folder, at):
        """w1 sees `folder` in the place of `at`, w0 and the driver do not."""
        cluster.start_driver("--conf=worker_lease=1s")
        cluster.start_worker("w0", slots=4)
        own = cluster.sluice
        wrapper = cluster.path("seeing")
        with open(wrapper, "w") as f:
            f.write(f'#!/bin/sh\nexec unshare -m sh -c \'mount --bind {folder} {at} && exec "$@"\' '
                    f'sh {own} "$@"\n')
        os.chmod(wrapper, 0o755)
        cluster.sluice = wrapper
        cluster.start_worker("w1", slots=4)
        cluster.sluice = own

    @staticmethod
    def on(cluster, name, executors):
        pid = cluster.workers[name].pid
        worker = next((w["id"] for w in cluster.worker_list() if w["pid"] == pid), None)
        return [executor for at, executor in executors if at == worker]

    def blocks(self):
        """First the disk of the worker that has copies only, then that of the receiver's."""
        with (Cluster(self.sluice) as cluster, SlowDisk(cluster.path("spill0")) as first,
              SlowDisk(cluster.path("spill1")) as second):
            cluster.start_driver("--conf=worker_lease=1s")
            for name, disk in (("w0", first), ("w1", second)):
                cluster.start_worker(name, 4, flags=["--conf=block_memory=1MiB",
                                                     f"--conf=spill_dir={disk.folder}"])
            other = GateJob(cluster, "other")  # of files, which are no blocks
            other.submit(self.gate, conf=SOON)
            job = Pushed(cluster, "spilled", self.gate, conf=["backpressure=off"])
            receiver = wait_until(lambda: self.on(cluster, "w0", cluster.executors(
                "spilled", "receivers")) or self.on(cluster, "w1", cluster.executors(
                    "spilled", "receivers")), "a receiver")
            own, peer = first, second
            if receiver != self.on(cluster, "w0", cluster.executors("spilled", "receivers")):
                own, peer = second, first
            before = job.life()
            peer.hang()
            job.send(24_000, 1_000)
            job.await_sums(30)
            print("ok copies are not waited for", flush=True)
            peer.answer()
            for hang in (False, True):
                job.job.shut()
                if hang:
                    own.hang()
                else:
                    own.slow(**SLOW)
                job.send(60_000, 1_000)  # more than may wait for its acknowledgement
                if hang:
                    wait_until(own.waiting, "a block to wait for the disk")
                decided = cluster.job("other")["decided_batches"]
                cluster.decided("other", decided + HANGS_S * 10)
                job.job.open()
                own.answer()
                job.await_sums()
            expect(job.life(), before, "nothing else happened")
            job.end("blocks that hung")

    def worker(self):
        """All that a worker has on disk, while an executor of it is lost and a job comes."""
        with Cluster(self.sluice) as cluster, SlowDisk(cluster.path("w1")) as disk:
            self.start(cluster)
            job = Pushed(cluster, "some", self.gate)
            job.goes_on()
            disk.slow(**SLOW)
            job.goes_on()
            disk.hang()
            kill(self.on(cluster, "w1", cluster.executors("some"))[0])
            self.hang(disk, job.goes_on)
            later = GateJob(cluster, "later")
            later.submit(self.gate, conf=SOON)
            cluster.decided("later", 10)
            expect(self.on(cluster, "w1", cluster.executors("some")), [],
                   "nothing was started on the disk that hangs")
            disk.answer()
            for name in ("some", "later"):
                wait_until(lambda: self.on(cluster, "w1", cluster.executors(name)),
                           "the worker to take part again")
            job.goes_on()
            self.fail_listings(disk, cluster.workers["w1"])
            job.end("a worker's disk that hung")

    @staticmethod
    def fail_listings(disk, daemon):
        """The daemon looks into its folders again and again, and cannot read all of them."""
        disk.fail_listings(True)
        wait_until(lambda: daemon.popen.poll() is not None or disk.failed_listings() > 2,
                   "listings to fail")
        expect(daemon.popen.poll(), None, "a folder that cannot be read ends nobody")
        disk.fail_listings(False)

    def daemon(self):
        """All that the driver daemon has on disk, what job drivers say included."""
        with Cluster(self.sluice) as cluster, SlowDisk(cluster.path("driver")) as disk:
            self.start(cluster)
            job = Pushed(cluster, "some", self.gate)
            job.goes_on()
            before = job.life()
            self.hang(disk, job.goes_on)
            disk.answer()
            wait_until(job.status, "the daemon to answer")
            expect(job.life(), before, "nothing else happened")
            self.fail_listings(disk, cluster.driver)
            job.end("a driver daemon's disk that hung")


def main():
    cases = Cases(*(os.path.abspath(p) for p in sys.argv[1:3]))
    for case in sys.argv[3:] or ("log", "checkpoints", "checkpoints_of_one", "blocks", "worker",
                                 "daemon"):
        getattr(cases, case)()
    print("slow_disk_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
