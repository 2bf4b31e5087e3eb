"""Files that `submit --file` ships: the job driver, its tasks and its receiver read them where they
work, on every node, while executors, a worker and the job driver are killed.

usage: files_test.py SLUICE SHIPPED
"""
import glob
import os
import random
import shutil
import stat
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, kill, kill_one, wait_until  # noqa: E402
from outputs import batches  # noqa: E402

CONF = ["worker_lease=1s", "checkpoint_interval=500ms"]
MORE = 100
ROWS = 300_000


class Run:
    """A job on two workers, and how far it was told to go."""

    def __init__(self, cluster, shipped):
        self.cluster, self.upto = cluster, 0
        self.random = random.Random(1)
        self.output = cluster.path("out")
        os.makedirs(self.output)
        self.table = [f"{number} {self.random.random()}" for number in range(ROWS)]
        self.files = {"word.txt": "heron\n",
                      "table.txt": "".join(line + "\n" for line in self.table)}
        self.tell()
        self.submit(shipped)

    def submit(self, shipped):
        folder = self.cluster.path("typed")
        os.makedirs(folder)
        for name, text in self.files.items():
            with open(os.path.join(folder, name), "w") as f:
                f.write(text)
        self.cluster.submit(shipped, "shipped",
                            [f"--output={self.output}", f"--upto={self.cluster.path('upto')}"],
                            conf=CONF, files=[os.path.join(folder, name) for name in self.files])
        shutil.rmtree(folder)

    def tell(self):
        aside = self.cluster.path("upto.new")
        with open(aside, "w") as f:
            f.write(str(self.upto))
        os.rename(aside, self.cluster.path("upto"))

    def lines(self):
        return [line for lines in batches(self.output, "lines").values() for line in lines]

    def go_on(self, what):
        """Some more records, each once, with what every process reads in its files."""
        self.upto += MORE
        self.tell()
        wait_until(lambda: len(self.lines()) >= self.upto, f"{self.upto} records {what}", 60)
        expected = sorted(f"{n} heron heron {self.table[-1]}" for n in range(1, self.upto + 1))
        if sorted(self.lines()) != expected:
            wrong = sorted(set(self.lines()) ^ set(expected))
            raise Failure(f"{what}: {len(self.lines())} lines, other than expected: {wrong[:5]}")
        print(f"ok {what}: {self.upto} records", flush=True)

    def executors(self, role):
        return [pid for _, pid in self.cluster.executors("shipped", role)]

    def check_folders(self, *workers):
        """Both files are where executors work, as they were and for the job's user alone."""
        for worker in workers:
            for name, text in self.files.items():
                path = self.cluster.path(worker, "work", "shipped", name)
                wait_until(lambda: os.path.exists(path), path)
                with open(path) as f:
                    if f.read() != text:
                        raise Failure(f"not what was shipped: {path}")
                mode = stat.S_IMODE(os.stat(path).st_mode)
                if mode != 0o600:
                    raise Failure(f"mode {mode:o}: {path}")

    def lose_worker(self, name):
        self.cluster.workers.pop(name).kill()
        for pid in self.cluster.pids_with(self.cluster.path(name) + "/"):
            kill(pid)

    def driver_is_killed(self):
        before = self.cluster.job("shipped")
        copy, = glob.glob(self.cluster.path("driver", "jobs", "shipped", "*", "work", "word.txt"))
        os.truncate(copy, 0)  # as a power cut, or the program itself, may leave it
        kill(before["driver_pid"])
        wait_until(lambda: (self.cluster.job("shipped") or {}).get("epoch", 0) > before["epoch"],
                   "another job driver")


def main():
    sluice, shipped = (os.path.abspath(p) for p in sys.argv[1:3])
    with Cluster(sluice) as cluster:
        cluster.start_driver("--conf=worker_lease=1s")
        for name in ("w0", "w1"):
            cluster.start_worker(name)
        run = Run(cluster, shipped)
        run.go_on("from the start")
        run.check_folders("w0", "w1")
        kill_one(lambda: run.executors("tasks"), "an executor", run.random)
        run.go_on("after an executor was killed")
        kill_one(lambda: run.executors("receivers"), "the receiver", run.random)
        run.go_on("after the receiver was killed")
        run.driver_is_killed()
        run.go_on("after the job driver was killed")
        cluster.start_worker("w2")
        run.lose_worker("w0")
        run.go_on("after a worker was lost")
        run.check_folders("w1", "w2")
        run.go_on("with a worker that came later")
        cluster.run("job", "drain", "shipped", "--deadline=60s", seconds=90)
    print("files_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
