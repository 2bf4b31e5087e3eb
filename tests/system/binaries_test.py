"""Job binaries on the nodes, with real processes: asked before their first start, refused by name,
started no more than a few times when they cannot come up, and removed when nobody needs them.

usage: binaries_test.py SLUICE MISFIT
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402


def submit(cluster, binary, name, *flags, misfit="none"):
    """(exit code, standard error) of a submission; it must end by itself."""
    folder = cluster.path("in")
    os.makedirs(folder, exist_ok=True)
    try:
        done = subprocess.run(
            [cluster.sluice, "submit", f"--driver={cluster.address}", f"--name={name}", *flags,
             binary, "--", f"--dir={folder}", f"--output={cluster.path(name)}/o",
             f"--misfit={misfit}"], text=True, capture_output=True, timeout=90)
    except subprocess.TimeoutExpired:
        raise Failure(f"submit of {name} does not end")
    return done.returncode, done.stderr


def binaries(cluster, *daemons):
    return [sorted(name for name in os.listdir(cluster.path(daemon, "binaries"))
                   if len(name) == 64) for daemon in daemons]


def never_starts(cluster, misfit):
    code, said = submit(cluster, misfit, "stillborn", misfit="start")
    if code != 1 or "no executor of the job starts" not in said or "exit 9" not in said:
        raise Failure(f"executors that end at their start: {code}: {said}")
    print("ok 1: " + said.strip())


def needs_what_only_the_driver_has(cluster, misfit, library):
    code, said = submit(cluster, misfit, "lacking")
    worker = cluster.worker_list()[0]["id"]
    if code != 3 or f"shared libraries are missing on worker {worker}" not in said or \
            library not in said:
        raise Failure(f"a library that is missing on the worker: {code}: {said}")
    print("ok 3: " + said.strip())


def removed(cluster, misfit):
    """The one of a job with a checkpoint stays until the checkpoint is gone."""
    wait_until(lambda: binaries(cluster, "driver", "w0") == [[], []],
               "the binaries of failed jobs to go")
    checkpoint = cluster.path("kept")
    code, said = submit(cluster, misfit, "resumable", f"--checkpoint=rocksdb:{checkpoint}")
    if code != 0:
        raise Failure(f"submit ended with {code}: {said}")
    cluster.decided("resumable", 2)
    mine = binaries(cluster, "driver", "w0")
    if len(mine[0]) != 1 or mine[0] != mine[1]:
        raise Failure(f"a running job's binary: {mine}")
    # Another one comes and goes meanwhile.
    other = cluster.path("other")
    shutil.copy(misfit, other)
    with open(other, "ab") as f:
        f.write(b"another digest")
    code, said = submit(cluster, other, "stillborn", misfit="start")
    if code != 1:
        raise Failure(f"the other one ended with {code}: {said}")
    wait_until(lambda: binaries(cluster, "driver", "w0") == mine, "only the other one to go")
    cluster.run("job", "drain", "resumable")
    wait_until(lambda: cluster.job("resumable")["state"] == "FINISHED", "the drain")
    code, said = submit(cluster, other, "stillborn", misfit="start")
    wait_until(lambda: binaries(cluster, "driver") == [mine[0]], "the other one to go again")
    shutil.rmtree(checkpoint)
    wait_until(lambda: binaries(cluster, "driver", "w0") == [[], []],
               "the binary to go with its checkpoint")
    print("ok: binaries go when nobody needs them")


def with_another_library(cluster, misfit):
    """(a copy of the binary that needs a library of a name of our own, that name)."""
    listed = subprocess.run(["ldd", misfit], text=True, capture_output=True, check=True).stdout
    with open(misfit, "rb") as f:
        program = f.read()
    # One that it names itself, and is not needed by others of them under its name.
    name, path = next((words[0], words[2]) for words in map(str.split, listed.splitlines())
                      if words[0].startswith("librocksdb") and words[0].encode() in program)
    other = name.replace("rocksdb", "rocksdq")
    patched = cluster.path("patched")
    with open(patched, "wb") as f:
        f.write(program.replace(name.encode(), other.encode()))
    os.chmod(patched, 0o755)
    os.makedirs(cluster.path("libraries"))
    os.symlink(path, cluster.path("libraries", other))
    return patched, other


def main():
    sluice, misfit = (os.path.abspath(p) for p in sys.argv[1:3])
    with Cluster(sluice) as cluster:
        patched, library = with_another_library(cluster, misfit)
        os.environ["LD_LIBRARY_PATH"] = cluster.path("libraries")
        cluster.start_driver("--conf=worker_lease=1s")
        del os.environ["LD_LIBRARY_PATH"]
        cluster.start_worker("w0")
        never_starts(cluster, misfit)
        needs_what_only_the_driver_has(cluster, patched, library)
        removed(cluster, misfit)


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
