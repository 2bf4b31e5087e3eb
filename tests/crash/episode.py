"""One checkpoint directory, its source and its output, over all lives of its job."""
import os
import signal
import subprocess
import time

import trials
from expected import KEYS, Expected, Wrong

# How often a place is passed at most before it kills; what is seldom passed kills soon.
SELDOM = {"checkpoints read": 1, "log opened": 1, "state loaded": 3, "sealed logged": 3,
          "manifest begun": 3, "manifest put": 3, "slots forgotten": 2, "object collected": 10,
          "received restored": 3, "received collected": 10}
OFTEN = 20
PATIENCE_S = 1.5      # for a place to be passed
FEED_S = 0.02
LONG_AWAY_S = 660  # slots of the log are kept for ten minutes


class Episode:
    """`lane` has the programs and what is drawn; `root` is on `disk`, None: on that of all. With
    `received` a receiver takes the records, and its blocks are in the received-data log."""

    def __init__(self, lane, root, disk, received):
        self.job, self.layer, self.rng, self.mutant = lane.job, lane.layer, lane.rng, lane.mutant
        self.root, self.disk, self.received = root, disk, received
        self.aside = lane.base + "/beside-" + os.path.basename(root)  # never on a full disk
        self.patience_s = 5 if lane.mutant else 40  # until a job goes on; a lease is 5 s
        self.loses = lane.mutant.get("loses", False)
        self.output = os.path.join(root, "out")
        self.acked = 0     # the last number in a file that is there for the job to take
        self.ahead_s = 0   # of the job's clock
        for folder in ("out", "in"):
            os.makedirs(os.path.join(root, folder))
        os.makedirs(self.aside)
        self.expected = Expected(self.output, self.beside("expected"))

    def beside(self, name):
        return os.path.join(self.aside, name)

    def feed(self):
        """The next ten records, in a file that is there whole or not at all. Not on a full disk."""
        numbers = range(self.acked + 1, self.acked + 11)
        name = f"{self.acked // 10:08d}"
        hidden = os.path.join(self.root, "in", "." + name)
        try:
            with open(hidden, "w", encoding="ascii") as f:
                f.writelines(f"{n % KEYS} {n // KEYS}\n" for n in numbers)
            if not self.loses or self.acked != 50:
                os.rename(hidden, os.path.join(self.root, "in", name))
        except OSError:
            return
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
        environment = dict(os.environ, LD_PRELOAD=self.layer, FAULTY_DIR=self.root + "/",
                           FAULTY_CLOCK_S=str(self.ahead_s), **(more or {}),
                           **self.mutant.get("environment", {}))
        if point:
            environment.update(CRASH_POINT=point, CRASH_PASS=str(times),
                               CRASH_NOTE=self.beside("killed"))
        words = [self.job, f"--checkpoint=rocksdb:{self.root}/checkpoint",
                 f"--input={self.root}/in", f"--output={self.output}", "--slots=1",
                 "--conf=partitions=2", "--conf=worker_lease=1s", "--conf=checkpoint_interval=60ms"]
        if self.received:
            words += ["--received", "--conf=received_log=on"]
        with open(self.beside("stderr"), "wb") as errors:
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=errors, env=environment)

    def said(self):
        with open(self.beside("stderr"), "rb") as f:
            return f.read()

    def tail(self):
        return self.said()[-3000:].decode(errors="replace")

    def after_death(self, final=False):
        self.expected.verify(self.acked, final)

    def unexpected(self, process):
        return Wrong(f"the job ended by itself with {process.returncode}:\n{self.tail()}")

    def forget_note(self):
        """Whether a place was reached since the last call."""
        try:
            os.remove(self.beside("killed"))
            return True
        except FileNotFoundError:
            return False

    def kill_at(self, point):
        """True when the place was reached; else it is killed when the time is over."""
        if point == "slots forgotten":
            self.ahead_s += LONG_AWAY_S
        process = self.start(point, self.rng.randint(1, SELDOM.get(point, OFTEN)))
        if self.wait(process, PATIENCE_S) is None:
            trials.end(process)
        if process.returncode != -signal.SIGKILL:
            raise self.unexpected(process)
        self.after_death()
        return self.forget_note()

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
