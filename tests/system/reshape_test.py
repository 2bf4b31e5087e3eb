"""A job goes on in another number of partitions and under another batch interval: drained before,
and killed with everything on every node in the middle of its work, when no checkpoint has its
batches.

usage: reshape_test.py SLUICE WORDCOUNT
"""
import collections
import glob
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402
from outputs import batches_in_parts  # noqa: E402

LINES = 300  # of a round, each three words
WORKERS = ("w0", "w1")
SHAPES = ((2, "300ms"), (7, "300ms"), (3, "200ms"), (5, "500ms"))


def lines_of(rounds):
    return [f"all w{i % 97} line{i}" for i in range(LINES * rounds)]


def start(cluster, wordcount, output, name, shape, *conf):
    if cluster.driver is None:
        cluster.start_driver("--conf=worker_lease=1s")
        for worker in WORKERS:
            cluster.start_worker(worker)
    partitions, interval = shape
    cluster.submit(wordcount, name, ["--push=words", f"--output={output}/{name}"],
                   conf=[f"partitions={partitions}", f"batch_interval={interval}",
                         "worker_lease=1s", *conf])


def push(cluster, name, lines):
    """The same producer with all its lines from the first on: those that are stored are dropped."""
    client = cluster.push(name, "words", lines)
    if client.wait() != 0 or f"acknowledged {len(lines)}" not in client.tail():
        raise Failure(f"the push ended otherwise: {client.tail()}")


def drain(cluster, name):
    cluster.run("job", "drain", name, "--deadline=60s", seconds=90)
    wait_until(lambda: (cluster.job(name) or {}).get("state") == "FINISHED", "the drain")


def lose_every_node(cluster):
    """What comes next is a cluster of its own, with other addresses."""
    cluster.lose_every_node()
    cluster.driver = cluster.address = None
    cluster.workers = {}


def judge(output, name, lines, shapes):
    """The last totals are those of the input; no word's total ever goes down from batch to batch
    or is missing once it was there; batches of every shape are among them."""
    expected = collections.Counter(word for line in lines for word in line.split())
    before, parts_seen = {}, []
    for _, parts in sorted(batches_in_parts(output, name).items()):
        rows = [re.fullmatch(r"\((.*),(\d+)\)", line).groups() for part in parts for line in part]
        totals = {word: int(count) for word, count in rows}
        if len(totals) != len(rows):
            raise Failure(f"{name}: a word is in two partitions")
        back = [word for word, count in before.items() if totals.get(word, 0) < count]
        if back:
            raise Failure(f"{name}: {len(back)} totals went back, {back[0]} among them")
        before = totals
        if not parts_seen or parts_seen[-1] != len(parts):
            parts_seen.append(len(parts))
    if before != expected:
        raise Failure(f"{name}: other totals than those of the input: all={before.get('all')}, "
                      f"{len(before)} words of {len(expected)}")
    if parts_seen != [partitions for partitions, _ in shapes]:
        raise Failure(f"{name}: outputs of {parts_seen} partitions")
    print(f"{name}: exact, {len(lines)} lines in {parts_seen} partitions")


def drained(cluster, wordcount, output):
    for turn, shape in enumerate(SHAPES, 1):
        start(cluster, wordcount, output, "drained", shape)
        push(cluster, "drained", lines_of(turn))
        drain(cluster, "drained")
    judge(output, "drained", lines_of(len(SHAPES)), SHAPES)


def killed(cluster, wordcount, output):
    """The first checkpoint is of a batch before there was input, and the next ten minutes away."""
    conf = ("received_log=on", "replication=1", "checkpoint_interval=10m")
    for turn, shape in enumerate(SHAPES, 1):
        start(cluster, wordcount, output, "killed", shape, *conf)
        push(cluster, "killed", lines_of(turn))
        cluster.decided("killed", (cluster.job("killed") or {}).get("decided_batches", 0) + 2)
        if turn < len(SHAPES):
            lose_every_node(cluster)
    drain(cluster, "killed")
    judge(output, "killed", lines_of(len(SHAPES)), SHAPES)


def refused(cluster, wordcount, output):
    """What stays fixed is named."""
    try:
        cluster.submit(wordcount, "drained", ["--push=words", f"--output={output}/drained"],
                       conf=["partitions=2", "key_groups=64"])
    except Failure as failure:
        if "ended with 3" in str(failure) and "key_groups is fixed" in str(failure):
            return
        raise
    raise Failure("other key groups were taken")


def main():
    sluice, wordcount = sys.argv[1:]
    with Cluster(sluice) as cluster:
        output = cluster.path("output")
        os.makedirs(output)
        drained(cluster, wordcount, output)
        refused(cluster, wordcount, output)
        killed(cluster, wordcount, output)
        said = "is finished first"
        logs = glob.glob(cluster.path("driver", "**", "*"), recursive=True)
        if not any(said in open(path, errors="replace").read() for path in logs
                   if os.path.isfile(path)):
            raise Failure("no job driver said that it finishes the former shape first")


if __name__ == "__main__":
    main()
