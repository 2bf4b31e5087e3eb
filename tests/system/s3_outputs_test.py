"""Saved files in a bucket: that roll and a batch at a time, under kills; a store that is away.

usage: s3_outputs_test.py SLUICE PACED
"""
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402
from s3_server import S3Server  # noqa: E402
from saved_rows import id_lines, in_bucket, run_under_kills  # noqa: E402


def store_away(cluster, s3, paced):
    """Nothing is lost or written twice when the store is away for a while."""
    rows = in_bucket(s3, "away")
    cluster.submit(paced, "away", ["--push=ids", f"--output={rows.url}", "--roll=0"],
                   conf=["checkpoint_interval=500ms"])
    first = cluster.push("away", "ids", id_lines(0, 300), producer="a", batch=20)
    if first.wait() != 0:
        raise Failure(f"push ended with an error: {first.tail()}")
    wait_until(lambda: len(rows.ids()) == 300, "the first rows")
    s3.stop()
    second = cluster.push("away", "ids", id_lines(300, 300), producer="b", batch=20)
    wait_until(lambda: cluster.job("away")["waiting_batches"] > 5, "batches to wait for the store")
    s3.start()
    if second.wait(90) != 0:
        raise Failure(f"push ended with an error: {second.tail()}")
    cluster.run("job", "drain", "away", "--deadline=60s", seconds=90)
    rows.expect(600)
    job = cluster.job("away")
    if (job["state"], job["driver_restarts"]) != ("FINISHED", 0):
        raise Failure(f"the job did not live through it: {job}")


def run(cluster, s3, paced):
    os.environ.update(s3.environment())
    cluster.start_driver("--conf=worker_lease=1s")
    for name in ("w0", "w1", "w2"):
        cluster.start_worker(name)
    rolled = in_bucket(s3, "rolled")
    records = run_under_kills(cluster, paced, "rolled", rolled, 10_000, rounds=8)
    print(f"{records} rows in {len(rolled.files())} objects")
    each = in_bucket(s3, "each")
    run_under_kills(cluster, paced, "each", each, 0, rounds=8)
    print(f"a batch at a time: {len(each.files())} objects")
    store_away(cluster, s3, paced)


def main():
    sluice, paced = (os.path.abspath(p) for p in sys.argv[1:3])
    random.seed(12)
    with Cluster(sluice) as cluster:
        s3 = S3Server(cluster.folder)
        try:
            run(cluster, s3, paced)
        finally:
            s3.stop()
    print("s3_outputs_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
