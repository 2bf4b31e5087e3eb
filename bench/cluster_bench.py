"""Benchmarks with real processes on loopback: two workers with replication 2, empty batches,
latency, recovery, how soon a loss is seen, and a straggler.

usage: cluster_bench.py SLUICE JOB FLOORS [--only=PART,...] [--seconds=60] [--kills=3]
                        [--batches=20] [--slow-times=5] [--ways=deltas,rollback]
"""
import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests",
                                "system"))
from cluster import Failure, wait_until  # noqa: E402
from job_cluster import NAME, let_go, running  # noqa: E402
from latency import latency, losses  # noqa: E402
from model import model  # noqa: E402
from measured import (cpu_seconds, percentile, require_equal, role_of, show, slope)  # noqa: E402

# ---- two worker processes, replication 2 ---------------------------------------------------

def throughput(args, job, name, vocabulary, lines=500_000, passes=6):
    floor = subprocess.run([args.floors, f"--job={job}", f"--lines={lines}",
                            f"--vocabulary={vocabulary}"], text=True, capture_output=True,
                           check=True).stdout.splitlines()[-1].split()
    o2, native, total, checksum = float(floor[0]), float(floor[1]), int(floor[2]), int(floor[3])
    flags = [f"--job={job}", f"--lines={lines}", f"--vocabulary={vocabulary}",
             f"--stop-after={lines * passes}"]
    conf = ["batch_interval=250ms", "checkpoint_interval=1s", "partitions=8", "replication=2"]
    with running(args, 2, conf, flags) as (cluster, batches):
        wait_until(lambda: os.path.exists(cluster.path("job", "ready")), "the receiver", 60)
        before = cpu_seconds(cluster.pids_with(cluster.folder))
        begun = time.monotonic()
        let_go(cluster)
        wait_until(lambda: sum(row[2] for row in batches.read()) >= total * passes,
                   "all lines to be decided", 240)
        seconds = time.monotonic() - begun
        after = cpu_seconds(cluster.pids_with(cluster.folder))
        roles = {}
        for pid, spent in after.items():
            role = role_of(pid)
            roles[role] = roles.get(role, 0) + spent - before.get(pid, 0)
        rows = batches.read()
    require_equal(sum(row[2] for row in rows) == total * passes and
                  sum(row[3] for row in rows) % 2**64 == checksum * passes % 2**64, name)
    cpu = sum(roles.values())
    rate = lines * passes / cpu / 1e6
    show(f"{name}: 2 workers, replication 2", rate, "M lines/CPU-s",
         f"{o2:.2f} (r {rate / o2:.2f})", f"{native:.2f} (r {rate / native:.2f})",
         f"equal; {lines * passes / seconds / 1e6:.2f} M lines/s")
    for role, spent in sorted(roles.items(), key=lambda item: -item[1]):
        show(f"  of its CPU: {role}", spent / cpu * 100, "%")


# ---- empty batches -------------------------------------------------------------------------

def empty_batches(args, where, checkpoint, seconds):
    """B9: two stages without records on three workers, a batch every 10 ms."""
    conf = ["batch_interval=10ms"]
    with running(args, 3, conf, ["--job=empty"], checkpoint) as (cluster, batches):
        wait_until(lambda: len(batches.read()) > 100, "batches", 60)
        driver = [cluster.job(NAME)["driver_pid"]]
        begun = len(batches.read())
        spent = sum(cpu_seconds(driver).values())
        time.sleep(seconds)  # the length of the measurement
        spent = sum(cpu_seconds(driver).values()) - spent
        rows = batches.read()[begun:]
    ticks = (rows[-1][0] - rows[0][0]) / 10 + 1
    latency = [(row[0] / 1000, row[1] / 1000 - row[0]) for row in rows]
    name = f"B9 empty batches of 10 ms, log {where}"
    show(f"{name}: p50", percentile([y for _, y in latency], 0.5), "ms from tick", "", "",
         f"{len(rows)} batches of {ticks:.0f} ticks in {seconds} s")
    show(f"{name}: p99", percentile([y for _, y in latency], 0.99), "ms from tick")
    show(f"{name}: job driver", spent / len(rows) * 1e6, "CPU-us/batch")
    show(f"{name}: delay grows by", slope(latency), "ms/s")


def empty(args):
    with tempfile.TemporaryDirectory() as disk:
        empty_batches(args, "on disk", disk, args.seconds)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        empty_batches(args, "in memory", memory, args.seconds / 3)


# ---- recovery ------------------------------------------------------------------------------

TOTALS = ["--job=totals", "--lines=100000", "--rate=50000", "--store=2500"]
# A third of what three slots manage.
LOOKUPS = ["--job=lookups", "--wait-us=500", "--lines=100000", "--rate=2000", "--store=100"]


def delay(row):
    return row[1] / 1e6 - row[0] / 1e3


def recovery(args, interval, flags=TOTALS, way="rollback"):
    """Totals as state, 100 ms batches: kills at moments spread over the interval."""
    conf = ["batch_interval=100ms", f"checkpoint_interval={interval}s", "worker_lease=1s",
            "partitions=6", f"recovery={way}"]
    took = {"worker": [], "job driver": []}
    extra = {"worker": [], "job driver": []}  # delay of the latest batch, above what was usual
    usual = []
    with tempfile.TemporaryDirectory() as disk, \
            running(args, 3, conf, flags, disk) as (cluster, batches):
        let_go(cluster)
        wait_until(lambda: len(batches.read()) > 20, "batches", 60)
        for kill in range(2 * args.kills):
            role = "worker" if kill % 2 == 0 else "job driver"
            settle = interval * (0.5 + (kill // 2 + 0.5) / args.kills)
            before = cpu_seconds(cluster.pids_with(cluster.folder)) if kill == 0 else {}
            time.sleep(settle)  # so much is behind the last checkpoint, or another one begun
            if kill == 0:
                after = cpu_seconds(before)
                busy = sum(after[pid] - before[pid] for pid in after) / settle
            usual.append(percentile([delay(row) for row in batches.read()[-20:]], 0.5))
            if role == "worker":
                name = f"w{kill // 2 % 3}"
                at = time.time()
                cluster.workers[name].kill()
            else:
                pid = cluster.job(NAME)["driver_pid"]
                at = time.time()
                os.kill(pid, signal.SIGKILL)
            row = batches.await_first_after(at * 1e6)
            took[role].append(row[1] / 1e6 - at)
            late = max(delay(other) for other in batches.read() if other[1] > at * 1e6)
            extra[role].append(late - usual[-1])
            if role == "worker":
                cluster.start_worker(name, slots=1)
            wait_until(lambda: len(cluster.executors(NAME)) == 3, "three workers again", 60)
    what = (" of slow user code" if flags is LOOKUPS else "") + (
        " by deltas" if way == "deltas" else "")
    for role, seconds in took.items():
        show(f"recovery{what}, {role} killed, checkpoint every {interval} s",
             percentile(seconds, 0.5), "s, median", "", "",
             "each: " + " ".join(f"{s:.2f}" for s in sorted(seconds)) +
             "; extra delay: " + " ".join(f"{s:.2f}" for s in sorted(extra[role])))
    show(f"recovery{what}, before the kills: delay of a batch", percentile(usual, 0.5),
         "s, median", "", "", f"all processes: {busy:.2f} CPU-s/s")


# ---- a straggler ---------------------------------------------------------------------------

# The node of the receiver and one that has the replicas share the work; one that is five times as
# slow still manages its half of it within the second.
STRAGGLER = ["--job=lookups", "--wait-us=500", "--lines=100000", "--rate=600", "--store=20"]


def later_batches(batches, count):
    """The median delay of the next so many batches, those under way left out."""
    begun = len(batches.read()) + 2
    wait_until(lambda: len(batches.read()) >= begun + count, f"{count} batches", 10 * count)
    return percentile([delay(row) for row in batches.read()[begun:begun + count]], 0.5)


def straggler(args, copies):
    """Whole batches of one second, with all nodes alike and with one whose user code is slow."""
    conf = ["batch_interval=1s", "partitions=6", "backpressure=off", f"straggler_copies={copies}"]
    flags = [*STRAGGLER, f"--slow-times={args.slow_times}"]
    with running(args, 3, conf, flags) as (cluster, batches):
        let_go(cluster)
        wait_until(lambda: len(batches.read()) > 5, "batches", 60)
        usual = later_batches(batches, args.batches)
        slow = cluster.executors(NAME, "receivers")[0][0]
        pid = next(row["pid"] for row in cluster.worker_list() if row["id"] == slow)
        name = next(name for name, process in cluster.workers.items() if process.pid == pid)
        open(cluster.path(name, "work", NAME, "slow"), "w").close()
        held_up = later_batches(batches, args.batches)
        status = cluster.job(NAME)
    show(f"one of 3 nodes {args.slow_times} times as slow, copies {copies}", held_up / usual,
         "times a batch", "", "",
         f"{usual * 1000:.0f} ms before, {held_up * 1000:.0f} ms with it; copies: "
         f"{status['straggler_copies']} started, {status['straggler_copies_won']} were first; "
         f"load {os.getloadavg()[0]:.1f}")


PARTS = {
    "grep": lambda args: throughput(args, "grep", "B1 Grep", 10_000),
    "words": lambda args: throughput(args, "words", "B2 WordCount, 10000 words", 10_000),
    "empty": empty,
    "latency": latency,
    "losses": losses,
    "recovery": lambda args: [recovery(args, interval) for interval in (2, 10)] +
                             [recovery(args, 10, *load) for load in (
                                 (TOTALS, "deltas"), (LOOKUPS, "rollback"), (LOOKUPS, "deltas"))],
    "model": model,
    "straggler": lambda args: [straggler(args, copies) for copies in ("off", "on")],
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("sluice")
    parser.add_argument("job")
    parser.add_argument("floors")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--seconds", type=float, default=60,
                        help="of empty batches, and of each line of latency")
    parser.add_argument("--batches", type=int, default=20, help="of each kind with a straggler")
    parser.add_argument("--slow-times", type=int, default=5, help="as slow as others: a straggler")
    parser.add_argument("--kills", type=int, default=3, help="of each role and interval")
    parser.add_argument("--ways", default="deltas,rollback", help="of recovery, in part model")
    args = parser.parse_args()
    for part in args.only.split(","):
        PARTS[part](args)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}", flush=True)
        sys.exit(1)
