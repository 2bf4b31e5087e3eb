"""Runs of tests/jobs/paced.cc and the rows that it has saved, on a disk or in a bucket."""
import os
import random

from cluster import Failure, kill_one, wait_until
from s3_server import BUCKET

HEADER = "id,length"


def id_lines(first, count, width=60):
    return [f"{number} ".ljust(width, ".") for number in range(first, first + count)]


class Rows:
    """What a reader sees in `folder`, each time as a whole: never a row twice, no half a file."""

    def __init__(self, folder, url=None):
        self.folder = folder
        self.url = url or folder

    def files(self):
        """Paths of what is visible: files of their own, and those of whole batches."""
        found = []
        for name in sorted(os.listdir(self.folder) if os.path.exists(self.folder) else []):
            path = os.path.join(self.folder, name)
            if name.startswith("."):
                continue
            if not os.path.isdir(path):
                found.append(path)
            elif os.path.exists(os.path.join(path, "_SUCCESS")):
                found += [os.path.join(path, part) for part in sorted(os.listdir(path))
                          if part.startswith("part-")]
        return found

    def ids(self):
        ids = []
        for path in self.files():
            with open(path) as f:
                lines = f.read().split("\n")
            if lines[0] != HEADER or lines[-1] != "" or HEADER in lines[1:]:
                raise Failure(f"{path} is no whole file: {lines[:2]} … {lines[-2:]}")
            ids += [int(line.split(",")[0]) for line in lines[1:-1]]
        if len(set(ids)) != len(ids):
            twice = sorted(i for i in set(ids) if ids.count(i) > 1)[:5]
            raise Failure(f"{len(ids) - len(set(ids))} rows are visible twice, such as {twice}")
        return ids

    def expect(self, count):
        ids = self.ids()
        if sorted(ids) != list(range(count)):
            missing = sorted(set(range(count)) - set(ids))
            raise Failure(f"{len(ids)} rows of {count}; missing {len(missing)}: {missing[:5]}")

    def left_over(self):
        """What was staged and is still there. A bucket has no directories of its own, and the mark
        of a job that has uploads there stays."""
        staged = [name for name in os.listdir(self.folder) if name.startswith(".sluice-")
                  and not name.startswith(".sluice-uploads-")]
        if not self.url.startswith("s3:"):
            return staged
        return [name for name in staged if any(
            files for _, _, files in os.walk(os.path.join(self.folder, name)))]


def in_bucket(s3, name):
    return Rows(os.path.join(s3.folder, "s3", "objects", BUCKET, name), f"s3://{BUCKET}/{name}")


def kill_something(cluster, job, turn):
    """An executor, a worker with all of its, or the job driver."""
    kind = ("executor", "driver", "worker", "driver")[turn % 4]
    if kind == "executor":
        kill_one(lambda: [pid for _, pid in cluster.executors(job)], "an executor", random)
    elif kind == "worker":
        name = random.choice(sorted(cluster.workers))
        cluster.workers[name].kill()
        cluster.start_worker(name)
    else:
        kill_one(lambda: [(cluster.job(job) or {}).get("driver_pid")], "a job driver", random)
    return kind


def run_under_kills(cluster, paced, job, rows, roll, rounds=12, records=400):
    """Pushes, kills, looks at what is visible all the while, drains; returns how many records."""
    conf = ["worker_lease=1s", "checkpoint_interval=500ms", "partitions=4"]
    cluster.submit(paced, job, ["--push=ids", f"--output={rows.url}", f"--roll={roll}"], conf=conf)
    for turn in range(rounds):
        lines = id_lines(turn * records, records)
        client = cluster.push(job, "ids", lines, producer=f"{job}-{turn}", batch=20)
        kind = kill_something(cluster, job, turn)
        while client.popen.poll() is None:
            rows.ids()
        if client.wait() != 0:
            raise Failure(f"push ended with an error: {client.tail()}")
        print(f"{job} {turn}: {kind}, {len(rows.ids())} of {(turn + 1) * records} visible in "
              f"{len(rows.files())} files", flush=True)
    cluster.run("job", "drain", job, "--deadline=60s", seconds=90)
    wait_until(lambda: cluster.job(job)["state"] == "FINISHED", "the drain", 60)
    rows.expect(rounds * records)
    if rows.left_over():
        raise Failure(f"{rows.folder} still has {rows.left_over()}")
    return rounds * records
