"""A disk that fails the job driver's log again and again: the driver ends with its one line, its
daemon launches it anew, and every record counts once.

usage: failed_sync_test.py SLUICE GATE LAYER

LAYER is tests/crash/faulty_files.cc, which job drivers inherit from their daemon.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, Process, wait_until  # noqa: E402
from gate_job import GateJob, gate_lines  # noqa: E402

SYNC_THAT_FAILS = 60  # of each life; an append is one, and so a life decides some batches
RESTARTS = 3
SOON = ["worker_lease=1s", "checkpoint_interval=500ms"]


class Cases:
    def __init__(self, sluice, gate, layer):
        self.sluice, self.gate, self.layer = sluice, gate, layer

    def start(self, cluster, log):
        faults = {"LD_PRELOAD": self.layer, "FAULTY_DIR": log, "FAULTY_CALL": "sync",
                  "FAULTY_NTH": str(SYNC_THAT_FAILS), "FAULTY_NOTE": cluster.path("failed")}
        os.environ.update(faults)
        cluster.start_driver("--conf=worker_lease=1s")
        for name in faults:
            del os.environ[name]
        for name in ("w0", "w1"):
            cluster.start_worker(name)

    def the_log_fails(self):
        with Cluster(self.sluice) as cluster:
            checkpoint = cluster.path("c")
            self.start(cluster, f"{checkpoint}/log")
            job = GateJob(cluster, "synced")
            job.submit(self.gate, "--push=lines", SOON, checkpoint)
            lines = gate_lines(0, 4000)
            push = Process("push", [self.sluice, "push", f"--driver={cluster.address}",
                                    "--job=synced", "--stream=lines", "--producer=p"],
                           cluster.folder, stdin=subprocess.PIPE)
            self.send(push, lines[:2000])
            wait_until(lambda: (cluster.job("synced") or {}).get("driver_restarts", 0) >= RESTARTS,
                       f"{RESTARTS} launches behind failed syncs", 60)
            said = cluster.run("job", "logs", "synced")[1]
            if "written no further" not in said:
                raise Failure("the job driver did not say why it ended")
            self.send(push, lines[2000:])
            push.popen.stdin.close()
            if push.wait(90) != 0:
                raise Failure(f"push ended with {push.popen.returncode}: {push.tail()}")
            job.await_sums(lines, 90)
            with open(cluster.path("failed"), encoding="utf-8") as f:
                failed = f.read()
            print(f"ok exact behind {cluster.job('synced')['driver_restarts']} launches; the last "
                  f"sync that failed was that of {os.path.basename(failed)}")

    @staticmethod
    def send(push, lines):
        push.popen.stdin.write("".join(line + "\n" for line in lines).encode())
        push.popen.stdin.flush()


def main():
    Cases(*(os.path.abspath(p) for p in sys.argv[1:4])).the_log_fails()
    print("failed_sync_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
