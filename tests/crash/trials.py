"""What is done to an episode between two kills, beside a kill: files damaged, calls that fail,
power cut, a full disk. Each raises Wrong when a promise was broken, and returns what happened, for
counting."""
import os
import resource
import shutil
import signal
import subprocess
import time

import damage
from expected import Wrong

REFUSED = 8
SET_ASIDE = 1  # and it says so: a cluster would start it again
STARTS = 5
RUN_S = 0.3
DRAIN_S = 60.0
LOOK_S = 0.02


def drained(episode, process, seconds=DRAIN_S):
    """Waits until the job has put out all that it was given, drains it, and gives its exit code."""
    until = time.monotonic() + episode.patience_s
    while len(episode.expected.numbers) < episode.acked and time.monotonic() < until:
        try:
            return process.wait(LOOK_S)
        except subprocess.TimeoutExpired:
            episode.expected.look(thorough=False)
        if b"received blocks are lost, first" in episode.said():
            end(process)
            return "a block named as lost"
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        end(process)
        raise Wrong(f"not drained in {seconds} s:\n{episode.tail()}") from None


def end(process):
    process.kill()
    process.wait()


class Copy:
    """The episode is set back at the end to what it was at the beginning."""

    def __init__(self, episode):
        self.episode, self.kept = episode, episode.root + ".kept"
        self.expected, self.acked = episode.expected, episode.acked

    def __enter__(self):
        root = self.episode.root
        for name in os.listdir(root):  # what is published or was sent is never written to
            link = {"copy_function": os.link} if name in ("out", "in") else {}
            shutil.copytree(f"{root}/{name}", f"{self.kept}/{name}", **link)
        self.episode.expected = self.expected.copy()
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            return False  # what it left is looked at
        shutil.rmtree(self.episode.root)
        os.rename(self.kept, self.episode.root)
        self.episode.expected, self.episode.acked = self.expected, self.acked
        return False


def damaged_file(episode):
    """One file flipped, cut, emptied or gone: refused with exit code 8, a block named as lost, or
    all is as it must be."""
    with Copy(episode):
        done = damage.spoil(os.path.join(episode.root, "checkpoint"), episode.rng)
        if done is None:
            return None
        what, path = done
        try:
            return f"damage: {what}: " + after_damage(episode)
        except Wrong as wrong:
            raise Wrong(f"{what} of {path}: {wrong}") from None


def after_damage(episode):
    aside = ""
    for _ in range(STARTS):
        process = episode.start()
        code = episode.wait(process, RUN_S)
        if code is None:
            code = drained(episode, process)
        if code != SET_ASIDE or b"it is set aside, and the next" not in episode.said():
            break
        aside = ", a checkpoint set aside"
    if code in (REFUSED, "a block named as lost"):
        episode.expected.verify(episode.acked)
        return ("refused" if code == REFUSED else code) + aside
    if code != 0:
        raise episode.unexpected(process)
    episode.expected.verify(episode.acked, final=True)
    return f"nothing lost{aside}"


# A write or sync of one of these that failed ends the job: what the disk holds is unknown.
ENDS_JOB = (".log", "log.witness")


def failed_call(episode):
    """One call fails with EIO; then the power is cut. Nothing that failed may count as durable."""
    call, most = episode.rng.choice((("read", 60), ("write", 300), ("sync", 200)))
    nth = episode.rng.randint(1, episode.rng.choice((10, most)))
    note = episode.beside("failed")
    power = Power(episode)
    process = episode.start(more={"FAULTY_CALL": call, "FAULTY_NTH": str(nth),
                                  "FAULTY_NOTE": note, **power.watched})
    code = episode.wait(process, 2 * RUN_S)
    failed = None
    if os.path.exists(note):
        with open(note, encoding="utf-8") as f:
            failed = f.read()
        os.remove(note)
    fatal = failed is not None and call != "read" and failed.endswith(ENDS_JOB)
    if fatal and code is None:
        code = episode.wait(process, episode.patience_s)
    went_on = code is None
    if went_on:
        end(process)
    power.cut()
    episode.after_death()
    if failed is None:
        if not went_on:
            raise episode.unexpected(process)
        return f"power cut, and no {call} failed"
    what = f"{call} {nth} ({failed}) failed"
    if fatal and went_on:
        raise Wrong(f"went on when {what}:\n{episode.tail()}")
    if not went_on and code <= 0:
        raise Wrong(f"ended with {code} when {what}:\n{episode.tail()}")
    if fatal and (code != 1 or b"written no further" not in episode.said()):
        raise Wrong(f"ended with {code} and not as it should when {what}:\n{episode.tail()}")
    return f"EIO: {call}: " + ("went on" if went_on else f"ended with {code}")


def power_lost(episode, skip_sync=None):
    """Killed, and what was not synced in this life is gone: tails of files, and names."""
    power = Power(episode)
    if skip_sync:
        power.watched["FAULTY_SKIP_SYNC"] = skip_sync
    process = episode.start(more=power.watched)
    code = episode.wait(process, 2 * RUN_S * episode.rng.random())
    if code is not None:
        raise episode.unexpected(process)
    end(process)
    names, tails = power.cut()
    episode.after_death()
    what = [word for word, count in (("names lost", names), ("torn tails", tails)) if count]
    return "power cut: " + (", ".join(what) or "nothing was unsynced")


class Power:
    """Of one life, which is started with `watched` in its environment and has ended when it is
    cut."""

    def __init__(self, episode):
        self.episode = episode
        self.before = damage.sizes(episode.root)
        self.synced = episode.beside("synced")
        self.entries = episode.root + ".entries"  # on the same disk, for names that are kept
        os.mkdir(self.entries)
        self.watched = {"FAULTY_SYNCED": self.synced, "FAULTY_ENTRIES": self.entries}

    def cut(self):
        """How many changes of names, and how many tails, were lost."""
        rng = self.episode.rng
        roots = tuple(os.path.join(self.episode.root, name) for name in ("checkpoint", "out"))
        names = damage.forget_entries(self.entries, roots, rng)
        tails = sum(damage.power_cut(root, self.before, self.synced, rng) for root in roots)
        shutil.rmtree(self.entries)
        if os.path.exists(self.synced):
            os.remove(self.synced)
        return names, tails


def full_disk(episode):
    """Nothing can be written for a while: killed then, or it goes on by itself when there is room.
    One that is started on a full disk may say so and end, but never call anything damaged."""
    begun_full = episode.rng.random() < 0.25
    if begun_full:
        episode.disk.fill()
    try:
        process = episode.start()
        if not begun_full:
            put_out(episode, process, len(episode.expected.numbers) + 1)
            episode.disk.fill()
        code = episode.wait(process, RUN_S * episode.rng.random())
        killed = code is None and episode.rng.random() < 0.5
        if killed:
            end(process)
    finally:
        episode.disk.free()
    if not killed:
        put_out(episode, process, episode.acked, may_end=NO_ROOM if begun_full else None)
    ended = process.poll() is not None
    if process.poll() == REFUSED:
        raise episode.unexpected(process)
    if not ended:
        end(process)
    episode.after_death()
    return "full disk: " + ("killed" if killed else
                            f"a start ended with {process.returncode}" if ended else "went on")


NO_ROOM = b"No space left on device"
NO_DESCRIPTORS = b"Too many open files"


def put_out(episode, process, records, may_end=None):
    """Feeds the job until it has put out so many of the records of all its lives, or has ended and
    named the cause that it may end for."""
    until = time.monotonic() + episode.patience_s
    while len(episode.expected.numbers) < records:
        code = episode.wait(process, LOOK_S)
        if may_end and code in (1, 4) and may_end in episode.said():
            return
        if code is not None:
            raise episode.unexpected(process)
        episode.expected.look(thorough=False)
        if time.monotonic() > until:
            raise Wrong(f"{len(episode.expected.numbers)} of {records} records are out after "
                        f"{episode.patience_s} s:\n{episode.tail()}")


HOUR_S = 3600


def clock_jumps(episode):
    """The clock of the wall, by an hour or a day, while the job runs and for its later lives."""
    jump = episode.rng.choice((-24, -1, 1, 24)) * HOUR_S
    process = episode.start(more={"FAULTY_JUMP_S": str(jump),
                                  "FAULTY_JUMP_AFTER": str(episode.rng.randint(0, 500))})
    put_out(episode, process, episode.acked + 200)
    end(process)
    episode.ahead_s += jump
    episode.after_death()
    return f"clock: {jump // HOUR_S:+d} h"


def no_descriptors(episode):
    """None can be opened for a while. The job goes on by itself, or ends and says why."""
    process = episode.start()
    put_out(episode, process, len(episode.expected.numbers) + 1)
    limit = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (episode.rng.choice((0, 20)), limit[1]))
    code = episode.wait(process, RUN_S)
    if code is None:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limit)
        put_out(episode, process, episode.acked, may_end=NO_DESCRIPTORS)
        code = process.poll()
    if code is None:
        end(process)
    elif code in (0, REFUSED) or code < 0 or NO_DESCRIPTORS not in episode.said():
        raise episode.unexpected(process)
    episode.after_death()
    return "no descriptors: " + ("went on" if code is None else f"ended with {code}")


BURST = 20
RECOVERY = ("checkpoints read", "log opened", "append begun", "append synced", "state loaded",
            "received restored")


def burst(episode):
    """Twenty ends in a row while the job recovers, at a place or a few milliseconds on."""
    for _ in range(BURST):
        point = episode.rng.choice(RECOVERY)
        if point.startswith("received") and not episode.received:
            point = RECOVERY[0]
        process = episode.start(point, episode.rng.randint(1, 2))
        if episode.wait(process, RUN_S) is None:
            end(process)
        if process.returncode != -signal.SIGKILL:
            raise episode.unexpected(process)
    episode.forget_note()
    episode.after_death()
    return f"{BURST} kills in a row while it recovers"
