"""What the scenarios share: a site of their own, HTTP and WebSocket by hand over TLS, and patience."""

import base64
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tools"))

from cellule_site import Site, SiteError, free_port, write_private  # noqa: E402, F401 (by the line above)

BINARY = str(pathlib.Path(sys.argv[1]).resolve())
PATIENCE = 120  # seconds until a test gives up waiting for something that must come


def trust(ca_file, versions=None):
    """A context that trusts the site's CA alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca_file)
    if versions is not None:
        context.minimum_version, context.maximum_version = versions
    return context


class Answer:
    def __init__(self, status, headers, body, complete=True):
        self.status = status
        self.headers = headers
        self.body = body
        self.complete = complete  # the body's end was seen, not just the connection's

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def events(self):
        """The data of a stream's events."""
        return [line[6:] for line in self.body.decode().split("\n") if line.startswith("data: ")]

    @property
    def text(self):
        """What a stream says, put together."""
        chunks = [json.loads(event) for event in self.events if event != "[DONE]"]
        return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk.get("choices", ()))


class Connection:
    """One TLS connection to a pool. Sends what it is told to, right or wrong."""

    def __init__(self, address, context=None, timeout=PATIENCE, source=None):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout, source and (source, 0))
        if context is not None:
            try:
                self.socket = context.wrap_socket(self.socket, server_hostname=host)
            except BaseException:
                self.socket.close()
                raise
        self.input = b""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Leaves without a word, as a process that dies."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data):
        """False when the pool has closed already."""
        try:
            self.socket.sendall(data if isinstance(data, bytes) else data.encode())
        except OSError:
            return False
        return True

    def more(self):
        """Reads on; False at the end of the connection."""
        try:
            data = self.socket.recv(65536)
        except (ConnectionError, ssl.SSLError):
            return False
        self.input += data
        return bool(data)

    def rest(self):
        """All that comes until the pool closes."""
        while self.more():
            pass
        data, self.input = self.input, b""
        return data

    def until(self, mark):
        """What comes up to and with `mark`, or to the end of the connection."""
        while mark not in self.input and self.more():
            pass
        head, found, self.input = self.input.partition(mark)
        return head + found

    def exactly(self, count):
        while len(self.input) < count and self.more():
            pass
        data, self.input = self.input[:count], self.input[count:]
        return data

    def head(self):
        """Status and fields of the next answer; status 0 at the end of the connection."""
        lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        if not lines[0]:
            return 0, {}
        fields = {}
        for name, _, value in (line.partition(":") for line in lines[1:] if line):
            fields.setdefault(name.lower(), []).append(value.strip())
        return int(lines[0].split(" ")[1]), {name: ", ".join(values) for name, values in fields.items()}

    def chunk(self):
        """The next chunk of a streamed body; empty at its end, None where the connection ends first."""
        line = self.until(b"\r\n")
        if not line.endswith(b"\r\n"):
            return None
        length = int(line, 16)
        data = self.exactly(length + 2)
        return data[:-2] if len(data) == length + 2 else None

    def answer(self):
        status, headers = self.head()
        if headers.get("transfer-encoding") != "chunked":
            length = int(headers.get("content-length", 0))
            body = self.exactly(length)
            return Answer(status, headers, body, len(body) == length and status != 0)
        body = b""
        while chunk := self.chunk():
            body += chunk
        return Answer(status, headers, body, chunk is not None)

    def ask(self, method, path, body=None, key=None, headers=()):
        self.send(request(method, path, body, key, headers))
        return self.answer()


def request(method, path, body=None, key=None, headers=()):
    """A well-formed request. A body that isn't bytes goes as JSON."""
    lines = [f"{method} {path} HTTP/1.1", "Host: pool", *headers]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def frame(opcode, payload=b"", final=True, masked=True, reserved=0, length=None):
    """A WebSocket frame; `length` may lie about the payload's."""
    length = len(payload) if length is None else length
    bits = (0x80 if final else 0) | reserved << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if length < 126:
        head = bytes([bits, mask_bit | length])
    elif length < 65536:
        head = bytes([bits, mask_bit | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([bits, mask_bit | 127]) + length.to_bytes(8, "big")
    if not masked:
        return head + payload
    mask = b"\x12\x34\x56\x78"
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def upgrade(key=None, subprotocol="cellule.worker.v1", version="13", more=()):
    key = base64.b64encode(os.urandom(16)).decode() if key is None else key
    fields = ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}",
              f"Sec-WebSocket-Version: {version}", *more]
    if subprotocol is not None:
        fields.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return request("GET", "/v1/worker", headers=fields)


def wait_for(what, condition, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{seconds} s passed and not yet: {what}")
        time.sleep(0.03)
    return found


class SiteCase(unittest.TestCase):
    """One site for all the cases of a class. A subclass says what it needs of it."""

    settings = {}
    init_options = ()  # of pool init
    worker_count = 1
    keep_alive = True  # the pool must have outlived the cases

    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="cellule-scenario-")
        cls.addClassCleanup(scratch.cleanup)
        cls.site = Site(scratch.name, BINARY, worker_count=cls.worker_count, settings=cls.settings)
        cls.site.init_options = cls.init_options
        cls.addClassCleanup(cls.site.stop)
        cls.site.make()
        cls.prepare()
        cls.site.start()
        cls.context = trust(cls.site.ca_file)

    @classmethod
    def prepare(cls):
        """Before the pool starts."""

    @classmethod
    def tearDownClass(cls):
        if cls.keep_alive:
            assert cls.site.pool.alive(), cls.site.pool.last_lines()

    def connect(self, timeout=PATIENCE):
        connection = Connection(self.site.address, self.context, timeout)
        self.addCleanup(connection.close)
        return connection

    def ask(self, method, path, body=None, key=None, headers=()):
        with Connection(self.site.address, self.context) as connection:
            return connection.ask(method, path, body, key, headers)

    def admin_ask(self, method, path, body=None):
        return self.ask(method, path, body, self.site.admin_key)

    def chat_body(self, question="How do I start the pool?", **more):
        return {"model": self.site.model.stem, "messages": [{"role": "user", "content": question}],
                "temperature": 0, "max_tokens": 8, **more}

    def long_body(self, **more):
        """A question whose answer takes a while: sampled, so that it doesn't end by itself soon."""
        return self.chat_body("Tell me everything.", **{"temperature": 2, "max_tokens": 1500, "stream": True, **more})

    def chat(self, key=None, **more):
        return self.ask("POST", "/v1/chat/completions", self.chat_body(**more), key or self.site.user_key)

    def add_user(self, name, role="employee", **more):
        answer = self.admin_ask("POST", "/v1/admin/users", {"name": name, "role": role, **more})
        self.assertEqual(answer.status, 201, answer.body)
        return answer.json

    def metrics(self):
        text = self.ask("GET", "/metrics", key=self.site.admin_key).body.decode()
        return {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", text, re.MULTILINE)}

    def check_good_request(self):
        """Others are served."""
        answer = self.chat()
        self.assertEqual(answer.status, 200, answer.body)
        self.assertTrue(answer.json["choices"][0]["message"]["content"])

    def check_error(self, answer, status, code=None, param=None):
        """OpenAI's error shape."""
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers.get("content-type"), "application/json")
        error = answer.json["error"]
        self.assertEqual(set(error), {"message", "type", "param", "code"})
        self.assertTrue(error["message"])
        if code is not None:
            self.assertEqual(error["code"], code)
        if param is not None:
            self.assertEqual(error["param"], param)
        return error

    @contextlib.contextmanager
    def answering(self, key):
        """A connection on which an answer is under way, while its worker stands still."""
        for _ in range(20):
            with self.connect() as connection:
                with frozen(self.site):
                    connection.send(request("POST", "/v1/chat/completions", self.long_body(), key))
                    wait_for("it runs", lambda: self.metrics()["cellule_jobs_running"] == 1)
                self.assertEqual(connection.head()[0], 200)
                with frozen(self.site):
                    time.sleep(0.3)  # what was on its way is there; some answers have ended by themselves
                    if self.metrics()["cellule_jobs_running"] == 1:
                        yield connection
                        return
        raise AssertionError("every answer ended too soon")

    def check_cut(self, connection, code):
        """The answer ends with that error, and as a whole."""
        last = b""
        while chunk := connection.chunk():
            last = chunk
        self.assertEqual(chunk, b"")
        self.assertIn(code.encode(), last)

    def check_nothing_left(self):
        """Only the workers' connections and the one that asks are open; no job is left."""
        def quiet():
            seen = self.metrics()
            return (seen["cellule_http_connections"] == seen["cellule_workers_connected"] + 1
                    and seen["cellule_jobs_running"] == 0 and seen["cellule_jobs_queued"] == 0
                    and seen["cellule_slots_busy"] == 0)
        wait_for("all connections and jobs are gone", quiet)

    def pool_log(self):
        return (self.site.folder / "pool.log").read_text(errors="replace")


def children(pid):
    lists = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for names in lists for child in names.read_text().split()]


@contextlib.contextmanager
def frozen(site):
    """The workers' engines stand still: what is being answered stays so. (After 20 s they are taken to hang.)"""
    engines = [child for worker in site.workers if worker.alive() for child in children(worker.child.pid)]
    assert engines
    for engine in engines:
        os.kill(engine, signal.SIGSTOP)
    try:
        yield
    finally:
        for engine in engines:
            with contextlib.suppress(ProcessLookupError):
                os.kill(engine, signal.SIGCONT)


@contextlib.contextmanager
def scratch_site(settings=None, worker_count=1, prepare=None, folder=None):
    """A site for one case. `prepare` sees it before its pool starts."""
    with tempfile.TemporaryDirectory(prefix="cellule-scenario-") as scratch:
        site = Site(folder or scratch, BINARY, worker_count=worker_count, settings=settings)
        try:
            if prepare is not None:
                site.make()
                prepare(site)
            site.start()
            yield site
        finally:
            site.stop()
