"""What a job that is killed again and again must show: kept by the parent, across all of its lives.

Record n is "KEY ID" with n = 7 * ID + KEY, numbered from 1; a file has the next ten. A record that
came twice and one out of order within its file are seen at once, a gap when the job was drained:
until then what is missing may not be published yet.
"""
import copy
import os
import re
import zlib

KEYS = 7
WINDOW_MS = 100
OUTPUTS = ("ids", "totals", "recent")
RECORD = re.compile(r"(\d+) (\d+)")
TOTAL = re.compile(r"\((\d+),\((\d+),(\d+)\)\)")
RECENT = re.compile(r"\((\d+),(-?\d+)\)")


class Wrong(Exception):
    """The job broke a promise."""


def rows_of(folder, pattern):
    """The rows of each part, in the order of the parts; every line must have the form."""
    parts = []
    for name in sorted(os.listdir(folder)):
        if not name.startswith("part-"):
            continue
        with open(os.path.join(folder, name), encoding="ascii") as f:
            lines = f.read().splitlines()
        matches = [pattern.fullmatch(line) for line in lines]
        if None in matches:
            raise Wrong(f"{folder}/{name} has the line {lines[matches.index(None)]!r}")
        parts.append([tuple(int(group) for group in match.groups()) for match in matches])
    return parts


def identity(folder):
    """Of the folder alone."""
    return os.stat(folder).st_mtime_ns


def signature(folder):
    """Of all files: name, size, time of change, and bytes."""
    found = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        info = os.stat(path)
        with open(path, "rb") as f:
            found.append((name, info.st_size, info.st_mtime_ns, zlib.crc32(f.read())))
    return found


class Expected:
    """The expected-state of one checkpoint directory. `path` has it in words, for people."""

    def __init__(self, output, path):
        self.output = output
        self.file = open(path, "a", encoding="ascii", buffering=1)
        self.acked = 0
        self.seen = {}        # (output, batch): its folder and its files, when it was seen first
        self.batches = {}     # batch: its numbers
        self.numbers = set()  # of all batches

    def verify(self, acked, final=False):
        """Raises Wrong. `acked`: the last number that was handed over. `final`: the job was
        drained, so that all must be there."""
        if acked > self.acked:
            self.file.write(f"acknowledged {acked}\n")
        self.acked = acked
        self.look(thorough=final)
        if final:
            self.check_whole()

    def copy(self):
        """Goes on from here for itself; writes to the same file."""
        other = copy.copy(self)
        other.seen, other.batches = dict(self.seen), dict(self.batches)
        other.numbers = set(self.numbers)
        return other

    def look(self, thorough):
        """Of what was seen before only the folder itself is looked at, unless thorough: it changes
        when anything in it comes, goes or is replaced."""
        there = set()
        for kind in OUTPUTS:
            parent = os.path.dirname(f"{self.output}/{kind}")
            base = os.path.basename(f"{self.output}/{kind}") + "-"
            if not os.path.isdir(parent):
                continue
            for name in os.listdir(parent):
                if name.startswith(base):
                    there.add((kind, int(name[len(base):])))
        for which in self.seen.keys() - there:
            raise Wrong(f"published output vanished: {which}")
        for which in sorted(there):
            folder = self.folder(*which)
            if which not in self.seen:
                if "_SUCCESS" not in os.listdir(folder):
                    raise Wrong(f"{folder} has no _SUCCESS")
                self.seen[which] = (identity(folder), signature(folder))
                self.file.write(f"published {which[0]} {which[1]}\n")
                if which[0] == "ids":
                    self.take(which[1])
            elif (identity(folder) != self.seen[which][0] or
                  thorough and signature(folder) != self.seen[which][1]):
                raise Wrong(f"published output changed: {folder}")

    def folder(self, kind, batch):
        return f"{self.output}/{kind}-{batch}"

    def take(self, batch):
        parts = rows_of(self.folder("ids", batch), RECORD)
        numbers = [KEYS * i + key for part in parts for key, i in part]
        for part in parts:
            self.check_order(batch, part)
        again = self.numbers.intersection(numbers)
        if again or len(set(numbers)) < len(numbers):
            raise Wrong(f"batch {batch} has records a second time: {sorted(again)[:5]}")
        self.numbers.update(numbers)
        self.batches[batch] = numbers

    def check_order(self, batch, part):
        last = {}
        for key, i in part:
            if last.get(key, -1) >= i:
                raise Wrong(f"batch {batch}: key {key} has {i} behind {last[key]}")
            last[key] = i

    def check_whole(self):
        """All that was acknowledged is there once; state and window are as the model has them."""
        want = set(range(1, self.acked + 1))
        if self.numbers != want:
            raise Wrong(f"of {self.acked} acknowledged records {len(want - self.numbers)} are "
                        f"missing: {sorted(want - self.numbers)[:5]}; nobody sent "
                        f"{sorted(self.numbers - want)[:5]}")
        there = {kind: {b for k, b in self.seen if k == kind} for kind in OUTPUTS}
        for kind in OUTPUTS:
            if there[kind] != there["ids"]:
                odd = sorted(there[kind] ^ there["ids"])
                raise Wrong(f"ids and {kind} are not of the same batches: {odd[:5]}")
        totals, counts = {}, {}
        for batch in sorted(self.batches):
            counts[batch] = {}
            for n in self.batches[batch]:
                key, i = n % KEYS, n // KEYS
                records, total = totals.get(key, (0, 0))
                totals[key] = (records + 1, total + i)
                counts[batch][key] = counts[batch].get(key, 0) + 1
            self.compare("totals", batch, totals)
            recent = {}
            for other in [b for b in counts if b > batch - WINDOW_MS]:
                for key, count in counts[other].items():
                    recent[key] = recent.get(key, 0) + count
            self.compare("recent", batch, recent)

    def compare(self, kind, batch, want):
        pattern = TOTAL if kind == "totals" else RECENT
        rows = [row for part in rows_of(self.folder(kind, batch), pattern) for row in part]
        if kind == "totals":
            got = {key: (records, total) for key, records, total in rows}
        else:
            got = {key: records for key, records in rows if records}
        if len(rows) != len({row[0] for row in rows}):
            raise Wrong(f"{kind} of batch {batch} has a key twice: {rows}")
        if got != want:
            raise Wrong(f"{kind} of batch {batch} is {got} where the model has {want}")
