"""Files that roll, and a directory for each batch, while executors, workers and drivers are killed.

usage: file_outputs_test.py SLUICE PACED
"""
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure  # noqa: E402
from saved_rows import Rows, run_under_kills  # noqa: E402

ROLL = 10_000
ROW = 8  # "1234,60\n" and a little more or less


def start(cluster):
    cluster.start_driver("--conf=worker_lease=1s")
    for name in ("w0", "w1", "w2"):
        cluster.start_worker(name)


def run(cluster, paced):
    start(cluster)
    rolled = Rows(cluster.path("rolled"))
    records = run_under_kills(cluster, paced, "rolled", rolled, ROLL)
    batches = cluster.job("rolled")["decided_batches"]
    files = len(rolled.files())
    # Full ones, one for every three seconds of batch time, and the last.
    most = records * ROW // ROLL + batches * 0.2 / 3 + 2
    print(f"{records} rows of {batches} batches in {files} files")
    if files > most:
        raise Failure(f"{files} files, of which {most} had been enough")
    each = Rows(cluster.path("each"))
    run_under_kills(cluster, paced, "each", each, 0, rounds=8)
    print(f"a batch at a time: {len(each.files())} files")


def main():
    sluice, paced = (os.path.abspath(p) for p in sys.argv[1:3])
    random.seed(11)
    with Cluster(sluice) as cluster:
        run(cluster, paced)
    print("file_outputs_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
