"""Driver daemons that stand by for each other through etcd (standby.py), and the store that lets
nobody stand by.

usage: standby_etcd_test.py SLUICE SEQUENCE
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from certificates import Authority, make_token  # noqa: E402
from cluster import Cluster, Failure  # noqa: E402
from etcd_server import EtcdServer  # noqa: E402
from standby import Drivers, check, check_secured  # noqa: E402


def a_rocksdb_store_has_no_standby(cluster):
    drivers = Drivers(cluster, "rocksdb:" + cluster.path("table"))
    drivers.start("c")
    second = subprocess.run(
        [cluster.sluice, "driver", "--listen=127.0.0.1:0", f"--data-dir={cluster.path('d')}",
         f"--store={drivers.store}"], text=True, capture_output=True, timeout=60)
    if second.returncode != 3 or "stand by" not in second.stderr:
        raise Failure(f"a second driver on a rocksdb: store ended with {second.returncode}: "
                      f"{second.stderr!r}")
    cluster.workers.pop("c").kill()


def unusable_urls(cluster):
    for url in ("etcd://127.0.0.1", "etcd://127.0.0.1:2379", "etcd://x:0/p", "nfs://x/p",
                "s3://bucket", "rocksdb:relative"):
        done = subprocess.run([cluster.sluice, "driver", f"--data-dir={cluster.path('e')}",
                               f"--store={url}"], text=True, capture_output=True, timeout=30)
        if done.returncode != 2 or len(done.stderr.strip().splitlines()) != 1:
            raise Failure(f"--store={url} ended with {done.returncode}: {done.stderr!r}")
    done = subprocess.run([cluster.sluice, "driver", f"--data-dir={cluster.path('e')}",
                           "--listen=127.0.0.1:0", "--store=etcd://127.0.0.1:9/p"], text=True,
                          capture_output=True, timeout=30)
    if done.returncode != 4:
        raise Failure(f"a store that nobody serves gave {done.returncode}: {done.stderr!r}")


def secured(cluster, sequence):
    authority = Authority(cluster.folder, "ca")
    token = make_token(cluster.folder, "token")
    certificate, key = authority.issue("node", "127.0.0.1")
    who = [f"--tls-ca={authority.certificate}", f"--token-file={token}"]
    serves = [f"--tls-cert={certificate}", f"--tls-key={key}"]
    cluster.security = lambda name: who if name == "client" else serves + who
    etcd = EtcdServer(cluster.folder)
    cluster.workers["etcd"] = etcd.process
    check_secured(cluster, f"etcd://{etcd.endpoint}/sluice/test", sequence, authority.certificate)


def main():
    sluice, sequence = (os.path.abspath(p) for p in sys.argv[1:3])
    with Cluster(sluice) as cluster:
        unusable_urls(cluster)
        a_rocksdb_store_has_no_standby(cluster)
        etcd = EtcdServer(cluster.folder)
        cluster.workers["etcd"] = etcd.process
        check(cluster, f"etcd://{etcd.endpoint}/sluice/test", sequence)
    with Cluster(sluice) as cluster:
        secured(cluster, sequence)
    print("standby_etcd_test passed")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        print(f"FAILED: {failure}")
        sys.exit(1)
