"""The input of a kill test: files and pushed lines at once, every record with an id of its own."""
import os
import random
import subprocess
import threading

from cluster import Failure

PAGES = 40
PRODUCER = "p1"


def push(cluster, job, **streams):
    return subprocess.Popen(
        [cluster.sluice, "push", f"--driver={cluster.address}", f"--job={job}", "--stream=ids",
         f"--producer={PRODUCER}", "--batch=20"], stderr=open(cluster.path("push.log"), "ab"),
        stdout=subprocess.PIPE, text=True, **streams)


def check_acknowledged(client, count, seconds):
    """The push client must end by itself and have every record acknowledged."""
    if client.wait(seconds) != 0:
        raise Failure(f"push ended with {client.returncode}")
    said = client.stdout.read().strip().splitlines()[-1:]
    if said != [f"acknowledged {count}"]:
        raise Failure(f"push said {said}, {count} records were given")


class Feeder:
    """Writes files and pushes lines until told to stop; remembers all that it gave."""

    def __init__(self, cluster, job, seed):
        self.cluster = cluster
        self.job = job
        self.random = random.Random(seed)
        self.given = {"files": [], "pushed": []}
        self.stop = threading.Event()
        self.drop = cluster.path("input")
        self.pushed = cluster.path("pushed.txt")  # line n is the producer's record n
        os.makedirs(self.drop)
        self.client = None
        self.thread = threading.Thread(target=self.feed, daemon=True)

    def lines(self, source, count):
        made = []
        for _ in range(count):
            number = len(self.given[source])
            made.append(f"page{self.random.randrange(PAGES)} {source}{number:07d}")
            self.given[source].append(made[-1])
        return "".join(line + "\n" for line in made)

    def start(self):
        self.client = push(self.cluster, self.job, stdin=subprocess.PIPE)
        self.thread.start()

    def feed(self):
        number = 0
        with open(self.pushed, "w") as pushed:
            while not self.stop.wait(self.random.uniform(0.02, 0.2)):
                number += 1
                aside = os.path.join(self.drop, f".f{number}")
                with open(aside, "w") as file:
                    file.write(self.lines("files", 30))
                os.rename(aside, os.path.join(self.drop, f"f{number:06d}"))
                lines = self.lines("pushed", 30)
                pushed.write(lines)
                pushed.flush()
                self.client.stdin.write(lines)
                self.client.stdin.flush()

    def finish(self):
        self.stop.set()
        self.thread.join()
        self.client.stdin.close()
        check_acknowledged(self.client, len(self.given["pushed"]), 60)

    def end(self):
        """Leaves no thread and no client behind, however the test ends."""
        self.stop.set()
        if self.client is not None and self.client.poll() is None:
            self.client.kill()

    def all(self):
        return self.given["files"] + self.given["pushed"]

    def give_again(self, job):
        """Pushes all once more, to another job."""
        with open(self.pushed) as lines:
            client = push(self.cluster, job, stdin=lines)
        check_acknowledged(client, len(self.given["pushed"]), 120)
