"""Kills every role of a cluster with SIGKILL, again and again, and compares exact results.

usage: kill_test.py SLUICE LEDGER [--seed=N] [--kills=N]

The job reads files and gets pushed records at once; every record has an id of its own. At the end
each id must be in the outputs exactly once and the totals must be those of the input.
"""
import argparse
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from cluster import Cluster, Failure, Process, wait_until  # noqa: E402

WORKERS = ["w0", "w1", "w2"]
JOB = "ledger"
INPUTS = ["files", "pushed"]
KEYS = 40
ROLES = ["executor", "receiver", "worker", "node", "job driver", "driver daemon"]


class Feeder:
    """Writes files and pushes lines until told to stop; remembers all that it gave."""

    def __init__(self, cluster, seed):
        self.cluster = cluster
        self.random = random.Random(seed)
        self.given = {source: [] for source in INPUTS}
        self.stop = threading.Event()
        self.drop = cluster.path("input")
        os.makedirs(self.drop)
        self.client = None
        self.thread = threading.Thread(target=self.feed)

    def lines(self, source, count):
        made = []
        for _ in range(count):
            made.append(f"k{self.random.randrange(KEYS)} {source}{len(self.given[source]):07d}")
            self.given[source].append(made[-1])
        return made

    def start(self):
        self.client = subprocess.Popen(
            [self.cluster.sluice, "push", f"--driver={self.cluster.address}", f"--job={JOB}",
             "--stream=ids", "--producer=p1", "--batch=20"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=open(self.cluster.path("push.log"), "wb"), text=True)
        self.thread.start()

    def feed(self):
        number = 0
        while not self.stop.wait(self.random.uniform(0.01, 0.06)):
            number += 1
            aside = os.path.join(self.drop, f".f{number}")
            with open(aside, "w") as f:
                f.write("".join(line + "\n" for line in self.lines("files", 30)))
            os.rename(aside, os.path.join(self.drop, f"f{number:06d}"))
            self.client.stdin.write("".join(l + "\n" for l in self.lines("pushed", 30)))
            self.client.stdin.flush()

    def finish(self):
        self.stop.set()
        self.thread.join()
        self.client.stdin.close()
        if self.client.wait(60) != 0:
            raise Failure(f"push ended with {self.client.returncode}")
        said = self.client.stdout.read().strip().splitlines()[-1:]
        if said != [f"acknowledged {len(self.given['pushed'])}"]:
            raise Failure(f"push said {said}, {len(self.given['pushed'])} records were given")


class Killer:
    def __init__(self, cluster, seed):
        self.cluster = cluster
        self.random = random.Random(seed)
        self.fell = collections.Counter()
        self.killed = collections.Counter()

    def status(self):
        status = self.cluster.job(JOB)
        if status and status["state"] in ("FAILED", "FENCED", "FINISHED"):
            raise Failure(f"the job is {status['state']}: {status.get('failure')}")
        return status

    def whole(self):
        """All workers run tasks and every block has its replicas: one more node may go."""
        status = self.status()
        places = {worker for worker, _ in self.cluster.executors(JOB)}
        return (status if status and len(places) == len(WORKERS)
                and status["under_replicated_blocks"] == 0 else None)

    def one(self, role):
        before = wait_until(self.whole if role in ("worker", "node") else self.status,
                            "the job to have its workers and replicas again", 60)
        offset = self.random.uniform(0, 0.1)
        time.sleep(offset)  # the random moment of the kill within a batch
        step = f"{role}: {before['state']}, {int(offset * 1000) // 20 * 20} ms into a batch"
        self.fell[step] += 1
        getattr(self, "kill_" + role.replace(" ", "_"))()
        self.killed[role] += 1

        def gone_on():
            now = self.status()
            return now and now["decided_batches"] >= before["decided_batches"] + 2
        wait_until(gone_on, f"the job to go on after a kill of {role}", 60)

    def kill_executor(self):
        found = self.cluster.executors(JOB)
        if found:
            self.kill_pid(self.random.choice(found)[1])

    def kill_receiver(self):
        found = self.cluster.executors(JOB, "receivers")
        if found:
            self.kill_pid(found[0][1])

    def kill_worker(self, fresh=False):
        name = self.random.choice(WORKERS)
        self.cluster.workers[name].kill()
        self.cluster.start_worker(name, fresh=fresh)

    def kill_node(self):
        """A worker daemon, all its executors and its whole data directory."""
        name = self.random.choice(WORKERS)
        data = self.cluster.path(name)
        self.cluster.workers[name].kill()
        for pid in self.cluster.pids_with(data):
            self.kill_pid(pid)
        shutil.rmtree(data, ignore_errors=True)
        self.cluster.start_worker(name, fresh=True)

    def kill_job_driver(self):
        status = self.cluster.job(JOB)
        if status and status.get("driver_pid"):
            self.kill_pid(status["driver_pid"])

    def kill_driver_daemon(self):
        self.cluster.driver.kill()
        self.cluster.start_driver()

    @staticmethod
    def kill_pid(pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def read_output(folder, prefix):
    """{batch ms: [lines]} of all whole batches."""
    batches = {}
    for name in os.listdir(folder):
        if not name.startswith(prefix + "-") or not os.path.exists(
                os.path.join(folder, name, "_SUCCESS")):
            continue
        lines = []
        for part in sorted(os.listdir(os.path.join(folder, name))):
            if part.startswith("part-"):
                with open(os.path.join(folder, name, part)) as f:
                    lines += f.read().splitlines()
        batches[int(name.rsplit("-", 1)[1])] = lines
    return batches


def verify(cluster, given):
    folder = cluster.path("out")
    ids = collections.Counter(l for lines in read_output(folder, "ids").values() for l in lines)
    want = collections.Counter(given)
    lost, doubled = want - ids, ids - want
    if lost or doubled:
        raise Failure(f"{sum(lost.values())} records lost ({list(lost)[:3]}), "
                      f"{sum(doubled.values())} too many ({list(doubled)[:3]})")
    totals = read_output(folder, "totals")
    last = totals[max(totals)]
    counts = collections.Counter(line.split(" ")[0] for line in given)
    expected = sorted(f"({key},{count})" for key, count in counts.items())
    if sorted(last) != expected:
        raise Failure(f"totals differ: {sorted(last)[:5]} but {expected[:5]} expected")
    return len(totals)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("sluice")
    parser.add_argument("ledger")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kills", type=int, default=20, help="of each role")
    parser.add_argument("--roles", default=",".join(ROLES))
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    with Cluster(args.sluice, keep=args.keep) as cluster:
        cluster.start_driver()
        for name in WORKERS:
            cluster.start_worker(name)
        feeder = Feeder(cluster, args.seed)
        os.makedirs(cluster.path("out"))
        cluster.submit(args.ledger, JOB,
                       [f"--dir={feeder.drop}", f"--output={cluster.path('out')}"],
                       conf=["worker_lease=1s", "checkpoint_interval=1s"])
        feeder.start()
        killer = Killer(cluster, args.seed)
        schedule = args.roles.split(",") * args.kills
        killer.random.shuffle(schedule)
        begun = time.monotonic()
        for count, role in enumerate(schedule):
            killer.one(role)
            if count % 10 == 9:
                print(f"{count + 1} kills in {time.monotonic() - begun:.0f} s", flush=True)
        feeder.finish()
        cluster.run("job", "drain", JOB, "--deadline=60s", seconds=90)
        given = feeder.given["files"] + feeder.given["pushed"]
        batches = verify(cluster, given)
        print(f"{len(given)} records exact in {batches} batches")
        for step, count in sorted(killer.fell.items()):
            print(f"  {count:3d} {step}")
        for role, count in sorted(killer.killed.items()):
            print(f"killed {role}: {count}")
    print("kill_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}", flush=True)
        sys.exit(1)
