"""B10 beside the model of D-Streams: two workers with a core each, at a quarter of their capacity;
one of them is killed, some time behind the last sealed checkpoint."""
import json
import math
import os
import subprocess
import tempfile
import time

from cluster import Failure, wait_until
from job_cluster import NAME, let_go, running, start_worker
from latency import new_generation
from measured import cpu_seconds, percentile, require_equal, role_of, show

LINES = 10_000         # of a pass
BUSY_US = 100          # of a core, that user code takes for a line
LOW_RATE = 2_000       # lines/s, at which the CPU of a line is measured
LOAD = 0.25            # of the capacity
INTERVAL = 0.1         # s
CHECKPOINT = 10        # s
WORKERS = 2


def flags_of(rate):
    return ["--job=computed", f"--busy-us={BUSY_US}", f"--lines={LINES}", f"--rate={rate}",
            f"--store={rate // 20}"]


def conf_of(way):
    return ["batch_interval=100ms", f"checkpoint_interval={CHECKPOINT}s", "worker_lease=1s",
            "partitions=8", "backpressure=off", f"recovery={way}"]


def delays(rows, since=0.0):
    """(when it was out, how long after its tick), in seconds."""
    return [(row[1] / 1e6, row[1] / 1e6 - row[0] / 1e3) for row in rows if row[1] / 1e6 > since]


def busy(cluster, seconds):
    """CPU-seconds a second of the workers with what they started, and of all others."""
    pids = cluster.pids_with(cluster.folder)
    roles = {pid: role_of(pid) for pid in pids}
    before = cpu_seconds(pids)
    time.sleep(seconds)  # the length of the measurement
    after = cpu_seconds(pids)
    spent = {pid: (after[pid] - before[pid]) / seconds for pid in after if pid in before}
    workers = sum(s for pid, s in spent.items()
                  if roles[pid] in ("worker daemon", "executor", "receiver"))
    return workers, sum(spent.values()) - workers


def capacity(args, way):
    """Lines/s that would keep the two cores busy with what a line costs at a low rate."""
    with tempfile.TemporaryDirectory() as disk, \
            running(args, WORKERS, conf_of(way), flags_of(LOW_RATE), disk, True) as (
                cluster, batches):
        let_go(cluster)
        wait_until(lambda: len(batches.read()) > 30, "batches", 60)
        workers, _ = busy(cluster, 10)
    return LOW_RATE * WORKERS / workers


def await_checkpoint(cluster):
    """The batch time of the next one to be sealed, in seconds."""
    def newest():
        time.sleep(0.2)  # each look is a process
        code, out, _ = cluster.run("job", "checkpoints", NAME, "-o", "json", check=False)
        rows = [json.loads(line) for line in out.splitlines()] if code == 0 else []
        return max((row["batch_ms"] / 1e3 for row in rows), default=0)
    former = newest()

    def another():
        found = newest()
        return found if found > former else None
    return wait_until(another, "a checkpoint", 60)


def await_usual(batches, usual, since):
    """Until ten batches in a row are out as early as before."""
    def is_usual():
        late = [delay for at, delay in delays(batches.read()[-10:], since)]
        return len(late) == 10 and max(late) < usual + INTERVAL
    wait_until(is_usual, "batches to be out as early as before", 120)


def kill_one(cluster, batches, back):
    """Kills the worker without the receiver, so long behind a checkpoint; what came of it."""
    sealed = await_checkpoint(cluster)
    time.sleep(max(0.0, sealed + back - time.time()))  # the moment that was asked for
    usual = percentile([delay for _, delay in delays(batches.read()[-20:])], 0.5)
    near = cluster.executors(NAME, "receivers")[0][0]
    pid = next(row["pid"] for row in cluster.worker_list() if row["id"] != near)
    name = next(name for name, process in cluster.workers.items() if process.pid == pid)
    at = time.time()
    cluster.workers[name].kill()
    begun = wait_until(lambda: new_generation(cluster, at), "another generation") - at
    await_usual(batches, usual, at + 0.5)
    after = delays(batches.read(), at)
    late = [out for out, delay in after if delay > usual + INTERVAL]
    extra = max(delay for _, delay in after) - usual
    start_worker(cluster, int(name[1:]), pinned=True)
    wait_until(lambda: len(cluster.executors(NAME)) == WORKERS, "both workers", 60)
    await_usual(batches, usual, time.time() + 0.5)
    return at - sealed, begun, extra, max(late, default=at) - at


def require_whole(args, cluster, batches, what):
    """All that the receiver has stored is in the totals, and once."""
    floor = subprocess.run([args.floors, "--job=words", f"--lines={LINES}", "--runs=1"], text=True,
                           capture_output=True, check=True).stdout.splitlines()[-1].split()
    open(cluster.path("job", "stop"), "w").close()
    sent = cluster.path("job", "sent")
    wait_until(lambda: os.path.exists(sent) and os.path.getsize(sent) > 0, "the end of the pass")
    with open(sent) as f:
        passes = int(f.read()) // LINES
    total, checksum = int(floor[2]) * passes, int(floor[3]) * passes % 2**64
    wait_until(lambda: batches.read()[-1][2] >= total, "all lines to be decided", 60)
    last = batches.read()[-1]
    require_equal(passes > 0 and last[2] == total and last[3] == checksum, what)


def model_seconds(load, workers, back):
    spare = 1 - load * workers / (workers - 1)
    return math.inf if spare <= 0 else load / workers / spare * back


def recover(args, way, rate):
    found = []
    with tempfile.TemporaryDirectory() as disk, \
            running(args, WORKERS, conf_of(way), flags_of(rate), disk, True) as (
                cluster, batches):
        let_go(cluster)
        wait_until(lambda: len(batches.read()) > 30, "batches", 60)
        spent, others = busy(cluster, 5)
        for kill in range(args.kills):
            found.append(kill_one(cluster, batches, CHECKPOINT * (kill + 0.5) / args.kills))
        require_whole(args, cluster, batches, f"recovery by {way}")
    load = spent / WORKERS
    show(f"two pinned workers, {way}: load", load, "of their cores", "", "",
         f"{rate} lines/s; all other processes {others:.2f} CPU-s/s")
    for back, begun, extra, caught_up in found:
        model = model_seconds(load, WORKERS, back) * (1 if way == "deltas" else WORKERS) + INTERVAL
        show(f"  killed {back:.1f} s behind a checkpoint", extra - begun, "s extra", "", "",
             f"model {model:.2f} s, {(extra - begun) / model:.2f} of it; begun after {begun:.3f}, "
             f"caught up after {caught_up:.2f} s; output equal")


def model(args):
    if len(os.sched_getaffinity(0)) < WORKERS:
        raise Failure(f"{WORKERS} workers with a core each need {WORKERS} cores")
    for way in args.ways.split(","):
        lines = capacity(args, way)
        show(f"two pinned workers, {way}: capacity", lines / 1e3, "K lines/s", "", "",
             f"by the CPU of a line at {LOW_RATE} lines/s")
        recover(args, way, int(lines * LOAD))
