"""Numbered records pushed into a job, and whether each of them came out once and in order."""
import collections
import random
import subprocess
import threading

from cluster import Failure
from outputs import batches_in_parts, latest

KEYS = [f"k{number}" for number in range(16)]
PADDED = 4096  # bytes of a line of a burst


class Feeder:
    """Pushes lines "KEY NUMBER", numbered from 1 for each key, until told to stop."""

    def __init__(self, cluster, job, seed):
        self.cluster, self.job = cluster, job
        self.random = random.Random(seed)
        self.given = collections.Counter()
        self.stop = threading.Event()
        self.burst = 0  # bytes to send at once
        self.client = None
        self.thread = threading.Thread(target=self.feed, daemon=True)

    def start(self):
        self.client = subprocess.Popen(
            self.cluster.client_words("push", f"--driver={self.cluster.address}",
                                      f"--job={self.job}", "--stream=ids", "--producer=p1",
                                      "--batch=20", *self.cluster.security("client")),
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=open(self.cluster.path("push.log"), "ab"))
        self.thread.start()

    def lines(self, count, width=0):
        made = []
        for _ in range(count):
            key = self.random.choice(KEYS)
            self.given[key] += 1
            made.append(f"{key} {self.given[key]} ".ljust(width, ".") if width
                        else f"{key} {self.given[key]}")
        return "".join(line + "\n" for line in made)

    def feed(self):
        try:
            while not self.stop.wait(self.random.uniform(0.02, 0.1)):
                wanted, self.burst = self.burst, 0
                self.client.stdin.write(self.lines(wanted // PADDED, PADDED) if wanted
                                        else self.lines(20))
                self.client.stdin.flush()
        except BrokenPipeError:
            pass  # finish() says how the client ended

    def check_alive(self):
        if self.client.poll() is not None:
            raise Failure(f"push ended by itself with {self.client.returncode}")

    def finish(self):
        self.stop.set()
        self.thread.join()
        self.client.stdin.close()
        total = sum(self.given.values())
        if self.client.wait(60) != 0:
            raise Failure(f"push ended with {self.client.returncode}")
        said = self.client.stdout.read().split("\n")[-2:-1]
        if said != [f"acknowledged {total}"]:
            raise Failure(f"push said {said}, {total} records were given")

    def end(self):
        self.stop.set()
        if self.client is not None and self.client.poll() is None:
            self.client.kill()


class Verdict:
    """What became of the numbers 1 … count of one key, which came out as `came`: a list of batches,
    each a list of parts, each a list of numbers.

    A batch deals the blocks of a receiver out to its tasks, so that within a batch only each part
    has an order; a later batch holds later numbers.
    """

    def __init__(self, came, count):
        times = collections.Counter(n for batch in came for part in batch for n in part)
        self.missing = [n for n in range(1, count + 1) if n not in times]
        self.doubled = [n for n, seen in times.items() if seen > 1]
        self.unknown = [n for n in times if not 1 <= n <= count]
        self.disordered, seen, last = [], set(), 0
        for batch in came:
            for part in batch:
                fresh = [n for n in part if n not in seen]  # a repeat is no disorder
                seen.update(fresh)
                self.disordered += [n for n in fresh if n < last]
                self.disordered += [b for a, b in zip(fresh, fresh[1:]) if last < b < a]
            last = max([last] + [n for part in batch for n in part])

    def kinds(self):
        return {name: numbers for name, numbers in vars(self).items() if numbers}


def check_that_it_notices():
    """A judge that cannot tell one fault from another proves nothing."""
    for came, kinds in [([[[1], [2, 3]], [[4]]], {}), ([[[2], [1, 3]], [[4]]], {}),
                        ([[[1]], [[3], [4]]], {"missing": [2]}),
                        ([[[1, 2]], [[2, 3, 4]]], {"doubled": [2]}),
                        ([[[1, 2, 3, 4], [2]]], {"doubled": [2]}),
                        ([[[1, 3]], [[2, 4]]], {"disordered": [2]}),
                        ([[[1, 3, 2]], [[4]]], {"disordered": [2]}),
                        ([[[1, 2]], [[3]]], {"missing": [4]}),
                        ([[[1, 2, 3, 4, 5]]], {"unknown": [5]})]:
        if Verdict(came, 4).kinds() != kinds:
            raise Failure(f"{came} is judged {Verdict(came, 4).kinds()} and not {kinds}")


def came_by_key(output):
    """{key: what Verdict takes} of all whole batches."""
    came = collections.defaultdict(list)
    for _, parts in sorted(batches_in_parts(output, "ids").items()):
        by_key = collections.defaultdict(list)
        for part in parts:
            numbers = collections.defaultdict(list)
            for line in part:
                key, number = line.split(" ")
                numbers[key].append(int(number))
            for key, list_of_part in numbers.items():
                by_key[key].append(list_of_part)
        for key, parts_of_key in by_key.items():
            came[key].append(parts_of_key)
    return came


def judge(output, given):
    """Compares what is saved with what was given: every record, and what state saw of them."""
    came, wrong = came_by_key(output), []
    for key, count in given.items():
        kinds = Verdict(came[key], count).kinds()
        if kinds:
            wrong.append(f"{key}: " + ", ".join(f"{len(numbers)} {kind} ({numbers[:5]})"
                                                for kind, numbers in kinds.items()))
    if wrong:
        raise Failure("; ".join(wrong))
    seen, expected = sorted(latest(output, "seen")), sorted(
        f"({key},({count},0,0))" for key, count in given.items())
    if seen != expected:
        raise Failure(f"state has {seen} but {expected} is right")
    return sum(given.values())
