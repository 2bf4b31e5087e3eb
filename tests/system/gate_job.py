"""Runs of tests/jobs/gate.cc: a job whose tasks can be held back, and what it must have counted."""
import fcntl
import os
import threading

from cluster import Failure, Process, wait_until
from outputs import latest


def gate_lines(first, count, width=0):
    """Records with the numbers from `first` on, `width` bytes long or as long as they need."""
    return [f"{number} line".ljust(width, ".") for number in range(first, first + count)]


def gate_sums(lines):
    """What tests/jobs/gate.cc writes when it has seen these lines."""
    sums = {}
    for line in lines:
        number = int(line.split(" ")[0])
        records, ids, size = sums.get(number % 8, (0, 0, 0))
        sums[number % 8] = (records + 1, ids + number, size + len(line))
    return sorted(f"({key},({records},{ids},{size}))"
                  for key, (records, ids, size) in sums.items())


class GateJob:
    """Folders and gate of one run; the gate is shut while we hold its lock."""

    def __init__(self, cluster, name, shut=False):
        self.cluster = cluster
        self.name = name
        self.inputs, self.output = cluster.path(name, "in"), cluster.path(name, "out")
        os.makedirs(self.inputs)
        os.makedirs(self.output)
        self.gate = open(cluster.path(name, "gate"), "w")
        if shut:
            self.shut()

    def shut(self):
        fcntl.flock(self.gate, fcntl.LOCK_EX)

    def open(self):
        fcntl.flock(self.gate, fcntl.LOCK_UN)

    def flags(self, source=None):
        return [source or f"--dir={self.inputs}", f"--output={self.output}",
                f"--gate={self.gate.name}"]

    def submit(self, binary, source=None, conf=(), checkpoint=True, args=()):
        self.cluster.submit(binary, self.name, [*self.flags(source), *args], checkpoint, conf)

    def await_sums(self, lines, seconds=60):
        expected = gate_sums(lines)
        wait_until(lambda: sorted(latest(self.output, "sums")) == expected,
                   f"the sums of {len(lines)} lines", seconds)

    def expect_sums(self, lines):
        counted, expected = sorted(latest(self.output, "sums")), gate_sums(lines)
        if counted != expected:
            raise Failure(f"the sums differ: {counted} but {expected} expected")

    def held(self):
        """A batch has been planned and waits for the gate."""
        wait_until(lambda: (self.cluster.job(self.name) or {}).get("waiting_batches", 0) > 0,
                   "a batch to wait for the gate")


class Paced:
    """A push client that is given thirty lines every tenth of a second, until it is ended. `lines`
    are all that were given, numbered from `first` on."""

    def __init__(self, cluster, job, producer="p", first=0):
        self.over = threading.Event()
        self.first, self.lines = first, []
        reading, writing = os.pipe()
        self.process = Process(f"push-{job}-{producer}", [
            cluster.sluice, "push", f"--driver={cluster.address}", f"--job={job}",
            "--stream=lines", f"--producer={producer}", "--batch=10"], cluster.folder,
            stdin=reading)
        os.close(reading)
        cluster.workers[self.process.name] = self.process  # ended with the others
        self.out = os.fdopen(writing, "w")
        self.thread = threading.Thread(target=self.feed, daemon=True)
        self.thread.start()

    def feed(self):
        while not self.over.wait(0.1):
            more = gate_lines(self.first + len(self.lines), 30)
            self.lines += more
            self.out.writelines(line + "\n" for line in more)
            self.out.flush()

    def end(self):
        """Returns when all that was given is acknowledged."""
        self.over.set()
        self.thread.join()
        self.out.close()
        if self.process.wait() != 0:
            raise Failure(f"push ended with {self.process.popen.returncode}: "
                          f"{self.process.tail()}")
