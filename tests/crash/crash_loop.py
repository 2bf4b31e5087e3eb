"""Ends a job's process again and again, and checks after each time what it left.

    crash_loop.py CRASH_JOB LAYER [--kills=N] [--seed=N] [--seconds=N] [--require=N]
                  [--mutant=NAME]

LAYER is faulty_files.cc as a shared library. --mutant: something is done wrong on purpose, and the
loop must find it.

Lives of one checkpoint directory are an episode; at its end the job is drained and must have put
out everything exactly (expected.py). Half of the kills fall at a place inside the program that was
drawn (common/kill_point.h), at a pass that was drawn, the others after a time that was drawn.
Between them files are damaged and set right again, calls fail, power is cut (trials.py).
"""
import argparse
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import trials
from expected import KEYS, Expected, Wrong

KILLS_OF_AN_EPISODE = 40
# How often a place is passed at most before it kills; what is seldom passed kills soon.
SELDOM = {"checkpoints read": 1, "log opened": 1, "state loaded": 8, "sealed logged": 3,
          "manifest begun": 3, "manifest put": 3, "slots forgotten": 2, "object collected": 20}
OFTEN = 40
PATIENCE_S = 1.5   # for a place to be passed
FEED_S = 0.01
TRIALS = 0.25      # of all kills
MUTANTS = {  # what is done wrong, and what the loop must say
    "log_not_synced": {"skip": ".log", "found": "driver log damaged"},
    "record_forgotten": {"loses": True, "found": "10 are missing"},
}


class Episode:
    """One checkpoint directory, its source and its output."""

    def __init__(self, loop, root):
        self.job, self.layer, self.rng, self.root = loop.job, loop.layer, loop.rng, root
        self.patience_s = 5 if loop.mutant else 40  # until a job goes on; a lease is 5 s
        self.loses = loop.mutant.get("loses", False)
        self.output = os.path.join(root, "out")
        self.note = os.path.join(root, "killed")
        self.errors = os.path.join(root, "stderr")
        self.acked = 0  # the last number in a file that is there for the job to take
        for folder in ("out", "in", "aside"):
            os.makedirs(os.path.join(root, folder))
        self.expected = Expected(self.output, os.path.join(root, "expected"))

    def feed(self):
        """The next ten records, in a file that is there whole or not at all."""
        numbers = range(self.acked + 1, self.acked + 11)
        aside = os.path.join(self.root, "aside", "next")
        with open(aside, "w", encoding="ascii") as f:
            f.writelines(f"{n % KEYS} {n // KEYS}\n" for n in numbers)
        if not self.loses or self.acked != 50:
            os.rename(aside, os.path.join(self.root, "in", f"{self.acked // 10:08d}"))
        self.acked += 10

    def wait(self, process, seconds):
        """Feeds the job until it ends or the time is over; its exit code, or None."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.feed()
            try:
                return process.wait(min(left, FEED_S))
            except subprocess.TimeoutExpired:
                pass
        return process.poll()

    def start(self, point=None, times=1, more=None):
        environment = dict(os.environ, **(more or {}))
        if point:
            environment.update(CRASH_POINT=point, CRASH_PASS=str(times), CRASH_NOTE=self.note)
        with open(self.errors, "wb") as errors:
            return subprocess.Popen(
                [self.job, f"--checkpoint=rocksdb:{self.root}/checkpoint",
                 f"--input={self.root}/in", f"--output={self.output}", "--slots=1",
                 "--conf=partitions=2", "--conf=worker_lease=1s",
                 "--conf=checkpoint_interval=60ms"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                env=environment)

    def said(self):
        with open(self.errors, "rb") as f:
            return f.read()

    def after_death(self, final=False):
        self.expected.verify(self.acked, final)

    def unexpected(self, process):
        tail = self.said()[-3000:].decode(errors="replace")
        return Wrong(f"the job ended by itself with {process.returncode}:\n{tail}")

    def kill_at(self, point):
        """True when the place was reached; else it is killed when the time is over."""
        process = self.start(point, self.rng.randint(1, SELDOM.get(point, OFTEN)))
        if self.wait(process, PATIENCE_S) is None:
            trials.end(process)
        if process.returncode != -signal.SIGKILL:
            raise self.unexpected(process)
        hit = os.path.exists(self.note)
        if hit:
            os.remove(self.note)
        self.after_death()
        return hit

    def kill_after(self, seconds):
        process = self.start()
        if self.wait(process, seconds) is None:
            trials.end(process)
        if process.returncode != -signal.SIGKILL:
            raise self.unexpected(process)
        self.after_death()

    def drain(self):
        process = self.start()
        if self.wait(process, 0.2) is not None:
            raise self.unexpected(process)
        if trials.drained(self, process) != 0:
            raise self.unexpected(process)
        self.after_death(final=True)


class Loop:
    def __init__(self, job, layer, rng, mutant=None):
        self.job, self.layer, self.rng = job, layer, rng
        self.mutant = MUTANTS[mutant] if mutant else {}
        self.points = subprocess.run([job, "--points"], check=True, capture_output=True,
                                     text=True).stdout.split("\n")[:-1]
        self.hit = collections.Counter()
        self.tried = collections.Counter()
        self.trials = collections.Counter()
        self.random = self.kills = self.episodes = self.records = self.outputs = 0

    until = float("inf")  # no kill begins later
    slowest = 0.0         # of all kills with what was done around them, in seconds

    def episode(self, root, kills):
        episode = Episode(self, root)
        for _ in range(kills):
            if time.monotonic() > self.until:
                break
            begun = time.monotonic()
            self.kill(episode)
            self.slowest = max(self.slowest, time.monotonic() - begun)
        episode.drain()
        self.episodes += 1
        self.records += episode.acked
        self.outputs += len(episode.expected.seen)

    def kill(self, episode):
        self.kills += 1
        if "skip" in self.mutant:
            trials.power_lost(episode, self.mutant["skip"])
            return
        if not self.mutant and self.rng.random() < TRIALS:
            trial = self.rng.choice(
                (trials.damaged_file, trials.failed_call, trials.power_lost))
            self.trials[trial(episode)] += 1
            return
        if self.rng.random() < 0.5:
            episode.kill_after(self.rng.choice((0.1, 0.3, 0.6)) * self.rng.random())
            self.random += 1
            return
        # What was hit least comes first more often, so that few kills suffice for all.
        least = sorted(self.points,
                       key=lambda p: (self.hit[p], self.tried[p], self.rng.random()))
        point = least[0] if self.rng.random() < 0.5 else self.rng.choice(self.points)
        self.tried[point] += 1
        self.hit[point] += episode.kill_at(point)

    def report(self, seconds):
        print(f"{self.kills} kills in {seconds:.0f} s ({self.random} at random moments), "
              f"{self.episodes} episodes, {self.records} records and {self.outputs} published "
              f"outputs exact; the slowest took {self.slowest:.1f} s")
        for point in self.points:
            print(f"  {point}: {self.hit[point]} of {self.tried[point]}")
        for what in sorted(name for name in self.trials if name):
            print(f"  {what}: {self.trials[what]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("job")
    parser.add_argument("layer")
    parser.add_argument("--mutant", choices=list(MUTANTS))
    parser.add_argument("--kills", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=10**9)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--require", type=int, default=0, help="places that must be hit")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().getrandbits(31)
    print(f"seed {seed}", flush=True)
    base = tempfile.mkdtemp(prefix="crash-", dir=os.environ.get("TEST_TMPDIR"))
    loop = Loop(os.path.abspath(arguments.job), os.path.abspath(arguments.layer),
                random.Random(seed), arguments.mutant)
    begun = time.monotonic()
    loop.until = begun + arguments.seconds
    number = 0
    try:
        while (loop.kills < arguments.kills and
               time.monotonic() - begun < arguments.seconds):
            number += 1
            root = os.path.join(base, str(number))
            os.makedirs(root)
            loop.episode(root, min(KILLS_OF_AN_EPISODE, arguments.kills - loop.kills))
            shutil.rmtree(root)
            if number % 10 == 0:
                loop.report(time.monotonic() - begun)
                sys.stdout.flush()
    except Wrong as wrong:
        loop.report(time.monotonic() - begun)
        print(f"WRONG, seed {seed}, kill {loop.kills}: {wrong}\nwhat it left: {root}")
        return 0 if arguments.mutant and loop.mutant["found"] in str(wrong) else 1
    loop.report(time.monotonic() - begun)
    if arguments.mutant:
        print(f"{arguments.mutant} was not found")
        return 1
    shutil.rmtree(base)
    missed = [point for point in loop.points if loop.hit[point] == 0]
    if len(loop.points) - len(missed) < arguments.require:
        print(f"{arguments.require} places must be hit; never hit: " + ", ".join(missed))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
