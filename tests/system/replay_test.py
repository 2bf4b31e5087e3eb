"""Batches run again by command, while their job runs and after it, and as exported cases.

usage: replay_test.py SLUICE BAD_LINES
"""
import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402
from outputs import drop_file  # noqa: E402


def check(true, what):
    if not true:
        raise Failure(what)


class Job:
    def __init__(self, cluster, program, name, *conf):
        self.cluster = cluster
        self.program = program
        self.name = name
        self.inputs = cluster.path(name + "-in")
        self.out = cluster.path(name + "-out")
        self.bad = cluster.path(name + "-bad")
        os.makedirs(self.inputs)
        open(self.bad, "w").close()
        cluster.submit(program, name, [f"--dir={self.inputs}", f"--output={self.out}",
                                       f"--bad={self.bad}"], conf=conf)

    def push(self, lines):
        if self.cluster.push(self.name, "lines", lines).wait(60) != 0:
            raise Failure("the push was not acknowledged")

    def rows(self, batch_ms):
        rows = set()
        for part in glob.glob(f"{self.out}/totals-{batch_ms}/part-*"):
            with open(part) as f:
                rows.update(f.read().split())
        return rows

    def first_with(self, row):
        """The first published batch that has the row."""
        for folder in sorted(glob.glob(self.out + "/totals-*")):
            batch_ms = int(folder.rsplit("-", 1)[1])
            if row in self.rows(batch_ms):
                return batch_ms
        return None

    def await_batch_with(self, row):
        return wait_until(lambda: self.first_with(row), f"a batch of {self.name} with {row}")

    def status(self):
        return self.cluster.job(self.name) or {}

    def replay(self, batch_ms, *flags):
        return self.cluster.run("batch", "replay", self.name, str(batch_ms), *flags, check=False)

    def check_same(self, batch_ms, rows=None):
        code, out, error = self.replay(batch_ms)
        check(code == 0, f"batch {batch_ms}: {code} {out} {error}")
        check(f"batch {batch_ms}, operator totals" in out and "ANOTHER" not in out,
              f"the report of batch {batch_ms}: {out}")
        shown = set(re.findall(r"^  (\(.*\))$", out, re.M))
        rows = self.rows(batch_ms) if rows is None else rows
        check(shown == rows, f"other rows: {shown}, not {rows}")


def export(job, batch_ms, folder):
    code, out, error = job.cluster.run("batch", "export", job.name, str(batch_ms), folder,
                                       check=False)
    check(code == 0 and "run it again" in out, f"export: {code} {out} {error}")


def run_case(program, folder, **environment):
    done = subprocess.run([program, f"--sluice-case={folder}"], text=True, capture_output=True,
                          timeout=60, env={**os.environ, **environment})
    return done.returncode, done.stdout, done.stderr


def the_same(cluster, program):
    """Files and pushed lines that are in the store; letters among them; from the job's beginning
    and from a checkpoint; and another state where the program counts otherwise."""
    job = Job(cluster, program, "same", "bad_records=aside", "checkpoint_interval=5s",
              "received_log=on")
    drop_file(job.inputs, "a", [f"a {i}" for i in range(50)] + ["throw 1"] +
              [f"b {i}" for i in range(7)])
    job.check_same(job.await_batch_with("(a,50)"))
    wait_until(lambda: cluster.run("job", "checkpoints", "same", check=False)[0] == 0,
               "a checkpoint")
    job.push([f"a {i}" for i in range(10)] + ["throw 2"])
    pushed = job.await_batch_with("(a,60)")
    job.check_same(pushed)
    code, out, error = job.replay(pushed, "--with=env BAD_LINES_SALT=1")
    check(code == 1, f"another state ends with {code}: {out} {error}")
    check(re.search(rf"batch {pushed}, operator totals: .*ANOTHER STATE", out), f"report: {out}")
    check("not deterministic" in error, f"the reason: {error}")
    code, _, error = job.replay(1)
    check(code == 1 and "not retained" in error, f"a batch of long ago: {code} {error}")
    print("ok the same", flush=True)
    return job, pushed


def with_the_workers_only(cluster, program):
    """Without a received-data log the blocks come from the workers, until a checkpoint covers
    their batch."""
    job = Job(cluster, program, "held", "checkpoint_interval=1h")
    job.push(["a 1", "a 2", "b 3"])
    job.check_same(job.await_batch_with("(a,2)"))
    print("ok from the workers", flush=True)
    return job


def a_batch_that_fails(cluster, program):
    """Its job has stopped. What was not decided is run from its composition all the same."""
    job = Job(cluster, program, "fails", "task_max_failures=1", "checkpoint_interval=1h")
    job.push(["a 1"])
    job.await_batch_with("(a,1)")
    job.push(["a 2", "poison 3"])
    wait_until(lambda: job.status().get("state") == "FAILED", "the job to fail")
    batch_ms = int(re.search(r"batch (\d+)", job.status()["failure"]).group(1))
    code, out, error = job.replay(batch_ms)
    check(code == 1 and "UpdateStateByKey" in error and "poison" in error,
          f"a batch that fails: {code} {out} {error}")
    print("ok a batch that fails", flush=True)


def one_that_was_skipped(cluster, program):
    job = Job(cluster, program, "skips", "on_batch_failure=skip", "task_max_failures=1",
              "checkpoint_interval=1h")
    drop_file(job.inputs, "a", ["a 1", "a 2"])
    job.await_batch_with("(a,2)")
    job.push(["a 3", "poison 4"])
    wait_until(lambda: job.status().get("kept_batches") == 1, "the batch to be kept aside")
    store = cluster.path("checkpoint-skips", "objects", "kept")
    kept, = os.listdir(store)
    code, out, error = job.replay(kept.rsplit("-", 1)[1])
    check(code == 1 and "poison" in error and "UpdateStateByKey" in error,
          f"a skipped batch: {code} {out} {error}")
    cluster.run("job", "cancel", "skips")
    print("ok one that was skipped", flush=True)


def cases(cluster, program, job, pushed):
    """A case runs without the cluster, elsewhere, with its input gone."""
    folder = cluster.path("case")
    export(job, pushed, folder)
    code, _, error = cluster.run("batch", "export", job.name, str(pushed), folder, check=False)
    check(code == 3 and "new or empty" in error, f"a folder that is taken: {code} {error}")
    cluster.run("job", "drain", job.name, "--deadline=30s")
    moved = cluster.path("moved")
    shutil.move(folder, moved)
    shutil.rmtree(job.inputs)
    shutil.rmtree(cluster.path("checkpoint-same"))
    written = sorted(os.listdir(job.out))
    code, out, error = run_case(program, moved)
    check(code == 0 and "the same state" in out and "(a,60)" in out, f"{code} {out} {error}")
    check(sorted(os.listdir(job.out)) == written, "the case has written to the job's sink")
    code, out, error = run_case(program, moved, BAD_LINES_SALT="1")
    check(code == 1 and "ANOTHER STATE" in out, f"another program: {code} {out} {error}")
    rows = os.path.join(moved, "rows.txt")
    with open(rows) as f:
        text = f.read()
    with open(rows, "w") as f:
        f.write(text.replace("(a,60)", "(a,61)"))
    code, _, error = run_case(program, moved)
    check(code == 1 and "other rows" in error, f"other rows: {code} {error}")
    for name, wanted in (("case.txt", 8), ("objects", 8)):
        spoiled = cluster.path("spoiled-" + name)
        shutil.copytree(moved, spoiled)
        target = os.path.join(spoiled, name)
        if os.path.isdir(target):
            part = next(os.path.join(target, p) for p in os.listdir(target)
                        if p.startswith("manifest"))
        else:
            part = target
        with open(part, "r+b") as f:
            f.truncate(os.path.getsize(part) // 2)
        code, _, error = run_case(program, spoiled)
        check(code == wanted, f"a spoiled {name} ends with {code}: {error}")
    print("ok cases", flush=True)


def a_file_that_changed(cluster, program):
    """A copy counts as unchanged for ever: so what is copied must be what the batch had."""
    job = Job(cluster, program, "changed", "checkpoint_interval=1h")
    drop_file(job.inputs, "a", ["a 1", "a 2"])
    batch_ms = job.await_batch_with("(a,2)")
    with open(os.path.join(job.inputs, "a"), "r+") as f:
        f.write("b")
    for command in (["replay"], ["export"]):
        where = [cluster.path("case-changed")] if command == ["export"] else []
        code, _, error = cluster.run("batch", *command, job.name, str(batch_ms), *where,
                                     check=False)
        check(code == 1 and os.path.join(job.inputs, "a") in error,
              f"batch {command} of a changed file: {code} {error}")
    cluster.run("job", "cancel", job.name)
    print("ok a file that changed", flush=True)


def words(cluster):
    for typed, wanted in ((["replay", "same"], 2), (["replay", "same", "soon"], 2),
                          (["replay", "nobody", "7"], 1), (["export", "same", "7"], 2)):
        code, _, error = cluster.run("batch", *typed, check=False)
        check(code == wanted, f"batch {typed} ends with {code}: {error}")
    print("ok words", flush=True)


def main():
    sluice, program = (os.path.abspath(p) for p in sys.argv[1:3])
    with Cluster(sluice) as cluster:
        cluster.start_driver()
        for name in ("w0", "w1"):
            cluster.start_worker(name)
        job, pushed = the_same(cluster, program)
        held = with_the_workers_only(cluster, program)
        cases(cluster, program, job, pushed)
        cluster.run("job", "cancel", held.name)
        a_batch_that_fails(cluster, program)
        one_that_was_skipped(cluster, program)
        a_file_that_changed(cluster, program)
        words(cluster)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
