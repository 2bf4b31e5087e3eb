"""What the cluster benchmarks read: CPU time of processes, batches as jobs note them, lines of the
table."""
import os
import time

from cluster import Failure, wait_until

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids):
    """User and system time, by pid."""
    spent = {}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        spent[pid] = (int(fields[11]) + int(fields[12])) / TICKS
    return spent


def role_of(pid):
    """driver daemon, worker daemon, job driver, executor or receiver, from the command line."""
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        words = f.read().decode(errors="replace").split("\0")
    line = " ".join(words)
    if "[job" in line:
        if ", driver]" in line:
            return "job driver"
        return "receiver" if "receiver" in line else "executor"
    return "worker daemon" if "worker" in words else "driver daemon"


class Batches:
    """The lines that bench/jobs/cluster_job.cc notes: (batch ms, wall us, total, checksum)."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "batches")

    def read(self):
        if not os.path.exists(self.path):
            return []
        with open(self.path) as f:
            rows = [line.split() for line in f.read().splitlines()]
        # A batch that was tried again is there again: the last one counts.
        last = {int(row[0]): tuple(map(int, row)) for row in rows if len(row) == 4}
        return [last[ms] for ms in sorted(last)]

    def planned_after(self, wall_us):
        return next((row for row in self.read() if row[0] * 1000 >= wall_us), None)

    def await_first_after(self, wall_us, seconds=60):
        return wait_until(lambda: self.planned_after(wall_us), "a batch to be decided", seconds)


class Delays:
    """The lines that bench/jobs/scheduled.cc notes: how late records of a batch came out, by the
    second in which they were due."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "delays")

    def read(self, first, last):
        """{microseconds: records} of all that was due from second `first` to `last`, without it."""
        if not os.path.exists(self.path):
            return {}
        with open(self.path) as f:
            rows = [line.split() for line in f.read().split("\n")[:-1]]
        # A batch that was tried again is there again: the last one counts.
        latest = {(row[0], int(row[1])): row[2:] for row in rows}
        records = {}
        for (_, second), delays in latest.items():
            for us, count in (pair.split(":") for pair in delays if first <= second < last):
                records[int(us)] = records.get(int(us), 0) + int(count)
        return records


def percentile_of(records, part):
    """Of a histogram {value: records}: the least value that so many do not exceed."""
    left = part * sum(records.values())
    for value in sorted(records):
        left -= records[value]
        if left <= 0:
            return value
    return max(records)


def synced_write_ms(folder, times=100):
    """Median of 4 KiB written and synced behind each other: what an append of the log takes."""
    took = []
    with open(os.path.join(folder, "synced"), "wb") as f:
        for _ in range(times):
            at = time.perf_counter()
            f.write(bytes(4096))
            f.flush()
            os.fdatasync(f.fileno())
            took.append((time.perf_counter() - at) * 1000)
    os.remove(f.name)
    return percentile(took, 0.5)


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def slope(points):
    """Least squares: how y grows with x."""
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread


def show(what, value, unit, o2="", native="", output=""):
    """A line of the table, as bench/table.cc prints it."""
    print(f"{what:50} | {value:8.2f} {unit:16} | {o2:16} | {native:16} | {output}", flush=True)


def require_equal(equal, what):
    if not equal:
        raise Failure(f"{what}: the output differs from the floor's")
