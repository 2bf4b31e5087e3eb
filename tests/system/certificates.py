"""Keys, certificates and tokens for tests, made by OpenSSL's command, in one folder."""
import os
import secrets
import subprocess


class Authority:
    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        self.make(name, "-addext", "basicConstraints=critical,CA:TRUE")

    def path(self, name, kind):
        return os.path.join(self.folder, f"{self.name}-{name}.{kind}")

    @property
    def certificate(self):
        return self.path(self.name, "pem")

    def make(self, name, *more):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", f"/CN={name}", "-keyout", self.path(name, "key"),
                        "-out", self.path(name, "pem"), *more], check=True, capture_output=True)
        os.chmod(self.path(name, "key"), 0o600)

    def issue(self, name, host):
        """Certificate and key of a server at this address."""
        self.make(name, "-CA", self.certificate, "-CAkey", self.path(self.name, "key"),
                  "-addext", f"subjectAltName=IP:{host}",
                  "-addext", "basicConstraints=critical,CA:FALSE")
        return self.path(name, "pem"), self.path(name, "key")


def make_token(folder, name):
    path = os.path.join(folder, name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write(secrets.token_hex(24) + "\n")
    return path
