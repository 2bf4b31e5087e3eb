"""With the received-data log no node takes an acknowledged record along: all of them are killed at
once, their disks are thrown away, and the job goes on from its checkpoint store alone.

usage: received_log_test.py SLUICE WORDCOUNT
"""
import collections
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, kill, wait_until  # noqa: E402
from outputs import latest  # noqa: E402

ROUNDS = 3
LINES = 400   # of a round, each three words
WORKERS = ("w0", "w1")
# One copy in the cluster, and no checkpoint but the log: what is not in the store is lost.
CONF = ["received_log=on", "replication=1", "checkpoint_interval=10m", "batch_interval=300ms",
        "worker_lease=1s"]


def lines_of(rounds):
    return [f"all w{i % 97} line{i}" for i in range(LINES * rounds)]


def start(cluster, wordcount, output, conf=CONF, flags=()):
    cluster.address = None
    cluster.start_driver("--conf=worker_lease=1s")
    for name in WORKERS:
        cluster.start_worker(name, flags=flags)
    return cluster.submit(wordcount, "kept", ["--push=words", f"--output={output}/totals"],
                          conf=conf)


def push(cluster, lines):
    """The same producer with all its lines from the first on: those that are stored are dropped."""
    client = cluster.push("kept", "words", lines)
    if client.wait() != 0 or f"acknowledged {len(lines)}" not in client.tail():
        raise Failure(f"the push ended otherwise: {client.tail()}")


def received(cluster):
    folder = cluster.path("checkpoint-kept", "objects", "received")
    return [os.path.join(folder, name) for name in os.listdir(folder)]


def totals(output):
    pairs = [re.fullmatch(r"\((.*),(\d+)\)", line).groups() for line in latest(output, "totals")]
    return {word: int(count) for word, count in pairs}


def expected(lines):
    return collections.Counter(word for line in lines for word in line.split())


def finish(cluster):
    cluster.run("job", "drain", "kept", "--deadline=60s", seconds=90)
    wait_until(lambda: (cluster.job("kept") or {}).get("state") == "FINISHED", "the drain")


def every_node(cluster, wordcount, output):
    for turn in range(1, ROUNDS + 1):
        start(cluster, wordcount, output)
        push(cluster, lines_of(turn))
        if not received(cluster):
            raise Failure("no received block is in the store")
        cluster.lose_every_node()
    start(cluster, wordcount, output)
    finish(cluster)
    if totals(output) != expected(lines_of(ROUNDS)):
        raise Failure(f"other totals than those of the input: all={totals(output).get('all')}")
    print(f"exact: {LINES * ROUNDS} lines, every node lost {ROUNDS} times")
    damage_is_named(cluster)


def flip(path):
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) // 2)
        byte = f.read(1)
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte[0] ^ 1]))


def damage_is_named(cluster):
    """`checkpoint verify` reads parts of state and received blocks from end to end."""
    objects = cluster.path("checkpoint-kept", "objects")
    part = sorted(name for name in os.listdir(objects) if name.startswith("part-"))[-1]
    block = os.path.basename(received(cluster)[0])
    url = "rocksdb:" + cluster.path("checkpoint-kept")
    verify = ["checkpoint", "verify", url]
    code, out, err = cluster.run(*verify, check=False)
    if code != 0 or "whole" not in out:
        raise Failure(f"a sound store does not verify: {code} {out} {err}")
    _, rows, _ = cluster.run("job", "checkpoints", "kept", "-o", "json")
    listed = [json.loads(line) for line in rows.splitlines()]
    if not listed or any(row["damage"] for row in listed):
        raise Failure(f"job checkpoints: {rows}")
    for name, path in ((block, "received/" + block), (part, part)):
        flip(os.path.join(objects, path))
        code, out, err = cluster.run(*verify, check=False)
        if code != 8 or name not in err:
            raise Failure(f"a flipped bit in {name}: {code} {out} {err}")
        flip(os.path.join(objects, path))
    os.remove(os.path.join(objects, part))
    code, _, err = cluster.run("checkpoint", "list", url, check=False)
    if code != 8 or part not in err:
        raise Failure(f"a part that is missing: {code} {err}")
    print("damage of parts and blocks is named")


def own_part(cluster):
    """A part that only the newest of at least two checkpoints names; None without."""
    objects = cluster.path("checkpoint-kept", "objects")
    manifests = sorted(name for name in os.listdir(objects) if name.startswith("manifest-"))
    if len(manifests) < 2:
        return None
    text = [open(os.path.join(objects, name), "rb").read() for name in manifests]
    for part in sorted(name for name in os.listdir(objects) if name.startswith("part-")):
        if part.encode() in text[-1] and not any(part.encode() in t for t in text[:-1]):
            return os.path.join(objects, part)
    return None


def a_damaged_checkpoint(cluster, wordcount, output):
    """The one before is used, and what came since is read from the log of received data."""
    conf = [c for c in CONF if not c.startswith("checkpoint_interval")]
    conf.append("checkpoint_interval=300ms")
    for turn in range(1, 6):
        start(cluster, wordcount, output, conf)
        push(cluster, lines_of(turn))
        wait_until(lambda: own_part(cluster), "a checkpoint of what was pushed")
        cluster.lose_every_node()  # before the next one, as a rule
        part = own_part(cluster)
        if part:
            break
    if not part:
        raise Failure("no checkpoint had a part of its own")
    flip(part)
    said = start(cluster, wordcount, output, conf)
    if " RUNNING" not in said:  # it stays until the next job driver has fallen back
        raise Failure(f"submit does not wait for the start behind a damaged checkpoint: {said}")
    finish(cluster)
    if totals(output) != expected(lines_of(turn)):
        raise Failure(f"other totals than those of the input: all={totals(output).get('all')}")
    objects = cluster.path("checkpoint-kept", "objects")
    if not os.listdir(os.path.join(objects, "aside")):
        raise Failure("no checkpoint was set aside: the damage was never met")
    print(f"exact: {LINES * turn} lines, with the newest checkpoint damaged")


def spilled(cluster):
    return [os.path.join(folder, name) for worker in WORKERS
            for folder, _, names in os.walk(cluster.path(worker))
            for name in names if name.endswith(".block")]


def damaged_copies(cluster, wordcount, output):
    """All that has been spilled is damaged, and read from the store when it is needed again."""
    start(cluster, wordcount, output, flags=["--conf=block_memory=1MiB"])
    lines = [f"{line} {'x' * 20_000}" for line in lines_of(1)]
    push(cluster, lines)
    wait_until(lambda: totals(output) == expected(lines), "the totals")
    for path in spilled(cluster):
        flip(path)
    for _, pid in cluster.executors("kept"):
        kill(pid)  # those that follow run all batches again
    dropped = "here cannot be read and is dropped"
    wait_until(lambda: any(dropped in cluster.workers[name].tail(10_000) for name in WORKERS),
               "a worker that finds its copy damaged", seconds=60)
    push(cluster, lines + ["all the rest"])
    finish(cluster)
    if totals(output) != expected(lines + ["all the rest"]):
        raise Failure(f"other totals than those of the input: all={totals(output).get('all')}")
    print("exact: every spilled copy damaged")


def a_lost_object(cluster, wordcount, output):
    """An object that is gone, too, is said to be lost; the rest goes on when that is accepted."""
    start(cluster, wordcount, output)
    push(cluster, lines_of(1))
    blocks = received(cluster)
    cluster.lose_every_node()
    os.remove(max(blocks, key=os.path.getsize))
    said = start(cluster, wordcount, output)
    if "RECOVERING: 1 received blocks are lost" not in said:
        raise Failure(f"submit does not say that a block is lost: {said}")
    cluster.run("job", "accept-loss", "kept")
    finish(cluster)
    left = totals(output).get("all", 0)
    if not 0 <= left < LINES:
        raise Failure(f"{left} of {LINES} lines count, and one block of them is gone")
    print(f"a lost object: {left} of {LINES} lines after the loss was accepted")


def main():
    sluice, wordcount = (os.path.abspath(p) for p in sys.argv[1:3])
    for case in (every_node, damaged_copies, a_lost_object, a_damaged_checkpoint):
        with Cluster(sluice) as cluster:
            output = cluster.path("out")
            os.makedirs(output)
            case(cluster, wordcount, output)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
