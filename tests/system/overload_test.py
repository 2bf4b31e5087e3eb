"""A job that is too slow for its source for a while, and one whose output disk is full for a while.

usage: overload_test.py SLUICE PACED
"""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402
from saved_rows import Rows, id_lines  # noqa: E402
from small_disk import SmallDisk  # noqa: E402

SLOTS = 4
FAST_US = 200  # a record in one slot: 20,000 a second in four
SLOW_US = 2_000
WIDTH = 400
SWING = 25  # batches: as long as the rate takes to go up and down about what the job manages
BLOCKS_MAX = 64 << 20
CONF = ["checkpoint_interval=500ms", "partitions=4"]


def resident_most(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("VmHWM:"))


class Paced:
    """`offered`: records/s that the source has at most; what a job did not yet prove to be too slow
    for is taken at that rate."""

    def __init__(self, cluster, binary, name, output, offered):
        self.cluster, self.name = cluster, name
        self.pace = cluster.path(name + "-pace")
        self.diary = cluster.path(name + "-batches")
        self.set_pace(FAST_US)
        self.sent = 0
        self.clients = []
        cluster.submit(binary, name, ["--push=ids", f"--output={output}", "--roll=4000000",
                                      f"--pace={self.pace}", f"--batches={self.diary}"],
                       conf=[*CONF, f"max_rate={offered}"])

    def set_pace(self, pace_us):
        with open(self.pace + ".new", "w") as f:
            f.write(str(pace_us))
        os.rename(self.pace + ".new", self.pace)

    def push(self, count):
        """More than can be worked off; the client waits for its acknowledgements. Its messages are
        small, so that a batch has blocks for all slots."""
        lines = id_lines(self.sent, count, WIDTH)
        self.sent += count
        self.clients.append(self.cluster.push(self.name, "ids", lines,
                                              producer=f"{self.name}{len(self.clients)}",
                                              batch=20))

    def status(self):
        job = self.cluster.job(self.name)
        if job and job["state"] == "FAILED":
            raise Failure(f"{self.name} failed: {job['failure']}")
        return job

    def rate(self):
        job = self.status()
        return job["receivers"][0]["rate"] if job and job["receivers"] else 0

    def await_rate(self, what, holds, seconds=60):
        wait_until(lambda: holds(self.rate()), f"{what}; the rate is {self.rate():.0f}", seconds)

    def batches(self):
        """[(name, start, end, records)] of all that are completed; times are in ms."""
        with open(self.diary) as f:
            return [tuple(map(int, line.split())) for line in f.read().split("\n")[:-1]]

    def await_intakes(self, count, what, after_ms=0):
        """[records/s] of so many batches with input that were frozen later, in order: what each
        took by the time since the one before it."""
        def taken():
            batches = self.batches()
            found = [records * 1e3 / (ms - before[0])
                     for before, (ms, _, _, records) in zip(batches, batches[1:])
                     if records > 0 and before[0] > after_ms]
            return len(found) >= count and found[:count]
        return wait_until(taken, what, 120)

    def worked_off_ms(self):
        """When the last batch that is frozen by now has ended."""
        now_ms = int(time.time() * 1e3)
        wait_until(lambda: self.batches()[-1][0] > now_ms, "what waits to be worked off", 120)
        return max([now_ms] + [end for ms, _, end, _ in self.batches() if ms <= now_ms])

    def drain(self, rows):
        for client in self.clients:
            if client.wait(120) != 0:
                raise Failure(f"push ended with an error: {client.tail()}")
        self.cluster.run("job", "drain", self.name, "--deadline=60s", seconds=90)
        rows.expect(self.sent)


def blocks_bytes(cluster):
    return max(worker["blocks_bytes"] for worker in cluster.worker_list())


def slow_for_a_while(cluster, binary):
    rows = Rows(cluster.path("slow"))
    job = Paced(cluster, binary, "slow", rows.url, offered=2 * SLOTS * 1_000_000 // FAST_US)
    begun = {name: resident_most(process.pid) for name, process in cluster.workers.items()}
    job.push(300_000)
    job.await_rate("a source that is too fast to be held", lambda rate: rate > 0)
    taken = job.await_intakes(10 + SWING, "batches at the full pace")[10:]
    before = sum(taken) / len(taken)
    job.set_pace(SLOW_US)
    job.await_rate("a slow job to be spared", lambda rate: 0 < rate < before / 8)
    decided = job.status()["decided_batches"]
    wait_until(lambda: job.status()["decided_batches"] > decided + 10, "some slow batches", 120)
    most = blocks_bytes(cluster)
    job.set_pace(FAST_US)
    taken = job.await_intakes(10, "ten batches after the slow time", job.worked_off_ms())
    if max(taken) < 0.95 * before:
        raise Failure(f"{before:.0f} records/s were taken before the job was slow, and by the ten "
                      f"batches after it {[round(rate) for rate in taken]}")
    job.set_pace(0)
    job.drain(rows)
    grown = max(resident_most(process.pid) - begun[name]
                for name, process in cluster.workers.items())
    print(f"slow: {job.sent} rows exact; {before:.0f} records/s were taken before it, and then "
          f"{[round(rate) for rate in taken]}; a worker held {most >> 20} MiB of blocks while the "
          f"job was slow and grew by {grown >> 20} MiB")
    if most > BLOCKS_MAX or grown > 2 * BLOCKS_MAX:
        raise Failure("intake was not held to what the job managed")


def full_for_a_while(cluster, binary):
    with SmallDisk(cluster.path("full"), 32 << 20) as disk:
        rows = Rows(disk.folder)
        job = Paced(cluster, binary, "full", disk.folder, offered=2_000)
        job.push(2_000)
        wait_until(lambda: job.status()["records_total"] > 0, "the first batches")
        disk.fill()
        job.push(50_000)
        job.await_rate("intake to be held", lambda rate: 0 < rate < 500, 90)
        if job.clients[-1].popen.poll() is not None:
            raise Failure("all was taken though nothing could be written")
        disk.free()
        job.set_pace(0)
        job.drain(rows)
        status = cluster.job("full")
        if (status["state"], status["failed_batches"], status["driver_restarts"]) != \
                ("FINISHED", 0, 0):
            raise Failure(f"the job did not live through it: {status}")
        print(f"full: {job.sent} rows exact")


def main():
    sluice, binary = (os.path.abspath(p) for p in sys.argv[1:3])
    with Cluster(sluice) as cluster:
        cluster.start_driver()
        for name in ("w0", "w1"):
            cluster.start_worker(name)
        slow_for_a_while(cluster, binary)
        full_for_a_while(cluster, binary)
    print("overload_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
