"""A small server that speaks OpenAI's chat completions as llama.cpp, Ollama and others do, well or badly. It runs in the
test's own process; what it does is a function of the test's choice."""

import contextlib
import http.server
import json
import socket
import ssl
import threading
import time

WORDS = ["A", " receipt", " says", " who", " answered", ",", " what", " and", " when", ": ", "ünïcödé", " 世界", "."]


def chunk(content=None, finish=None, logprob=None, **delta):
    """One event of a stream, as JSON."""
    if content is not None:
        delta["content"] = content
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    if logprob is not None:
        choice["logprobs"] = {"content": [{"token": content, "logprob": logprob, "bytes": list(content.encode())}]}
    return json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "tiny",
                       "choices": [choice]})


def usage(prompt, completion):
    return json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [],
                       "usage": {"prompt_tokens": prompt, "completion_tokens": completion,
                                 "total_tokens": prompt + completion}})


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.server.owner.open_sockets.add(self.connection)

    def finish(self):
        self.server.owner.open_sockets.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self):
        with contextlib.suppress(OSError):
            super().handle()

    def do_GET(self):
        owner = self.server.owner
        owner.note(self, None)
        if owner.refusal is not None:
            self.whole(*owner.refusal)
        elif self.path == "/v1/models":
            self.whole(200, json.dumps(owner.models))
        elif self.path in owner.pages:
            self.whole(200, json.dumps(owner.pages[self.path]))
        else:
            self.whole(404, "{}")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.owner.note(self, body)
        self.server.owner.answer(self, body)

    # What answers are made of.

    def whole(self, status, text, content_type="application/json", headers=()):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def begin(self, content_type="text/event-stream"):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def raw(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def event(self, data):
        self.raw(f"data: {data}\n\n")

    def end(self):
        self.wfile.write(b"0\r\n\r\n")

    def cut(self):
        """The connection ends in mid-answer."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def good(handler, body, words=WORDS, pause=0.0):
    """As llama.cpp's server does it."""
    words = words[:body["max_tokens"]]
    handler.begin()
    handler.event(chunk(role="assistant", content=None))
    for word in words:
        handler.event(chunk(word))
        if pause:
            time.sleep(pause)
    handler.event(chunk(finish="length" if len(words) == body["max_tokens"] else "stop"))
    if body.get("stream_options", {}).get("include_usage"):
        handler.event(usage(11, len(words)))
    handler.event("[DONE]")
    handler.end()


class RuntimeServer:
    """Listens until stopped; may be started again at the same port."""

    def __init__(self, answer=good, certificate=None):
        self.answer = answer
        self.certificate = certificate
        self.models = {"object": "list", "data": [
            {"id": "tiny", "object": "model", "created": int(time.time()), "owned_by": "llamacpp",
             "meta": {"vocab_type": 2, "n_vocab": 1000, "n_ctx_train": 2048, "n_embd": 64, "n_params": 12345,
                      "size": 54321}}]}
        self.pages = {"/props": {"default_generation_settings": {"n_ctx": 1024}, "total_slots": 3}}
        self.refusal = None  # (status, text): what every GET is answered with
        self.requests = []  # (method, path, headers, body)
        self.open_sockets = set()
        self.server = None
        self.port = 0
        self.start()

    @property
    def url(self):
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    def note(self, handler, body):
        self.requests.append((handler.command, handler.path, dict(handler.headers), body))

    def chats(self):
        return [body for _, path, _, body in self.requests if path == "/v1/chat/completions"]

    def start(self):
        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.server.handle_error = lambda *_: None
        self.server.owner = self
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        """Every connection ends with it."""
        if self.server is None:
            return
        self.server.shutdown()
        self.server.server_close()
        self.server = None
        for connection in list(self.open_sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
