"""A local program that names its checkpoint goes on from it when it is run again.

usage: own_store_test.py OWN_STORE
"""
import os
import shutil
import signal
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Failure, Process, wait_until  # noqa: E402
from outputs import batches  # noqa: E402


def run(binary, folder, want):
    """Until the totals are such; then it drains."""
    env = dict(os.environ, OWN_STORE=f"rocksdb:{folder}/store")
    job = Process("own_store", [binary, f"--dir={folder}/in", f"--output={folder}/out/totals"],
                  folder, env=env)
    known = set(batches(f"{folder}/out", "totals"))

    def totals():
        if job.popen.poll() is not None:
            raise Failure(f"the job ended with {job.popen.returncode}: {job.tail()}")
        found = batches(f"{folder}/out", "totals")
        seen = [line for ms in found if ms not in known for line in found[ms]]
        if any(line not in want for line in seen):
            raise Failure(f"totals {sorted(set(seen))}, expected {want}")
        return want[-1] in seen
    try:
        wait_until(totals, f"totals {want}")
        job.kill(signal.SIGTERM)
        code = job.wait()
        if code != 0:
            raise Failure(f"the drain ended with {code}: {job.tail()}")
    finally:
        job.kill()


def main():
    binary = os.path.abspath(sys.argv[1])
    folder = tempfile.mkdtemp(prefix="sluice-test-")
    for name in ("in", "out"):
        os.makedirs(f"{folder}/{name}")
    with open(f"{folder}/in/first", "w") as first:
        first.write("word word\n")
    run(binary, folder, ["(word,2)"])
    os.remove(f"{folder}/in/first")  # whoever began anew would not find it
    with open(f"{folder}/in/second", "w") as second:
        second.write("word\n")
    run(binary, folder, ["(word,2)", "(word,3)"])
    shutil.rmtree(folder)
    print("ok: the second run went on from the first")


if __name__ == "__main__":
    main()
