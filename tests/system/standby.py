"""Driver daemons that stand by for each other, as real processes on one machine: the leader is
killed, stopped and woken, told to end; jobs run on with exact totals, and new ones are taken.
"""
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

from cluster import Failure, Process, wait_until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "soak"))
from sequence import Feeder, check_that_it_notices, judge  # noqa: E402

LEASE = 1.0
CONF = ["worker_lease=1s", "checkpoint_interval=1s", "partitions=3", "max_slots=3"]
WORKERS = ["w0", "w1", "w2"]


class Drivers:
    """By name; each has a data directory of its own, and all of them one store."""

    def __init__(self, cluster, store, env=None, ca=None):
        self.cluster, self.store, self.env = cluster, store, env
        self.scheme = "https" if ca else "http"
        self.tls = ssl.create_default_context(cafile=ca) if ca else None
        self.addresses, self.http, self.starts = {}, {}, 0

    def start(self, name):
        self.starts += 1
        files = [self.cluster.path(f"{name}.{self.starts}.{kind}") for kind in ("port", "http")]
        host = self.cluster.host(name)
        process = Process(name, [
            self.cluster.sluice, "driver", f"--listen={self.addresses.get(name, host + ':0')}",
            f"--http={host}:0", f"--data-dir={self.cluster.path(name)}",
            f"--store={self.store}", f"--port-file={files[0]}", f"--http-port-file={files[1]}",
            "--conf=worker_lease=1s", f"--conf=driver_lease={int(LEASE * 1000)}ms",
            *self.cluster.security(name)],
            self.cluster.folder, env=self.env, netns=self.cluster.namespace(name))
        self.cluster.workers[name] = process  # ended with the others
        self.addresses[name] = self.cluster.read_port(files[0], process)
        self.http[name] = self.cluster.read_port(files[1], process)
        self.cluster.address = ",".join(self.addresses.values())

    def process(self, name):
        return self.cluster.workers[name]

    def ready(self, name):
        """As a load balancer sees it."""
        try:
            with urllib.request.urlopen(f"{self.scheme}://{self.http[name]}/readyz", timeout=2,
                                        context=self.tls) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return False
        except OSError:
            return None

    def await_leader(self, name, seconds=20):
        begun = time.monotonic()
        wait_until(lambda: self.ready(name), f"{name} to lead", seconds)
        return time.monotonic() - begun


class Scenario:
    def __init__(self, cluster, drivers, sequence):
        self.cluster, self.drivers, self.sequence = cluster, drivers, sequence

    def submit(self, name):
        output = self.cluster.path("out-" + name)
        os.makedirs(output)
        word = self.cluster.path(f"{name}.txt")
        with open(word, "w") as f:
            f.write(name)
        self.cluster.submit(self.sequence, name,
                            [f"--output={output}", f"--gate={self.cluster.path('gate')}",
                             f"--doom={self.cluster.path('doom')}"], conf=CONF, files=[word])
        return output

    def shipped(self, name):
        """Where the file that came with a job lies on workers."""
        paths = [self.cluster.path(w, "work", name, f"{name}.txt") for w in WORKERS]
        return [path for path in paths if os.path.exists(path)]

    def drivers_of(self, name):
        return self.cluster.pids_with(f"[job {name}, driver]")

    def whole(self, name):
        """The job's status when it runs on all that it had, as the present leader has it."""
        status = self.cluster.job(name)
        up = [w for w in self.cluster.worker_list() if w["state"] == "UP"]
        good = status and status["state"] == "RUNNING" and len(up) == len(WORKERS)
        return status if good and status["driver_pid"] > 0 else None

    def await_whole(self, name, seconds=30):
        return wait_until(lambda: self.whole(name), f"job {name} to run under a new leader",
                          seconds)

    def undisturbed(self, name, before):
        """The takeover has cost the job nothing: not a generation, not a job driver."""
        after = self.await_whole(name)
        self.cluster.decided(name, after["decided_batches"] + 4)
        now = self.cluster.job(name)
        for field in ("epoch", "generation", "driver_restarts", "driver_pid"):
            if now[field] != before[field]:
                raise Failure(f"the takeover changed the job's {field} from {before[field]} to "
                              f"{now[field]}")

    def leader_is_killed(self):
        before = self.await_whole("one")
        self.drivers.process("a").kill()
        took = self.drivers.await_leader("b")
        self.undisturbed("one", before)
        self.submit("two")
        self.cluster.decided("two", 2)
        print(f"leader killed: the standby led after {took:.1f} s, lease {LEASE:g} s")

    def leader_is_stopped_and_woken(self):
        self.drivers.start("a")
        if self.drivers.ready("a"):
            raise Failure("a leads beside b")
        before = self.await_whole("one")
        self.drivers.process("b").kill(signal.SIGSTOP)
        # A call that only wakes up with the stopped one.
        late = subprocess.Popen(
            [self.cluster.sluice, "job", "cancel", "two", f"--driver={self.drivers.addresses['b']}",
             "--connect-timeout=30s"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        took = self.drivers.await_leader("a")
        after = self.await_whole("one")
        for path in self.shipped("one"):
            os.remove(path)
        os.kill(after["driver_pid"], signal.SIGKILL)  # the new leader's to start anew
        wait_until(lambda: (self.cluster.job("one") or {}).get("epoch", 0) > before["epoch"] and
                   self.whole("one"), "the job driver to be started anew", 40)
        settled = self.cluster.job("one")
        if not self.shipped("one"):
            raise Failure("the job driver that the new leader started ships no files")
        self.drivers.process("b").kill(signal.SIGCONT)
        wait_until(lambda: self.drivers.ready("b") is False, "the woken leader to stand by")
        self.undisturbed("one", settled)
        if len(self.drivers_of("one")) != 1 or self.drivers.ready("a") is not True:
            raise Failure("the woken leader has done something")
        if late.wait(40) != 0:
            raise Failure(f"the late call ended with {late.returncode}: {late.stderr.read()}")
        wait_until(lambda: (self.cluster.job("two") or {}).get("state") == "CANCELLED",
                   "the late call to have reached the leader")
        print(f"leader stopped: the standby led after {took:.1f} s; woken it stands by")

    def leader_ends_in_order(self):
        before = self.await_whole("one")
        self.drivers.process("a").kill(signal.SIGTERM)
        code = self.drivers.process("a").wait(20)
        if code != 0:
            raise Failure(f"SIGTERM ended a driver with {code}")
        took = self.drivers.await_leader("b")
        self.undisturbed("one", before)
        print(f"leader ended in order: the standby led {took:.1f} s later")

    def begin(self):
        for name in ("a", "b"):
            self.drivers.start(name)
        if not self.drivers.ready("a") or self.drivers.ready("b"):
            raise Failure("the first driver leads, the second stands by")
        for name in WORKERS:
            self.cluster.start_worker(name)

    def run(self):
        self.begin()
        only_b = [self.cluster.sluice, "worker", "list", f"--driver={self.drivers.addresses['b']}"]
        if subprocess.run(only_b, capture_output=True).returncode != 0:
            raise Failure("a client that knows the standby alone does not find the leader")
        output = self.submit("one")
        feeder = Feeder(self.cluster, "one", 1)
        feeder.start()
        try:
            self.cluster.decided("one", 4)
            self.leader_is_killed()
            self.leader_is_stopped_and_woken()
            self.leader_ends_in_order()
            feeder.finish()
        finally:
            feeder.end()
        self.cluster.run("job", "drain", "one", "--deadline=60s", seconds=90)
        records = judge(output, feeder.given)
        print(f"{records} records, each once and in order")


def check_secured(cluster, store, sequence, ca):
    """On a cluster with TLS and a token: job drivers believe the new leader, and it them."""
    scenario = Scenario(cluster, Drivers(cluster, store, ca=ca), sequence)
    scenario.begin()
    scenario.submit("one")
    cluster.decided("one", 4)
    scenario.leader_is_killed()


def check(cluster, store, sequence, env=None):
    check_that_it_notices()
    Scenario(cluster, Drivers(cluster, store, env), sequence).run()
