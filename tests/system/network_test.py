"""The quickstart's job over veth links: driver, three workers and clients in network namespaces of
their own, with TLS and a token on every port; all certificates are renewed meanwhile.

usage: network_test.py SLUICE WORDCOUNT
"""
import collections
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from certificates import Authority, make_token  # noqa: E402
from cluster import Cluster, Failure, wait_until  # noqa: E402
from network import Network  # noqa: E402

WORKERS = ["w0", "w1", "w2"]
JOB = "kjv"
FILES = 8


def text_lines():
    """The King James Bible, as the quickstart reads it."""
    shown = subprocess.run(["bible", "-f", "gen1:1-rev22:21"], stdin=subprocess.DEVNULL,
                           capture_output=True, check=False).stdout.decode()
    lines = shown.splitlines()
    if len(lines) < 30000:
        raise Failure("the text of bible-kjv-text cannot be read")
    return lines


class Checks:
    def __init__(self, cluster, network, authority, token):
        self.cluster = cluster
        self.network = network
        self.authority = authority
        self.token = token

    def refused(self, code, says, *words):
        """A client that runs into `code` and says why, in one line."""
        done = subprocess.run(self.cluster.client_words(*words), text=True, capture_output=True,
                              timeout=30, stdin=subprocess.DEVNULL)
        if done.returncode != code or says not in done.stderr:
            raise Failure(f"{' '.join(words)} ended with {done.returncode}, not {code}, or does "
                          f"not say {says!r}: {done.stderr!r}")
        if len(done.stderr.strip().splitlines()) != 1:
            raise Failure(f"{' '.join(words)} said more than one line: {done.stderr!r}")

    def strangers_are_refused(self):
        folder = self.cluster.folder
        ca = f"--tls-ca={self.authority.certificate}"
        token = f"--token-file={self.token}"
        wrong = f"--token-file={make_token(folder, 'wrong-token')}"
        other = f"--tls-ca={Authority(folder, 'other').certificate}"
        to = f"--driver={self.cluster.address}"
        soon = "--connect-timeout=1s"
        for words, more in ((["job", "list"], []), (["worker", "list"], []),
                            (["job", "cancel"], [JOB]),
                            (["push"], [f"--job={JOB}", "--stream=lines", "--producer=x"]),
                            (["submit"], ["--name=x", self.cluster.sluice])):
            self.refused(6, "no token was presented", *words, to, ca, *more)
            self.refused(6, "the token is not valid", *words, to, ca, wrong, *more)
        self.refused(4, "TLS", "job", "list", to, soon, token)
        self.refused(4, "TLS", "job", "list", to, soon, token, other)

    def every_port_speaks_tls(self):
        status = self.cluster.job(JOB)
        owners = {self.cluster.driver.pid: "driver daemon", status["driver_pid"]: "job driver"}
        owners.update({process.pid: "worker" for process in self.cluster.workers.values()})
        for role in ("tasks", "receivers"):
            owners.update({pid: role for _, pid in self.cluster.executors(JOB, role)})
        seen, addresses = collections.Counter(), []
        for name in ("driver", *WORKERS):
            for pid, ports in self.network.listeners(name).items():
                seen[owners.get(pid, f"unknown process {pid}")] += len(ports)
                addresses += ports
        if seen["driver daemon"] != 2 or any(
                seen[role] < least for role, least in
                (("job driver", 1), ("worker", 3), ("tasks", 3), ("receivers", 1))):
            raise Failure(f"not all roles listen: {dict(seen)}")
        probe = os.path.join(os.path.dirname(os.path.abspath(__file__)), "port_probe.py")
        said = subprocess.run([*self.network.inside("client"), sys.executable, probe, *addresses],
                              text=True, capture_output=True, check=True).stdout.splitlines()
        bad = [line for line in said if not line.endswith(" plain=no tls=yes")]
        if bad or len(said) != len(addresses):
            raise Failure(f"ports without TLS: {bad} of {said}; {dict(seen)}")
        print(f"TLS on {len(said)} ports: " +
              ", ".join(f"{role} {count}" for role, count in sorted(seen.items())))


    def certificates_are_renewed(self, issued):
        """All of them, under another authority and while all runs, as an operator would."""
        folder, trusted = self.cluster.folder, self.authority.certificate
        former = os.path.join(folder, "former.pem")
        shutil.copy(trusted, former)
        new = Authority(folder, "renewed")

        def trust(*authorities):
            aside = os.path.join(folder, "trusted.new")
            with open(aside, "w") as f:
                for path in authorities:
                    with open(path) as authority:
                        f.write(authority.read())
            os.replace(aside, trusted)
        trust(former, new.certificate)
        for name, paths in issued.items():
            for renewed, path in zip(new.issue(name, self.network.address(name)), paths):
                os.replace(renewed, path)
        trust(new.certificate)
        for name in WORKERS:
            self.network.reset_connections(name)
        to, token = f"--driver={self.cluster.address}", f"--token-file={self.token}"
        self.refused(4, "TLS", "job", "list", to, "--connect-timeout=1s", token,
                     f"--tls-ca={former}")
        self.every_port_speaks_tls()
        print("renewed all certificates under another authority, reset all connections")


def totals(folder):
    """{word: count} of the newest whole batch."""
    names = [n for n in os.listdir(folder) if n.startswith("totals-")]
    newest = os.path.join(folder, max(names, key=lambda n: int(n.rsplit("-", 1)[1])))
    counts = {}
    for part in os.listdir(newest):
        if part.startswith("part-"):
            with open(os.path.join(newest, part)) as f:
                for line in f.read().splitlines():
                    word, count = line[1:-1].rsplit(",", 1)
                    counts[word] = int(count)
    return counts


def run(cluster, network, authority, token, issued, wordcount):
    checks = Checks(cluster, network, authority, token)
    # Who listens on every address must still be reached, with its children, at one of them.
    cluster.bind = {"driver": "0.0.0.0", "w0": "0.0.0.0"}
    cluster.start_driver("--conf=worker_lease=1s")
    for name in WORKERS:
        cluster.start_worker(name)
    inputs, output = cluster.path("in"), cluster.path("out")
    os.makedirs(inputs)
    os.makedirs(output)
    cluster.submit(wordcount, JOB,
                   [f"--dir={inputs}", "--push=lines", f"--output={output}/totals"],
                   conf=["batch_interval=200ms", "worker_lease=1s", "checkpoint_interval=1s"])
    wait_until(lambda: len(cluster.executors(JOB)) == len(WORKERS) and
               cluster.executors(JOB, "receivers"), "executors on all workers")
    checks.every_port_speaks_tls()
    checks.strangers_are_refused()

    lines = text_lines()
    half = len(lines) // 2
    push = cluster.push(JOB, "lines", lines[half:], batch=500)
    step = half // FILES + 1
    for number in range(FILES):
        aside = os.path.join(inputs, f".part{number}")
        with open(aside, "w") as f:
            f.writelines(line + "\n" for line in lines[:half][number * step:(number + 1) * step])
        before = cluster.job(JOB)["decided_batches"]
        os.rename(aside, os.path.join(inputs, f"part{number}"))
        if number == FILES // 4:
            checks.certificates_are_renewed(issued)
        if number == FILES // 2:
            cluster.workers["w2"].kill()
            print(f"killed w2 at batch {before}")
        cluster.decided(JOB, before + 1)
    if push.wait(90) != 0:
        raise Failure(f"push ended with {push.popen.returncode}: {push.tail()}")
    wait_until(lambda: cluster.job(JOB)["records_total"] == len(lines), "all lines to be counted")
    cluster.run("job", "drain", JOB, "--deadline=60s", seconds=90)
    expected = collections.Counter(word for line in lines for word in line.split())
    counted = totals(output)
    if counted != dict(expected):
        differing = [w for w in expected if expected[w] != counted.get(w)][:5]
        raise Failure(f"the totals differ, for example of {differing}")
    print(f"exact: {sum(expected.values())} words, {len(expected)} distinct, over TLS between "
          f"{len(WORKERS) + 2} namespaces, 1 worker killed")


def main():
    sluice, wordcount = (os.path.abspath(p) for p in sys.argv[1:3])
    with (Network("driver", *WORKERS, "client") as network,
          Cluster(sluice, network=network) as cluster):
        authority = Authority(cluster.folder, "ca")
        token = make_token(cluster.folder, "token")
        issued = {name: authority.issue(name, network.address(name)) for name in network.names}

        def security(name):
            who = [f"--tls-ca={authority.certificate}", f"--token-file={token}"]
            if name == "client":
                return who
            certificate, key = issued[name]
            return [f"--tls-cert={certificate}", f"--tls-key={key}", *who]
        cluster.security = security
        run(cluster, network, authority, token, issued, wordcount)
    print("network_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
