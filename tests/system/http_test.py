"""What a driver daemon shows of a running job: its HTTP pages, and -o json of the commands; and
what a local job shows of itself.

usage: http_test.py SLUICE GATE
"""
import http.client
import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, Process, wait_until  # noqa: E402
from gate_job import GateJob, gate_lines  # noqa: E402
from outputs import drop_file  # noqa: E402

HEALTH = ["/livez", "/readyz", "/startupz"]
PAGES = [*HEALTH, "/metrics", "/api/v1/jobs", "/api/v1/workers"]
JOB_FIELDS = """name state epoch generation batch_interval_ms last_decided_batch_ms decided_batches
    waiting_batches failed_batches scheduling_delay_ms records_total submitted_ms driver_pid
    driver_restarts failure""".split()
WORKER_FIELDS = """id address host state slots pid blocks_bytes under_replicated_blocks
    executors""".split()
EXECUTOR_FIELDS = ["job", "role", "pid"]
HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
           "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


def expect(seen, wanted, what):
    if seen != wanted:
        raise Failure(f"{what}: {seen!r}, not {wanted!r}")
    print(f"ok {what}", flush=True)


def ask(address, method, path, body=None):
    """(status, headers, body)"""
    link = http.client.HTTPConnection(address, timeout=10)
    try:
        link.request(method, path, body=body)
        reply = link.getresponse()
        return reply.status, reply.headers, reply.read().decode()
    finally:
        link.close()


def get(address, path):
    status, headers, body = ask(address, "GET", path)
    expect(status, 200, f"GET {path}")
    return headers, body


def metrics(text):
    """{name with labels: value}; every metric has what it is and its type before it."""
    values, told, typed = {}, set(), set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            told.add(line.split()[2])
        elif line.startswith("# TYPE ") and line.split()[2] in told:
            typed.add(line.split()[2])
        else:
            name, value = line.rsplit(" ", 1)
            if name.split("{")[0] not in typed:
                raise Failure(f"a metric without its type: {line}")
            values[name] = int(value)
    return values


class Cases:
    def __init__(self, cluster, gate):
        self.cluster = cluster
        self.gate = gate
        self.http = cluster.http

    def pages_only_read(self):
        for path in HEALTH:
            expect(get(self.http, path)[1], "ok\n", f"{path} says ok")
        for path in PAGES:
            for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
                status, headers, _ = ask(self.http, method, path, body="{}")
                if status != 405 or headers["Allow"] != "GET, HEAD":
                    raise Failure(f"{method} {path} is answered with {status}")
        print("ok methods other than GET are refused")
        for path in ("/", "/api/v1/jobs/", "/api/v1/jobs/ledger", "/api/v2/jobs", "/metrics/x",
                     "/%2e%2e/etc/passwd", "/../etc/passwd", "/livez%00"):
            status, _, _ = ask(self.http, "GET", path)
            expect(status, 404, f"no page at {path}")
        for path in [*PAGES, "/nosuch"]:
            _, headers, _ = ask(self.http, "GET", path)
            policy = headers["Content-Security-Policy"] or ""
            if any(headers[name] != value for name, value in HEADERS.items()) or \
                    "default-src 'none'" not in policy or "frame-ancestors 'none'" not in policy:
                raise Failure(f"security headers of {path}: {headers}")
            if any(name.lower().startswith("access-control") for name in headers):
                raise Failure(f"{path} invites other sites: {headers}")
        print("ok security headers on every page, and no CORS")

    def a_running_job(self):
        job = GateJob(self.cluster, "shown")
        job.submit(self.gate)
        given = gate_lines(0, 200)
        drop_file(job.inputs, "f", given)
        job.await_sums(given)
        job.shut()
        drop_file(job.inputs, "g", gate_lines(200, 100))
        job.held()

        def at_rest():
            """While the gate is shut nothing is decided: the three views must agree. The daemon knows
            what its job driver said last, which may be a beat behind the rows in the output."""
            before = self.cluster.job("shown")
            if (before or {}).get("records_total") != 200:
                return None
            listed = json.loads(get(self.http, "/api/v1/jobs")[1])
            numbers = metrics(get(self.http, "/metrics")[1])
            after = self.cluster.job("shown")
            return (before, listed, numbers) if before == after else None
        shown, listed, numbers = wait_until(at_rest, "the status to stand still")
        expect([row for row in listed if row["name"] == "shown"], [shown], "/api/v1/jobs")
        missing = [field for field in JOB_FIELDS if field not in shown]
        expect(missing, [], "every field of a job")
        expect((shown["state"], shown["batch_interval_ms"], shown["epoch"], shown["failed_batches"],
                shown["records_total"], shown["slots"], shown["driver_restarts"]),
               ("RUNNING", 100, 1, 0, 200, 4, 0), "what is known of the job")
        if abs(shown["submitted_ms"] / 1000 - time.time()) > 600:
            raise Failure(f"submitted: {shown}")
        if shown["waiting_batches"] < 1 or shown["decided_batches"] < 1:
            raise Failure(f"batches: {shown}")
        if not os.path.exists(f"/proc/{shown['driver_pid']}"):
            raise Failure(f"no process {shown['driver_pid']}")
        label = '{job="shown"}'
        expect({name: numbers.get(f"sluice_job_{name}{label}") for name in
                ("records_total", "decided_batches", "waiting_batches", "failed_batches",
                 "driver_restarts")},
               {name: shown[name] for name in
                ("records_total", "decided_batches", "waiting_batches", "failed_batches",
                 "driver_restarts")}, "/metrics of the job")
        expect((numbers["sluice_workers"], numbers["sluice_slots"]), (2, 4), "/metrics of workers")
        job.open()
        return job

    def workers(self):
        listed = json.loads(get(self.http, "/api/v1/workers")[1])
        commanded = self.cluster.worker_list()
        expect([w["id"] for w in listed], [w["id"] for w in commanded], "/api/v1/workers")
        for worker in [*listed, *commanded]:
            missing = [field for field in WORKER_FIELDS if field not in worker]
            missing += [field for executor in worker["executors"] for field in EXECUTOR_FIELDS
                        if field not in executor]
            if missing:
                raise Failure(f"fields of a worker that are missing: {missing}")
        print("ok every field of a worker and its executors")
        expect(sorted((w["pid"], w["slots"], w["state"], w["host"]) for w in listed),
               sorted((p.pid, 2, "UP", "127.0.0.1") for p in self.cluster.workers.values()),
               "what is known of the workers")
        roles = [e["role"] for w in listed for e in w["executors"] if e["job"] == "shown"]
        expect(roles, ["tasks", "tasks"], "their executors")

    def a_node_that_comes_back_empty(self, job):
        """Its slots are counted once, although it has another id."""
        before = {w["id"] for w in self.cluster.worker_list()}
        self.cluster.workers["w1"].kill()
        self.cluster.start_worker("w1", fresh=True)

        def listed():
            rows = [json.loads(line) for line in
                    self.cluster.run("job", "list", "-o", "json")[1].splitlines()]
            live = {w["id"] for w in self.cluster.worker_list() if w["state"] == "UP"}
            settled = len(live) == 2 and live != before
            return settled and [row["slots"] for row in rows if row["name"] == "shown"]
        wait_until(lambda: listed() == [4], "`job list` to show the slots of live workers")
        print("ok slots of former workers are not counted")
        more = gate_lines(300, 100)
        drop_file(job.inputs, "h", more)
        job.await_sums(gate_lines(0, 300) + more)

        def row():
            table = self.cluster.run("job", "list")[1].splitlines()
            shown = dict(zip(table[0].split(), table[1].split()))
            return [shown[column] for column in ("NAME", "STATE", "SLOTS", "RECORDS")]
        # The new worker's executors may still be joining.
        wait_until(lambda: row() == ["shown", "RUNNING", "4", "400"], "the table of `job list`")
        print("ok the table of `job list`")


    def a_local_job(self):
        """One process shows itself, without a daemon."""
        job = GateJob(self.cluster, "alone", shut=True)
        given = gate_lines(0, 100)
        drop_file(job.inputs, "f", given)
        process = Process("alone", [self.gate, *job.flags(), "--slots=3", "--http=127.0.0.1:0"],
                          self.cluster.folder)

        def address():
            with open(process.log) as log:
                said = re.search(r"pages at http://(\S+)\n", log.read())
                return said and said[1]
        http = wait_until(address, "the address of a local job's pages")
        wait_until(lambda: ask(http, "GET", "/readyz")[0] == 200, "a local job to be ready")
        job.open()
        job.await_sums(given)

        def counted():
            listed = json.loads(get(http, "/api/v1/jobs")[1])
            return listed if listed[0]["records_total"] == 100 else None
        shown, = wait_until(counted, "the job to show its records")
        missing = [field for field in JOB_FIELDS if field not in shown]
        expect(missing, [], "every field of a local job")
        expect((shown["name"], shown["state"], shown["slots"], shown["driver_pid"]),
               ("gate", "RUNNING", 3, process.pid), "what is known of a local job")
        expect(get(http, "/api/v1/workers")[1].strip(), "[]", "a local job has no workers")
        numbers = metrics(get(http, "/metrics")[1])
        expect(numbers['sluice_job_records_total{job="gate"}'], 100, "/metrics of a local job")
        for typed, code in (("8080", 2), (http, 3)):
            second = Process("second", [self.gate, *job.flags(), f"--http={typed}"],
                             self.cluster.folder)
            expect(second.wait(), code, f"a local job with --http={typed}")
        process.kill(signal.SIGTERM)
        expect(process.wait(), 0, "a local job with pages drains")


def main():
    sluice, gate = (os.path.abspath(p) for p in sys.argv[1:3])
    with Cluster(sluice) as cluster:
        cluster.start_driver("--conf=worker_lease=1s")
        for name in ("w0", "w1"):
            cluster.start_worker(name)
        cases = Cases(cluster, gate)
        cases.pages_only_read()
        job = cases.a_running_job()
        cases.workers()
        cases.a_node_that_comes_back_empty(job)
        cases.a_local_job()
    print("http_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
