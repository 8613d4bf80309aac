"""The processes of a benchmark: a site whose workers are fake, nginx before an instant backend, and the client."""

import concurrent.futures
import http.client
import json
import os
import pathlib
import resource
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from cellule_site import Process, Site, SiteError, free_port  # noqa: E402

MODEL = "bench"
IDLE_MODEL = "idle"
ANSWER_BYTES = 650  # of a whole answer's JSON
TEXT_BYTES = 374    # of them the text, so that the pool's answers are as long as the backend's
ANSWER_TOKENS = 64
TOKEN_CONNECTIONS = 16
EVENTS_PER_SECOND = 50
STREAM_TOKENS = 2000  # more than are measured: the client leaves in mid-answer
EVENT_BYTES = 17      # of text: the time of sending
QUESTION = ("You are a careful assistant of the IT department. A colleague asks: the printer on the third floor says "
            "that its drum is worn, who orders a new one, and how long does that take?")

NGINX = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    keepalive_requests 100000000;
    upstream backend {{
        server 127.0.0.1:{backend};
        keepalive 512;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {site}/server.pem;
        ssl_certificate_key {site}/server.key;
        ssl_protocols TLSv1.3;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location / {{ proxy_pass http://backend; }}
        location /events/ {{ proxy_pass http://backend; proxy_buffering off; }}
    }}
}}
"""


def raise_descriptor_limit():
    """As high as allowed, for this process and those it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def processor_seconds(pid):
    """User and system time so far, of all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise SiteError("the pool ended")


class FakeWorkers(Process):
    """One process that is many workers. Tells on its output, one JSON object a line, when all are connected."""

    def __init__(self, binary, name, folder, count, model, *options):
        self.count = count
        self.output = folder / f"{name}.log"
        self.command = [binary, "--state", folder / name, "--count", count, "--model", model, "--quiet",
                        *options]
        self.output.unlink(missing_ok=True)  # of an earlier start: it would tell of that one's connections
        super().__init__(name, list(map(str, self.command)), self.output)

    def all_connected(self):
        """The milliseconds that it took, or None."""
        for line in self.output.read_text(errors="replace").splitlines():
            if '"event":"serving"' in line:
                return json.loads(line)["ms"]
        return None


class Bench:
    def __init__(self, folder, build):
        self.folder = pathlib.Path(folder)
        self.programs = build / "bench"
        self.fake_worker = build / "tests" / "fake_worker"
        self.site = Site(self.folder / "site", build / "src" / "cellule", worker_count=0,
                         settings={"connections_limit": 32768, "queue_limit": 10000, "queue_limit_per_user": 10000,
                                   "log_level": "warning", "verify": "off", "check_delay_ms": 0})
        self.started = []
        self.nginx_port = free_port()
        self.backend_ports = {}

    def start(self):
        self.start_site()
        self.start_backend()
        self.start_nginx()

    def start_site(self):
        """All there is without a yardstick."""
        self.site.make()
        self.site.start_pool()
        self.site.ensure_user()
        self.write_bodies()

    def start_backend(self):
        log = self.folder / "backend.log"
        backend = Process("backend", [self.programs / "bench_backend", "--certificate", self.site.folder / "server.pem",
                                      "--key", self.site.folder / "server.key", "--interval",
                                      str(1000 // EVENTS_PER_SECOND)], log)
        self.started.append(backend)
        self.site.wait_for("the backend listens", lambda: log.read_text().endswith("\n"), [backend])
        self.backend_ports = json.loads(log.read_text())

    def start_nginx(self):
        configuration = self.folder / "nginx.conf"
        configuration.write_text(NGINX.format(folder=self.folder, site=self.site.folder, port=self.nginx_port,
                                              backend=self.backend_ports["plain"]))
        nginx = Process("nginx", ["nginx", "-c", configuration, "-p", self.folder, "-g", "daemon off;"],
                        self.folder / "nginx.log")
        self.started.append(nginx)
        self.site.wait_for("nginx listens", lambda: children(nginx.child.pid) and port_open(self.nginx_port), [nginx])
        self.nginx_processes = [nginx.child.pid, *children(nginx.child.pid)]

    def write_bodies(self):
        question = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": STREAM_TOKENS}
        for name, more in {"whole": {"max_tokens": ANSWER_TOKENS}, "stream": {"stream": True}}.items():
            (self.folder / f"{name}.json").write_text(json.dumps({**question, **more}, separators=(",", ":")))

    # Workers.

    def join_tokens(self, name, count, owner=None):
        """Over a few connections at a time: thousands of runs of the command line would take minutes. Unless one is named, each
        worker has an owner of its own, so that any may check any other."""
        shares = [count // TOKEN_CONNECTIONS + (i < count % TOKEN_CONNECTIONS) for i in range(TOKEN_CONNECTIONS)]
        path = self.folder / f"{name}.tokens"
        with concurrent.futures.ThreadPoolExecutor(TOKEN_CONNECTIONS) as threads:
            path.write_text("".join(threads.map(lambda share: self.some_join_tokens(share, owner), shares)))
        return path

    def some_join_tokens(self, count, owner):
        context = ssl.create_default_context(cafile=self.site.ca_file)
        host, port = self.site.address.rsplit(":", 1)
        connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
        headers = {"Authorization": f"Bearer {self.site.admin_key}", "Content-Type": "application/json"}
        tokens = []
        for _ in range(count):
            body = {"owner": owner or f"owner-{secrets.token_hex(6)}"}
            connection.request("POST", "/v1/admin/join-tokens", json.dumps(body), headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status not in (200, 201):
                raise SiteError(f"no join token: {body.decode()}")
            tokens.append(json.loads(body)["token"] + "\n")
        connection.close()
        return "".join(tokens)

    def start_workers(self, name, count, model, *options):
        return self.start_all([(name, count, model, *options)])[0]

    def start_pair(self, model, *options):
        """Two workers with different owners."""
        for owner in ("ann", "bob"):
            self.join_tokens(owner, 1, owner)
        return self.start_all([(owner, 1, model, "--join", self.folder / f"{owner}.tokens", *options) for owner in ("ann", "bob")],
                              enrol=False)

    def start_all(self, wanted, enrol=True):
        """Several processes of workers at once: name, count, model, options of each."""
        running = []
        for name, count, model, *options in wanted:
            if enrol and not (self.folder / name / "seeds").exists():
                options = ["--join", self.join_tokens(name, count), *options]
            running.append(FakeWorkers(self.fake_worker, name, self.folder, count, model, *options))
            self.started.append(running[-1])
        self.site.wait_for("all workers are connected",
                           lambda: all(workers.all_connected() is not None for workers in running),
                           [self.site.pool, *running], seconds=180)
        return running

    def stop_process(self, process):
        process.stop()
        self.started.remove(process)

    # Measuring.

    def load(self, port, processes, body, milliseconds, *options, path="/v1/chat/completions", warm_up=700):
        return self.finish_load(self.start_load(port, processes, body, milliseconds, *options, path=path,
                                                warm_up=warm_up), milliseconds + warm_up)

    def start_load(self, port, processes, body, milliseconds, *options, path="/v1/chat/completions", warm_up=700):
        command = [self.programs / "bench_load", "--port", port, "--ca", self.site.ca_file, "--path", path, "--body",
                   self.folder / f"{body}.json", "--measure", milliseconds, "--warm-up", warm_up, "--processes",
                   ",".join(map(str, processes)), *options]
        return subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                env={**os.environ, "CELLULE_KEY": self.site.user_key})

    @staticmethod
    def finish_load(load, milliseconds):
        try:
            output, _ = load.communicate(timeout=milliseconds / 1000 + 60)
        finally:
            if load.poll() is None:
                load.kill()
                load.wait()
        if load.returncode != 0:
            raise SiteError("the load generator failed")
        return json.loads(output)

    def await_idle(self):
        """Until no slot is taken any more: clients that leave in mid-answer end their jobs a moment later."""
        context = ssl.create_default_context(cafile=self.site.ca_file)
        connection = http.client.HTTPSConnection("127.0.0.1", self.pool_port, context=context, timeout=30)
        busy = True
        while busy:
            connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {self.site.admin_key}"})
            busy = b"\ncellule_slots_busy 0\n" not in connection.getresponse().read()
        connection.close()

    def first_token(self, *headers):
        """Seconds from the question to the first text of a streamed answer, one client on a connection of its own."""
        context = ssl.create_default_context(cafile=self.site.ca_file)
        connection = http.client.HTTPSConnection("127.0.0.1", self.pool_port, context=context, timeout=30)
        connection.connect()
        body = (self.folder / "stream.json").read_bytes()
        begun = time.monotonic()
        connection.request("POST", "/v1/chat/completions", body,
                           {"Authorization": f"Bearer {self.site.user_key}", "Content-Type": "application/json", **dict(headers)})
        answer = connection.getresponse()
        for line in answer:
            if line.startswith(b"data: ") and b'"content":"' in line and b'"content":""' not in line:
                connection.close()
                return time.monotonic() - begun
        raise SiteError(f"no text came: status {answer.status}")

    @property
    def pool_port(self):
        return int(self.site.address.rsplit(":", 1)[1])

    @property
    def pool_process(self):
        return self.site.pool.child.pid

    def stop(self):
        for process in reversed(self.started):
            process.signal(signal.SIGTERM)
        for process in reversed(self.started):
            process.stop()
        self.site.stop()


def port_open(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
