"""Records of 64 MiB, from files and pushed, over a shuffle between two workers.

usage: large_records_test.py SLUICE LARGE
"""
import collections
import glob
import hashlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, wait_until  # noqa: E402

RECORD = 64 << 20


def line_of(word, size):
    """`word` and a body that depends on it, `size` bytes in all."""
    body = hashlib.sha256(word.encode()).hexdigest()
    return (word + " " + body * (size // len(body) + 1))[:size]


def digests(lines):
    return collections.Counter(hashlib.sha256(line).hexdigest() for line in lines)


def written(output):
    for part in glob.glob(f"{output}-*/part-*"):
        with open(part, "rb") as f:
            for line in f:
                yield line.rstrip(b"\n")


def run(cluster, large):
    cluster.start_driver()
    for name in ("w0", "w1"):
        cluster.start_worker(name)
    folder, output = cluster.path("in"), cluster.path("out")
    os.makedirs(folder)
    files = [line_of(word, RECORD) for word in ("first", "second")] + [line_of("small", 100)]
    with open(os.path.join(folder, ".lines"), "w") as f:
        f.write("".join(line + "\n" for line in files))
    os.rename(os.path.join(folder, ".lines"), os.path.join(folder, "lines"))
    pushed = [line_of("third", RECORD), line_of("tiny", 10), line_of("fourth", RECORD)]
    cluster.submit(large, "large", [f"--dir={folder}", "--push=lines", f"--output={output}"])
    push = cluster.push("large", "lines", pushed)
    if push.wait(120) != 0:
        raise Failure(f"push ended with {push.popen.returncode}: {push.tail()}")
    cluster.run("job", "drain", "large", "--deadline=60s", seconds=90)
    wait_until(lambda: cluster.job("large")["state"] == "FINISHED", "the job to end")
    expected = digests(line.encode() for line in files + pushed)
    if digests(written(output)) != expected:
        raise Failure("what was written is not what was sent")
    print(f"exact: {len(files + pushed)} lines, {4 * RECORD >> 20} MiB")


def main():
    sluice, large = (os.path.abspath(p) for p in sys.argv[1:3])
    with Cluster(sluice) as cluster:
        run(cluster, large)
    print("large_records_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
