"""What processes take, and whether it stays within bounds."""
import os
import statistics

from cluster import Failure

# The most that one process of a role may have once a fault is healed: MiB resident, threads, open
# descriptors. gRPC has threads for each processor.
THREADS_MAX = 32 + 8 * os.cpu_count()
BOUNDS = {
    "driver daemon": (128, THREADS_MAX, 96),
    "worker daemon": (160, THREADS_MAX, 96),
    "job driver": (128, THREADS_MAX, 96),
    "executor": (128, THREADS_MAX, 96),
    "receiver": (128, THREADS_MAX, 96),
}
OBJECTS_MAX = 300          # in the checkpoint store
BLOCK_BYTES_MAX = 4 << 20  # of one worker
# From the first third of a run to its last the median may grow by a quarter and a little.
GROWTH = 1.25
SLACK = {"MiB": 16, "threads": 4, "descriptors": 16, "objects": 40, "block KiB": 1024}


def of_process(pid):
    """{unit: value}, or None when it has ended."""
    try:
        with open(f"/proc/{pid}/status") as file:
            fields = dict(line.split(":", 1) for line in file)
        return {"MiB": int(fields["VmRSS"].split()[0]) / 1024, "threads": int(fields["Threads"]),
                "descriptors": len(os.listdir(f"/proc/{pid}/fd"))}
    except (OSError, KeyError):
        return None


def files_below(folder):
    return sum(len(files) for _, _, files in os.walk(folder))


class Gauges:
    """Samples by (role, unit); each sample is the most that a process of the role has."""

    def __init__(self):
        self.samples = {}

    def take(self, pids_of_roles, objects, block_bytes):
        """Returns what is out of its bounds; when nothing is, the sample counts."""
        sample = {("checkpoint store", "objects"): (objects, OBJECTS_MAX),
                  ("worker daemon", "block KiB"): (block_bytes >> 10, BLOCK_BYTES_MAX >> 10)}
        for role, pids in pids_of_roles.items():
            for taken in filter(None, map(of_process, pids)):
                for (unit, value), bound in zip(taken.items(), BOUNDS[role]):
                    most = max(value, sample.get((role, unit), (0, 0))[0])
                    sample[role, unit] = (most, bound)
        beyond = {name: values for name, values in sample.items() if values[0] > values[1]}
        if not beyond:
            for name, (value, bound) in sample.items():
                self.samples.setdefault(name, (bound, []))[1].append(value)
        return beyond

    def thirds(self, values):
        third = max(1, len(values) // 3)
        return statistics.median(values[:third]), statistics.median(values[-third:])

    def table(self):
        lines = [f"{'':30} {'first third':>12} {'last third':>12} {'most':>8} {'bound':>8}"]
        for (role, unit), (bound, values) in sorted(self.samples.items()):
            first, last = self.thirds(values)
            lines.append(f"{role + ', ' + unit:30} {first:12.0f} {last:12.0f} {max(values):8.0f} "
                         f"{bound:8}")
        return "\n".join(lines)

    def check_growth(self):
        for (role, unit), (_, values) in self.samples.items():
            first, last = self.thirds(values)
            if last > GROWTH * first + SLACK[unit]:
                raise Failure(f"{role}: {unit} grew from {first:.0f} to {last:.0f}")


def check_that_they_notice():
    """Gauges that pass whatever they see prove nothing."""
    if not Gauges().take({}, OBJECTS_MAX + 1, 0) or Gauges().take({}, OBJECTS_MAX, 0):
        raise Failure("the bound of objects does not hold")
    if not Gauges().take({"executor": [os.getpid()]}, 0, 0) == {}:
        raise Failure("this process is beyond the bounds of an executor")
    leaking = Gauges()
    for sample in range(9):
        leaking.take({}, 20 * sample, 0)
    try:
        leaking.check_growth()
    except Failure:
        return
    raise Failure("growth is not noticed")
