"""B12: how long each record takes from the moment at which it was due to the sink. And
B10: how soon the job driver goes on without a node, and when the next batch is out."""
import datetime
import glob
import os
import re
import signal
import tempfile
import time

from cluster import wait_until
from job_cluster import NAME, let_go, running
from measured import (Delays, cpu_seconds, percentile, percentile_of, require_equal, show,
                      synced_write_ms)

RATE = 1_000  # records/s
WARM_UP = 5  # seconds
LEASE_MS = 600


def of_interval(args, interval_ms):
    """Records are due one by one, whatever becomes of those before them, and carry that moment to
    the sink."""
    conf = [f"batch_interval={interval_ms}ms", "partitions=2", "backpressure=off"]
    flags = ["--job=due", f"--rate={RATE}"]
    with tempfile.TemporaryDirectory() as disk, \
            running(args, 2, conf, flags, disk) as (cluster, batches):
        append_ms = synced_write_ms(disk)
        start = int(time.time()) + 2  # whole seconds, so that each has as many records
        let_go(cluster, str(start * 1_000_000))
        first = start + WARM_UP
        last = first + int(args.seconds)
        driver = [cluster.job(NAME)["driver_pid"]]
        time.sleep(first - time.time())
        spent = sum(cpu_seconds(driver).values())
        time.sleep(last - time.time())  # the length of the measurement
        spent = sum(cpu_seconds(driver).values()) - spent
        delays, due = Delays(cluster.path("job")), RATE * (last - first)
        wait_until(lambda: sum(delays.read(first, last).values()) >= due, "every record", 60)
        took = delays.read(first, last)
        decided = sum(first <= row[0] / 1000 < last for row in batches.read())
    require_equal(sum(took.values()) == due, "records that came out")
    name = f"B12 batches of {interval_ms} ms, {RATE} records/s"
    p50, p99, p999 = (percentile_of(took, part) / 1000 for part in (0.5, 0.99, 0.999))
    asked = [interval_ms * share + more + append_ms for share, more in ((0.5, 1), (1, 3), (1, 10))]
    show(name, p50, "ms p50", "", "",
         f"p99 {p99:.1f}, p99.9 {p999:.1f}, worst {max(took) / 1000:.1f}; asked with an append of "
         f"{append_ms:.1f}: {' '.join(f'{ms:.1f}' for ms in asked)}; {decided} batches, {due} "
         f"records; job driver {spent / decided * 1e6:.0f} CPU-us a batch; load "
         f"{os.getloadavg()[0]:.1f}")


def latency(args):
    for interval_ms in (10, 20, 50, 100):
        of_interval(args, interval_ms)


def new_generation(cluster, since):
    """When the job driver said that it began one: seconds of the epoch, or nothing."""
    said = re.compile(r"^I(\d{8} [\d:]+\.\d+) .*: generation \d+ of epoch")
    for path in glob.glob(cluster.path("driver", "**", "output"), recursive=True):
        with open(path, errors="replace") as f:
            for match in filter(None, map(said.match, f)):
                at = datetime.datetime.strptime(match[1], "%Y%m%d %H:%M:%S.%f").timestamp()
                if at >= since:
                    return at
    return None


def losses(args):
    """A worker daemon and its executors are killed, or stopped without a word."""
    flags = ["--job=totals", "--lines=100000", "--rate=5000", "--store=250"]
    conf = ["batch_interval=100ms", "checkpoint_interval=2s", f"worker_lease={LEASE_MS}ms",
            "partitions=6"]
    for what, number in (("killed", signal.SIGKILL), ("stopped", signal.SIGSTOP)):
        seen, next_batch = [], []
        with tempfile.TemporaryDirectory() as disk, \
                running(args, 3, conf, flags, disk) as (cluster, batches):
            let_go(cluster)
            wait_until(lambda: len(batches.read()) > 20, "batches", 60)
            for i in range(args.kills):
                name = f"w{i % 3}"
                pids = cluster.pids_with(cluster.path(name))
                at = time.time()
                for pid in pids:
                    os.kill(pid, number)
                seen.append(wait_until(lambda: new_generation(cluster, at), "the loss") - at)
                next_batch.append(batches.await_first_after(at * 1e6)[1] / 1e6 - at)
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                cluster.workers[name].popen.wait()
                cluster.start_worker(name, slots=1)
                wait_until(lambda: len(cluster.executors(NAME)) == 3, "three workers again", 60)
        lease = "" if number == signal.SIGKILL else \
            f"; {percentile(seen, 0.5) * 1000 / LEASE_MS:.2f} leases of {LEASE_MS} ms"
        show(f"B10 node {what}: another generation begun", percentile(seen, 0.5) * 1000,
             "ms, median", "", "",
             "each: " + " ".join(f"{s * 1000:.0f}" for s in sorted(seen)) + lease)
        show(f"B10 node {what}: next batch out", percentile(next_batch, 0.5) * 1000,
             "ms, median", "", "",
             "each: " + " ".join(f"{s * 1000:.0f}" for s in sorted(next_batch)))
