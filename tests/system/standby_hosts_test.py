"""Driver daemons on hosts of their own (network namespaces), table, log and state in one bucket: the
leader's node, with the job driver that it started, is cut off from everybody, and comes back.

usage: standby_hosts_test.py SLUICE SEQUENCE
"""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402
from network import Network  # noqa: E402
from s3_server import BUCKET, S3Server  # noqa: E402
from standby import CONF, Drivers, Feeder, judge  # noqa: E402

JOB = "one"
WORKERS = ["w0", "w1", "w2"]


def lines_of(process):
    with open(process.log, errors="replace") as log:
        return log.read().splitlines()


def said(process, text):
    return any(text in line for line in lines_of(process))


class Hosts:
    def __init__(self, cluster, network, drivers):
        self.cluster, self.network, self.drivers = cluster, network, drivers

    def readyz(self, name):
        """200, 503, or nothing."""
        asked = subprocess.run(
            [*self.network.inside("client"), "curl", "-s", "-m", "2", "-o", "/dev/null", "-w",
             "%{http_code}", f"http://{self.drivers.http[name]}/readyz"], text=True,
            capture_output=True)
        return asked.stdout

    def job_drivers(self):
        return self.cluster.pids_with(f"[job {JOB}, driver]")

    def one_is_cut_off(self):
        before = self.cluster.decided(JOB, 8)
        former = self.job_drivers()
        begun = time.monotonic()
        self.network.unplug("a")
        wait_until(lambda: self.readyz("b") == "200", "b to lead", 30)
        led = time.monotonic() - begun

        def goes_on():
            status = self.cluster.job(JOB)
            return (status and status["epoch"] > before["epoch"]
                    and status["decided_batches"] >= before["decided_batches"] + 8)
        wait_until(goes_on, "the job to go on from b", 60)
        print(f"a cut off: b led after {led:.1f} s, the job went on after "
              f"{time.monotonic() - begun:.1f} s")
        wait_until(lambda: said(self.drivers.process("a"), "stands by now"), "a to notice", 30)
        self.network.plug("a")
        wait_until(lambda: not set(former) & set(self.job_drivers()),
                   "the job driver on a to be fenced", 60)
        wait_until(lambda: self.readyz("a") == "503", "a to stand by", 30)

    def parted_from_each_other(self):
        """Both reach the store and all workers: nobody has a reason to take over."""
        before = self.cluster.decided(JOB, 1)
        self.network.cut("a", "b")
        self.network.cut("b", "a")
        self.cluster.decided(JOB, before["decided_batches"] + 16)
        self.network.heal("a", "b")
        self.network.heal("b", "a")
        after = self.cluster.job(JOB)
        for field in ("epoch", "generation"):
            if after[field] != before[field]:
                raise Failure(f"the job's {field} went from {before[field]} to {after[field]}")
        if (self.readyz("a"), self.readyz("b")) != ("503", "200"):
            raise Failure("another driver leads, though all reached the store")
        print("parted from each other: nothing happens")


def main():
    sluice, sequence = (os.path.abspath(p) for p in sys.argv[1:3])
    with (Network("a", "b", *WORKERS, "store", "client") as network,
          Cluster(sluice, network=network, security=lambda name: ["--insecure"]) as cluster):
        s3 = S3Server(cluster.folder, host=network.address("store"),
                      netns=network.namespace("store"))
        cluster.workers["s3"] = s3.process
        os.environ.update(s3.environment())
        drivers = Drivers(cluster, f"s3://{BUCKET}/drivers")
        hosts = Hosts(cluster, network, drivers)
        for name in ("a", "b"):
            drivers.start(name)
        for name in WORKERS:
            cluster.start_worker(name)
        output = cluster.path("out")
        os.makedirs(output)
        cluster.submit(sequence, JOB, [f"--output={output}", f"--gate={cluster.path('gate')}",
                                       f"--doom={cluster.path('doom')}"],
                       checkpoint=f"s3://{BUCKET}/jobs/{JOB}", conf=CONF)
        feeder = Feeder(cluster, JOB, 1)
        feeder.start()
        try:
            hosts.one_is_cut_off()
            hosts.parted_from_each_other()
            feeder.finish()
        finally:
            feeder.end()
        cluster.run("job", "drain", JOB, "--deadline=60s", seconds=90)
        print(f"{judge(output, feeder.given)} records, each once and in order")
    print("standby_hosts_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
