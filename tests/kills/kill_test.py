"""Kills every role of a cluster with SIGKILL, again and again, and compares exact results.

usage: kill_test.py SLUICE LEDGER KILLER ORACLE [--seed=N] [--kills=N] [--roles=A,B] [--conf=K=V]

The job reads files and gets pushed records at once; every record has an id of its own. At the end
each id must be in the outputs exactly once, the totals must be those of the input and of a run
without a kill, and every part of every batch must be, byte for byte, what the reference
interpreter makes of the composition that the log holds for it.
"""
import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from cluster import Cluster, Failure  # noqa: E402
from feeder import Feeder  # noqa: E402
from killer import Killer  # noqa: E402
from moments import ROLES, draw  # noqa: E402
from judgement import Oracle, compare, outcome, outcome_of  # noqa: E402

WORKERS = ["w0", "w1", "w2"]
LEASE = "worker_lease=1s"
CONF = [LEASE, "checkpoint_interval=1s", "partitions=3"]


def start_driver(cluster):
    """One that has returned tells jobs of new workers after a lease only."""
    cluster.start_driver(f"--conf={LEASE}")


def submit(cluster, args, job, drop):
    """Returns the folder of the job's outputs and its flags."""
    folder = cluster.path(f"out-{job}")
    os.makedirs(folder)
    flags = [f"--dir={drop}", f"--output={folder}", f"--doom={cluster.path('doom')}"]
    cluster.submit(args.ledger, job, flags, conf=CONF + args.conf)
    return folder, flags


def drain(cluster, job):
    cluster.run("job", "drain", job, "--deadline=60s", seconds=90)


def run_with_kills(cluster, args, feeder, job):
    folder, flags = submit(cluster, args, job, feeder.drop)
    feeder.start()
    killer = Killer(cluster, job, args.killer, flags, lambda: start_driver(cluster),
                    random.Random(args.seed))
    for kills in draw(args.roles.split(","), args.kills, killer.random):
        killer.run(kills)
    killer.end()
    feeder.finish()
    print(f"{killer.age():6.2f} s: all input is acknowledged", flush=True)
    drain(cluster, job)
    print(f"{killer.age():6.2f} s: drained", flush=True)
    print(killer.tally.table())
    print(f"{killer.tally.between} of them fell while one step passed into the next")
    for role in args.roles.split(","):
        if killer.tally.of(role) < args.kills:
            raise Failure(f"{role} was killed {killer.tally.of(role)} times only")
    return folder, flags


def check_deltas(cluster, job):
    """State must have come from deltas, not from running batches again, as good as always."""
    folder = cluster.path("driver", "jobs", job)
    said = "".join(open(os.path.join(folder, run, "output"), errors="replace").read()
                   for run in os.listdir(folder))
    began = [line for line in said.splitlines() if " of epoch " in line and "checkpoint" in line]
    by_deltas = [line for line in began if "by deltas" in line]
    print(f"{len(by_deltas)} of {len(began)} generations took over deltas")
    if 2 * len(by_deltas) < len(began):
        raise Failure("most generations ran batches again instead of taking over their deltas")


def run_without(cluster, args, feeder, job):
    folder, flags = submit(cluster, args, job, feeder.drop)
    feeder.give_again(job)
    drain(cluster, job)
    return folder, flags


def run(cluster, args, feeder):
    folder, flags = run_with_kills(cluster, args, feeder, "ledger")
    killed = outcome(folder)
    compare(killed, outcome_of(feeder.all()))
    oracle = Oracle(cluster, args.oracle, "ledger", feeder.pushed, flags, folder)
    print("with kills: " + oracle.check(), flush=True)
    if "recovery=deltas" in args.conf:
        check_deltas(cluster, "ledger")
    folder, flags = run_without(cluster, args, feeder, "calm")
    compare(killed, outcome(folder))
    oracle = Oracle(cluster, args.oracle, "calm", feeder.pushed, flags, folder)
    print("without: " + oracle.check(), flush=True)
    oracle.check_that_it_notices()
    print(f"{len(feeder.all())} records exact, the same as without a kill")


def main():
    parser = argparse.ArgumentParser()
    for program in ["sluice", "ledger", "killer", "oracle"]:
        parser.add_argument(program)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kills", type=int, default=20, help="of each role")
    parser.add_argument("--roles", default=",".join(ROLES))
    parser.add_argument("--conf", action="append", default=[], help="further, of the job")
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    with Cluster(args.sluice, keep=args.keep) as cluster:
        start_driver(cluster)
        for name in WORKERS:
            cluster.start_worker(name)
        os.makedirs(cluster.path("doom"))
        feeder = Feeder(cluster, "ledger", args.seed)
        try:
            run(cluster, args, feeder)
        finally:
            feeder.end()
    print("kill_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}", flush=True)
        sys.exit(1)
