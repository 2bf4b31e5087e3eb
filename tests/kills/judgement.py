"""What a ledger job put out, and whether that is right."""
import collections
import os
import shutil
import subprocess

from cluster import Failure
from feeder import PRODUCER
from outputs import batches, latest


def outcome(folder):
    """(the multiset of all records, the last totals by page): what no kill may change."""
    ids = collections.Counter(l for lines in batches(folder, "ids").values() for l in lines)
    return ids, sorted(latest(folder, "totals"))


def compare(got, want):
    lost, doubled = want[0] - got[0], got[0] - want[0]
    if lost or doubled:
        raise Failure(f"{sum(lost.values())} records lost ({list(lost)[:3]}), "
                      f"{sum(doubled.values())} too many ({list(doubled)[:3]})")
    if got[1] != want[1]:
        raise Failure(f"totals differ: {got[1][:5]} but {want[1][:5]} expected")


def outcome_of(lines):
    totals = collections.Counter(line.split(" ")[0] for line in lines)
    return (collections.Counter(lines),
            sorted(f"({page},{count})" for page, count in totals.items()))


class Oracle:
    """The reference interpreter over the compositions that the job's log holds."""

    def __init__(self, cluster, program, job, pushed, flags, folder):
        self.words = [program, cluster.path(f"checkpoint-{job}"), cluster.path("oracle"),
                      f"{PRODUCER}={pushed}", "--", *flags]
        self.folder = folder

    def judge(self):
        """(whether every byte is right, what it says)"""
        done = subprocess.run(self.words, text=True, capture_output=True, timeout=120)
        return done.returncode == 0, (done.stdout + done.stderr).strip()

    def check(self):
        right, said = self.judge()
        if not right:
            raise Failure(f"the outputs are not what the interpreter gives:\n{said}")
        return said

    def check_that_it_notices(self):
        """An oracle that cannot say no proves nothing: spoils the outputs, and sets them right."""
        times = sorted(batches(self.folder, "chain"))
        batch = os.path.join(self.folder, f"chain-{times[len(times) // 2]}")
        aside = batch + ".aside"

        def flip():
            parts = sorted(os.path.join(batch, name) for name in os.listdir(batch))
            part = max(parts, key=os.path.getsize)
            with open(part, "r+b") as file:
                last = os.path.getsize(part) - 2
                file.seek(last)
                digit = file.read(1)
                file.seek(last)
                file.write(bytes([digit[0] ^ 1]))
        for what, spoil, mend in [
                ("a changed byte", flip, flip),
                ("a missing batch", lambda: os.rename(batch, self.folder + "-aside"),
                 lambda: os.rename(self.folder + "-aside", batch)),
                ("a batch too many", lambda: shutil.copytree(batch, aside),
                 lambda: shutil.rmtree(aside))]:
            spoil()
            if self.judge()[0]:
                raise Failure(f"the oracle does not notice {what}")
            mend()
        self.check()
