"""Kills the parts of a running job, one run of kills after the other."""
import json
import shutil
import subprocess
import time

from cluster import Failure, wait_until
from moments import ANY, COST_A_GENERATION, COST_COPIES, RECOVERING, Tally


class Victim:
    """Processes to kill, or a file whose taker dies; and how to bring them back."""

    def __init__(self, pids=(), restart=None, doom=None):
        self.pids, self.restart, self.doom = pids, restart, doom

    def doom_step(self):
        return "mapping" if self.doom.endswith("/map") else "reducing"


class Killer:
    """Chooses victims; the program killer.cc kills them and says in which step that was."""

    def __init__(self, cluster, job, program, flags, restart_driver, random):
        self.cluster = cluster
        self.restart_driver = restart_driver
        self.job = job
        self.random = random
        self.tally = Tally()
        self.decided = 0
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [program, cluster.path(f"checkpoint-{job}"), cluster.path("killer"),
             cluster.path("driver", "jobs", job), "--", *flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def age(self):
        return time.monotonic() - self.begun

    def order(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"failed": "the killer has ended"}
        if "failed" in answer:
            raise Failure(f"the log: {answer['failed']}")
        self.decided = answer["decided"]
        return answer

    def end(self):
        self.process.stdin.close()
        self.process.wait()

    # ---- what the job is like ------------------------------------------------------------------

    def status(self):
        for status in self.cluster.api("jobs") or []:
            if status["name"] != self.job:
                continue
            if status["state"] in ("FAILED", "FENCED", "FINISHED"):
                raise Failure(f"the job is {status['state']}: {status['failure']}")
            return status
        return None

    def executors(self, role):
        return [executor["pid"] for worker in self.cluster.api("workers") or []
                for executor in worker["executors"]
                if executor["job"] == self.job and executor["role"] == role
                and executor["pid"] > 0]

    def whole(self):
        """All workers run tasks and every block has its replicas: one more node may go.

        The status may be older than the last kill. It is believed when it is of a generation that
        began after that kill and in which all workers have done their part of a batch: who says so
        knows what was lost."""
        seen = self.look()
        status = self.status()
        return (status and seen["answered"] and seen["members"] == len(self.cluster.workers)
                and (status["epoch"], status["generation"]) == (seen["epoch"], seen["generation"])
                and status["state"] == "RUNNING" and status["under_replicated_blocks"] == 0)

    # ---- victims -------------------------------------------------------------------------------

    def choose(self, role):
        """A victim that is there now, or None."""
        return getattr(self, "choose_" + role.replace(" ", "_"))()

    def choose_task(self):
        return Victim(doom=self.cluster.path("doom", self.random.choice(["map", "update"])))

    def choose_executor(self):
        return self.one_of(self.executors("tasks"))

    def choose_receiver(self):
        return self.one_of(self.executors("receivers"))

    def one_of(self, pids):
        return Victim([self.random.choice(pids)]) if pids else None

    def choose_worker(self):
        name = self.random.choice(list(self.cluster.workers))
        return Victim([self.cluster.workers[name].pid],
                      lambda: self.cluster.start_worker(name, ready=False))

    def choose_node(self):
        """A worker daemon, all its executors and its whole data directory."""
        name = self.random.choice(list(self.cluster.workers))
        data = self.cluster.path(name)

        def restart():
            shutil.rmtree(data, ignore_errors=True)
            self.cluster.start_worker(name, fresh=True, ready=False)
        return Victim([self.cluster.workers[name].pid] + self.cluster.pids_with(data + "/"),
                      restart)

    def choose_job_driver(self):
        status = self.status()
        return Victim([status["driver_pid"]]) if status and status["driver_pid"] > 0 else None

    def choose_driver_daemon(self):
        return Victim([self.cluster.driver.pid], self.restart_driver)

    # ---- kills ---------------------------------------------------------------------------------

    def run(self, kills):
        """Kills one after the other without a pause, then awaits that the job goes on."""
        if any(kill.role in COST_COPIES for kill in kills):
            wait_until(self.whole, "the job to have its workers and replicas again", 60)
        # A recovery is short: whoever is to die in it is chosen before.
        victims = [wait_until(lambda: self.choose(kill.role), f"a {kill.role}") for kill in kills]
        for kill, victim in zip(kills, victims):
            self.one(kill, victim)
        ahead = self.decided + 2
        wait_until(lambda: self.look()["decided"] >= ahead,
                   f"the job to go on after kills of {', '.join(kill.role for kill in kills)}", 60)

    def look(self):
        self.status()
        return self.order("kill", 0, "-", 0)

    def one(self, kill, victim):
        """Kills the victim, or who has taken its place if it is gone by itself."""
        how = [int(kill.role in COST_A_GENERATION), kill.step, kill.delay_us]
        while True:
            answer = (self.order("doom", *how, victim.doom) if victim.doom
                      else self.order("kill", *how, *victim.pids))
            if answer["killed"] > 0:
                break
            victim = wait_until(lambda: self.choose(kill.role), f"a {kill.role} to kill", 30)
        before, after = answer["before"], answer["after"]
        if victim.doom:  # it died where its function ran, not where it was doomed
            before = after if after in RECOVERING else victim.doom_step()
            after = before
        self.tally.note(kill.role, before, after)
        wanted = f", drawn for {kill.step}" if kill.step not in (before, ANY) else ""
        print(f"{self.age():6.2f} s: {kill.role} killed in {before}{wanted}; "
              f"slot {answer['slot']}, {answer['decided']} decided", flush=True)
        if victim.restart:
            for process in list(self.cluster.workers.values()) + [self.cluster.driver]:
                if process.pid in victim.pids:
                    process.popen.wait()
            victim.restart()
