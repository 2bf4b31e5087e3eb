"""Faults of a running job, one after the other, each healed before the next."""
import collections
import fcntl
import os
import shutil
import signal
import time

from cluster import Failure, kill_one, wait_until
from gauges import files_below

LEASE = 1.0
BLOCK_MEMORY = 1 << 20
BURST = 6 << 20


class Nemesis:
    def __init__(self, cluster, job, feeder, gauges, random):
        self.cluster, self.job, self.feeder = cluster, job, feeder
        self.gauges, self.random = gauges, random
        self.doom, self.gate = cluster.path("doom"), open(cluster.path("gate"), "w")
        self.healed_after = collections.defaultdict(list)  # of each fault, seconds
        self.begun = time.monotonic()
        self.queue = []
        self.beyond = {}  # what the last sample had out of bounds

    # ---- what the cluster is like ----------------------------------------------------------------

    def status(self):
        self.feeder.check_alive()
        for status in self.cluster.api("jobs") or []:
            if status["name"] == self.job:
                if status["state"] in ("FAILED", "FENCED", "FINISHED"):
                    raise Failure(f"the job is {status['state']}: {status['failure']}")
                return status
        return None

    def workers(self):
        """Of those that are up: {pid: worker}."""
        return {worker["pid"]: worker for worker in self.cluster.api("workers") or []
                if worker["state"] == "UP"}

    def executors(self, role):
        return [executor["pid"] for worker in self.workers().values()
                for executor in worker["executors"]
                if executor["job"] == self.job and executor["role"] == role
                and executor["pid"] > 0]

    def whole(self, generation, decided):
        """Every worker runs tasks and every block has its copies, in a later generation."""
        status, workers = self.status(), self.workers()
        ours = {process.pid for process in self.cluster.workers.values()}
        return (status and status["state"] == "RUNNING"
                and (status["epoch"], status["generation"]) > generation
                and status["decided_batches"] >= decided and status["waiting_batches"] <= 4
                and status["under_replicated_blocks"] == 0 and set(workers) == ours
                and len(self.executors("tasks")) == len(ours) and self.executors("receivers"))

    def sample(self):
        """Whether everything is within its bounds."""
        status, workers = self.status(), self.workers()
        if not status or not workers:
            return False
        self.beyond = self.gauges.take(
            {"driver daemon": [self.cluster.driver.pid], "worker daemon": list(workers),
             "job driver": [status["driver_pid"]], "executor": self.executors("tasks"),
             "receiver": self.executors("receivers")},
            files_below(self.cluster.path(f"checkpoint-{self.job}", "objects")),
            max(worker["blocks_bytes"] for worker in workers.values()))
        return not self.beyond

    # ---- faults: each returns whether a new generation must follow -------------------------------

    def kill_one(self, pids_now, what):
        kill_one(pids_now, what, self.random)

    def task_killed(self):
        open(self.doom, "w").close()
        wait_until(lambda: not os.path.exists(self.doom), "a task to die")
        return True

    def executor_killed(self):
        self.kill_one(lambda: self.executors("tasks"), "an executor")
        return True

    def receiver_killed(self):
        self.kill_one(lambda: self.executors("receivers"), "a receiver")
        return False

    def job_driver_killed(self):
        self.kill_one(lambda: [(self.status() or {}).get("driver_pid", 0)], "a job driver")
        return True

    def driver_daemon_killed(self):
        self.cluster.driver.kill()
        self.cluster.start_driver("--conf=worker_lease=1s")
        return False

    def any_worker(self):
        return self.random.choice(list(self.cluster.workers))

    def start_worker(self, name, **how):
        self.cluster.start_worker(name, flags=[f"--conf=block_memory={BLOCK_MEMORY >> 20}MiB"],
                                  **how)

    def worker_killed(self):
        name = self.any_worker()
        self.cluster.workers[name].kill()
        self.start_worker(name)
        return True

    def node_killed(self):
        """A worker daemon, all its executors and its whole data directory."""
        name = self.any_worker()
        data = self.cluster.path(name)
        for pid in self.cluster.pids_with(data + "/"):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.cluster.workers[name].kill()
        shutil.rmtree(data, ignore_errors=True)
        self.start_worker(name)
        return True

    def worker_stopped(self):
        """Until the job has gone on without it: it comes back to what others have taken over."""
        process = self.cluster.workers[self.any_worker()]
        before = self.generation()
        os.kill(process.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: self.generation() > before, "a stopped worker to be lost")
        finally:
            os.kill(process.pid, signal.SIGCONT)
        return True

    def job_driver_stopped(self):
        pid = wait_until(lambda: (self.status() or {}).get("driver_pid", 0), "a job driver")
        os.kill(pid, signal.SIGSTOP)
        time.sleep(2.5 * LEASE)  # how long the fault lasts
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass  # it was ended and replaced
        return False

    def worker_joins_and_leaves(self):
        self.start_worker("guest", fresh=True)
        guest = self.cluster.workers["guest"]
        generation = self.generation()
        wait_until(lambda: self.whole(generation, 0), "the guest to run tasks", 60)
        name = self.workers()[guest.pid]["id"]
        self.cluster.run("worker", "drain", name, "--deadline=30s", seconds=60)
        if guest.wait() != 0:
            raise Failure(f"a drained worker ended with {guest.popen.returncode}")
        del self.cluster.workers["guest"]
        return False

    def block_memory_full(self):
        """Tasks are held back until the blocks that wait are several times the memory for them."""
        fcntl.flock(self.gate, fcntl.LOCK_EX)
        self.feeder.burst = BURST
        try:
            wait_until(lambda: max((worker["blocks_bytes"] for worker in self.workers().values()),
                                   default=0) > 3 * BLOCK_MEMORY, "blocks beyond their memory", 60)
        finally:
            fcntl.flock(self.gate, fcntl.LOCK_UN)
        return False

    ALL = (task_killed, executor_killed, receiver_killed, job_driver_killed, driver_daemon_killed,
           worker_killed, node_killed, worker_stopped, job_driver_stopped, worker_joins_and_leaves,
           block_memory_full)

    # ---- a run -----------------------------------------------------------------------------------

    def generation(self):
        status = wait_until(self.status, "the job's status")
        return status["epoch"], status["generation"]

    def one(self):
        """The next fault of a shuffled round of all, until it is healed."""
        if not self.queue:
            self.queue = list(self.ALL)
            self.random.shuffle(self.queue)
        fault = self.queue.pop()
        name = fault.__name__.replace("_", " ")
        before = wait_until(self.status, "the job's status")
        at = time.monotonic()
        changes = fault(self)
        over = time.monotonic()
        generation = (before["epoch"], before["generation"] if changes else -1)
        decided = before["decided_batches"] + 4
        wait_until(lambda: self.whole(generation, decided), f"the cluster to heal after: {name}", 60)
        healed = time.monotonic()
        try:
            wait_until(self.sample, f"bounds to be kept again after: {name}", 30)
        except Failure as failure:
            raise Failure(f"{failure}; beyond: {self.beyond}")
        self.healed_after[name].append(healed - over)
        print(f"{at - self.begun:7.1f} s: {name}, {over - at:.1f} s; healed after "
              f"{healed - over:.1f} s", flush=True)

    def table(self):
        lines = [f"{'fault':30} {'times':>6} {'healed after, s, at most':>25}"]
        for name, seconds in sorted(self.healed_after.items()):
            lines.append(f"{name:30} {len(seconds):6} {max(seconds):25.1f}")
        return "\n".join(lines)
