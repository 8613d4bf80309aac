"""A model file that is none: `worker run` says what is wrong with it and exits with 1. bad_gguf.py BINARY"""

import concurrent.futures
import os
import pathlib
import signal
import struct
import subprocess

import tap
from wire import BINARY, SiteCase

SECONDS = 60
UINT32, FLOAT32, STRING, ARRAY = 4, 6, 8, 9


def text(word):
    data = word.encode()
    return struct.pack("<Q", len(data)) + data


def find_value(data, key):
    """Where the value of a metadata key begins: its type's four bytes."""
    return data.index(text(key)) + len(text(key))


def find_tensor(data, name):
    """Where what is said of a tensor begins: the number of its dimensions."""
    return data.index(text(name)) + len(text(name))


class Model:
    """The good file, to be spoiled."""

    def __init__(self, path):
        self.good = pathlib.Path(path).read_bytes()

    def patched(self, offset, data):
        return self.good[:offset] + data + self.good[offset + len(data):]

    def value(self, key, data):
        return self.patched(find_value(self.good, key) + 4, data)

    def value_type(self, key, kind):
        return self.patched(find_value(self.good, key), struct.pack("<I", kind))

    def tensor(self, name, offset, data):
        return self.patched(find_tensor(self.good, name) + offset, data)

    def renamed(self, old, new):
        return self.patched(self.good.index(text(old)), text(new))


def bad_files(model):
    """Name: content, and a word that the message must have."""
    head = len(model.good) // 2
    yield "empty", b"", ""
    yield "three bytes", model.good[:3], ""
    yield "no magic", model.patched(0, b"GGML"), "GGUF"
    yield "version 1", model.patched(4, struct.pack("<I", 1)), "version"
    yield "version of the other byte order", model.patched(4, struct.pack(">I", 3)), "big-endian"
    yield "too many tensors", model.patched(8, b"\xff" * 8), "tensor"
    yield "too many keys", model.patched(16, b"\xff" * 8), ""
    yield "noise", os.urandom(65536), "GGUF"
    yield "a page of zeros", bytes(4096), "GGUF"
    yield "cut in the keys", model.good[:200], ""
    yield "cut in the data", model.good[:head], ""
    yield "cut by one byte", model.good[:-40], ""
    key = "llama.embedding_length"
    yield "a key that is missing", model.renamed(key, key.replace("llama", "alpac")), key
    yield "a key of the wrong type", model.value_type(key, FLOAT32), key
    yield "a type that isn't there", model.value_type(key, 99), ""
    yield "a width of zero", model.value(key, struct.pack("<I", 0)), key
    yield "a width of 2^32 - 1", model.value(key, b"\xff" * 4), key
    key = "llama.block_count"
    yield "no blocks", model.value(key, struct.pack("<I", 0)), key
    yield "more blocks than tensors", model.value(key, struct.pack("<I", 60)), "layers"
    yield "blocks without end", model.value(key, b"\xff" * 4), key
    key = "llama.attention.head_count"
    yield "no heads", model.value(key, struct.pack("<I", 0)), key
    yield "heads that don't divide", model.value(key, struct.pack("<I", 7)), ""
    key = "llama.context_length"
    yield "no context", model.value(key, struct.pack("<I", 0)), key
    yield "an endless context", model.value(key, b"\xff" * 4), ""
    key = "tokenizer.ggml.tokens"
    yield "an array of arrays", model.value(key, struct.pack("<I", ARRAY)), ""
    yield "an array without end", model.value(key, struct.pack("<IQ", STRING, 2**63)), ""
    yield "a string without end", model.value(key, struct.pack("<IQQ", STRING, 1, 2**64 - 1)), ""
    name = "output_norm.weight"
    yield "a tensor that is missing", model.renamed(name, "output_nrom.weight"), name
    yield "a tensor of a type unknown", model.tensor(name, 12, struct.pack("<I", 77)), name
    yield "a tensor of nine dimensions", model.tensor(name, 0, struct.pack("<I", 9)), name
    yield "a tensor of another shape", model.tensor(name, 4, struct.pack("<Q", 32)), name
    yield "a tensor of 2^63 numbers", model.tensor(name, 4, struct.pack("<Q", 2**63)), name
    yield "a tensor behind the end", model.tensor(name, 16, struct.pack("<Q", len(model.good) // 32 * 32)), name
    yield "a tensor at an odd place", model.tensor(name, 16, struct.pack("<Q", 1)), name
    yield "a tensor at 2^64", model.tensor(name, 16, struct.pack("<Q", 2**64 - 32)), name


class BadGguf(SiteCase):
    worker_count = 1

    def run_worker(self, path):
        command = [BINARY, "worker", "run", "--state", str(self.site.worker_folder(0)), "--model", str(path)]
        try:
            return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS,
                                  check=False, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"it goes on and on: {late.stderr}") from None

    def check_refused(self, done, word, path):
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 1, said)
        self.assertNotIn("Sanitizer", said)
        self.assertNotIn("signal", said)
        self.assertNotIn("restart_in_ms", said, "started again, with what can't get better")
        self.assertIn(word, said)
        self.assertIn(path.name, said)

    def test_each_bad_file_is_named_with_what_is_wrong(self):
        folder = self.site.folder / "models"
        folder.mkdir()
        files = []
        for number, (name, content, word) in enumerate(bad_files(Model(self.site.model))):
            path = folder / f"bad{number}.gguf"
            path.write_bytes(content)
            files.append((name, word, path))
        with concurrent.futures.ThreadPoolExecutor(4) as crowd:
            done = crowd.map(self.run_worker, [path for _, _, path in files])
            for (name, word, path), one in zip(files, done):
                with self.subTest(name):
                    self.check_refused(one, word, path)
        self.check_good_request()
        self.assertEqual(self.metrics()["cellule_workers_connected"], 1)

    def test_what_is_no_file_is_refused(self):
        folder = self.site.folder / "a folder.gguf"
        folder.mkdir()
        for path in (folder, self.site.folder / "absent.gguf", pathlib.Path("/dev/zero")):
            with self.subTest(path):
                self.check_refused(self.run_worker(path), "", path)

    def test_a_file_that_shrinks_matters_only_when_the_engine_starts_again(self):
        path = self.site.folder / "shrinks.gguf"
        path.write_bytes(self.site.model.read_bytes())
        self.site.model, model = path, self.site.model
        try:
            worker = self.site.start_worker(1)
            self.site.wait_for("it is connected", lambda: self.site.connected_workers() == 2, [worker])
            os.truncate(path, 4096)
            for _ in range(4):
                self.check_good_request()
            pid = worker.child.pid
            self.assertIsNone(worker.child.poll())
            engine = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
            os.kill(int(engine), signal.SIGKILL)
            self.assertEqual(worker.child.wait(SECONDS), 1, worker.last_lines())
        finally:
            self.site.model = model
        self.check_good_request()


if __name__ == "__main__":
    tap.main()
