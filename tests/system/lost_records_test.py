"""Lines of a plain socket that are lost with the worker that took them: counted, and shown. Of a
receiver that ends while its worker lives none is lost.

usage: lost_records_test.py SLUICE WORDCOUNT
"""
import os
import re
import socket
import sys
import threading
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, kill, wait_until  # noqa: E402
from outputs import latest  # noqa: E402

ROUND = 500  # lines, each a word of its own
ROUNDS_MAX = 5


class Source:
    """A server of lines that sends each once, to whoever is connected."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.peer = None
        self.came = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            self.peer, _ = self.server.accept()
            self.came += 1

    def send(self, lines):
        self.peer.sendall("".join(line + "\n" for line in lines).encode())


def taken(cluster):
    """Records that the present receiver says it has taken; None while there is none."""
    receivers = (cluster.job("lossy") or {}).get("receivers", [])
    return receivers[0]["taken"] if receivers and receivers[0]["address"] else None


def counted(output):
    totals = [re.fullmatch(r"\((.*),(\d+)\)", line).groups() for line in latest(output, "totals")]
    if any(count != "1" for _, count in totals):
        raise Failure(f"a word counts twice: {totals}")
    return len(totals)


def metric(cluster, name):
    with urllib.request.urlopen(f"http://{cluster.http}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return int(re.search(name + r'\{job="lossy"\} (\d+)', text).group(1))


def take_round(cluster, source, sent):
    """The receiver that comes up next takes a round of lines; the worker that it is on, its pid."""
    wait_until(lambda: taken(cluster) == 0, "a receiver", 60)
    source.send([f"word{sent + i}" for i in range(ROUND)])
    wait_until(lambda: taken(cluster) == ROUND, "all lines to be taken")
    (receiver,) = cluster.executors("lossy", "receivers")
    return receiver


def await_next(cluster, source, came):
    wait_until(lambda: source.came > came, "the next receiver", 60)
    before = cluster.job("lossy")["decided_batches"]
    cluster.decided("lossy", before + 2)


def receiver_dies(cluster, source, output):
    """What was in its buffers, the open one too, is with its worker."""
    came = wait_until(lambda: source.came, "a receiver", 60)
    _, pid = take_round(cluster, source, 0)
    if not kill(pid):
        raise Failure("the receiver had ended by itself")
    await_next(cluster, source, came)
    wait_until(lambda: counted(output) == ROUND, f"{ROUND} lines to be counted", 20)
    lost = cluster.job("lossy")["lost_records"]
    if lost != 0:
        raise Failure(f"{lost} lines were lost with a receiver whose worker lives")
    print(f"killed a receiver: {ROUND} lines sent, all counted")


def run(cluster, wordcount):
    cluster.start_driver("--conf=worker_lease=1s")
    for name in ("w0", "w1"):
        cluster.start_worker(name)
    source = Source()
    output = cluster.path("out")
    os.makedirs(output)
    # Long batches: what a receiver has taken stays for a while with its node alone.
    cluster.submit(wordcount, "lossy",
                   ["--host=127.0.0.1", f"--port={source.port}", f"--output={output}/totals"],
                   conf=["batch_interval=3s", "block_interval=3s", "worker_lease=1s"])
    receiver_dies(cluster, source, output)
    sent = ROUND
    lost = 0
    for _ in range(ROUNDS_MAX):
        came = source.came
        home, _ = take_round(cluster, source, sent)
        sent += ROUND
        name = next(n for n, p in cluster.workers.items()
                    if any(w["id"] == home and w["pid"] == p.pid for w in cluster.worker_list()))
        cluster.workers[name].kill()
        cluster.start_worker(name)
        await_next(cluster, source, came)
        lost = wait_until(lambda: (cluster.job("lossy")["lost_records"] + counted(output) == sent
                                   and [cluster.job("lossy")["lost_records"]]),
                          f"{sent} lines to be counted or lost; counted {counted(output)}, lost "
                          f"{cluster.job('lossy')['lost_records']}", 20)[0]
        print(f"killed {name}: {sent} lines sent, {counted(output)} counted, {lost} lost")
        if lost > 0:
            break
    if lost == 0:
        raise Failure("nothing was ever lost: the test shows nothing")
    if metric(cluster, "sluice_job_lost_records") != lost:
        raise Failure("/metrics says something else")
    _, log, _ = cluster.run("job", "logs", "lossy")
    said = [line for line in log.splitlines() if "are lost: worker" in line]
    if len(said) != 1 or home not in said[0] or f"{lost} records of stream" not in said[0]:
        raise Failure(f"not one line that names stream and worker: {said}")
    cluster.run("job", "drain", "lossy", "--deadline=60s")
    ended = wait_until(lambda: (cluster.job("lossy")["state"] == "FINISHED"
                                and cluster.job("lossy")), "the drain")
    if ended["lost_records"] != lost or counted(output) + lost != sent:
        raise Failure(f"after the drain: {ended}")
    print(f"exact: {sent} lines sent, {counted(output)} counted, {lost} lost and said to be")


def main():
    sluice, wordcount = (os.path.abspath(p) for p in sys.argv[1:3])
    with Cluster(sluice) as cluster:
        run(cluster, wordcount)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
