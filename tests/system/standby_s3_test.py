"""Driver daemons that stand by for each other by conditional puts of an S3 server (standby.py).

usage: standby_s3_test.py SLUICE SEQUENCE
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure  # noqa: E402
from s3_server import BUCKET, S3Server  # noqa: E402
from standby import check  # noqa: E402


def main():
    sluice, sequence = (os.path.abspath(p) for p in sys.argv[1:3])
    with Cluster(sluice) as cluster:
        s3 = S3Server(cluster.folder)
        cluster.workers["s3"] = s3.process
        check(cluster, f"s3://{BUCKET}/drivers", sequence, env=s3.environment())
    print("standby_s3_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
