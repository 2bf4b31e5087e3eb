"""SIGTERM and deadlines: what drains, what stays, what ends at once, and with which exit code.

usage: signals_test.py SLUICE GATE
"""
import json
import os
import re
import shutil
import signal
import sys
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, Process, kill, wait_until  # noqa: E402
from gate_job import GateJob, gate_lines  # noqa: E402
from outputs import drop_file  # noqa: E402


def expect(seen, wanted, what):
    if seen != wanted:
        raise Failure(f"{what}: {seen!r}, not {wanted!r}")
    print(f"ok {what}", flush=True)


class Cases:
    def __init__(self, cluster, gate):
        self.cluster = cluster
        self.gate = gate

    def local(self, name, shut, *flags):
        job = GateJob(self.cluster, name, shut)
        given = gate_lines(0, 100)
        drop_file(job.inputs, "f", given)
        process = Process(name, [self.gate, *job.flags(), *flags], self.cluster.folder)
        return job, process, given

    def local_jobs(self):
        job, process, given = self.local("local", False)
        job.await_sums(given)
        more = gate_lines(100, 50)
        drop_file(job.inputs, "g", more)
        process.kill(signal.SIGINT)
        expect(process.wait(), 0, "a local job drains at Ctrl-C")
        job.expect_sums(given + more)

        # One batch is shut in; the first signal waits for it, the second does not.
        job, process, _ = self.local("local-twice", True)
        self.await_words(process, "at the gate")
        process.kill(signal.SIGTERM)
        self.await_words(process, "draining")
        process.kill(signal.SIGTERM)
        expect(process.wait(), 5, "a second signal ends a local job at once")

        job, process, _ = self.local("local-late", True, "--conf=drain_deadline=300ms")
        self.await_words(process, "at the gate")
        process.kill(signal.SIGTERM)
        expect(process.wait(), 5, "a local job whose drain outlasts drain_deadline")

    @staticmethod
    def await_words(process, words):
        wait_until(lambda: words in process.tail(), f"{process.name} to say {words!r}")

    def held_in_recovery_here(self, name, deadline):
        """A local job that was killed with one batch at the gate and one decided that no checkpoint
        has (the first one is always in one), started again with the gate still shut."""
        flags = [f"--checkpoint=rocksdb:{self.cluster.path(name, 'checkpoint')}",
                 "--http=127.0.0.1:0", "--conf=checkpoint_interval=60s",
                 f"--conf=drain_deadline={deadline}"]
        job, process, given = self.local(name, False, *flags)
        job.await_sums(given)
        given += self.one_more_and_one_held(job, given)
        self.await_words(process, "at the gate")
        process.kill()
        words = [self.gate, *job.flags(), *flags]
        process = Process(name + "-again", words, self.cluster.folder)
        self.await_words(process, "at the gate")
        pages = re.search(r"http://[0-9.:]+", process.tail()).group()
        with urllib.request.urlopen(pages + "/api/v1/jobs", timeout=10) as answer:
            expect(json.load(answer)[0]["state"], "RECOVERING", "a local job runs a batch again")
        return job, process, words, given

    @staticmethod
    def one_more_and_one_held(job, given):
        second, third = gate_lines(100, 100), gate_lines(200, 50)
        drop_file(job.inputs, "g", second)
        job.await_sums(given + second)
        job.shut()
        drop_file(job.inputs, "h", third)
        return second + third

    def local_jobs_in_recovery(self):
        job, process, _, given = self.held_in_recovery_here("back", "60s")
        process.kill(signal.SIGTERM)
        self.await_words(process, "draining")
        job.open()
        expect(process.wait(), 0, "a local job drains at a SIGTERM during recovery")
        job.expect_sums(given)

        job, process, words, given = self.held_in_recovery_here("back-late", "300ms")
        process.kill(signal.SIGTERM)
        expect(process.wait(), 5, "a local job whose recovery outlasts drain_deadline")
        job.open()
        process = Process("back-later", [*words, "--conf=drain_deadline=60s"], self.cluster.folder)
        job.await_sums(given)
        process.kill(signal.SIGTERM)
        expect(process.wait(), 0, "the next start has everything")
        job.expect_sums(given)

    def held_in_recovery(self, name):
        """The same on the cluster, where the job driver is killed and started again."""
        job = GateJob(self.cluster, name)
        job.submit(self.gate, conf=["checkpoint_interval=60s"])
        given = gate_lines(0, 100)
        drop_file(job.inputs, "f", given)
        job.await_sums(given)
        given += self.one_more_and_one_held(job, given)
        job.held()
        former = self.cluster.job(name)
        kill(former["driver_pid"])

        def again():
            status = self.cluster.job(name)  # of the next one when its epoch is in it
            return status["epoch"] > former["epoch"] and status["waiting_batches"] > 0 and \
                status["state"] == "RECOVERING"
        wait_until(again, "the next job driver to run a batch again")
        return job, given

    def drained_in_recovery(self):
        job, given = self.held_in_recovery("again")
        drain = Process("drain", [self.cluster.sluice, "job", "drain", "again", "--deadline=60s",
                                  f"--driver={self.cluster.address}"], self.cluster.folder)
        wait_until(lambda: self.cluster.job("again")["state"] == "DRAINING", "the drain to begin")
        job.open()
        expect(drain.wait(), 0, "a job is drained during its recovery")
        job.expect_sums(given)

        job, given = self.held_in_recovery("again-late")
        code, _, said = self.cluster.run("job", "drain", "again-late", "--deadline=300ms",
                                         check=False, seconds=20)
        expect((code, "deadline" in said), (5, True), "a drain that a recovery outlasts")
        job.open()
        job.submit(self.gate)
        job.await_sums(given)
        self.cluster.run("job", "drain", "again-late", "--deadline=60s", seconds=90)
        job.expect_sums(given)

    def drain_past_its_deadline(self):
        for name, conf, flags in (("late", [], ["--deadline=300ms"]),
                                  ("own", ["drain_deadline=300ms"], [])):
            job = GateJob(self.cluster, name, shut=True)
            job.submit(self.gate, conf=conf)
            drop_file(job.inputs, "f", gate_lines(0, 10))
            job.held()
            code, _, said = self.cluster.run("job", "drain", name, *flags, check=False, seconds=20)
            expect(code, 5, f"a drain past its deadline, by {conf or flags}")
            expect("deadline" in said, True, "it says so")

    def cancelled_at_once(self):
        """A task that does not return holds no cancel up."""
        job = GateJob(self.cluster, "wrong", shut=True)
        job.submit(self.gate)
        drop_file(job.inputs, "f", gate_lines(0, 10))
        job.held()
        code, _, _ = self.cluster.run("job", "cancel", "wrong", check=False, seconds=20)
        expect(code, 0, "a cancel while a task is held")
        expect(self.cluster.job("wrong")["state"], "CANCELLED", "it is cancelled")

    def driver_daemon_ends(self):
        """The running job goes on without its driver daemon, and the next one takes it up."""
        job = GateJob(self.cluster, "stays")
        job.submit(self.gate)
        before = self.cluster.job("stays")
        self.cluster.driver.kill(signal.SIGTERM)
        expect(self.cluster.driver.wait(), 0, "a driver daemon ends at SIGTERM")
        given = gate_lines(0, 100)
        drop_file(job.inputs, "f", given)
        job.await_sums(given)
        self.cluster.start_driver()
        after = self.cluster.decided("stays", before["decided_batches"] + 1)
        expect((after["driver_pid"], after["driver_restarts"]), (before["driver_pid"], 0),
               "its job went on and was taken up again")
        return job, given

    def driver_daemon_stops_jobs(self, job, given):
        """Restarted with --stop-jobs it drains what runs."""
        self.cluster.driver.kill(signal.SIGTERM)
        self.cluster.driver.wait()
        self.cluster.start_driver("--stop-jobs")
        before = wait_until(lambda: self.cluster.job("stays"), "the job to be known")
        more = gate_lines(100, 100)
        drop_file(job.inputs, "g", more)
        self.cluster.driver.kill(signal.SIGTERM)
        expect(self.cluster.driver.wait(), 0, "--stop-jobs drains")
        job.expect_sums(given + more)
        expect(before["driver_pid"] in self.cluster.pids_with(self.cluster.folder), False,
               "the job driver has ended")
        self.cluster.start_driver()
        expect(self.cluster.job("stays")["state"], "FINISHED", "the job has finished")

    def worker_hands_over(self, name_of_job, drain):
        """With one copy of each block, a worker that drains leaves its blocks with a peer."""
        job = GateJob(self.cluster, name_of_job, shut=True)
        job.submit(self.gate, "--push=lines", conf=["replication=1", "checkpoint_interval=60s"])
        holder = wait_until(lambda: self.cluster.executors(name_of_job, "receivers"),
                            "a receiver")
        given = gate_lines(0, 1000)
        push = self.cluster.push(name_of_job, "lines", given)
        expect(push.wait(), 0, "all is acknowledged while the gate is shut")
        job.held()
        name = next(name for name, process in self.cluster.workers.items()
                    if process.pid == self.pid_of(holder[0][0]))
        worker = self.cluster.workers.pop(name)
        drain(worker, holder[0][0])
        # Its executors wait at the gate: only then does its hand-over show to be none of theirs.
        expect(worker.wait(), 0, "a worker drains")
        shutil.rmtree(self.cluster.path(name))
        job.open()
        job.await_sums(given)
        code, _, _ = self.cluster.run("job", "drain", name_of_job, "--deadline=60s", check=False)
        expect(code, 0, "the job drains after its worker is gone")
        job.expect_sums(given)

    def drain_by_command(self, worker, worker_id):
        code, out, err = self.cluster.run("worker", "drain", worker_id, "--deadline=20s",
                                          check=False)
        expect((code, out.strip()), (0, f"{worker_id} drained"), f"worker drain: {err}")
        state = next(w["state"] for w in self.cluster.worker_list() if w["id"] == worker_id)
        expect(state, "DRAINED", "the list of workers says so")

    def pid_of(self, worker_id):
        return next(w["pid"] for w in self.cluster.worker_list() if w["id"] == worker_id)

    def worker_that_cannot_hand_over(self):
        """A sole worker has nobody to give its blocks to: its deadline, or a second signal."""
        for name in list(self.cluster.workers):
            worker = self.cluster.workers.pop(name)
            worker.kill(signal.SIGTERM)
            expect(worker.wait(), 0, "a worker without jobs ends")
        for what, flags, signals in (("the deadline passes", ["--conf=drain_deadline=300ms"], 1),
                                     ("a second signal comes", [], 2)):
            self.cluster.start_worker("sole", flags=flags)
            job = GateJob(self.cluster, f"sole-{signals}")
            job.submit(self.gate, "--push=lines", conf=["checkpoint_interval=60s"])
            given = gate_lines(0, 100)
            push = self.cluster.push(job.name, "lines", given, producer=job.name)
            expect(push.wait(), 0, "a sole worker acknowledges")
            job.await_sums(given)
            worker = self.cluster.workers.pop("sole")
            for _ in range(signals):
                worker.kill(signal.SIGTERM)
                self.await_words(worker, "draining")
            expect(worker.wait(), 5, f"a sole worker ends with 5 when {what}")
            self.cluster.run("job", "cancel", job.name, "--deadline=300ms", check=False)


def main():
    sluice, gate = (os.path.abspath(p) for p in sys.argv[1:3])
    with Cluster(sluice) as cluster:
        cases = Cases(cluster, gate)
        cases.local_jobs()
        cases.local_jobs_in_recovery()
        cluster.start_driver("--conf=worker_lease=1s")
        for name in ("w0", "w1"):
            cluster.start_worker(name)
        cases.drain_past_its_deadline()
        cases.drained_in_recovery()
        cases.cancelled_at_once()
        cases.driver_daemon_stops_jobs(*cases.driver_daemon_ends())
        cases.worker_hands_over("signalled", lambda worker, _: worker.kill(signal.SIGTERM))
        cluster.start_worker("w2")
        cases.worker_hands_over("commanded", cases.drain_by_command)
        cases.worker_that_cannot_hand_over()
    print("signals_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
