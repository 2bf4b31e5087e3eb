"""A state many times larger than what its executors may hold: state_backend=rocksdb.

usage: larger_state_test.py SLUICE WIDE [BACKEND]

Keys come some hundred at a time, so that what is undecided is small, and no executor may ever have
half of the state in memory: not while keys come, not while checkpoints are written, and not when it
has loaded what another had, or all of it. An executor, a worker and the job driver
are killed, and every key comes a second time, for which all of the state has to be as it was left.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, kill, wait_until  # noqa: E402

KEYS = 44_000
AT_ONCE = 1000
STATE = KEYS * 10_000  # as tests/jobs/wide.cc has it
RESIDENT_MAX = STATE // 2
CONF = ["worker_lease=1s", "checkpoint_interval=2s", "partitions=4", "state_memory=8MiB"]


def sums(times):
    """What tests/jobs/wide.cc writes when each key has come so many times."""
    rows = []
    for rest in range(8):
        ids = range(rest, KEYS, 8)
        rows.append(f"({rest},({len(ids) * times},{sum(ids) * sum(range(times + 1))}))")
    return sorted(rows)


def newest(output):
    """The rows of the newest whole batch."""
    whole = [name for name in os.listdir(output) if name.startswith("sums-")]
    for name in sorted(whole, key=lambda name: -int(name.rsplit("-", 1)[1])):
        folder = os.path.join(output, name)
        if not os.path.exists(os.path.join(folder, "_SUCCESS")):
            continue
        rows = []
        for part in os.listdir(folder):
            with open(os.path.join(folder, part)) as f:
                rows += f.read().splitlines()
        return sorted(rows)
    return []


class Wide:
    """The job, and the most that any of its executors has had in memory."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.output = cluster.path("out")
        self.most, self.pushes = 0, 0

    def executors(self, count):
        wait_until(lambda: len(self.cluster.executors("wide")) == count, f"{count} executors", 60)

    def look(self):
        ours = set(self.cluster.pids_with(self.cluster.folder))
        for pid in ours.intersection(self.cluster.pids_with("[job wide, executor")):
            try:
                with open(f"/proc/{pid}/status") as f:
                    fields = dict(line.split(":", 1) for line in f)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if "VmHWM" in fields:  # the program's own pages are no state
                kib = int(fields["VmHWM"].split()[0]) - int(fields["RssFile"].split()[0])
                self.most = max(self.most, kib << 10)

    def state_on_disk(self, worker):
        folder = self.cluster.path(worker, "work", "wide")
        return {name for name in os.listdir(folder) if name.startswith("state-")}

    def records(self):
        return sum(int(row.split("(")[2].split(",")[0]) for row in newest(self.output))

    def push(self, keys):
        self.pushes += 1
        return self.cluster.push("wide", "lines", map(str, keys), producer=f"p{self.pushes}")

    def push_all(self, times, disasters):
        """Every key once more. `disasters`: what happens while the keys behind a number come."""
        begins = range(0, KEYS, AT_ONCE)
        if not set(disasters) <= set(begins):
            raise Failure(f"{disasters.keys()} would never happen")
        for first in begins:
            client = self.push(range(first, first + AT_ONCE))
            self.look()
            if first in disasters:
                disasters[first]()
            counted = KEYS * (times - 1) + first + AT_ONCE
            wait_until(lambda: self.records() >= counted, f"{counted} records", 90)
            self.look()
            if client.wait(60) != 0:
                raise Failure(f"push ended with {client.popen.returncode}: {client.tail()}")
        if newest(self.output) != sums(times):
            raise Failure(f"the sums differ: {newest(self.output)} but {sums(times)} expected")

    def lose_executor(self):
        wait_until(lambda: any(kill(pid) for _, pid in self.cluster.executors("wide")),
                   "an executor to kill")

    def lose_worker(self):
        """For good: one executor has all of the state then."""
        self.cluster.workers["w1"].kill()

    def lose_job_driver(self):
        epoch = self.cluster.job("wide")["epoch"]
        kill(self.cluster.job("wide")["driver_pid"])
        wait_until(lambda: (self.cluster.job("wide") or {}).get("epoch", 0) > epoch,
                   "the next job driver")


def run(cluster, program, backend):
    cluster.start_driver("--conf=worker_lease=1s")
    for name in ("w0", "w1"):
        cluster.start_worker(name)
    wide = Wide(cluster)
    os.makedirs(wide.output)
    cluster.submit(program, "wide", ["--push=lines", f"--output={wide.output}"],
                   conf=[*CONF, f"state_backend={backend}"])
    wide.executors(2)
    wide.push_all(1, {KEYS // 2: wide.lose_executor})
    wide.lose_job_driver()
    wide.executors(2)
    wide.push_all(2, {KEYS // 4: wide.lose_worker, KEYS // 2: wide.lose_executor})
    print(f"{backend}: {STATE >> 20} MiB of state, an executor had {wide.most >> 20} MiB in memory")
    if wide.most > RESIDENT_MAX:
        raise Failure(f"an executor had {wide.most} bytes in memory, more than {RESIDENT_MAX}")
    left = wide.state_on_disk("w1")
    if not left or not wide.state_on_disk("w0"):
        raise Failure("no state is where this test looks for it")
    cluster.start_worker("w1")
    wait_until(lambda: not left & wide.state_on_disk("w1"), "the killed worker's state to go")
    cluster.run("job", "drain", "wide", "--deadline=50s", seconds=60)
    wait_until(lambda: not wide.state_on_disk("w0") | wide.state_on_disk("w1"),
               "the ended job's state to go")


if __name__ == "__main__":
    try:
        with Cluster(sys.argv[1]) as cluster:
            run(cluster, os.path.abspath(sys.argv[2]), (sys.argv[3:] or ["rocksdb"])[0])
        print("larger_state_test passed")
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
