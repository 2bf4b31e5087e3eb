"""Jobs whose log and state are in an S3 bucket, with real processes and a real S3 server.

usage: s3_test.py SLUICE GATE CHECKS
"""
import glob
import os
import random
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from certificates import Authority  # noqa: E402
from cluster import Cluster, Failure, kill, wait_until  # noqa: E402
from gate_job import GateJob, gate_lines  # noqa: E402
from outputs import drop_file  # noqa: E402
from s3_proxy import S3Proxy  # noqa: E402
from s3_server import ForgetfulStore, S3Server  # noqa: E402

CONF = ("worker_lease=1s", "checkpoint_interval=300ms")


def ok(what):
    print(f"ok {what}", flush=True)


class S3Job(GateJob):
    """A gate job with its checkpoint in the bucket, and what was fed to it."""

    def __init__(self, cluster, name, gate, source=None):
        super().__init__(cluster, name)
        self.binary, self.source = gate, source
        self.lines = []

    def submit(self, *flags, code=0, conf=CONF, cluster=None):
        cluster = cluster or self.cluster
        words = cluster.client_words(
            "submit", f"--driver={cluster.address}", f"--name={self.name}",
            f"--checkpoint=s3://bucket/jobs/{self.name}", *flags,
            *[f"--conf={pair}" for pair in conf], self.binary, "--", *self.flags(self.source))
        done = subprocess.run(words, text=True, capture_output=True, timeout=120)
        if done.returncode != code:
            raise Failure(f"submit ended with {done.returncode}, not {code}: {done.stderr}")
        return done.stderr

    def feed(self, count=200):
        more = gate_lines(len(self.lines), count)
        drop_file(self.inputs, f"f{len(self.lines)}", more)
        self.lines += more

    def push(self, count=200):
        """The same producer with all its lines from the first on, until they are acknowledged."""
        self.lines += gate_lines(len(self.lines), count)
        client = self.cluster.push(self.name, "words", self.lines)
        if client.wait() != 0 or f"acknowledged {len(self.lines)}" not in client.tail():
            raise Failure(f"the push ended otherwise: {client.tail()}")

    def exact(self):
        self.await_sums(self.lines)

    def driver_pid(self):
        return (self.cluster.job(self.name) or {}).get("driver_pid")

    def said(self, words):
        """What the job driver has written, if it has written these words."""
        text = self.cluster.run("job", "logs", self.name, check=False)[1]
        return words in text


class Cases:
    def __init__(self, cluster, s3, gate):
        self.cluster, self.s3, self.gate = cluster, s3, gate

    def job(self, name):
        return S3Job(self.cluster, name, self.gate)

    def start(self):
        self.cluster.start_driver("--conf=worker_lease=1s")
        for name in ("w0", "w1"):
            self.cluster.start_worker(name)

    def kill_everything(self):
        """The driver daemon, workers, job drivers and executors, all at once."""
        pids = [pid for pid in self.cluster.pids_with(self.cluster.folder)
                if pid != self.s3.process.pid]
        for pid in pids:
            kill(pid)
        for process in [self.cluster.driver, *self.cluster.workers.values()]:
            process.popen.wait()
        wait_until(lambda: not set(self.cluster.pids_with(self.cluster.folder)) & set(pids),
                   "all to be dead")

    def lose_disks(self):
        for name in ("driver", "w0", "w1"):
            shutil.rmtree(self.cluster.path(name))

    def killed_at_once(self):
        job = self.job("all")
        job.submit()
        job.feed()
        job.exact()
        for _ in range(3):
            job.feed()
            self.cluster.decided("all", self.cluster.job("all")["decided_batches"] + 1)
            self.kill_everything()
            job.feed()
            self.start()
            job.exact()
        ok("everything killed at once, three times")

        keys = self.s3.keys()
        for part in ("/log/", "/manifest-", "/objects/"):
            if not any(key.startswith("jobs/all/") and part in key for key in keys):
                raise Failure(f"nothing in the bucket has {part}: {keys}")
        job.feed()
        self.kill_everything()
        self.lose_disks()
        job.feed()
        self.start()
        job.submit()
        job.exact()
        ok("another node goes on from the bucket alone")
        self.cluster.run("job", "drain", "all", "--deadline=30s")
        job.expect_sums(job.lines)
        batch = str(self.cluster.job("all")["last_decided_batch_ms"])
        said = self.cluster.run("batch", "replay", "all", batch)[1]
        if "the same state as was decided" not in said:
            raise Failure(f"batch replay all {batch}: {said}")
        ok("a batch whose log and state are in a bucket is run again")
        self.verified("all")
        if "--discard-checkpoint" not in job.submit("--fresh", code=3):
            raise Failure("--fresh does not say what it needs")
        ok("a checkpoint that exists is not begun anew by mistake")

    def verified(self, name):
        url = f"s3://bucket/jobs/{name}"
        listed = self.cluster.run("checkpoint", "list", url)[1]
        if "manifest-" not in listed:
            raise Failure(f"checkpoint list {url}: {listed}")
        if "whole" not in self.cluster.run("checkpoint", "verify", url)[1]:
            raise Failure(f"checkpoint verify {url}")
        part = [key for key in self.s3.keys() if f"jobs/{name}/" in key and "/part-" in key][-1]
        self.s3.spoil(part)
        code, out, err = self.cluster.run("checkpoint", "verify", url, check=False)
        if code != 8 or part.rsplit("/", 1)[1] not in out + err:
            raise Failure(f"a flipped bit in {part}: {code} {out} {err}")
        self.s3.spoil(part)
        self.cluster.run("checkpoint", "verify", url)
        ok("checkpoints in a bucket are listed and verified, and a flipped bit is found")

    def every_disk_lost(self):
        job = S3Job(self.cluster, "pushed", self.gate, "--push=words")
        conf = ["received_log=on", "replication=1", "checkpoint_interval=10m", "worker_lease=1s"]
        job.submit(conf=conf)
        for _ in range(2):
            job.push()
            self.kill_everything()
            self.lose_disks()
            self.start()
            job.submit(conf=conf)
        job.exact()
        self.cluster.run("job", "drain", "pushed", "--deadline=30s")
        job.expect_sums(job.lines)
        ok("acknowledged records outlive every process and every disk of the cluster")

    def faulty_store(self, proxy):
        dice = random.Random(17)

        def fault(method, path):
            if dice.random() > 0.2:
                return None
            kinds = [503, 500, "cut", "half"]
            if method == "PUT":  # a lost answer is followed by 412 of our own object
                kinds += ["lost", "lost", 409]
            return dice.choice(kinds)
        job = self.job("faulty")
        job.submit()
        proxy.fault = fault
        for _ in range(8):
            job.feed()
            self.cluster.decided("faulty", self.cluster.job("faulty")["decided_batches"] + 5)
        os.kill(job.driver_pid(), signal.SIGKILL)
        job.feed()
        job.exact()
        proxy.fault = None
        missing = {503, 500, "cut", "half", "lost", 409} - set(proxy.faults)
        if missing:
            raise Failure(f"these faults never happened: {missing}")
        self.cluster.run("job", "cancel", "faulty")
        ok(f"a faulty store: {sum(proxy.faults.values())} faults, totals exact")

    def store_away(self, proxy):
        """For longer than one request is tried: the append fails, and is tried by the driver."""
        job = self.job("away")
        job.submit()
        job.feed()
        job.exact()
        pid, executors = job.driver_pid(), self.cluster.executors("away")
        proxy.fault = lambda method, path: 503
        job.feed()
        wait_until(lambda: job.said("cannot be written and is tried again"), "it to be said")
        job.feed()
        proxy.fault = None
        job.exact()
        if (job.driver_pid(), self.cluster.executors("away")) != (pid, executors):
            raise Failure("not every process lived through a store that was away")
        self.executor_begins_without_the_store(job, proxy)
        self.cluster.run("job", "cancel", "away")
        ok("a store that answers 503 for longer than a request is tried costs nothing")

    def executor_begins_without_the_store(self, job, proxy):
        """It ended the job for good (3)."""
        pid, executors = job.driver_pid(), self.cluster.executors("away")
        proxy.fault = lambda method, path: 503
        os.kill(executors[0][1], signal.SIGKILL)
        logs = self.cluster.path("w*", "logs", "away", "**")
        wait_until(lambda: any("is opened when it is used" in open(path, errors="replace").read()
                               for path in glob.glob(logs, recursive=True) if os.path.isfile(path)),
                   "an executor to begin without the store")
        job.feed()
        proxy.fault = None
        job.exact()
        if job.driver_pid() != pid:
            raise Failure("the job driver did not live through it")
        ok("an executor that begins while the store is away waits for it")

    def read_only_store(self, proxy):
        job = self.job("readonly")
        job.submit()
        job.feed()
        job.exact()
        pid = job.driver_pid()
        proxy.fault = lambda method, path: 403 if method in ("PUT", "POST") else None
        job.feed()
        wait_until(lambda: job.said("cannot be written and is tried again"), "it to be said")
        proxy.fault = None
        job.exact()
        if job.driver_pid() != pid:
            raise Failure("the job driver did not live through a store that only reads")
        self.cluster.run("job", "cancel", "readonly")
        ok("a bucket that cannot be written for a while costs nothing")

    def fenced(self):
        job = self.job("twice")
        job.submit()
        job.feed()
        job.exact()
        old = job.driver_pid()
        os.kill(old, signal.SIGSTOP)
        os.makedirs(self.cluster.path("other"))
        with Cluster(self.cluster.sluice, self.cluster.path("other")) as other:
            other.start_driver("--conf=worker_lease=1s")
            other.start_worker("w0")
            job.submit(cluster=other)
            job.feed()
            job.exact()
            os.kill(old, signal.SIGCONT)
            wait_until(lambda: self.cluster.job("twice")["state"] == "FENCED",
                       "the driver that slept to be fenced")
            job.feed()
            job.exact()
            other.run("job", "cancel", "twice")
        ok("a driver that wakes after another took over is fenced and writes nothing")

    def local_log(self):
        job = self.job("apart")
        log = self.cluster.path("apart-log")
        job.submit(f"--log=rocksdb:{log}")
        job.feed()
        job.exact()
        if any(key.startswith("jobs/apart/") and "/log/" in key for key in self.s3.keys()):
            raise Failure("the log is in the bucket all the same")
        self.kill_everything()
        job.feed()
        self.start()
        job.exact()
        self.cluster.run("job", "drain", "apart", "--deadline=30s")
        if "--log" not in job.submit(code=3):
            raise Failure("a log in another place is not told by name")
        shutil.rmtree(log)
        if "log" not in job.submit(f"--log=rocksdb:{log}", code=8):
            raise Failure("a log that is gone is not told by name")
        ok("a log apart from its state, and what its loss means")

    def renewed_keys(self, path):
        job = self.job("keys")
        job.submit()
        job.feed()
        job.exact()
        pid = job.driver_pid()
        self.s3.stop()
        self.s3.access, self.s3.secret = "next-access", "next-secret"
        self.s3.start()
        job.feed()
        wait_until(lambda: job.said("cannot be written and is tried again"), "it to be said")
        self.s3.write_credentials(path)
        job.exact()
        if job.driver_pid() != pid:
            raise Failure("the job driver did not live through a change of keys")
        os.chmod(path, 0o644)
        refused = self.job("open").submit(code=6)
        if "0600" not in refused:
            raise Failure(f"a credentials file that all may read: {refused}")
        os.chmod(path, 0o600)
        self.cluster.run("job", "cancel", "keys")
        ok("keys that are renewed in their file while a job runs")

    def ignored_conditions(self):
        with ForgetfulStore() as store:
            env = dict(os.environ, AWS_ENDPOINT_URL=store.endpoint)
            words = [self.gate, "--checkpoint=s3://bucket/x", *self.job("ignored").flags()]
            done = subprocess.run(words, env=env, text=True, capture_output=True, timeout=60)
            if done.returncode != 3 or "If-None-Match" not in done.stderr:
                raise Failure(f"conditions ignored: {done.returncode} {done.stderr}")
            if store.objects:
                raise Failure(f"it was written to all the same: {store.objects}")
        ok("an endpoint that ignores conditions is refused, with the reason")

    def no_key_is_shown(self):
        explained = self.cluster.run("conf", "explain", self.gate)[1]
        for secret in ("test-secret", "next-secret"):
            if secret in explained:
                raise Failure("conf explain shows a key")
            for at, _, names in os.walk(self.cluster.folder):
                for name in names:
                    path = os.path.join(at, name)
                    if "/s3/" in path or name == "credentials" or not os.path.isfile(path):
                        continue
                    with open(path, "rb") as f:
                        if secret.encode() in f.read():
                            raise Failure(f"a key is in {path}")
            if self.cluster.pids_with(secret):
                raise Failure("a key is on a command line")
        ok("no key in a log, a file or on a command line")


def check(checks, env, code=0):
    words = checks if isinstance(checks, list) else [checks]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    if (done.returncode != 0) != (code != 0):
        raise Failure(done.stdout + done.stderr)
    return done.stdout


def over_tls(cluster, checks):
    folder = cluster.path("tls")
    os.makedirs(folder)
    authority = Authority(folder, "ca")
    server = S3Server(folder, tls=authority.issue("s3", "127.0.0.1"))
    env = server.environment() | {"AWS_CA_BUNDLE": authority.certificate}
    check(checks, env)
    del env["AWS_CA_BUNDLE"]
    env.pop("XML_OUTPUT_FILE", None)  # these cases are to fail: their report is not the test's
    if "certificate" not in check([checks, "--gtest_filter=*PutOnce*"], env, code=1):
        raise Failure("a certificate of nobody's is not what failed")
    server.stop()
    ok("the same over TLS, and a certificate that nobody vouches for is refused")


def run(cluster, gate, checks):
    s3 = S3Server(cluster.folder)
    shown = check(checks, s3.environment())
    print("".join(line + "\n" for line in shown.splitlines() if " OK ]" in line), end="")
    over_tls(cluster, checks)
    proxy = S3Proxy(s3.port)
    credentials = cluster.path("credentials")
    s3.write_credentials(credentials)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}",
                       "AWS_SHARED_CREDENTIALS_FILE": credentials})
    cases = Cases(cluster, s3, gate)
    cases.start()
    cases.killed_at_once()
    cases.every_disk_lost()
    cases.faulty_store(proxy)
    cases.store_away(proxy)
    cases.read_only_store(proxy)
    cases.fenced()
    cases.local_log()
    cases.ignored_conditions()
    cases.renewed_keys(credentials)
    cases.no_key_is_shown()


def main():
    sluice, gate, checks = (os.path.abspath(p) for p in sys.argv[1:4])
    with Cluster(sluice) as cluster:
        run(cluster, gate, checks)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
