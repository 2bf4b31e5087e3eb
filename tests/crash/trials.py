"""What is done to an episode between two kills: files damaged, calls that fail, power cut.
Each raises Wrong when a promise was broken, and returns what happened, for counting."""
import copy
import os
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


def drained(episode, process, seconds=DRAIN_S):
    """Waits until the job has put out all that it was given, drains it, and gives its exit code."""
    until = time.monotonic() + episode.patience_s
    while len(episode.expected.numbers) < episode.acked and time.monotonic() < until:
        if process.poll() is not None:
            return process.returncode
        episode.expected.look(thorough=False)
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise Wrong(f"not drained in {seconds} s:\n"
                    + episode.said()[-3000:].decode(errors="replace")) from None


def end(process):
    process.kill()
    process.wait()


class Copy:
    """The episode is set back at the end to what it was at the beginning."""

    def __init__(self, episode):
        self.episode, self.kept = episode, episode.root + ".kept"
        self.expected, self.acked = episode.expected, episode.acked

    def __enter__(self):
        shutil.copytree(self.episode.root, self.kept)
        self.episode.expected = copy.copy(self.expected)
        for name, value in vars(self.expected).items():
            if isinstance(value, (dict, set)):
                setattr(self.episode.expected, name, copy.deepcopy(value))
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            return False  # what it left is looked at
        shutil.rmtree(self.episode.root)
        os.rename(self.kept, self.episode.root)
        self.episode.expected, self.episode.acked = self.expected, self.acked
        return False


def damaged_file(episode):
    """One file flipped, cut, emptied or gone: refused with exit code 8, or all is as it must be."""
    with Copy(episode):
        done = damage.spoil(os.path.join(episode.root, "checkpoint"), episode.rng)
        if done is None:
            return None
        what, path = done
        try:
            aside = ""
            for _ in range(STARTS):
                process = episode.start()
                code = episode.wait(process, RUN_S)
                if code is None:
                    code = drained(episode, process)
                if code != SET_ASIDE or b"it is set aside, and the next" not in episode.said():
                    break
                aside = ", a checkpoint set aside"
            if code == REFUSED:
                episode.expected.verify(episode.acked)
                return f"damage: {what}: refused{aside}"
            if code != 0:
                raise episode.unexpected(process)
            episode.expected.verify(episode.acked, final=True)
            return f"damage: {what}: nothing lost{aside}"
        except Wrong as wrong:
            raise Wrong(f"{what} of {path}: {wrong}") from None


def failed_call(episode):
    """One call fails with EIO; then the power is cut. Nothing that failed may count as durable."""
    call, most = episode.rng.choice((("read", 60), ("write", 300), ("sync", 200)))
    nth = episode.rng.randint(1, episode.rng.choice((10, most)))
    note, synced = episode.root + "/failed", episode.root + "/synced"
    before = damage.sizes(episode.root)
    process = episode.start(more={
        "LD_PRELOAD": episode.layer, "FAULTY_DIR": episode.root + "/", "FAULTY_CALL": call,
        "FAULTY_NTH": str(nth), "FAULTY_NOTE": note, "FAULTY_SYNCED": synced})
    code = episode.wait(process, 2 * RUN_S)
    went_on = code is None
    if went_on:
        end(process)
    failed = None
    if os.path.exists(note):
        with open(note, encoding="utf-8") as f:
            failed = f.read()
        os.remove(note)
    elif not went_on:
        raise episode.unexpected(process)
    cut_power(episode, before, synced)
    episode.after_death()
    if failed is None:
        return f"power cut, and no {call} failed"
    if not went_on and code <= 0:
        raise Wrong(f"ended with {code} when {call} {nth} ({failed}) failed:\n"
                    + episode.said()[-2000:].decode(errors="replace"))
    return f"EIO: {call}: " + ("went on" if went_on else f"ended with {code}")


def power_lost(episode, skip_sync=None):
    """Killed, and everything that was not synced in this life is cut off."""
    synced = episode.root + "/synced"
    before = damage.sizes(episode.root)
    more = {"LD_PRELOAD": episode.layer, "FAULTY_DIR": episode.root + "/",
            "FAULTY_SYNCED": synced}
    if skip_sync:
        more["FAULTY_SKIP_SYNC"] = skip_sync
    process = episode.start(more=more)
    code = episode.wait(process, 2 * RUN_S * episode.rng.random())
    if code is not None:
        raise episode.unexpected(process)
    end(process)
    cut = cut_power(episode, before, synced)
    episode.after_death()
    return "power cut: " + ("nothing was unsynced" if cut == 0 else "torn tails")


def cut_power(episode, before, synced):
    cut = sum(damage.power_cut(os.path.join(episode.root, folder), before, synced, episode.rng)
              for folder in ("checkpoint", "out"))
    if os.path.exists(synced):
        os.remove(synced)
    return cut
