"""Rows in a real PostgreSQL server exactly once, while executors, workers and job drivers are
killed and the server itself restarts and crashes.

usage: postgres_test.py SLUICE ROWS WORD_TABLE CHECKS [--seed=N]
"""
import collections
import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kills"))
from cluster import Cluster, Failure, kill_one, wait_until  # noqa: E402
from feeder import Feeder  # noqa: E402
from outputs import drop_file  # noqa: E402
from postgres_server import Postgres  # noqa: E402

CONF = ["worker_lease=1s", "checkpoint_interval=1s", "partitions=3"]
ROUNDS = 4  # of each fault

TABLES = """
CREATE TABLE ids (page text, id text, batch_ms bigint, partition int);
CREATE TABLE totals (page text PRIMARY KEY, n bigint NOT NULL);
CREATE TABLE batches (batch_ms bigint, n bigint);
CREATE TABLE words (word text PRIMARY KEY, total bigint NOT NULL)
"""


class Faults:
    def __init__(self, cluster, server, seed):
        self.cluster, self.server = cluster, server
        self.random = random.Random(seed)
        self.met = collections.Counter()

    def executor_killed(self):
        kill_one(lambda: [pid for _, pid in self.cluster.executors("rows")], "an executor",
                 self.random)

    def job_driver_killed(self):
        kill_one(lambda: [(self.cluster.job("rows") or {}).get("driver_pid")], "a job driver",
                 self.random)

    def worker_killed(self):
        name = self.random.choice(list(self.cluster.workers))
        self.cluster.workers[name].kill()
        self.cluster.start_worker(name)

    def server_restarted(self):
        self.server.stop(signal.SIGINT)
        self.server.start()

    def server_crashed(self):
        self.server.stop(signal.SIGQUIT)
        self.server.start()

    def executor_killed_while_the_server_is_away(self):
        self.server.stop(signal.SIGQUIT)
        self.executor_killed()
        self.server.start()

    def all(self):
        kinds = [self.executor_killed, self.job_driver_killed, self.worker_killed,
                 self.server_restarted, self.server_crashed,
                 self.executor_killed_while_the_server_is_away] * ROUNDS
        self.random.shuffle(kinds)
        for kind in kinds:
            before = self.rows()
            kind()
            self.met[kind.__name__] += 1
            wait_until(lambda: self.rows() > before, f"rows to come after {kind.__name__}", 90)
        for name, count in sorted(self.met.items()):
            print(f"{count:4} {name.replace('_', ' ')}")

    def rows(self):
        return int(self.server.query("SELECT count(*) FROM ids")[0])


def expect(what, got, wanted):
    if got != wanted:
        raise Failure(f"{what}: {str(got)[:300]} but {str(wanted)[:300]} expected")


def exact_rows(cluster, server, rows, seed):
    """Every id in one row, every page's sum right, every batch once; the ledger stays small."""
    feeder = Feeder(cluster, "rows", seed)
    cluster.submit(rows, "rows", [f"--dir={feeder.drop}", f"--database={server.words}"], conf=CONF)
    feeder.start()
    try:
        Faults(cluster, server, seed).all()
        feeder.finish()
        cluster.run("job", "drain", "rows", "--deadline=60s", seconds=90)
    finally:
        feeder.end()
    given = sorted(line.replace(" ", "|") for line in feeder.all())
    expect("the ids", sorted(server.query("SELECT page, id FROM ids")), given)
    pages = collections.Counter(line.split("|")[0] for line in given)
    expect("the sums", sorted(server.query("SELECT page, n FROM totals")),
           sorted(f"{page}|{n}" for page, n in pages.items()))
    expect("batches written twice", server.query(
        "SELECT batch_ms FROM batches GROUP BY batch_ms HAVING count(*) > 1"), [])
    expect("the records of all batches", server.query("SELECT sum(n) FROM batches"),
           [str(len(given))])
    ledger = int(server.query("SELECT count(*) FROM sluice_ledger")[0])
    batches = int(server.query("SELECT count(*) FROM batches")[0])
    if ledger >= batches or ledger > 30:
        raise Failure(f"the ledger has {ledger} rows after {batches} batches")
    print(f"exact: {len(given)} rows of {batches} batches, each once; the ledger has {ledger} rows")


def the_example(cluster, server, word_table):
    """examples/word_table.cc in one process, killed in between: adding twice would show."""
    drop = cluster.path("words-in")
    os.makedirs(drop)
    said = open(cluster.path("word_table.log"), "ab")
    words = [word_table, f"--dir={drop}", f"--database={server.words}", "--conf",
             "batch_interval=100ms", f"--checkpoint=rocksdb:{cluster.path('words-state')}"]

    def totals():
        return {line.split("|")[0]: int(line.split("|")[1])
                for line in server.query("SELECT word, total FROM words")}
    def all_there(turn):
        return totals() == {"to": 20 * turn, "be": 20 * turn, "or": 10 * turn, "not": 10 * turn}
    for turn in range(1, 4):
        process = subprocess.Popen(words, stdout=said, stderr=said)
        try:
            drop_file(drop, f"f{turn}", ["to be or not to be"] * 10)
            # Killed when one partition's words are there, but in the last turn.
            wait_until(lambda: totals().get("to") == 20 * turn and (turn < 3 or all_there(turn)),
                       "the words in the table", 60)
        finally:
            process.kill()
            process.wait()
    expect("the words", totals(), {"to": 60, "be": 60, "or": 30, "not": 30})
    print("exact: the example's words over three lives")


def main():
    programs, seed = [], int(time.time())
    for word in sys.argv[1:]:
        if word.startswith("--seed="):
            seed = int(word[len("--seed="):])
        else:
            programs.append(os.path.abspath(word))
    sluice, rows, word_table, checks = programs
    print(f"seed {seed}", flush=True)
    with Postgres() as server:
        server.query(TABLES)
        done = subprocess.run([checks, "--gtest_brief=1"],
                              env=dict(os.environ, SLUICE_TEST_POSTGRES=server.words))
        if done.returncode != 0:
            raise Failure(f"{os.path.basename(checks)} ended with {done.returncode}")
        with Cluster(sluice) as cluster:
            cluster.start_driver("--conf=worker_lease=1s")
            for name in ("w0", "w1", "w2"):
                cluster.start_worker(name)
            the_example(cluster, server, word_table)
            exact_rows(cluster, server, rows, seed)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
