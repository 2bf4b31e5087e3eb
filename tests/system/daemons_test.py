"""What befalls daemons and jobs that run: no descriptor or memory is left, an address changes
hands, what they say finds no room, clocks are apart and jump, a job is started as another program.

usage: daemons_test.py SLUICE GATE SHAPE CLOCK_LIBRARY
"""
import os
import resource
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, kill, wait_until  # noqa: E402
from gate_job import GateJob, gate_lines  # noqa: E402
from outputs import batches, drop_file, latest  # noqa: E402

CONF = ["worker_lease=1s", "checkpoint_interval=500ms"]
LINES = 200
MINUTE, HOUR, DAY = 60, 3600, 86400


class Run:
    """A job that counts what is put into files, on a cluster of two workers."""

    def __init__(self, cluster, gate):
        self.cluster, self.lines = cluster, []
        self.job = GateJob(cluster, "counts")
        self.job.submit(gate, conf=CONF)

    def more(self):
        """Some more lines, to their end."""
        more = gate_lines(len(self.lines), LINES)
        drop_file(self.job.inputs, f"f{len(self.lines)}", more)
        self.lines += more
        self.job.await_sums(self.lines)

    def status(self):
        return wait_until(lambda: self.cluster.job("counts"), "the status of the job")


def lowest_free(pid):
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    return min(set(range(len(taken) + 1)) - taken)


def names_of_processes(run, program):
    """ps names the program that was submitted, not only the job, which may be called otherwise."""
    for role in ("driver", "executor"):
        if not run.cluster.pids_with(f"{os.path.basename(program)} [job counts, {role}"):
            raise Failure(f"no {role} has its program's name")
    print("ok names of processes")


def no_descriptors(run):
    """Whoever connects waits; what is connected goes on; nobody is started again."""
    cluster = run.cluster
    before = run.status()
    for daemon in (cluster.driver, cluster.workers["w0"]):
        limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (lowest_free(daemon.pid), limits[1]))
        if daemon is cluster.driver:
            code, _, said = cluster.run("job", "list", "--connect-timeout=500ms", check=False)
            if code != 4:
                raise Failure(f"a client ended with {code}, not 4: {said}")
            wait_until(lambda: "no descriptor" in daemon.tail(), "the daemon to say it")
        run.more()
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, limits)
        run.more()
        if daemon.popen.poll() is not None:
            raise Failure(f"{daemon.name} ended with {daemon.popen.returncode}: {daemon.tail()}")
    after = run.status()
    if (after["epoch"], after["generation"]) != (before["epoch"], before["generation"]):
        raise Failure(f"the job was disturbed: {before}, then {after}")
    print("ok no descriptor left for driver daemon and worker daemon")


def an_address_changes_hands(run):
    """A worker dies, and another one is at its address before anybody looks."""
    cluster = run.cluster
    dead = cluster.workers["w0"]
    address = wait_until(lambda: [w["address"] for w in cluster.worker_list()
                                  if w["pid"] == dead.pid], "the worker's address")[0]
    dead.kill()
    for pid in cluster.pids_with(cluster.path("w0")):
        kill(pid)
    cluster.start_worker("w2", listen=address)

    def taken_over():
        rows = {w["pid"]: w for w in cluster.worker_list()}
        new, old = rows.get(cluster.workers["w2"].pid), rows.get(dead.pid)
        return (new and new["state"] == "UP" and new["address"] == address and new["executors"] and
                (old is None or (old["state"] != "UP" and old["id"] != new["id"])))
    run.more()
    wait_until(taken_over, "another worker at the address of the dead one")
    run.more()
    print(f"ok {address} belongs to another worker")


def killed_for_memory(run):
    """An executor in a memory cgroup that is full: the kernel ends it, and no task is blamed."""
    group = f"/sys/fs/cgroup/memory/sluice-test-{os.getpid()}"
    if not os.access(os.path.dirname(group), os.W_OK):
        print("not tried: no memory cgroup can be made here")
        return

    def write(name, value):
        with open(os.path.join(group, name), "w") as f:
            f.write(str(value))

    def kills():
        with open(os.path.join(group, "memory.oom_control")) as f:
            return int(dict(line.split() for line in f)["oom_kill"])
    victim = run.cluster.executors("counts")[0][1]
    os.mkdir(group)
    try:
        write("memory.limit_in_bytes", 1 << 16)
        write("cgroup.procs", victim)  # what it has stays; it gets no more
        wait_until(lambda: run.more() or kills(), "the kernel to end it")
    finally:
        kill(victim)
        wait_until(lambda: not os.path.exists(f"/proc/{victim}"), "the executor to be gone")
        os.rmdir(group)
    run.more()
    wait_until(lambda: run.status()["state"] == "RUNNING", "the job to be RUNNING")
    status = run.status()
    if status["failed_batches"] or status["driver_restarts"]:
        raise Failure(f"the job suffered: {status}")
    print("ok an executor was killed for memory")


def given_up(cluster, gate):
    """Nobody starts its driver again: its executors and receivers must not go on without it."""
    job = GateJob(cluster, "given-up")
    job.submit(gate, conf=[*CONF, "driver_restarts=0"])
    job.await_sums([])
    if not cluster.pids_with("[job given-up, executor"):
        raise Failure("the job has no executor")
    kill(cluster.job("given-up")["driver_pid"])
    wait_until(lambda: cluster.job("given-up")["state"] == "FAILED", "the job to fail")
    wait_until(lambda: not cluster.pids_with("[job given-up, executor"), "its executors to end")
    print("ok a job that is given up leaves no process")


def name_taken_again(cluster, gate):
    """While a worker is cut off its job is given up, and the name taken by another one."""
    former, later = GateJob(cluster, "taken"), GateJob(cluster, "later")
    later.name = former.name
    former.submit(gate, "--push=lines", [*CONF, "driver_restarts=0"], checkpoint=False)
    (cut_off, _), = wait_until(lambda: cluster.executors("taken", "receivers"), "a receiver")
    worker = next(worker for worker in cluster.worker_list() if worker["id"] == cut_off)
    old = [e["pid"] for e in worker["executors"] if e["job"] == "taken"]
    os.kill(worker["pid"], signal.SIGSTOP)
    kill(cluster.job("taken")["driver_pid"])
    wait_until(lambda: cluster.job("taken")["state"] == "FAILED", "the job to fail")
    later.submit(gate, "--push=lines", CONF, checkpoint=False)
    os.kill(worker["pid"], signal.SIGCONT)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in old),
               "what is left of the former job to end")
    lines = gate_lines(0, LINES)
    if cluster.push("taken", "lines", lines).wait() != 0:
        raise Failure("the later job takes nothing")
    later.await_sums(lines)
    cluster.run("job", "cancel", "taken")
    print("ok a name that is taken again leaves nothing of the former job")


def no_room_for_logs(sluice, gate):
    """Daemons whose standard error takes nothing, and a worker's death to talk about."""
    with Cluster(sluice) as cluster:
        for name in ("driver", "w0"):
            os.symlink("/dev/full", cluster.path(f"{name}.log"))
        cluster.start_driver("--conf=worker_lease=1s")
        for name in ("w0", "w1"):
            cluster.start_worker(name)
        run = Run(cluster, gate)
        run.more()
        cluster.workers["w1"].kill()
        for pid in cluster.pids_with(cluster.path("w1")):
            kill(pid)
        run.more()
        print("ok no room for what daemons say")


class Clock:
    """The wall clock of the processes that are started with `env`, seconds off this machine's."""

    def __init__(self, cluster, name, library):
        self.file = open(cluster.path(f"{name}.clock"), "wb", buffering=0)
        self.env = {**os.environ, "LD_PRELOAD": library, "SHIFTED_CLOCK": self.file.name}
        self.set(0)

    def set(self, seconds):
        os.pwrite(self.file.fileno(), struct.pack("=q", seconds), 0)


def clocks_that_differ(sluice, gate, library):
    """Daemons and a worker ten minutes apart, clocks that jump by an hour and a day, and strobe."""
    with Cluster(sluice) as cluster:
        clocks = {name: Clock(cluster, name, library) for name in ("driver", "w0")}
        cluster.env = {name: clock.env for name, clock in clocks.items()}
        clocks["driver"].set(-5 * MINUTE)
        clocks["w0"].set(5 * MINUTE)
        cluster.start_driver("--conf=worker_lease=1s")
        for name in ("w0", "w1"):
            cluster.start_worker(name)
        run = Run(cluster, gate)
        run.more()
        began = run.status()
        off = max(batches(run.job.output, "sums")) / 1000 - time.time()
        if not -6 * MINUTE < off < -4 * MINUTE:
            raise Failure(f"the job driver's clock is not five minutes behind: {off} s")
        for seconds in (HOUR, -HOUR, DAY, 0):
            for clock in clocks.values():
                clock.set(seconds)
            run.more()
        for turn in range(20):
            clocks["driver"].set((-1) ** turn * 5 * MINUTE)
            clocks["w0"].set((-1) ** (turn + 1) * 5 * MINUTE)
            if turn % 4 == 3:
                run.more()
        ended = run.status()
        if any(began[key] != ended[key] for key in ("epoch", "generation", "driver_restarts")):
            raise Failure(f"clocks have disturbed the job: {began}, then {ended}")
        if ended["decided_batches"] > 2000:
            raise Failure(f"a jump was made up for by single batches: {ended}")
        print(f"ok clocks apart and jumping: {len(run.lines)} lines exact, "
              f"{ended['decided_batches']} batches")


def another_program(cluster, shape):
    """Drained and submitted anew: what is found again goes on, what does not fit is refused."""
    inputs, output = cluster.path("shape", "in"), cluster.path("shape", "out")
    os.makedirs(inputs)
    os.makedirs(output)

    def flags(kind):
        return [f"--dir={inputs}", f"--output={output}", f"--shape={kind}"]

    def counts(state, expected):
        wait_until(lambda: sorted(latest(output, state)) == expected, f"{state} to be {expected}")
    drop_file(inputs, "f1", ["a 1", "a not", "b 2"])
    cluster.submit(shape, "shape", flags("first"))
    counts("words", ["(a,2)", "(b,1)"])
    cluster.run("job", "drain", "shape")

    done = subprocess.run(cluster.client_words(
        "submit", f"--driver={cluster.address}", "--name=shape",
        f"--checkpoint=rocksdb:{cluster.path('checkpoint-shape')}", shape, "--",
        *flags("fraction")), text=True, capture_output=True, timeout=60)
    if done.returncode != 3 or not all(word in done.stderr for word in ("words", "int64",
                                                                        "float64")):
        raise Failure(f"a changed codec ended with {done.returncode}: {done.stderr!r}")
    print(f"ok refused: {done.stderr.strip()}")

    cluster.submit(shape, "shape", flags("more"))
    drop_file(inputs, "f2", ["b 3", "b not", "c 4"])
    counts("words", ["(a,2)", "(b,2)", "(c,1)"])
    counts("since", ["(b,1)", "(c,1)"])
    cluster.run("job", "cancel", "shape")
    print("ok a changed program goes on with the state that it finds")


def main():
    sluice, gate, shape, library = (os.path.abspath(p) for p in sys.argv[1:5])
    with Cluster(sluice) as cluster:
        cluster.start_driver("--conf=worker_lease=1s")
        for name in ("w0", "w1"):
            cluster.start_worker(name)
        another_program(cluster, shape)
        given_up(cluster, gate)
        name_taken_again(cluster, gate)
        run = Run(cluster, gate)
        run.more()
        names_of_processes(run, gate)
        no_descriptors(run)
        killed_for_memory(run)
        an_address_changes_hands(run)
    no_room_for_logs(sluice, gate)
    clocks_that_differ(sluice, gate, library)
    print("daemons_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
