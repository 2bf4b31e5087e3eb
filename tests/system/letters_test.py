"""Bad records set aside, with real processes: records that throw, end their executor or spin among
thousands of good ones; listed by command and run again once, whatever is killed.

usage: letters_test.py SLUICE BAD_LINES
"""
import collections
import glob
import json
import os
import re
import signal
import sys
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402

KEYS = [f"key{i}" for i in range(20)]


def check(true, what):
    if not true:
        raise Failure(what)


class Job:
    def __init__(self, cluster, program, name, *conf):
        self.cluster = cluster
        self.name = name
        self.inputs = cluster.path(name + "-in")
        self.out = cluster.path(name + "-out")
        self.bad = cluster.path(name + "-bad")
        os.makedirs(self.inputs)
        open(self.bad, "w").close()
        self.expected = collections.Counter()
        cluster.submit(program, name, [f"--dir={self.inputs}", f"--output={self.out}",
                                       f"--bad={self.bad}"],
                       conf=("bad_records=aside", "task_max_failures=2",
                             "checkpoint_interval=300ms", *conf))

    def drop(self, name, lines, good):
        """A whole file at once."""
        aside = os.path.join(self.inputs, "." + name)
        with open(aside, "w") as f:
            f.write("".join(line + "\n" for line in lines))
        os.rename(aside, os.path.join(self.inputs, name))
        self.expected.update(good)

    def drop_among(self, name, count, bad):
        """So many good lines, and bad ones at the places that `bad` names."""
        lines, good = [], []
        for i in range(count):
            key = bad.get(i, KEYS[i % len(KEYS)])
            lines.append(f"{key} {i}")
            if i not in bad:
                good.append(key)
        self.drop(name, lines, good)

    def totals(self):
        newest = max(glob.glob(self.out + "/totals-*"), default=None)
        found = {}
        for part in glob.glob(f"{newest}/part-*") if newest else []:
            with open(part) as f:
                for line in f:
                    key, count = re.fullmatch(r"\((.*),(\d+)\)", line.strip()).groups()
                    found[key] = int(count)
        return found

    def await_totals(self, seconds=60):
        wait_until(lambda: self.totals() == dict(self.expected),
                   f"the totals of {self.name}: want {dict(self.expected)}, have {self.totals()}, "
                   f"status {self.status()}", seconds)

    def status(self):
        return self.cluster.job(self.name) or {}

    def letters(self, *words):
        _, out, _ = self.cluster.run("job", "letters", self.name, "-o", "json", *words)
        return [json.loads(line) for line in out.splitlines()]

    def await_letters(self, count):
        wait_until(lambda: len(self.letters()) == count,
                   f"{count} letters of {self.name}: {self.letters()}")
        return self.letters()


def raw(letter):
    return bytes.fromhex(letter["raw_hex"]).decode()


def a_crash_among_ten_thousand(cluster, program):
    job = Job(cluster, program, "crash")
    job.drop_among("a", 10_000, {7_777: "crash"})
    job.await_totals()
    letter, = job.await_letters(1)
    check(raw(letter) == "crash 7777", f"another record was set aside: {letter}")
    check("signal 11" in letter["error"], f"the letter does not say how: {letter}")
    check(letter["from"].startswith(os.path.join(job.inputs, "a")), f"nor from where: {letter}")
    # The daemon's view is a beat behind the files of the output.
    status = wait_until(lambda: job.status().get("state") == "RUNNING" and
                        job.status()["letters"] == 1 and job.status(), "the letter in the status")
    check(status["driver_restarts"] == 0, f"the job driver was relaunched: {status}")
    _, shown, _ = cluster.run("job", "letters", job.name)
    check("crash 7777" in shown and "killed by signal 11" in shown, f"the list: {shown}")
    _, shown, _ = cluster.run("job", "status", job.name)
    check("1 bad records" in shown, f"job status: {shown}")
    with urllib.request.urlopen(f"http://{cluster.http}/metrics") as page:
        text = page.read().decode()
    check('sluice_job_letters{job="crash"} 1' in text, "no count in /metrics")
    job.drop_among("b", 3_000, {5: "crash", 2_000: "crash", 2_999: "crash"})
    job.await_totals(120)
    job.await_letters(4)
    cluster.run("job", "drain", job.name, "--deadline=30s")
    check(job.totals() == dict(job.expected), "the totals have changed while draining")
    print("ok crash among ten thousand", flush=True)


def a_record_that_spins(cluster, program):
    job = Job(cluster, program, "spin", "task_timeout=1s")
    job.drop_among("a", 100, {50: "spin"})
    job.await_totals(120)
    letter, = job.await_letters(1)
    check(raw(letter) == "spin 50", f"another record was set aside: {letter}")
    cluster.run("job", "cancel", job.name)
    print("ok spin", flush=True)


def thrown_at_and_run_again(cluster, program):
    job = Job(cluster, program, "again")
    job.drop_among("a", 2_000, {3: "throw", 999: "throw", 1_999: "throw", 7: "poison"})
    job.await_totals()
    if cluster.push("again", "lines", ["throw 1", "key1 2"]).wait(60) != 0:
        raise Failure("the push was not acknowledged")
    job.expected["key1"] += 1
    job.await_totals()
    letters = job.await_letters(5)
    records = sorted(raw(letter) for letter in letters if letter["record"] >= 0)
    check(records == ["throw 1", "throw 1999", "throw 3", "throw 999"], f"letters: {letters}")
    keys = [bytes.fromhex(letter["key_hex"]).decode() for letter in letters if letter["record"] < 0]
    check(keys == ["poison"], f"the key: {letters}")
    # Run again while the program is as bad as before: letters anew, and nothing else.
    first = next(letter for letter in letters if raw(letter) == "throw 1")
    name = f"{first['batch_ms']}-{first['number']}"
    _, said, _ = cluster.run("job", "letters", job.name, "--replay", f"--letter={name}")
    check(said.startswith("1 letters are input"), f"the answer: {said}")
    letters = job.await_letters(6)
    check(job.totals() == dict(job.expected), f"the totals have changed: {job.totals()}")
    # Mended; the job driver is killed as soon as it has said yes, and is asked once more.
    os.remove(job.bad)
    open(job.bad + "-mended", "w").close()
    code, said, error = cluster.run("job", "letters", job.name, "--replay", check=False)
    check(code == 0 and said.startswith("5 letters") and "1 were run again before" in said,
          f"the answer: {code} {said} {error}")
    os.kill(job.status()["driver_pid"], signal.SIGKILL)
    job.expected["throw"] = 4
    job.expected["poison"] = 1
    job.await_totals()
    wait_until(lambda: job.status().get("state") == "RUNNING", "the job to run again")
    code, said, _ = cluster.run("job", "letters", job.name, "--replay", check=False)
    check(code == 1 and "6 were run again before" in said, f"a second time: {code} {said}")
    cluster.run("job", "drain", job.name, "--deadline=30s")
    check(job.totals() == dict(job.expected), f"run again twice: {job.totals()}")
    code, _, error = cluster.run("job", "letters", job.name, "--replay", check=False)
    check(code == 1 and "has ended" in error, f"of an ended job: {code} {error}")
    print("ok run again", flush=True)


def too_many(cluster, program):
    job = Job(cluster, program, "many", "bad_records_max=2")
    job.drop_among("a", 100, {i: "throw" for i in range(10)})
    wait_until(lambda: job.status().get("state") == "FAILED", "the job to fail")
    check("bad records" in job.status()["failure"], f"the failure: {job.status()}")
    check(not job.letters(), "the failed batch has left letters")
    print("ok too many", flush=True)


def main():
    sluice, program = (os.path.abspath(p) for p in sys.argv[1:3])
    with Cluster(sluice) as cluster:
        cluster.start_driver()
        for name in ("w0", "w1"):
            cluster.start_worker(name)
        a_crash_among_ten_thousand(cluster, program)
        thrown_at_and_run_again(cluster, program)
        a_record_that_spins(cluster, program)
        too_many(cluster, program)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
