"""A job that was submitted with --fresh and --discard-checkpoint among its own words, as it could
be once, goes on from its checkpoint whenever its job driver is relaunched.

usage: old_words_test.py SLUICE CONSTANTS
"""
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, kill, wait_until  # noqa: E402

MAGIC = 16  # bytes before the checksum (driver/daemon/data_folder.cc)
WORDS = (b"--fresh", b"--discard-checkpoint")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def first_field(data):
    """The contents of the first field, which is number 1 and a message, and what follows."""
    if data[0] != 0x0A:
        raise Failure(f"the table begins with {data[:8]!r}")
    at = 1
    size = shift = 0
    while True:
        size |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return data[at:at + size], data[at + size:]


def add_words(path):
    """To the words of the one job of a driver daemon's table (proto/job_table.proto)."""
    with open(path, "rb") as table:
        content = table.read()
    job, others = first_field(content[MAGIC + 4:])
    spec, status = first_field(job)
    spec += b"".join(field(3, word) for word in WORDS)
    body = field(1, field(1, spec) + status) + others
    with open(path, "wb") as table:
        table.write(content[:MAGIC] + struct.pack("<I", crc32c(body)) + body)


def main():
    sluice, constants = sys.argv[1:]
    with Cluster(sluice) as cluster:
        os.makedirs(cluster.path("output"))
        cluster.start_driver("--conf=worker_lease=1s")
        cluster.start_worker("w0")
        cluster.submit(constants, "old", [f"--output={cluster.path('output', 'old')}"])
        before = cluster.decided("old", 3)
        cluster.driver.kill()
        kill(before["driver_pid"])
        add_words(cluster.path("driver", "jobs.table"))
        cluster.start_driver("--conf=worker_lease=1s")

        def relaunched():
            job = cluster.job("old") or {}
            if job.get("state") == "FAILED":
                raise Failure(f"the job has failed: {job.get('failure')}")
            up = job.get("state") == "RUNNING" and job["driver_pid"] != before["driver_pid"]
            return job if up else None
        after = wait_until(relaunched, "the next job driver")
        if after["epoch"] <= before["epoch"]:
            raise Failure(f"began anew: epoch {after['epoch']} behind {before['epoch']}")
        with open(f"/proc/{after['driver_pid']}/cmdline", "rb") as words:
            if not set(WORDS) <= set(words.read().split(b"\0")):
                raise Failure("the job driver was not given the words of the table")
        print(f"ok: epoch {after['epoch']} behind {before['epoch']}")


if __name__ == "__main__":
    main()
