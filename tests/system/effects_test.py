"""ForeachPartition into a fencing sink while executors, workers and the job driver are killed.

usage: effects_test.py SLUICE FENCING

Once repeats of one identity (output, batch, partition) are dropped, every record is in the sink
exactly once; repeats have the same records; in each partition's journal no accepted fence is lower
than one before it. Some processes die right behind their write, so that there are repeats.
"""
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, kill_one, wait_until  # noqa: E402

ROUNDS = 12
ROUND = 400  # records


class Journals:
    """What the sink holds."""

    def __init__(self, folder):
        self.accepted = {}  # identity -> [(fence, ids)]
        self.refused = 0
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name)) as file:
                self.read(int(name), file.read().splitlines())

    def read(self, partition, lines):
        highest = 0
        for line in lines:
            words = line.split(" ")
            if words[0] == "refused":
                self.refused += 1
                continue
            fence, batch, output = (int(word) for word in words[:3])
            if fence < highest:
                raise Failure(f"partition {partition}: fence {fence} behind {highest}")
            highest = fence
            self.accepted.setdefault((output, batch, partition), []).append((fence, words[3:]))

    def repeats(self):
        return sum(len(writes) - 1 for writes in self.accepted.values())

    def ids(self):
        """Each identity once."""
        all_ids = []
        for identity, writes in self.accepted.items():
            if any(ids != writes[0][1] for _, ids in writes):
                raise Failure(f"{identity} was written with different records: {writes}")
            if len({fence for fence, _ in writes}) != len(writes):
                raise Failure(f"{identity} was written twice under one fence: {writes}")
            all_ids += writes[0][1]
        return all_ids


def kill_something(cluster, turn, doom):
    """What dies: a task behind its write, an executor, a worker with all of its, the job driver."""
    kind = ("doom", "executor", "worker", "driver")[turn % 4]
    if kind == "doom":
        open(doom, "w").close()
    elif kind == "executor":
        kill_one(lambda: [pid for _, pid in cluster.executors("fencing")], "an executor", random)
    elif kind == "worker":
        name = random.choice(sorted(cluster.workers))
        cluster.workers[name].kill()
        cluster.start_worker(name)
    else:
        kill_one(lambda: [(cluster.job("fencing") or {}).get("driver_pid")], "a job driver",
                 random)
    return kind


def run(cluster, fencing):
    cluster.start_driver("--conf=worker_lease=1s")
    for name in ("w0", "w1", "w2"):
        cluster.start_worker(name)
    sink = cluster.path("sink")
    os.makedirs(sink)
    doom = cluster.path("doom")
    cluster.submit(fencing, "fencing", [f"--sink={sink}", f"--doom={doom}"],
                   conf=["worker_lease=1s", "checkpoint_interval=1s", "partitions=4"])
    sent = []
    for turn in range(ROUNDS):
        ids = [f"id{len(sent) + i}" for i in range(ROUND)]
        sent += ids
        client = cluster.push("fencing", "ids", ids, producer=f"p{turn}", batch=20)
        kind = kill_something(cluster, turn, doom)
        if client.wait() != 0:
            raise Failure(f"push ended with an error: {client.tail()}")
        if kind == "doom":
            wait_until(lambda: not os.path.exists(doom), "somebody to die behind its write", 60)
        print(f"round {turn}: {kind}, {len(sent)} records acknowledged", flush=True)
    cluster.run("job", "drain", "fencing", "--deadline=60s", seconds=90)
    wait_until(lambda: cluster.job("fencing")["state"] == "FINISHED", "the drain", 60)
    journals = Journals(sink)
    ids = journals.ids()
    if sorted(ids) != sorted(sent):
        raise Failure(f"{len(sent)} records sent, {len(ids)} in the sink, "
                      f"{len(set(sent) - set(ids))} of them missing")
    if journals.repeats() < ROUNDS // 4:
        raise Failure(f"only {journals.repeats()} writes were repeated: the test shows little")
    print(f"exact: {len(ids)} records in {len(journals.accepted)} writes, {journals.repeats()} "
          f"repeated, {journals.refused} refused by their fence")


def main():
    sluice, fencing = (os.path.abspath(p) for p in sys.argv[1:3])
    random.seed(7)
    with Cluster(sluice) as cluster:
        run(cluster, fencing)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
