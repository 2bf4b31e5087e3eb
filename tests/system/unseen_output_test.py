"""A worker that sees another folder where an output is to go. Needs root: it has mounts of its own.

usage: unseen_output_test.py SLUICE MISFIT
"""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, Process, wait_until  # noqa: E402


def start_apart(cluster, out):
    """A worker with an empty folder at `out`; its id."""
    cluster.workers["apart"] = process = Process("apart", [
        "unshare", "-m", "sh", "-c", f'mount -t tmpfs tmpfs {out} && exec "$@"', "sh",
        cluster.sluice, "worker", f"--driver={cluster.address}", "--slots=2",
        "--listen=127.0.0.1:0", f"--data-dir={cluster.path('apart')}"], cluster.folder)
    return wait_until(lambda: [w["id"] for w in cluster.worker_list() if w["pid"] == process.pid],
                      "the worker that is apart")[0]


def marked(out):
    return [name for name in os.listdir(out) if name.startswith(".sluice-probe-")]


def refused(cluster, job, out):
    worker = start_apart(cluster, out)
    done = subprocess.run(
        cluster.client_words("submit", f"--driver={cluster.address}", "--name=first", *job),
        text=True, capture_output=True, timeout=60)
    lines = [line for line in done.stderr.splitlines() if "does not see the folder" in line]
    says = f"SaveAsTextFiles to {out}/o, on worker {worker}"
    if done.returncode != 3 or len(lines) != 1 or says not in lines[0]:
        raise Failure(f"a folder that a worker does not see: {done.returncode} {done.stderr}")
    wait_until(lambda: not os.listdir(out), "nothing to be left by a job that was refused")
    cluster.workers["apart"].kill(signal.SIGTERM)
    cluster.workers["apart"].wait()
    wait_until(lambda: len([w for w in cluster.worker_list() if w["state"] == "UP"]) == 1,
               "the worker to be gone")


def done_without(cluster, job, out):
    """One that joins when batches have been decided ends nothing."""
    cluster.submit(job[0], "second", job[2:], checkpoint=False)
    cluster.decided("second", 1)
    if marked(out):
        raise Failure(f"the first batch is decided, and there is still {marked(out)}")
    worker = start_apart(cluster, out)
    wait_until(lambda: f"on worker {worker} cannot work" in cluster.run("job", "logs", "second")[1],
               "the job to do without the worker")
    cluster.decided("second", cluster.job("second")["decided_batches"] + 10)
    cluster.run("job", "drain", "second")
    wait_until(lambda: cluster.job("second")["state"] == "FINISHED", "the drain")
    names = os.listdir(out)
    if not names or any(not name.startswith("o-") for name in names):
        raise Failure(f"a job that did without a worker has left {names}")
    if cluster.job("second")["driver_restarts"] != 0:
        raise Failure(f"the job did not live through it: {cluster.job('second')}")


def main():
    sluice, misfit = (os.path.abspath(p) for p in sys.argv[1:3])
    with Cluster(sluice) as cluster:
        out, inputs = cluster.path("out"), cluster.path("in")
        os.makedirs(out)
        os.makedirs(inputs)
        cluster.start_driver()
        cluster.start_worker("w0")
        job = [misfit, "--", f"--dir={inputs}", f"--output={out}/o"]
        refused(cluster, job, out)
        done_without(cluster, job, out)
    print("unseen_output_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
