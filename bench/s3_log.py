"""What a log in an S3 bucket costs: latency of batches and puts per hour, the store 20 ms away.

usage: s3_log.py SLUICE GATE [NAME]    (needs the server of tests/s3_server.sh)

A small job that keeps state and writes one output a batch, on two workers. A batch's latency is
from its tick to the _SUCCESS of its output, which waits for `decided` in the log.
"""
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/system"))
from cluster import Cluster, Failure  # noqa: E402
from gate_job import GateJob, gate_lines  # noqa: E402
from outputs import drop_file  # noqa: E402
from s3_proxy import S3Proxy  # noqa: E402
from s3_server import S3Server  # noqa: E402

DELAY_S = 0.02
FAR_S = 0.3  # longer than a batch of 200 ms
MEASURED_S = 30


def latencies_ms(output, from_ms):
    """From tick to published, of the batches after `from_ms`."""
    found = []
    for name in sorted(os.listdir(output)):
        done = os.path.join(output, name, "_SUCCESS")
        batch_ms = int(name.rsplit("-", 1)[1]) if name.startswith("sums-") else 0
        if batch_ms > from_ms and os.path.exists(done):
            found.append(os.stat(done).st_mtime * 1000 - batch_ms)
    return sorted(found)


def measure(cluster, gate, proxy, name, flags, interval_ms):
    job = GateJob(cluster, name)
    done = subprocess.run(
        [cluster.sluice, "submit", f"--driver={cluster.address}", f"--name={name}", *flags,
         f"--conf=batch_interval={interval_ms}ms", gate, "--", *job.flags()],
        text=True, capture_output=True, timeout=120)
    if done.returncode != 0:
        raise Failure(f"submit: {done.stderr}")
    lines = []

    def feed():
        more = gate_lines(len(lines), 100)
        drop_file(job.inputs, f"f{len(lines)}", more)
        lines.extend(more)
    feed()
    cluster.decided(name, 10)
    before = dict(proxy.requests)
    begin = time.time()
    while time.time() < begin + MEASURED_S:
        feed()
        time.sleep(interval_ms / 2000)
    took = time.time() - begin
    counted = {kind: proxy.requests[kind] - before.get(kind, 0) for kind in proxy.requests}
    job.await_sums(lines)
    cluster.run("job", "cancel", name)
    found = latencies_ms(job.output, begin * 1000)

    def hourly(kind):
        return round(counted.get(("PUT", kind), 0) * 3600 / took, -2)
    print(f"{name:32} | {interval_ms:5} ms | p50 {statistics.median(found):4.0f} ms  "
          f"p95 {found[len(found) * 95 // 100]:4.0f} ms  max {found[-1]:4.0f} ms | "
          f"{len(found):4} batches | puts per hour: log {hourly('log'):8.0f}  manifests "
          f"{hourly('manifest'):6.0f}  parts {hourly('objects'):6.0f}", flush=True)


def main():
    sluice, gate = (os.path.abspath(path) for path in sys.argv[1:3])
    only = sys.argv[3] if len(sys.argv) > 3 else ""
    with Cluster(sluice) as cluster:
        s3 = S3Server(cluster.folder)
        proxy = S3Proxy(s3.port, delay_s=DELAY_S)
        os.environ.update(s3.environment() | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}"})
        cluster.start_driver()
        for name in ("w0", "w1"):
            cluster.start_worker(name)
        for interval_ms in (200, 1000):
            local = f"--checkpoint=rocksdb:{cluster.path(f'local{interval_ms}')}"
            apart = f"--log=rocksdb:{cluster.path(f'log{interval_ms}')}"
            for name, delay_s, flags in (
                    ("local", DELAY_S, [local]),
                    ("s3", DELAY_S, ["--checkpoint=s3://bucket/near"]),
                    ("s3-with-local-log", DELAY_S, ["--checkpoint=s3://bucket/apart", apart]),
                    ("s3-far", FAR_S, ["--checkpoint=s3://bucket/far"])):
                if not name.startswith(only):
                    continue
                proxy.delay_s = delay_s
                flags = [flag.replace("bucket/", f"bucket/{interval_ms}-") for flag in flags]
                measure(cluster, gate, proxy, f"{name}-{interval_ms}", flags, interval_ms)


if __name__ == "__main__":
    main()
