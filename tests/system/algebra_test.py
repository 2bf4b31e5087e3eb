"""Joins, slices, sorts, values per batch and more on a cluster that loses a worker: every output of
every batch is what the batch's input and the input of the batches before it make of it.

usage: algebra_test.py SLUICE ALGEBRA
"""
import collections
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402
from outputs import batches, batches_in_parts, drop_file  # noqa: E402

INTERVAL = 250
PADDING = 1_500  # 256 KiB is the least for which a file is read by several tasks
FILES = 9


class Given:
    """Lines of both sides, no number twice, in files that several tasks read and in small ones.
    Each has 13 of 20 keys, the next one the next ones: a key comes, falls idle and comes back."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.rows = {"left": [], "right": []}
        for side in self.rows:
            os.makedirs(cluster.path(side))

    def drop(self, number):
        for side, count in (("left", 800 if number % 2 else 60), ("right", 90)):
            if number % 5 == 4 and side == "right":
                continue  # a batch in which one side is empty
            first = len(self.rows[side])
            rows = [(f"k{(number + i % 13) % 20}", (first + i) * 37 % 100_003)
                    for i in range(count)]
            self.rows[side] += rows
            lines = [f"{key} {value} ".ljust(PADDING, ".") for key, value in rows]
            drop_file(self.cluster.path(side), f"{number:03}", lines)


def rows_of(lines):
    """[(key, number)] of lines "(KEY,NUMBER)"."""
    return [(key, int(number)) for key, number in (line[1:-1].split(",") for line in lines)]


def by_key(rows):
    found = collections.defaultdict(list)
    for key, value in rows:
        found[key].append(value)
    return found


def table_of(ms):
    """What LoadTable of tests/jobs/algebra.cc gives for the version of this batch."""
    version = ms // INTERVAL // 4 % 10
    return {f"k{key}": key * 10 + version for key in range(10) if key != version}


class Expected:
    """What each output must have of each batch. `taken`: {ms: (left, right)}; windows slide at
    `slide_ms` and at every second batch from there."""

    def __init__(self, taken, driver_pid, slide_ms):
        self.taken = taken
        self.driver_pid = driver_pid
        self.slide_ms = slide_ms
        self.idle = {}  # {key: [batch of the last touch, records, sum]}

    def left_between(self, first, last):
        """What batches from `first` to `last`, both included, have taken, in their order."""
        return [row for ms in sorted(self.taken) if first <= ms <= last
                for row in self.taken[ms][0]]

    def batch(self, ms):
        """{output: lines}; those of "sort" and "top" in order."""
        left, right = self.taken[ms]
        lefts, rights, table = by_key(left), by_key(right), table_of(ms)
        counts = collections.Counter(f"{key}@{ms}" for key, _ in left + right)
        chosen = [row for row in left if row[1] % 10 == ms // INTERVAL % 10]
        falling = sorted(left, key=lambda row: -row[1])
        outputs = {
            "join": [f"({key},({v},{w}))" for key in lefts for v in lefts[key]
                     for w in rights.get(key, [])],
            "right_outer_join": [f"({key},({v},{w}))" for key in rights for w in rights[key]
                                 for v in ([f"Some({v})" for v in lefts.get(key, [])] or
                                           ["None"])],
            "co_group": [f"({key},({sorted(lefts.get(key, []))},{sorted(rights.get(key, []))}))"
                         .replace(" ", "") for key in {*lefts, *rights}],
            "static_join": [f"({key},({v},Some({table[key]})))" if key in table else
                            f"({key},({v},None))" for key, v in left],
            "per_batch": [f"({self.driver_pid},({key},{number}))" for key, number in chosen],
            "slice": [f"({key},{v})" for key, v in self.left_between(ms - 3 * INTERVAL,
                                                                     ms - INTERVAL)],
            "sort": [f"({key},{v})" for key, v in falling],
            "top": [f"({key},{v})" for key, v in falling[:7]],
            "distinct": list(lefts),
            "transform": [f"({word},{count})" for word, count in counts.items()],
        }
        if (ms - self.slide_ms) % (2 * INTERVAL) == 0:
            sums = by_key(self.left_between(ms - 3 * INTERVAL, ms))
            outputs["window"] = [f"({key},{sum(values)})" for key, values in sums.items()]
        return outputs | self.totals(ms, left)

    def totals(self, ms, left):
        """Batches are to be asked for in their order."""
        for key, number in left:
            _, records, total = self.idle.get(key, (0, 0, 0))
            self.idle[key] = (ms, records + 1, total + number)
        late = [key for key, (touched, _, _) in self.idle.items() if ms - touched > 6 * INTERVAL]
        timed_out = [self.total(key) for key in late]
        for key in late:
            del self.idle[key]
        return {"timed_out": timed_out, "snapshots": [self.total(key) for key in self.idle]}

    def total(self, key):
        _, records, total = self.idle[key]
        return f"({key},({records},{total}))"


def in_a_form(output, lines):
    """The same for all orders in which tasks may have come."""
    if output in ("sort", "top"):
        return lines
    if output == "co_group":
        lines = [re.sub(r"\[([\d,]+)\]", lambda values: "[%s]" % ",".join(
            sorted(values.group(1).split(","), key=int)), line) for line in lines]
    return sorted(lines)


def compare(folder, given, driver_pid):
    sides = {side: {ms: rows_of(lines) for ms, lines in batches(folder, side).items()}
             for side in ("left", "right")}
    taken = {ms: (rows, sides["right"][ms]) for ms, rows in sides["left"].items()}
    for side, rows in sides.items():
        if sorted(row for batch in rows.values() for row in batch) != sorted(given.rows[side]):
            raise Failure(f"the batches have not taken each {side} row once")
    expected = Expected(taken, driver_pid, min(batches(folder, "window")))
    wanted = collections.defaultdict(dict)  # {output: {ms: lines}}
    for ms in sorted(taken):
        for output, lines in expected.batch(ms).items():
            wanted[output][ms] = lines
    for output, at in wanted.items():
        seen = batches(folder, output)
        if sorted(seen) != sorted(at):
            raise Failure(f"{output} has the batches {sorted(seen)}, not {sorted(at)}")
        for ms, lines in at.items():
            if in_a_form(output, seen[ms]) != in_a_form(output, lines):
                raise Failure(f"{output} of batch {ms}: {sorted(seen[ms])[:5]} … "
                              f"({len(seen[ms])}), not {sorted(lines)[:5]} … ({len(lines)})")
        if not any(at.values()):
            raise Failure(f"nothing was to be seen of {output}")
        print(f"ok {output}: {sum(map(len, at.values()))} rows in {len(at)} batches")
    spread = sum(len([part for part in parts if part]) > 1
                 for parts in batches_in_parts(folder, "left").values())
    if spread < FILES // 3:
        raise Failure(f"only {spread} batches were read by several tasks")


def main():
    sluice, algebra = (os.path.abspath(p) for p in sys.argv[1:3])
    with Cluster(sluice) as cluster:
        cluster.start_driver("--conf=worker_lease=1s")
        for name in ("w0", "w1", "w2"):
            cluster.start_worker(name)
        given, output = Given(cluster), cluster.path("out")
        os.makedirs(output)
        cluster.submit(algebra, "algebra", [f"--left={cluster.path('left')}",
                                            f"--right={cluster.path('right')}",
                                            f"--output={output}"],
                       conf=["partitions=4", "checkpoint_interval=1s"])
        before = cluster.decided("algebra", 1)
        for number in range(FILES):
            given.drop(number)
            if number == FILES // 2:
                cluster.workers.pop("w1").kill()
            # The batch that has listed may be without it; the next one has it.
            cluster.decided("algebra", cluster.job("algebra")["decided_batches"] + 2)
        cluster.decided("algebra", cluster.job("algebra")["decided_batches"] + 8)  # keys time out
        after = cluster.job("algebra")
        if after["generation"] <= before["generation"] or after["driver_restarts"] != 0:
            raise Failure(f"the worker was not lost by the job: {after}")
        cluster.run("job", "drain", "algebra", "--deadline=60s", seconds=90)
        wait_until(lambda: cluster.job("algebra")["state"] == "FINISHED", "the end of the drain")
        compare(output, given, before["driver_pid"])
    print("algebra_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
