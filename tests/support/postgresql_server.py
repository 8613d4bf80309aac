"""A PostgreSQL of one's own: a folder in /dev/shm or /tmp, a Unix socket there and a free port of this machine.

As a program: postgresql_server.py PROGRAM ARGUMENT… runs the program with CELLULE_TEST_POSTGRESQL in its environment, the
URL of the server up to the database's name, and ends the server with it. Where there is no PostgreSQL it says so in
TAP, unless CI is set: then it fails."""

import glob
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

USER = "cellule"


def binaries():
    """The folder of initdb and postgres, or None."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda folder: int(folder.split("/")[4]), reverse=True)
    try:
        folders.insert(0, subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True, text=True).stdout.strip())
    except (OSError, subprocess.CalledProcessError):
        pass
    return next((folder for folder in folders if os.path.exists(os.path.join(folder, "initdb"))
                 and os.path.exists(os.path.join(folder, "postgres"))), None)


def missing():
    """Why a test can't run here, or None; where CI is set it has to."""
    if binaries() is None and not os.environ.get("CI"):
        return "no PostgreSQL is installed (tools/bootstrap test)"
    return None


def unprivileged():
    """What runs a program as somebody whom PostgreSQL accepts: it refuses root."""
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """With one database, that of `url`, and nothing in it."""

    def __init__(self, fsync=False):
        parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"
        self.folder = tempfile.mkdtemp(prefix="cellule-pg-", dir=parent)
        self.data = os.path.join(self.folder, "data")
        self.log = os.path.join(self.folder, "log")
        self.port = free_port()
        self.fsync = fsync
        self.process = None
        if binaries() is None:
            raise RuntimeError("no PostgreSQL is installed: tools/bootstrap test")
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        os.chmod(self.folder, 0o755)
        subprocess.run([*unprivileged(), os.path.join(binaries(), "initdb"), "--no-sync", "-A", "trust", "-U", USER,
                        "-E", "UTF8", "--locale=C", "-D", self.data], check=True, capture_output=True, cwd=self.folder)
        self.start()
        self.sql(f"CREATE DATABASE {USER}")

    def start(self):
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.folder,
                    "fsync": "on" if self.fsync else "off", "shared_buffers": "64MB", "max_connections": "40",
                    "autovacuum_naptime": "300"}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*unprivileged(), os.path.join(binaries(), "postgres"), "-D", self.data,
                                             *options], stdout=log, stderr=log, cwd=self.folder)
        until = time.monotonic() + 60
        while subprocess.run([os.path.join(binaries(), "pg_isready"), "-q", "-h", self.folder, "-p", str(self.port),
                              "-U", USER]).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("PostgreSQL doesn't start: " + pathlib.Path(self.log).read_text(errors="replace")[-2000:])
            time.sleep(0.02)

    def stop(self, how=signal.SIGINT):
        """SIGINT: ends its connections and stops; SIGQUIT: without a word."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database=USER, tcp=False):
        if tcp:
            return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"
        return f"postgresql://{USER}@:{self.port}/{database}?host={self.folder}"

    def demand(self, role, password):
        """TLS and a password of a new role, over TCP; it owns the usual database. The file of its authority."""
        certificate, key = os.path.join(self.folder, "server.pem"), os.path.join(self.folder, "server.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=database", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key,
                        "-out", certificate], check=True, capture_output=True)
        os.chmod(key, 0o600)
        os.chmod(certificate, 0o644)
        if os.geteuid() == 0:
            os.chown(key, pwd.getpwnam("nobody").pw_uid, -1)
        self.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
        self.sql(f"ALTER DATABASE {USER} OWNER TO {role}")
        self.sql(f"ALTER SCHEMA public OWNER TO {role}", USER)
        rules = pathlib.Path(self.data) / "pg_hba.conf"
        rules.write_text(f"hostssl all {role} 127.0.0.1/32 scram-sha-256\nhost all {role} 127.0.0.1/32 reject\n"
                         + rules.read_text())
        for name, value in {"ssl_cert_file": certificate, "ssl_key_file": key, "ssl": "on"}.items():
            self.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        self.sql("SELECT pg_reload_conf()")
        return certificate

    def sql(self, text, database="postgres"):
        """What psql prints, without decoration."""
        return subprocess.run([os.path.join(binaries(), "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
                               "-h", self.folder, "-p", str(self.port), "-U", USER, "-d", database, "-c", text],
                              check=True, capture_output=True, text=True).stdout.strip()


def main():
    reason = missing()
    if reason is not None:
        print(f"1..0 # SKIP {reason}")
        return 0
    server = Server()
    try:
        environment = dict(os.environ, CELLULE_TEST_POSTGRESQL=f"host={server.folder} port={server.port} user={USER}")
        with subprocess.Popen(sys.argv[1:], env=environment, stdout=subprocess.PIPE, text=True) as program:
            for line in program.stdout:  # cmocka calls what was skipped not ok
                print(re.sub(r"^not (ok \d+ # SKIP)", r"\1", line), end="", flush=True)
        return program.returncode
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main())
