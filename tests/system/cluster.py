"""A cluster of real processes on loopback, for whole-system tests: starts, kills and watches them.

Nothing here sleeps for a fixed time in place of an event: every wait polls a condition that the
system itself makes true, under a deadline.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request


# A test that is told to end, say because its time is over, still ends what it started.
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(f"ended by signal {number}"))


class Failure(Exception):
    """What a test reports: one line."""


def wait_until(condition, what, seconds=30.0):
    """Polls until `condition` gives something true, and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"timed out after {seconds:g} s: {what}")
        time.sleep(0.02)


def kill(pid):
    """SIGKILL; whether such a process was there. Its pid may be of a status that is out of date."""
    if not pid or pid < 1:  # 0 would be our own process group
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def kill_one(pids, what, random):
    """Waits until one of what `pids` gives could be killed."""
    def attempt():
        found = pids()
        return bool(found) and kill(random.choice(found))
    wait_until(attempt, f"{what} to kill")


class Process:
    """One started process with its standard error in a file."""

    def __init__(self, name, argv, folder, env=None, stdin=None, netns=None):
        self.name = name
        self.log = os.path.join(folder, f"{name}.log")
        if netns:
            argv = ["ip", "netns", "exec", netns] + argv
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(argv, stdout=out, stderr=out, stdin=stdin or
                                          subprocess.DEVNULL, env=env, start_new_session=True)

    @property
    def pid(self):
        return self.popen.pid

    def kill(self, number=signal.SIGKILL):
        if self.popen.poll() is None:
            os.kill(self.pid, number)
        if number == signal.SIGKILL:
            self.popen.wait()

    def wait(self, seconds=60):
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} did not end in {seconds} s; see {self.log}")

    def tail(self, lines=15):
        if not os.path.isfile(self.log):  # but a device
            return ""
        with open(self.log, errors="replace") as log:
            return "".join(log.readlines()[-lines:])


class Cluster:
    """A driver daemon and its workers under one temporary folder, removed at the end.

    With a network (network.py) every daemon runs in the namespace of its name and clients in
    "client"; `security` are the flags that daemons and clients then need.
    """

    def __init__(self, sluice, folder=None, keep=False, network=None, security=None):
        self.sluice = os.path.abspath(sluice)
        self.network = network
        self.security = security or (lambda name: [])
        self.bind = {}  # of a daemon by name: another host to listen on than its address
        self.env = {}   # of a daemon by name: its environment
        self.folder = folder or tempfile.mkdtemp(prefix="sluice-test-")
        self.keep = keep
        self.driver = None
        self.workers = {}
        self.address = None
        self.http = None
        self.starts = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        for process in list(self.workers.values()) + [self.driver]:
            if process is not None:
                process.kill(signal.SIGKILL)
        self.end_jobs()
        if kind is None and not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"kept: {self.folder}", file=sys.stderr)
        return False

    def end_jobs(self):
        """Job drivers outlive their daemon on purpose; a test must not."""
        for pid in self.pids_with(self.folder):
            kill(pid)

    def lose_every_node(self):
        """Every process at once, and all disks but the store's."""
        for pid in self.pids_with(self.folder):
            kill(pid)
        for process in [self.driver, *self.workers.values()]:
            process.kill()
        wait_until(lambda: not self.pids_with(self.folder), "every process to be gone")
        for name in ("driver", *self.workers):
            shutil.rmtree(self.path(name))

    def pids_with(self, text):
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as f:
                    line = f.read().replace(b"\0", b" ").decode(errors="replace")
                with open(f"/proc/{entry}/stat") as f:
                    state = f.read().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if text in line and state != "Z":
                found.append(int(entry))
        return found

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def host(self, name):
        return self.network.address(name) if self.network else "127.0.0.1"

    def namespace(self, name):
        return self.network.namespace(name) if self.network else None

    def client_words(self, *words):
        """A client command as words to run, without the flags that say where and who."""
        inside = self.network.inside("client") if self.network else []
        return [*inside, self.sluice, *words]

    def start_driver(self, *flags):
        port_file = self.path("driver.port")
        if os.path.exists(port_file):
            os.remove(port_file)
        http_file = self.path("driver.http")
        if os.path.exists(http_file):
            os.remove(http_file)
        host = self.bind.get("driver", self.host("driver"))
        self.driver = Process("driver", [
            self.sluice, "driver", f"--listen={self.address or host + ':0'}", f"--http={host}:0",
            f"--advertise={self.host('driver')}", f"--data-dir={self.path('driver')}",
            f"--port-file={port_file}", f"--http-port-file={http_file}",
            *self.security("driver"), *flags], self.folder, self.env.get("driver"),
            netns=self.namespace("driver"))
        self.address = self.read_port(port_file, self.driver)
        self.http = self.read_port(http_file, self.driver)

    def start_worker(self, name, slots=2, fresh=False, flags=(), ready=True, listen=None):
        """With `ready` it returns when the worker accepts calls; at HOST:PORT, if that is given."""
        data = self.path(name)
        if fresh:
            shutil.rmtree(data, ignore_errors=True)
        self.starts += 1
        port_file = self.path(f"{name}.{self.starts}.port")
        self.workers[name] = Process(name, [
            self.sluice, "worker", f"--driver={self.address}", f"--slots={slots}",
            f"--listen={listen or self.bind.get(name, self.host(name)) + ':0'}",
            f"--advertise={self.host(name)}", f"--data-dir={data}", f"--port-file={port_file}",
            *self.security(name), *flags], self.folder, self.env.get(name),
            netns=self.namespace(name))
        if ready:
            self.read_port(port_file, self.workers[name])

    def read_port(self, path, process):
        def read():
            if process.popen.poll() is not None:
                raise Failure(f"{process.name} ended with {process.popen.returncode}:\n"
                              f"{process.tail()}")
            if not os.path.exists(path):
                return None
            with open(path) as f:
                return f.read().strip()
        return wait_until(read, f"{process.name} to be ready")

    def run(self, *argv, check=True, seconds=60, stdin=None):
        """A client command of sluice. Returns (exit code, stdout, stderr)."""
        words = self.client_words(*argv, f"--driver={self.address}", *self.security("client"))
        done = subprocess.run(words, text=True, capture_output=True, timeout=seconds, input=stdin)
        if check and done.returncode != 0:
            raise Failure(f"sluice {' '.join(argv)} ended with {done.returncode}: {done.stderr}")
        return done.returncode, done.stdout, done.stderr

    def submit(self, binary, name, args, checkpoint=True, conf=(), files=()):
        """With a checkpoint of its own, at the folder or URL given, or (False) in the driver's data.
        """
        folder = self.path("checkpoint-" + name) if checkpoint is True else checkpoint
        url = folder if folder and "://" in folder else f"rocksdb:{folder}"
        flags = [f"--checkpoint={url}"] if folder else []
        flags += [f"--conf={pair}" for pair in conf] + [f"--file={path}" for path in files]
        words = self.client_words("submit", f"--driver={self.address}", f"--name={name}",
                                  *self.security("client"), *flags, binary, "--", *args)
        done = subprocess.run(words, text=True, capture_output=True, timeout=120)
        if done.returncode != 0:
            raise Failure(f"submit ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def push(self, job, stream, lines, producer="p", batch=50):
        """Starts a push client fed from a file; the test waits for it or kills it."""
        path = self.path(f"push-{producer}.txt")
        with open(path, "w") as f:
            f.write("".join(line + "\n" for line in lines))
        return Process(f"push-{producer}", [
            self.sluice, "push", f"--driver={self.address}", f"--job={job}",
            f"--stream={stream}", f"--producer={producer}", f"--batch={batch}",
            *self.security("client"), path], self.folder, netns=self.namespace("client"))

    def api(self, what):
        """The list at /api/v1/WHAT; None while the driver daemon is away."""
        try:
            with urllib.request.urlopen(f"http://{self.http}/api/v1/{what}", timeout=5) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None

    def job(self, name):
        """The status of a job as an object, or None while the driver daemon is away."""
        code, out, _ = self.run("job", "status", name, "-o", "json", check=False)
        return json.loads(out.splitlines()[0]) if code == 0 and out.strip() else None

    def worker_list(self):
        code, out, _ = self.run("worker", "list", "-o", "json", check=False)
        return [json.loads(line) for line in out.splitlines()] if code == 0 else []

    def executors(self, job, role="tasks"):
        """[(worker id, pid)] of the job's executors."""
        found = []
        for worker in self.worker_list():
            for executor in worker.get("executors", []):
                if executor["job"] == job and executor["role"] == role:
                    found.append((worker["id"], executor["pid"]))
        return found

    def decided(self, name, at_least, seconds=60):
        def enough():
            job = self.job(name)
            if job and job["state"] in ("FAILED", "FENCED"):
                raise Failure(f"job {name} is {job['state']}: {job.get('failure')}")
            return job if job and job["decided_batches"] >= at_least else None
        return wait_until(enough, f"{at_least} decided batches of {name}", seconds)
