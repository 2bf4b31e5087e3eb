"""Every exit code of the command line, with real processes: bad input gets one clear line.

usage: exit_codes_test.py SLUICE MISFIT LEDGER
"""
import os
import shutil
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from certificates import make_token  # noqa: E402
from cluster import Cluster, Failure, wait_until  # noqa: E402


class Cases:
    def __init__(self, cluster, misfit, ledger):
        self.cluster = cluster
        self.misfit = misfit
        self.ledger = ledger
        self.passed = 0
        self.failed = []

    def expect(self, code, what, argv, says=None, seconds=60):
        try:
            done = subprocess.run(argv, text=True, capture_output=True, timeout=seconds,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            self.failed.append(f"{what}: did not end in {seconds} s")
            return
        lines = [l for l in done.stderr.splitlines() if l.strip() and not l[:1] in "IWE"]
        problem = None
        if done.returncode != code:
            problem = f"ended with {done.returncode}, not {code}: {done.stderr.strip()[:300]}"
        elif code != 0 and not lines:
            problem = "said nothing"
        elif says and says not in done.stderr:
            problem = f"does not say {says!r}: {done.stderr.strip()[:300]}"
        if problem:
            self.failed.append(f"{what}: {problem}")
        else:
            self.passed += 1
            print(f"ok {code} {what}", flush=True)

    def typed_wrong(self):
        s = self.cluster.sluice
        to = f"--driver={self.cluster.address}"
        self.expect(2, "unknown command", [s, "sumbit"], "submit")
        self.expect(2, "unknown flag", [s, "job", "list", to, "--nosuch"])
        self.expect(2, "port out of range", [s, "driver", "--listen=127.0.0.1:70000",
                                             f"--data-dir={self.cluster.path('x')}"])
        self.expect(2, "slots out of range", [s, "worker", to, "--slots=0",
                                              f"--data-dir={self.cluster.path('x')}"])
        self.expect(2, "a name that leaves its root",
                    [s, "submit", to, "--name=../x", self.misfit])
        self.expect(2, "a file that is not there", [s, "submit", to, "--name=x", "/nonexistent"])
        self.expect(2, "a value that is none, to nobody",
                    [s, "submit", "--driver=127.0.0.1:9", "--connect-timeout=100ms", "--name=x",
                     "--conf=worker_lease=soon", self.misfit], "worker_lease")
        self.expect(2, "an unknown URL scheme",
                    [s, "submit", to, "--name=x", "--checkpoint=ftp://x", self.misfit])
        self.expect(2, "a job's flag that nobody asked for",
                    [self.misfit, "--dir=/tmp", "--output=/tmp/x", "--outptu=1"], "output")
        self.expect(2, "a required flag that is missing", [self.misfit, "--output=/tmp/x"], "dir")

    def refused(self):
        s = self.cluster.sluice
        to = f"--driver={self.cluster.address}"
        self.expect(4, "a driver that is not there",
                    [s, "job", "list", "--driver=127.0.0.1:1", "--connect-timeout=1s"])
        self.expect(3, "a port in use",
                    [s, "driver", f"--listen={self.cluster.address}",
                     f"--data-dir={self.cluster.path('second')}"])
        self.expect(3, "an open bind without TLS and token",
                    [s, "driver", "--listen=0.0.0.0:0", f"--data-dir={self.cluster.path('open')}"])
        self.expect(3, "a file that is no job binary",
                    [s, "submit", to, "--name=x", os.path.abspath(__file__)])
        other = self.cluster.path("other-machine")
        shutil.copy(self.misfit, other)
        with open(other, "r+b") as f:
            f.seek(18)  # e_machine of the ELF header
            f.write((183).to_bytes(2, "little"))
        self.expect(3, "a binary for another machine", [s, "submit", to, "--name=x", other])
        self.expect(3, "hdfs:// in this release",
                    [s, "submit", to, "--name=x", "--checkpoint=hdfs://h/p", self.misfit])
        self.expect(3, "an unknown configuration key",
                    [s, "submit", to, "--name=x", "--conf=worker_leas=1s", self.misfit],
                    "worker_lease")
        where = ["--dir=/tmp", "--output=/tmp/x"]
        self.expect(3, "a window that is no multiple", [self.misfit, *where, "--misfit=window"],
                    "multiple")
        self.expect(3, "two graphs from one build function",
                    [self.misfit, *where, "--misfit=graphs"], "two different graphs")
        self.expect(3, "a window that is no multiple, submitted",
                    [s, "submit", to, "--name=bad-window", self.misfit, "--", *where,
                     "--misfit=window"], "multiple")
        self.expect(3, "a queue that begins anew with each job driver",
                    [s, "submit", to, "--name=queue", self.misfit, "--", *where,
                     "--misfit=queue"], "a QueueStream cannot be recovered")
        self.expect(3, "a setting of local jobs on a cluster",
                    [s, "submit", to, "--name=accepts", "--conf=accept_loss=on", self.misfit, "--",
                     *where], "accept_loss is a setting of local jobs")
        shared = self.cluster.path("shared-tmp")
        os.makedirs(shared)
        os.symlink(self.cluster.path("input"), os.path.join(shared, f"sluice-{os.geteuid()}"))
        self.expect(3, "state on disk of a local job in a folder that is a link",
                    ["env", f"TMPDIR={shared}", self.misfit, *where,
                     "--conf=state_backend=rocksdb"], "symbolic link")
        self.expect(1, "a job of no such name", [s, "job", "status", "nosuch", to])

    def denied(self):
        """A driver daemon with a token, and clients with none, a wrong one and the right one."""
        folder = self.cluster.path("guarded")
        os.makedirs(folder)
        token, wrong = make_token(folder, "token"), make_token(folder, "wrong")
        with Cluster(self.cluster.sluice, folder=folder) as guarded:
            guarded.security = lambda name: [f"--token-file={token}"]
            guarded.start_driver()
            to = [self.cluster.sluice, "job", "list", f"--driver={guarded.address}"]
            self.expect(6, "a client without a token", to, "no token was presented")
            self.expect(6, "a client with a wrong token", to + [f"--token-file={wrong}"],
                        "the token is not valid")
            self.expect(0, "a client with the token", to + [f"--token-file={token}"])
            address = f"--driver={guarded.address}"
            for who, flags, says in (("no token", [], "no token was presented"),
                                     ("a wrong token", [f"--token-file={wrong}"],
                                      "the token is not valid")):
                s = self.cluster.sluice
                self.expect(6, f"a worker with {who}",
                            [s, "worker", address, "--slots=1",
                             f"--data-dir={guarded.path('w-' + who.replace(' ', '-'))}", *flags],
                            says)
                self.expect(6, f"submit with {who}",
                            [s, "submit", address, "--name=x", *flags, self.misfit], says)
                self.expect(6, f"push with {who}",
                            [s, "push", address, "--job=x", "--stream=s", *flags], says)
            os.chmod(token, 0o644)
            self.expect(3, "a token that others can read", to + [f"--token-file={token}"], "0600")

    def unreachable_outputs(self):
        """An output that cannot be written is found at the start, and nothing is left of the look."""
        s, inputs = self.cluster.sluice, self.cluster.path("unreachable")
        os.makedirs(inputs)
        file = self.cluster.path("no-folder")
        with open(file, "w") as f:
            f.write("a file")
        where = [f"--dir={inputs}", f"--output={file}/deep/out"]
        says = f"an output cannot be written; choose a prefix that all nodes of the cluster may " \
               f"write to: SaveAsTextFiles to {file}/deep/out, by the job driver on "
        self.expect(3, "an output below a file", [self.misfit, *where], says)
        self.expect(3, "the same on a cluster",
                    [s, "submit", f"--driver={self.cluster.address}", "--name=unreachable",
                     self.misfit, "--", *where], says)
        self.expect(2, "an output that is no absolute path",
                    [self.misfit, f"--dir={inputs}", "--output=out"], "absolute")
        self.expect(2, "an output with an empty prefix",
                    [self.misfit, f"--dir={inputs}", "--output="], "the prefix is empty")

    def stopped_by_the_program(self):
        inputs = self.cluster.path("stops-input")
        os.makedirs(inputs)
        job = [f"--dir={inputs}", "--misfit=stop", f"--output={self.cluster.path('out-stop')}"]
        self.expect(0, "a local program that stops its job", [self.misfit, *job])
        self.expect(0, "a job that its program stops on a cluster",
                    [self.cluster.sluice, "submit", f"--driver={self.cluster.address}",
                     "--name=stops", "--wait", self.misfit, "--", *job])

    def bad_records(self):
        s = self.cluster.sluice
        build = ["--dir=/tmp", f"--output={self.cluster.path('out-build')}", "--misfit=build"]
        says = "the build function threw: no such table"
        self.expect(1, "a build function that throws", [self.misfit, *build], says)
        self.expect(1, "the same on a cluster",
                    [s, "submit", f"--driver={self.cluster.address}", "--name=build",
                     self.misfit, "--", *build], says)
        folder = self.cluster.path("bad-input")
        os.makedirs(folder)
        with open(os.path.join(folder, "lines"), "w") as f:
            f.write("good\nbad\n")
        for misfit, conf, says in (("throw", [], "a bad line"), ("crash", [], "signal 11"),
                                   ("spin", ["--conf=task_timeout=500ms"], None)):
            self.expect(1, f"a user function that does: {misfit}",
                        [s, "submit", f"--driver={self.cluster.address}", f"--name={misfit}",
                         "--wait", *conf, "--conf=task_max_failures=2", self.misfit, "--",
                         f"--dir={folder}", f"--output={self.cluster.path('out-' + misfit)}",
                         f"--misfit={misfit}"], says, 90)

    def goes_on_from_the_one_before(self, damaged, job, out):
        """Its input is files, which are still there: a damaged checkpoint is passed over."""
        log = self.cluster.path("falls-back.log")
        seen = len(os.listdir(out))
        with open(log, "w") as err:
            process = subprocess.Popen(job, stdout=subprocess.DEVNULL, stderr=err)
        wait_until(lambda: len(os.listdir(out)) >= seen + 2, "the job to go on")
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)
        with open(log) as f:
            said = f.read()
        if code != 0 or damaged not in said or "goes on from manifest-" not in said:
            self.failed.append(f"a damaged newest manifest: {code} {said[-300:]}")

    def damaged_checkpoints(self, store):
        """What `checkpoint list` and `checkpoint verify` say of a store, sound and damaged."""
        s = self.cluster.sluice
        self.expect(0, "checkpoint list", [s, "checkpoint", "list", f"rocksdb:{store}"])
        self.expect(0, "checkpoint verify", [s, "checkpoint", "verify", f"rocksdb:{store}"])
        copy = self.cluster.path("verify-manifest")
        shutil.copytree(store, copy)
        name = sorted(f for f in os.listdir(f"{copy}/objects") if f.startswith("manifest"))[-1]
        self.flip(f"{copy}/objects/{name}")
        for command in ("list", "verify"):
            self.expect(8, f"checkpoint {command} with a bit-flipped manifest",
                        [s, "checkpoint", command, f"rocksdb:{copy}"], name)
        empty = self.cluster.path("verify-empty")
        os.makedirs(f"{empty}/objects")
        self.expect(1, "checkpoint list of an empty store",
                    [s, "checkpoint", "list", f"rocksdb:{empty}"], "no checkpoint is there")

    def checkpoints(self):
        """A live owner is never displaced by a start; damage is named and never a fresh start."""
        store = self.cluster.path("local-store")
        inputs = self.cluster.path("local-input")
        os.makedirs(inputs)
        with open(os.path.join(inputs, "f"), "w") as f:
            f.write("k1 1\n")
        out = self.cluster.path("local-out")
        job = [self.misfit, f"--checkpoint=rocksdb:{store}", f"--dir={inputs}", f"--output={out}/o",
               "--conf=checkpoint_interval=200ms"]
        os.makedirs(out)

        def run_a_little():
            process = subprocess.Popen(job, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            seen = len(os.listdir(out))
            wait_until(lambda: len(os.listdir(out)) >= seen + 4, "the local job to decide")
            return process
        process = run_a_little()
        self.expect(7, "a second driver on a live checkpoint", job, str(process.pid))
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.expect(3, "--fresh where a checkpoint exists", job + ["--fresh"], "discard")
        again = run_a_little()  # after kill -9 it resumes
        again.send_signal(signal.SIGTERM)
        if again.wait(30) != 0:
            self.failed.append(f"a local job did not drain: {again.returncode}")
        wal = sorted(f for f in os.listdir(f"{store}/log") if f.endswith(".log"))
        for what, damage in (("truncated", self.truncate), ("bit-flipped", self.flip),
                             ("missing", os.remove)):
            copy = self.cluster.path("damaged-" + what)
            shutil.copytree(store, copy)
            damage(f"{copy}/log/{wal[-1]}")
            self.expect(8, f"a {what} log",
                        [w.replace(store, copy) for w in job], copy)
        self.damaged_checkpoints(store)
        copy = self.cluster.path("damaged-manifest")
        shutil.copytree(store, copy)
        manifests = sorted(f for f in os.listdir(f"{copy}/objects") if f.startswith("manifest"))
        self.flip(f"{copy}/objects/{manifests[-1]}")
        self.goes_on_from_the_one_before(manifests[-1], [w.replace(store, copy) for w in job], out)
        copy = self.cluster.path("damaged-manifests")
        shutil.copytree(store, copy)
        for manifest in manifests:
            self.flip(f"{copy}/objects/{manifest}")
        self.expect(8, "every manifest bit-flipped", [w.replace(store, copy) for w in job],
                    manifests[-1])
        gone = self.cluster.path("damaged-gone")
        shutil.copytree(store, gone)
        shutil.rmtree(f"{gone}/log")
        os.remove(f"{gone}/log.witness")
        self.expect(8, "a log that is gone", [w.replace(store, gone) for w in job])

    @staticmethod
    def truncate(path):
        with open(path, "r+b") as f:
            f.truncate(os.path.getsize(path) // 3)

    @staticmethod
    def flip(path):
        with open(path, "r+b") as f:
            f.seek(os.path.getsize(path) // 3)
            byte = f.read(1)[0]
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte ^ 4]))


def main():
    sluice, misfit, ledger = (os.path.abspath(p) for p in sys.argv[1:4])
    with Cluster(sluice) as cluster:
        cluster.start_driver()
        cluster.start_worker("w0")
        cases = Cases(cluster, misfit, ledger)
        cases.typed_wrong()
        cases.refused()
        cases.unreachable_outputs()
        cases.denied()
        cases.checkpoints()
        cases.stopped_by_the_program()
        cases.bad_records()
        for line in cases.failed:
            print(f"FAILED: {line}")
        print(f"exit codes: {cases.passed} right, {len(cases.failed)} wrong")
        return 1 if cases.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
