"""A cluster that is never left alone: a fault every few seconds while numbered records run through
a job; at the end each record must have come out once and in order, and no process, thread,
descriptor or object may be left over.

usage: soak_test.py SLUICE SEQUENCE [--seed=N] [--minutes=N]

An even seed keeps two copies of a block in the cluster, an odd one one copy and the received-data
log. Above five minutes faults begin ten seconds apart, else three.
"""
import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from cluster import Cluster, Failure  # noqa: E402
from gauges import Gauges, check_that_they_notice  # noqa: E402
from nemesis import Nemesis  # noqa: E402
from sequence import Feeder, check_that_it_notices, judge  # noqa: E402

JOB = "soak"
CONF = ["worker_lease=1s", "checkpoint_interval=1s", "partitions=3"]


def conf_of(seed):
    copies = ["received_log=on", "replication=1"] if seed % 2 else ["replication=2"]
    return CONF + copies


def run(cluster, args):
    output = cluster.path("out")
    os.makedirs(output)
    cluster.start_driver("--conf=worker_lease=1s")
    feeder = Feeder(cluster, JOB, args.seed)
    nemesis = Nemesis(cluster, JOB, feeder, Gauges(), random.Random(args.seed))
    for name in ("w0", "w1", "w2"):
        nemesis.start_worker(name)
    cluster.submit(args.sequence, JOB, [f"--output={output}", f"--gate={cluster.path('gate')}",
                                        f"--doom={nemesis.doom}"], conf=conf_of(args.seed))
    cluster.decided(JOB, 2)
    feeder.start()
    end = time.monotonic() + 60 * args.minutes
    apart = 10 if args.minutes > 5 else 3
    try:
        while time.monotonic() < end:
            next_at = time.monotonic() + apart
            nemesis.one()
            time.sleep(max(0, next_at - time.monotonic()))
        feeder.finish()
        cluster.run("job", "drain", JOB, "--deadline=60s", seconds=90)
    finally:
        feeder.end()
        print(nemesis.table())
        print(nemesis.gauges.table())
    records = judge(output, feeder.given)
    nemesis.gauges.check_growth()
    print(f"{records} records, each once and in order; no growth")


def main():
    parser = argparse.ArgumentParser()
    for program in ["sluice", "sequence"]:
        parser.add_argument(program)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    check_that_it_notices()
    check_that_they_notice()
    print(f"seed {args.seed}: {' '.join(conf_of(args.seed))}", flush=True)
    with Cluster(args.sluice, keep=args.keep) as cluster:
        run(cluster, args)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}", flush=True)
        sys.exit(1)
