"""A full disk under each data directory: nothing more is accepted, nothing acknowledged is lost,
and work goes on by itself when there is space again.

usage: full_disk_test.py SLUICE GATE WORDCOUNT
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, Process, kill, wait_until  # noqa: E402
from gate_job import GateJob, gate_lines  # noqa: E402
from outputs import latest  # noqa: E402
from small_disk import SmallDisk  # noqa: E402

# Less than what RocksDB sets aside for its log at once: that would let it write on a full disk.
LOG_ROOM = 12 << 20
SPILL_ROOM = 12 << 20  # of each worker, beside the job's binary
SOON = ["worker_lease=1s", "checkpoint_interval=500ms"]


def expect(seen, wanted, what):
    if seen != wanted:
        raise Failure(f"{what}: {seen!r}, not {wanted!r}")
    print(f"ok {what}", flush=True)


class Cases:
    def __init__(self, sluice, gate, wordcount):
        self.sluice = sluice
        self.gate = gate
        self.wordcount = wordcount

    def start(self, cluster, *flags):
        cluster.start_driver("--conf=worker_lease=1s")
        for name in ("w0", "w1"):
            cluster.start_worker(name, flags=flags)

    def log_disk(self, where, checkpoint):
        """The disk of the driver log is full, whether it is the job's own or the daemon's."""
        size = LOG_ROOM + (0 if checkpoint else os.path.getsize(self.gate))
        with Cluster(self.sluice) as cluster, SmallDisk(cluster.path(where), size) as disk:
            self.start(cluster)
            job = GateJob(cluster, "logged")
            job.submit(self.gate, "--push=lines", SOON, f"{disk.folder}/c" if checkpoint else False)
            before, after = gate_lines(0, 2000), gate_lines(2000, 2000)
            push = Process("push", [self.sluice, "push", f"--driver={cluster.address}",
                                    "--job=logged", "--stream=lines", "--producer=p"],
                           cluster.folder, stdin=subprocess.PIPE)
            self.send(push, before)
            job.await_sums(before)
            disk.fill()
            wait_until(lambda: "cannot be written" in cluster.run("job", "logs", "logged")[1],
                       "the job driver to say that its log cannot be written")
            held = self.blocks_bytes(cluster)
            self.send(push, after)
            push.popen.stdin.close()
            wait_until(lambda: self.blocks_bytes(cluster) > held, "a worker to hold new blocks")
            expect(push.popen.poll(), None,
                   f"nothing is acknowledged while the {where} disk is full")
            job.expect_sums(before)  # nor published
            if not checkpoint:
                for binary in (self.sluice, self.gate):  # the latter is held
                    code, _, said = cluster.run("submit", "--name=other", binary, check=False)
                    expect((code, "space" in said), (1, True), "no submission is taken")
            kill(cluster.job("logged")["driver_pid"])
            wait_until(lambda: "space" in cluster.job("logged")["failure"],
                       "the job driver to be started in vain")
            expect(cluster.job("logged")["state"], "RECOVERING", "and it is tried again")
            disk.free()
            expect(push.wait(), 0, "all is acknowledged when there is space")
            job.await_sums(before + after)
            cluster.run("job", "drain", "logged", "--deadline=30s")
            job.expect_sums(before + after)
            ended = cluster.job("logged")
            expect((ended["state"], ended["driver_restarts"]), ("FINISHED", 1),
                   "only the kill counted")
            expect(cluster.job("other"), None, "what was not taken is not there")

    @staticmethod
    def send(push, lines):
        push.popen.stdin.write("".join(line + "\n" for line in lines).encode())
        push.popen.stdin.flush()

    @staticmethod
    def blocks_bytes(cluster):
        return sum(worker["blocks_bytes"] for worker in cluster.worker_list())

    def spill_disk(self):
        """Both workers' disks are full of spilled blocks while tasks are held back."""
        size = os.path.getsize(self.gate) + SPILL_ROOM
        with (Cluster(self.sluice) as cluster, SmallDisk(cluster.path("w0"), size) as first,
              SmallDisk(cluster.path("w1"), size) as second):
            self.start(cluster, "--conf=block_memory=1MiB")
            job = GateJob(cluster, "spilled", shut=True)
            job.submit(self.gate, "--push=lines", [*SOON, "backpressure=off"])
            lines = gate_lines(0, 2 * SPILL_ROOM // 1_000, 1_000)
            push = cluster.push("spilled", "lines", lines, batch=200)
            wait_until(lambda: first.left() < 1 << 20 or second.left() < 1 << 20,
                       "a disk to be full of blocks")
            wait_until(lambda: any("waits for room" in worker.tail(200)
                                   for worker in cluster.workers.values()),
                       "a worker to say that intake waits for room")
            expect(push.popen.poll(), None, "not all is acknowledged")
            job.open()
            expect(push.wait(90), 0, "all is acknowledged when blocks are released")
            job.await_sums(lines)
            cluster.run("job", "drain", "spilled", "--deadline=30s")
            job.expect_sums(lines)

    def printed(self):
        """The disk on which a job driver's standard output is kept is full."""
        size = os.path.getsize(self.wordcount) + LOG_ROOM
        with Cluster(self.sluice) as cluster, SmallDisk(cluster.path("driver"), size) as disk:
            self.start(cluster)
            output = cluster.path("out")
            os.makedirs(output)
            cluster.submit(self.wordcount, "printed", ["--push=lines", "--print",
                                                       f"--output={output}/totals"])
            self.words(cluster, "early")
            wait_until(lambda: "(early,1)" in cluster.run("job", "logs", "printed")[1],
                       "the first words to be printed")
            disk.fill()
            # Each is more than what may be left of the last page of the file.
            late, later = ("late" * 2000, "later" * 2000)
            for word in (late, later):
                self.words(cluster, word)
                wait_until(lambda: f"({word},1)" in latest(output, "totals"), "the totals")
            wait_until(lambda: "standard output" in cluster.job("printed")["output_problem"],
                       "the status to say that nothing can be printed")
            disk.free()
            wait_until(lambda: f"({later},1)" in cluster.run("job", "logs", "printed")[1],
                       "the last words to be printed")
            expect(f"({late},1)" in cluster.run("job", "logs", "printed")[1], True,
                   "what could not be printed is printed when there is space")
            cluster.run("job", "drain", "printed", "--deadline=30s")

    @staticmethod
    def words(cluster, word):
        if cluster.push("printed", "lines", [word], producer=word[:8]).wait() != 0:
            raise Failure(f"the push of {word[:8]} failed")


def main():
    cases = Cases(*(os.path.abspath(p) for p in sys.argv[1:4]))
    cases.printed()
    cases.log_disk("checkpoint", checkpoint=True)
    cases.log_disk("driver", checkpoint=False)
    cases.spill_disk()
    print("full_disk_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
