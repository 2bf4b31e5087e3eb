"""A task that kills its executor, with real processes: it is tried again alone, it alone is charged,
and the batch fails or is skipped as the job was told.

usage: bad_tasks_test.py SLUICE POISON MISFIT
"""
import collections
import glob
import os
import re
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, kill, wait_until  # noqa: E402

KEYS = [f"key{i}" for i in range(40)]


class Job:
    """One run of the job over its own folder of input files."""

    def __init__(self, cluster, poison, name, *conf):
        self.cluster = cluster
        self.name = name
        self.inputs = cluster.path(name + "-in")
        self.out = cluster.path(name + "-out")
        os.makedirs(self.inputs)
        self.expected = collections.Counter()
        cluster.submit(poison, name, [f"--dir={self.inputs}", f"--output={self.out}"],
                       conf=("task_max_failures=2", "checkpoint_interval=300ms", *conf))

    def drop(self, name, keys):
        """A whole file at once: all of it is in one batch."""
        aside = os.path.join(self.inputs, "." + name)
        with open(aside, "w") as f:
            f.write("".join(f"{key} {i}\n" for i, key in enumerate(keys)))
        os.rename(aside, os.path.join(self.inputs, name))

    def good(self, name):
        self.drop(name, KEYS)
        self.expected.update(KEYS)

    def totals(self):
        newest = max(glob.glob(self.out + "/totals-*"), default=None)
        found = {}
        for part in glob.glob(f"{newest}/part-*") if newest else []:
            with open(part) as f:
                for line in f:
                    key, count = re.fullmatch(r"\((.*),(\d+)\)", line.strip()).groups()
                    found[key] = int(count)
        return found

    def await_totals(self):
        wait_until(lambda: self.totals() == dict(self.expected),
                   f"the totals of {self.name}: want {dict(self.expected)}, have {self.totals()}")

    def status(self):
        return self.cluster.job(self.name) or {}

    def driver_log(self):
        """What the job driver said of its tasks."""
        text = ""
        for path in glob.glob(self.cluster.path("driver", "jobs", self.name, "*", "output*")):
            with open(path, errors="replace") as f:
                text += f.read()
        return text


def check(true, what):
    if not true:
        raise Failure(what)


def stops(cluster, poison):
    job = Job(cluster, poison, "stops")
    job.good("a")
    job.await_totals()
    job.drop("b", ["poison"] + KEYS)
    wait_until(lambda: job.status().get("state") == "FAILED", "the job to fail", 60)
    failure = job.status()["failure"]
    where = re.search(r"operator UpdateStateByKey.*partition (\d+) of stage (\d+)", failure)
    check(where and "signal 11" in failure and "2 times" in failure,
          f"the failure lacks operator, partition or cause: {failure}")
    log = job.driver_log()
    check("it is tried again alone" in log, f"nothing was tried alone:\n{log}")
    charged = set(re.findall(r"partition (\d+) of stage (\d+): it ended its executor", log + failure))
    check(charged == {where.groups()}, f"others were charged: {charged}")
    check(job.totals() == dict(job.expected), "the failed batch has left something behind")
    print(f"ok stop: {failure}", flush=True)


def skips(cluster, poison):
    job = Job(cluster, poison, "skips", "on_batch_failure=skip")
    job.good("a")
    job.await_totals()
    job.drop("b", ["poison"] + KEYS)
    wait_until(lambda: job.status().get("failed_batches") == 1, "the batch to be skipped", 60)
    pushed = ["poison 0", "key1 1", "key2 2"]
    if cluster.push("skips", "lines", pushed).wait(60) != 0:
        raise Failure("the push was not acknowledged")
    wait_until(lambda: job.status().get("failed_batches") == 2, "the second one to be skipped", 60)
    job.good("c")
    job.await_totals()
    wait_until(lambda: job.status().get("state") == "RUNNING", "the job to go on")
    cluster.run("job", "drain", "skips", "--deadline=30s")
    wait_until(lambda: job.status().get("state") == "FINISHED", "the drain")
    check(job.totals() == dict(job.expected), "the totals have changed while draining")
    kept_aside(cluster, job, pushed)
    print("ok skip", flush=True)


def kept_aside(cluster, job, pushed):
    """Of each skipped batch there is a list, and what it lists is there for ever."""
    status = job.status()
    check(status["kept_batches"] == 2, f"not all skipped batches are kept: {status}")
    store = cluster.path("checkpoint-" + job.name, "objects")
    check(status["kept_at"] == store + "/kept/", f"kept at another place: {status}")
    _, shown, _ = cluster.run("job", "status", job.name)
    check("the input of 2 skipped batches, in " + store in shown, f"status does not say so: {shown}")
    texts = []
    for path in glob.glob(store + "/kept/*/list"):
        with open(path) as f:
            texts.append(f.read())
    check(len(texts) == 2, f"lists: {texts}")
    check(any(os.path.join(job.inputs, "b") in text for text in texts), f"no file b: {texts}")
    check(all("signal 11" in text for text in texts), f"no reason: {texts}")
    objects = [name for text in texts for name in re.findall(r'object: "(.*)"', text)]
    kept = b""
    for name in objects:
        with open(os.path.join(store, name), "rb") as f:
            kept += f.read()
    for line in pushed:
        check(line.encode() in kept, f"{line} is not in {objects}")


def skips_in_one_process(cluster, misfit):
    """The blocks of a local job are kept in the same way."""
    folder = cluster.path("local")
    os.makedirs(folder + "/in")
    with socket.create_server(("127.0.0.1", 0)) as server:
        process = subprocess.Popen(
            [misfit, f"--port={server.getsockname()[1]}", f"--dir={folder}/in",
             f"--output={folder}/out", "--misfit=throw", "--conf=on_batch_failure=skip",
             "--conf=task_max_failures=2", f"--checkpoint=rocksdb:{folder}/store"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            peer, _ = server.accept()
            peer.sendall(b"good\nbad\n")
            lists = wait_until(lambda: glob.glob(folder + "/store/objects/kept/*/list"),
                               "the local batch to be skipped")
            with open(lists[0]) as f:
                name, = re.findall(r'object: "(.*)"', f.read())
            with open(os.path.join(folder, "store/objects", name), "rb") as f:
                check(b"bad" in f.read(), f"the line is not in {name}")
            process.send_signal(signal.SIGTERM)
            check(process.wait(60) == 0, f"the local job ended with {process.returncode}")
        finally:
            process.kill()
    print("ok skip in one process", flush=True)


def killed_from_outside(cluster, poison):
    """More kills than a task may have failures."""
    job = Job(cluster, poison, "outside")
    for i in range(4):
        job.good(f"file{i}")
        job.await_totals()
        before = cluster.executors("outside")
        for _, pid in before:
            kill(pid)
        wait_until(lambda: cluster.executors("outside") and
                   not set(cluster.executors("outside")) & set(before), "new executors")
    job.good("last")
    job.await_totals()
    # The last executor to come back may bring one generation more; a charged kill ends the job.
    wait_until(lambda: job.status()["state"] == "RUNNING",
               f"the job to run, for no kill is charged: {job.status()}")
    cluster.run("job", "cancel", "outside")
    print("ok killed from outside", flush=True)


def main():
    sluice, poison, misfit = (os.path.abspath(p) for p in sys.argv[1:4])
    with Cluster(sluice) as cluster:
        cluster.start_driver()
        for name in ("w0", "w1"):
            cluster.start_worker(name)
        stops(cluster, poison)
        skips(cluster, poison)
        skips_in_one_process(cluster, misfit)
        killed_from_outside(cluster, poison)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
