"""Workers whose model another program's server computes: real pool, real worker, and a server that speaks OpenAI's chat
completions in all its good and bad ways (tests/support/runtime_server.py)."""

import json
import pathlib
import shutil
import subprocess
import sys
import threading
import time
import unittest

import tap
from fleet import FleetCase, eventually
from runtime_server import WORDS, RuntimeServer, chunk, good, usage

TEXT = "".join(WORDS)


class Runtimes(FleetCase):
    settings = {"beat_ms": 500, "first_token_timeout_ms": 8000, "progress_timeout_ms": 8000, "model_grace_ms": 500}

    def setUp(self):
        super().setUp()
        self.runtime = RuntimeServer()
        self.addCleanup(self.runtime.stop)
        self.workers = []
        self.addCleanup(self.stop_workers)

    def stop_workers(self):
        for worker in self.workers:
            self.assertEqual(worker.stop(), 0, worker.last_lines())  # a sanitizer's finding is another code
            self.site.workers.remove(worker)

    def start(self, *options, index=0, runtime=None, connected=True):
        before = self.metric("workers_connected")
        worker = self.site.start_worker(index, "--runtime", (runtime or self.runtime).url, "--model", "tiny",
                                        "--engine-timeout-ms", "3000", *options)
        self.workers.append(worker)
        if connected:
            eventually("the worker is connected", lambda: self.metric("workers_connected") > before)
        return worker

    def tiny(self, **members):
        return self.question(model="tiny", **{"max_tokens": 100, **members})

    def receipt(self, answer):
        return self.ask("GET", f"/v1/receipts/{answer.job}", key=self.site.user_key).json["fields"]

    def offered(self):
        """What the connected worker says that it has."""
        models = self.ask("GET", "/v1/models", key=self.site.user_key).json["data"]
        return [model["id"] for model in models]

    def answered_again(self):
        answer = self.tiny()
        self.assert_whole(answer)
        self.assertEqual(answer.text, TEXT)

    def test_an_answer_comes_from_the_runtime_with_a_receipt_that_holds(self):
        self.start()
        self.assertEqual(self.offered(), ["tiny"])
        answer = self.tiny(temperature=0.5, top_p=0.75, seed=2**40 + 5, stop=["END"],
                           stream_options={"include_usage": True})
        self.assert_whole(answer)
        self.assertEqual(answer.text, TEXT)
        self.assert_receipt_holds(answer)
        receipt = self.receipt(answer)
        self.assertEqual(receipt["engine_profile"], "runtime-llama.cpp")
        self.assertEqual(receipt["prompt_tokens"], 11)
        self.assertEqual(receipt["completion_tokens"], len(WORDS))
        self.assertEqual(receipt["finish_reason"], "stop")
        self.assertEqual(answer.chunks[-1]["usage"]["completion_tokens"], len(WORDS))
        asked = self.runtime.chats()[-1]
        self.assertEqual(asked, {"model": "tiny", "messages": [{"role": "user", "content": "What is Cellule?"}],
                                 "temperature": 0.5, "top_p": 0.75, "max_tokens": 100, "seed": 5, "stop": ["END"],
                                 "stream": True, "stream_options": {"include_usage": True}})

    def test_an_answer_ends_at_its_length(self):
        self.start()
        for count in (1, 2, 5):
            answer = self.tiny(max_tokens=count)
            self.assert_whole(answer)
            self.assertEqual(answer.text, "".join(WORDS[:count]))
            self.assertEqual(self.receipt(answer)["finish_reason"], "length")
            self.assertEqual(self.receipt(answer)["completion_tokens"], count)


if __name__ == "__main__":
    tap.main()
