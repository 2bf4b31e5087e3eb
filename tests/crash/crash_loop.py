"""Ends a job's process again and again, and checks after each time what it left.

    crash_loop.py CRASH_JOB LAYER [--kills=N] [--seed=N] [--seconds=N] [--require=N]
                  [--lanes=N] [--mutant=NAME]

LAYER is faulty_files.cc as a shared library. --lanes: so many loops side by side, which share what
is counted; most of a life is waiting. --mutant: something is done wrong on purpose, and it must be
found.

Lives of one checkpoint directory are an episode (episode.py); at its end the job is drained and
must have put out everything exactly (expected.py). Half of the kills fall at a place inside the
program that was drawn (common/kill_point.h), at a pass that was drawn, the others after a time that
was drawn. Between them files are damaged and set right again, calls fail, power is cut, the disk is
full (trials.py). Half of the episodes are on the disk of the temporary folder, half on one in
memory, which can be full, where this user may mount one.
"""
import argparse
import collections
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import trials
from disk import small_disk
from episode import Episode
from expected import Wrong

KILLS_OF_AN_EPISODE = 20
REPORT_S = 60
SMALL_DISK_MB = 256
TRIALS = 0.25      # of all kills
OFTEN_TRIALS = (trials.damaged_file, trials.failed_call, trials.power_lost, trials.full_disk)
SELDOM_TRIALS = (trials.burst, trials.clock_jumps, trials.no_descriptors)
SELDOM = 0.08      # of the trials
MUTANTS = {  # what is done wrong, and what the loop must say
    "log_not_synced": {"skip": ".log", "found": "driver log damaged"},
    "record_forgotten": {"loses": True, "received": False, "found": "10 are missing"},
    "acknowledged_early": {"environment": {"CRASH_MUTANT": "1"}, "received": True,
                           "found": "were acknowledged and are not logged"},
}


class Tally:
    """Of all lanes."""

    def __init__(self, points):
        self.points = points
        self.lock = threading.Lock()
        self.hit = collections.Counter()
        self.tried = collections.Counter()
        self.trials = collections.Counter()
        self.kills = self.random = self.episodes = self.records = self.outputs = 0
        self.slowest = (0.0, "")  # of all kills with what was done around them: seconds, what

    def missed(self):
        return [point for point in self.points if self.hit[point] == 0]

    def report(self, seconds):
        print(f"{self.kills} kills in {seconds:.0f} s ({self.random} at random moments), "
              f"{self.episodes} episodes, {self.records} records and {self.outputs} published "
              f"outputs exact; the slowest took {self.slowest[0]:.1f} s: {self.slowest[1]}")
        for point in self.points:
            print(f"  {point}: {self.hit[point]} of {self.tried[point]}")
        for what in sorted(name for name in self.trials if name):
            print(f"  {what}: {self.trials[what]}")
        sys.stdout.flush()


class Lane:
    """Episode after episode, on disks of its own."""

    def __init__(self, programs, base, seed, mutant, tally):
        self.job, self.layer = programs
        self.base, self.rng, self.mutant, self.tally = base, random.Random(seed), mutant, tally
        os.makedirs(base)
        self.disk = small_disk(base, SMALL_DISK_MB)
        self.kinds = []   # of the next episodes: on the small disk?, received?
        self.episodes = 0
        self.root = None
        self.wrong = None

    def run(self, more):
        """Until more() says no."""
        try:
            while more():
                self.episode(more)
        except Wrong as wrong:
            self.wrong = str(wrong)
        except Exception as error:  # a fault of the loop: nothing is shown by this run
            self.wrong = f"the loop failed: {error!r}"
            raise

    def episode(self, more):
        if not self.kinds:  # each kind once, in an order that is drawn
            both = (False, True)
            self.kinds = [(small, received) for small in both for received in both]
            self.rng.shuffle(self.kinds)
        small, received = self.kinds.pop()
        disk = self.disk if small else None
        self.root = f"{disk.folder if disk else self.base}/{self.episodes}"
        episode = Episode(self, self.root, disk, self.mutant.get("received", received))
        for _ in range(KILLS_OF_AN_EPISODE):
            if not more():
                break
            begun = time.monotonic()
            what = self.kill(episode)
            self.took(time.monotonic() - begun, what)
        begun = time.monotonic()
        episode.drain()
        self.took(time.monotonic() - begun, "drained")
        self.episodes += 1
        with self.tally.lock:
            self.tally.episodes += 1
            self.tally.records += episode.acked
            self.tally.outputs += len(episode.expected.seen)
        shutil.rmtree(self.root)
        shutil.rmtree(episode.aside)

    def took(self, seconds, what):
        with self.tally.lock:
            self.tally.slowest = max(self.tally.slowest, (seconds, str(what)))

    def kill(self, episode):
        """What it was."""
        with self.tally.lock:
            self.tally.kills += 1
        if "skip" in self.mutant:
            return trials.power_lost(episode, self.mutant["skip"])
        if not self.mutant and self.rng.random() < TRIALS:
            return self.try_one(episode)
        if self.rng.random() < 0.5:
            episode.kill_after(self.rng.choice((0.1, 0.3, 0.6)) * self.rng.random())
            with self.tally.lock:
                self.tally.random += 1
            return "a random moment"
        point = self.draw_point(episode)
        hit = episode.kill_at(point)
        with self.tally.lock:
            self.tally.hit[point] += hit
        return point

    def draw_point(self, episode):
        """What was hit least comes first more often, so that few kills suffice for all."""
        tally = self.tally
        with tally.lock:
            points = [p for p in tally.points if episode.received or not p.startswith("received")]
            least = sorted(points, key=lambda p: (tally.hit[p], tally.tried[p], self.rng.random()))
            point = least[0] if self.rng.random() < 0.5 else self.rng.choice(points)
            tally.tried[point] += 1
        return point

    def try_one(self, episode):
        possible = SELDOM_TRIALS
        if self.rng.random() >= SELDOM:
            possible = [t for t in OFTEN_TRIALS if episode.disk or t is not trials.full_disk]
        trial = self.rng.choice(possible)
        what = trial(episode)
        with self.tally.lock:
            self.tally.trials[what] += 1
            self.tally.kills += trials.BURST - 1 if trial is trials.burst else 0
        return what

    def left(self):
        """Where what is looked at then was put: its disk in memory goes."""
        if not self.disk or not self.root.startswith(self.disk.folder):
            return self.root
        shutil.copytree(self.root, f"{self.base}/left")
        return f"{self.base}/left"


def run(lanes, tally, arguments, seed):
    """What was found to be wrong, or None."""
    begun = time.monotonic()
    until = begun + arguments.seconds

    def more():
        wrong = any(lane.wrong for lane in lanes)
        return not wrong and tally.kills < arguments.kills and time.monotonic() < until

    threads = [threading.Thread(target=lane.run, args=(more,)) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(REPORT_S)
            if thread.is_alive():
                tally.report(time.monotonic() - begun)
    for lane in lanes:
        if lane.wrong:
            print(f"WRONG, seed {seed}, kill {tally.kills}: {lane.wrong}\n"
                  f"what it left: {lane.left()}")
    tally.report(time.monotonic() - begun)
    return next((lane.wrong for lane in lanes if lane.wrong), None)


def good(found, tally, arguments):
    if arguments.mutant:
        print(f"{arguments.mutant} was " + ("found" if found else "not found"))
        return found is not None and MUTANTS[arguments.mutant]["found"] in found
    missed = tally.missed()
    if found is None and len(tally.points) - len(missed) < arguments.require:
        print(f"{arguments.require} places must be hit; never hit: " + ", ".join(missed))
        return False
    return found is None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("job")
    parser.add_argument("layer")
    parser.add_argument("--mutant", choices=list(MUTANTS))
    parser.add_argument("--kills", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=10**9)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--require", type=int, default=0, help="places that must be hit")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().getrandbits(31)
    print(f"seed {seed}", flush=True)
    base = tempfile.mkdtemp(prefix="crash-", dir=os.environ.get("TEST_TMPDIR"))
    programs = os.path.abspath(arguments.job), os.path.abspath(arguments.layer)
    tally = Tally(subprocess.run([arguments.job, "--points"], check=True, capture_output=True,
                                 text=True).stdout.split("\n")[:-1])
    mutant = MUTANTS.get(arguments.mutant, {})
    lanes = [Lane(programs, f"{base}/{i}", f"{seed} {i}", mutant, tally)
             for i in range(arguments.lanes)]
    if lanes[0].disk is None:
        print("no disk may be mounted here: none is full")
    try:
        passed = good(run(lanes, tally, arguments, seed), tally, arguments)
    finally:
        for lane in lanes:
            if lane.disk:
                lane.disk.close()
    if passed:
        shutil.rmtree(base)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
