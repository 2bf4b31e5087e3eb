"""Programs as users run them, in one process: the examples, a plain socket, an embedded context.

usage: programs_test.py ERROR_FILTER PAGE_VIEWS EMBEDDED ONLINE_REGRESSION ANOMALIES WORDCOUNT
"""
import ast
import collections
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Failure, Process, wait_until  # noqa: E402
from nginx import Clients, Nginx, free_port  # noqa: E402
from outputs import batches, drop_file, latest  # noqa: E402

RULE = "-" * 43
FAST = "--conf=batch_interval=200ms"


def expect(seen, wanted, what):
    if seen != wanted:
        raise Failure(f"{what}: {seen!r}, not {wanted!r}")
    print(f"ok {what}", flush=True)


def saved(folder, prefix):
    return [line for _, lines in sorted(batches(folder, prefix).items()) for line in lines]


class LineServer:
    """The other end of a socket stream."""

    def __init__(self, port):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(1)
        self.listener.settimeout(30)
        self.link = None

    def accept(self):
        self.link, _ = self.listener.accept()

    def send(self, text):
        self.link.sendall(text.encode())

    def hang_up(self):
        self.link.close()

    def go_away(self):
        self.listener.close()


class Embedded:
    """The program of tests/jobs/embedded.cc, told line by line."""

    def __init__(self, binary, folder):
        self.popen = subprocess.Popen(
            [binary, f"--dir={folder}/in", f"--output={folder}/out/totals",
             f"--checkpoint=rocksdb:{folder}/checkpoint"], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=open(os.path.join(folder, "log"), "a"))
        expect(self.popen.stdout.readline(), "started 0 \n", "an embedded context starts")

    def tell(self, line):
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()
        return self.popen.stdout.readline().strip()

    def end(self):
        self.popen.stdin.close()
        expect(self.popen.wait(30), 0, "its program goes on and ends by itself")


class Cases:
    def __init__(self, folder, error_filter, page_views, embedded, regression, anomalies,
                 wordcount):
        self.folder = folder
        self.error_filter = error_filter
        self.page_views = page_views
        self.embedded = embedded
        self.regression = regression
        self.anomalies = anomalies
        self.wordcount = wordcount
        self.running = []

    def place(self, name):
        for part in ("in", "out"):
            os.makedirs(os.path.join(self.folder, name, part))
        return os.path.join(self.folder, name)

    def start(self, name, words):
        process = Process(name, words, self.folder)
        self.running.append(process)
        return process

    def drain(self, process):
        process.kill(signal.SIGTERM)
        expect(process.wait(), 0, f"{process.name} drains")

    def prints_errors(self):
        place = self.place("errors")
        lines = [f"{'an error' if n % 3 == 0 else 'all is well'} number {n}" for n in range(30)]
        drop_file(f"{place}/in", "log", lines)
        job = self.start("error_filter", [self.error_filter, f"--dir={place}/in", FAST,
                                          f"--output={place}/out/errors"])
        wanted = [line for line in lines if "error" in line]
        wait_until(lambda: len(saved(f"{place}/out", "errors")) == len(wanted), "the error lines")
        self.drain(job)
        expect(sorted(saved(f"{place}/out", "errors")), sorted(wanted), "error_filter saves them")
        printed = job.tail(10_000).splitlines()
        at = next(n for n, line in enumerate(printed) if "error" in line)
        expect((printed[at - 3], printed[at - 2].split(" ")[0], printed[at - 1]),
               (RULE, "Time:", RULE), "error_filter prints a batch's head")
        expect(sorted(printed[at:at + 10]), sorted(wanted), "and the lines with an error")

    def counts_page_views(self):
        place = self.place("views")
        asked = collections.Counter()
        bytes_sent = collections.Counter()
        with Nginx(place) as nginx:
            for path, times in (("/page", 7), ("/page?a=b", 3), ("/long", 4), ("/nosuch", 2)):
                for _ in range(times):
                    bytes_sent[path.split("?")[0]] += nginx.ask(path)
                asked[path.split("?")[0]] += times
        os.makedirs(f"{place}/drop")
        job = self.start("page_views", [
            self.page_views, f"--dir={place}/drop", f"--output={place}/out/views", FAST,
            "--window=2", "--slide=1", "--print"])
        with open(nginx.log) as f:
            drop_file(f"{place}/drop", "access", f.read().splitlines() + ["no access line"])
        wanted = sorted(f"({path},({asked[path]},{bytes_sent[path]}))" for path in asked)
        wait_until(lambda: sorted(latest(f"{place}/out", "views")) == wanted, "the page views")
        print("ok page_views counts hits and bytes of nginx's own log")
        wait_until(lambda: latest(f"{place}/out", "views") == [], "the window to slide past them")
        print("ok the window slides past them")
        self.drain(job)
        seen = [at for at, lines in batches(f"{place}/out", "views").items() if lines]
        expect(len(seen), 2, "a window of 2 s that slides by 1 s shows them twice")
        printed = job.tail(10_000).splitlines()
        expect(sorted(line for line in printed if line.startswith("(/")), wanted,
               "--print shows the batch's own counts, once")

    def counts_page_views_under_load(self):
        """Logs that are rotated into the directory while nginx writes and the job runs."""
        place = self.place("load")
        job = self.start("page_views_load", [
            self.page_views, f"--dir={place}/in", f"--output={place}/out/views", FAST,
            "--window=1", "--slide=1", "--print"])
        wait_until(lambda: batches(f"{place}/out", "views"), "the job to run")
        with Nginx(place, processes=2) as nginx:
            clients = Clients(nginx, count=4, requests=4_000)
            while not clients.over():
                at = clients.answered() + 800
                wait_until(lambda: clients.over() or clients.answered() >= at, "more requests")
                nginx.rotate(f"{place}/in")
        nginx.rotate(f"{place}/in")
        wanted = clients.counts()

        def summed(lines):
            """{path: (hits, bytes)} of lines "(PATH,(HITS,BYTES))"."""
            sums = collections.defaultdict(lambda: (0, 0))
            for line in lines:
                path, hits, size = re.fullmatch(r"\((.*),\((\d+),(\d+)\)\)", line).groups()
                sums[path] = (sums[path][0] + int(hits), sums[path][1] + int(size))
            return dict(sums)
        wait_until(lambda: summed(saved(f"{place}/out", "views")) == wanted,
                   f"the views of {wanted}")
        windows = sum(1 for lines in batches(f"{place}/out", "views").values() if lines)
        print(f"ok page_views counts {clients.answered()} requests of several clients, in "
              f"{nginx.rotated} logs and {windows} windows")
        self.drain(job)
        expect(summed(saved(f"{place}/out", "views")), wanted, "and no request twice")
        with open(job.log) as log:
            printed = [line for line in log.read().splitlines() if line.startswith("(/")]
        expect(summed(printed), wanted, "the batches' own counts add up to the same")

    def reads_a_socket(self):
        place = self.place("socket")
        port = free_port()
        server = LineServer(port)
        job = self.start("socket", [self.error_filter, "--host=127.0.0.1", f"--port={port}", FAST,
                                    f"--output={place}/out/errors"])
        given = []

        def send(count, end="\n"):
            lines = [f"error {len(given) + n}" for n in range(count)]
            given.extend(lines)
            server.send("\n".join(lines) + end)

        def arrived():
            wait_until(lambda: saved(f"{place}/out", "errors") == given, f"{len(given)} lines")
        server.accept()
        send(1000)
        arrived()
        print("ok lines of a socket arrive in their order")
        send(1, end="")  # the last line has no end
        server.hang_up()
        server.accept()
        send(1000, end="\r\n")
        arrived()
        print("ok it connects again when its server hangs up, and keeps an unfinished last line")
        expect("closed the stream" in job.tail(100), True, "it says that the stream was closed")
        server.hang_up()
        server.go_away()
        wait_until(lambda: "cannot connect" in job.tail(100), "it to say that nobody listens")
        server = LineServer(port)
        server.accept()
        send(10)
        arrived()
        print("ok it connects again when its server is back")
        self.drain(job)
        expect(saved(f"{place}/out", "errors"), given, "every line once")

    def is_killed_with_what_a_socket_sent(self):
        """All that no checkpoint has was in the memory of the process, and is not sent again."""
        place = self.place("killed")
        server = LineServer(0)
        port = server.listener.getsockname()[1]
        words = [self.wordcount, "--host=127.0.0.1", f"--port={port}", FAST, "--http=127.0.0.1:0",
                 f"--checkpoint=rocksdb:{place}/checkpoint", "--conf=checkpoint_interval=1h",
                 f"--output={place}/out/totals"]

        def counted():
            return sorted(latest(f"{place}/out", "totals"))
        job = self.start("killed", words)
        server.accept()
        # The first batch is in a checkpoint, whatever the interval.
        wait_until(lambda: batches(f"{place}/out", "totals"), "the first batch")
        sent = [f"word{n}" for n in range(100)]
        server.send("".join(word + "\n" for word in sent))
        wait_until(lambda: counted() == sorted(f"({word},1)" for word in sent), "all words")
        job.kill()
        job = self.start("killed-again", words)
        server.accept()
        server.send("again\n")
        wait_until(lambda: "(again,1)" in counted(), "a local job to go on after kill -9")
        pages = re.search(r"http://[0-9.:]+", job.tail(100)).group()
        with urllib.request.urlopen(pages + "/api/v1/jobs", timeout=10) as answer:
            (status,) = json.load(answer)
        expect((status["state"], status["lost_records"] + len(counted())), ("RUNNING", 101),
               "a local job counts what was lost with its process")
        expect(status["lost_records"] > 0, True, "which is something")
        said = re.search(r"goes on without \d+ received blocks of stream socket-0, which are lost: "
                         r"(\d+) records", job.tail(100))
        expect(int(said.group(1)), status["lost_records"], "it says so by name")
        self.drain(job)

    def learns_a_model(self):
        place = self.place("regression")
        chance = random.Random(7)
        truth = (3.0, -2.0, 0.5)

        def sample():
            a, b = chance.uniform(-1, 1), chance.uniform(-1, 1)
            y = truth[0] * a + truth[1] * b + truth[2] + chance.gauss(0, 0.01)
            return f"{a!r} {b!r} {y!r}"

        def model(line):
            return ast.literal_eval(line)  # (loss,[weights])

        def models():
            return [model(line) for line in saved(f"{place}/out", "model")]

        def close(line):
            return len(line[1]) == 3 and all(
                abs(weight - wanted) < 0.02 for weight, wanted in zip(line[1], truth))
        job = self.start("online_regression", [self.regression, f"--dir={place}/in", FAST,
                                               f"--output={place}/out/model"])
        for number in range(4):
            drop_file(f"{place}/in", f"samples-{number}", [sample() for _ in range(250)])
            wait_until(lambda: len([m for m in models() if m[0] > 0]) > number, "a model")
        learned = [m for m in models() if m[0] > 0]  # of batches with samples
        expect(close(learned[-1]), True, f"online_regression finds the weights: {learned[-1]}")
        expect(learned[0][0] > 0.1 and learned[-1][0] < 0.001, True, "and its loss goes down")
        self.drain(job)
        printed = [line for line in job.tail(10_000).splitlines() if line.startswith("(")]
        expect(any(close(model(line)) for line in printed), True, "it prints them")

    def finds_anomalies(self):
        place = self.place("anomalies")
        chance = random.Random(7)
        job = self.start("anomalies", [self.anomalies, f"--dir={place}/in", FAST,
                                       f"--output={place}/out/odd"])

        def clean(count):
            return [f"{key} {chance.uniform(*around):.3f}" for _ in range(count)
                    for key, around in (("web", (9, 11)), ("db", (-50, 50)))]

        def flagged():
            return sorted(saved(f"{place}/out", "odd"))

        def read(name, lines):
            before = len(batches(f"{place}/out", "odd"))
            drop_file(f"{place}/in", name, lines)
            # The one under way may have listed before; the one after that has the file.
            wait_until(lambda: len(batches(f"{place}/out", "odd")) > before + 2, "two batches")
        for number in range(3):
            read(f"clean-{number}", clean(200))
        expect(flagged(), [], "anomalies raises no false alarm")
        planted = ["web 30.5", "db 10000", "web -4", "web 50", "db -900"]
        lines = clean(50)
        for place_of, reading in zip((10, 20, 30, 60, 99), planted):
            lines.insert(place_of, reading)
        read("planted", lines)
        wanted = sorted(f"({reading.replace(' ', ',')})" for reading in planted)
        wait_until(lambda: len(flagged()) >= len(wanted), "the planted ones")
        expect(flagged(), wanted, "anomalies finds all planted ones and no other")
        self.drain(job)

    def embeds_a_context(self):
        place = self.place("embedded")
        given = collections.Counter()

        def drop(name, lines):
            drop_file(f"{place}/in", name, lines)
            given.update(lines)

        def counted():
            return sorted(latest(f"{place}/out", "totals")) == sorted(
                f"({line},{count})" for line, count in given.items())
        program = Embedded(self.embedded, place)
        drop("a", ["one", "two", "two"])
        wait_until(counted, "the totals of an embedded context")
        expect(program.tell("await 10"), "runs", "AwaitTerminationOrTimeout while it runs")
        drop("b", ["two", "three"])
        expect(program.tell("drain"), "stopped 0", "Stop with drain")
        expect(counted(), True, "what was there has been counted")
        expect(program.tell("await 10000"), "ended 0", "AwaitTerminationOrTimeout after the end")
        program.end()
        program = Embedded(self.embedded, place)
        drop("c", ["one"])
        wait_until(counted, "the totals after GetOrCreate resumed")
        expect(program.tell("stop"), "stopped 0", "Stop without drain")
        program.end()
        program = Embedded(self.embedded, place)
        drop("d", ["four", "one"])
        wait_until(counted, "the totals after Stop without drain")
        expect(program.tell("drain"), "stopped 0", "the last drain")
        program.end()


def main():
    programs = [os.path.abspath(path) for path in sys.argv[1:7]]
    folder = tempfile.mkdtemp(prefix="sluice-test-")
    cases = Cases(folder, *programs)
    try:
        cases.prints_errors()
        cases.counts_page_views()
        cases.counts_page_views_under_load()
        cases.reads_a_socket()
        cases.is_killed_with_what_a_socket_sent()
        cases.embeds_a_context()
        cases.learns_a_model()
        cases.finds_anomalies()
    finally:
        for process in cases.running:
            process.kill()
    shutil.rmtree(folder)
    print("programs_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
