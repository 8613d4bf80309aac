"""Workers whose model another program's server computes: real pool, real worker, and a server that speaks OpenAI's chat
completions in all its good and bad ways (tests/support/runtime_server.py)."""

import json
import shutil
import subprocess
import threading
import time
import unittest

import tap
from fleet import FleetCase, eventually
from runtime_server import WORDS, RuntimeServer, chunk, good, usage

TEXT = "".join(WORDS)


class Runtimes(FleetCase):
    settings = {"beat_ms": 2000, "first_token_timeout_ms": 8000, "progress_timeout_ms": 8000, "model_grace_ms": 500}

    def setUp(self):
        super().setUp()
        self.runtime = RuntimeServer()
        self.addCleanup(self.runtime.stop)
        self.workers = []
        self.addCleanup(self.stop_workers)

    def stop_workers(self):
        """A sanitizer's finding is another code."""
        while self.workers:
            worker = self.workers.pop()
            self.assertEqual(worker.stop(), 0, worker.last_lines())
            self.site.workers.remove(worker)

    def start(self, *options, index=0, runtime=None, connected=True):
        before = self.metric("workers_connected")
        log = self.folder / f"worker{index + 1}.log"
        self.log_starts = log.stat().st_size if log.exists() else 0
        worker = self.site.start_worker(index, "--runtime", (runtime or self.runtime).url, "--model", "tiny",
                                        "--engine-timeout-ms", "3000", *options)
        self.workers.append(worker)
        if connected:
            eventually("the worker is connected", lambda: self.metric("workers_connected") > before)
        return worker

    def said(self, worker):
        """The log of the worker that was started last."""
        return worker.log.read_bytes()[self.log_starts:].decode(errors="replace")

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


    # Good in other ways.

    def test_answers_of_other_runtimes_are_understood(self):
        def without_done(handler, body):
            handler.begin()
            handler.event(chunk("half"))
            handler.event(chunk(" done", finish="stop"))
            handler.end()

        def closed_at_the_end(handler, body):
            handler.close_connection = True
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n")
            for event in (chunk("half"), chunk(" done"), chunk(finish="stop"), "[DONE]"):
                handler.wfile.write(f"data: {event}\r\n\r\n".encode())

        def in_pieces(handler, body):
            handler.begin()
            stream = "".join(f": here\n\ndata: {event}\n\n" for event in
                             (chunk("half"), chunk(" "), chunk("done"), chunk(finish="stop"), "[DONE]"))
            for byte in stream.encode():
                handler.raw(bytes([byte]))
            handler.end()

        def chatty_after_the_end(handler, body):
            handler.begin()
            for event in (chunk("half done"), chunk(finish="stop"), "[DONE]", chunk("more"), "[DONE]"):
                handler.event(event)
            handler.end()

        def without_an_end(handler, body):
            handler.begin()
            for event in (chunk("half done"), chunk(finish="stop"), "[DONE]"):
                handler.event(event)
            time.sleep(1.5)  # the answer doesn't wait for it
            handler.event("more")

        def empty(handler, body):
            handler.begin()
            handler.event(chunk(role="assistant", content=""))
            handler.event(chunk(finish="stop"))
            handler.event("[DONE]")
            handler.end()

        self.start("--slots", "1")
        for answers in (without_done, closed_at_the_end, in_pieces, chatty_after_the_end, without_an_end):
            with self.subTest(answers.__name__):
                self.runtime.answer = answers
                answer = self.tiny()
                self.assert_whole(answer)
                self.assertEqual(answer.text, "half done")
                self.assert_receipt_holds(answer)
        self.runtime.answer = empty
        answer = self.tiny(stream=False).finish()
        self.assertEqual((answer.status, answer.json["choices"][0]["message"]["content"]), (200, ""))
        self.assert_receipt_holds(answer)

    def test_tokens_are_counted_as_the_runtime_counts_them(self):
        def two_at_once(handler, body):
            handler.begin()
            handler.event(chunk("a" * 3000))  # larger than what one token may hold: three
            handler.event(chunk(" b"))
            handler.event(chunk(finish="stop"))
            handler.event(usage(30, 40))
            handler.event("[DONE]")
            handler.end()

        def thinking(handler, body):
            handler.begin()
            for _ in range(5):
                handler.event(chunk(reasoning_content="hm"))
            handler.event(chunk("So."))
            handler.event(chunk(finish="stop"))
            handler.event(usage(30, 7))
            handler.event("[DONE]")
            handler.end()

        def boasting(handler, body):
            handler.begin()
            handler.event(chunk("x"))
            handler.event(chunk(finish="stop"))
            handler.event(usage(10000000, 9000000))
            handler.event("[DONE]")
            handler.end()

        self.start()
        for answers, text, prompt, completion in ((two_at_once, "a" * 3000 + " b", 30, 40), (thinking, "So.", 30, 7),
                                                  (boasting, "x", 0, 100)):
            with self.subTest(answers.__name__):
                self.runtime.answer = answers
                answer = self.tiny()
                self.assert_whole(answer)
                self.assertEqual(answer.text, text)
                receipt = self.receipt(answer)
                self.assertEqual((receipt["prompt_tokens"], receipt["completion_tokens"]), (prompt, completion))

    def test_many_answers_run_at_once_and_no_more_than_slots(self):
        under_way, most = [], []

        def slowly(handler, body):
            under_way.append(1)
            most.append(len(under_way))
            time.sleep(0.2)
            under_way.pop()  # before the answer's end is sent: the next question may come before this thread goes on
            good(handler, body)

        self.runtime.answer = slowly
        self.start()  # three slots, as /props says
        answers = [self.tiny() for _ in range(9)]
        for answer in answers:
            self.assert_whole(answer)
            self.assertEqual(answer.text, TEXT)
        self.assertEqual(max(most), 3)

    # Bad.

    def test_an_answer_that_goes_wrong_is_an_error_and_the_worker_stays(self):
        def status(code, text="{}", **more):
            return lambda handler, body: handler.whole(code, text, **more)

        def stream(*events):
            def answers(handler, body):
                handler.begin()
                for event in events:
                    handler.event(event)
                handler.end()
            return answers

        def endless(event, head=()):
            def answers(handler, body):
                handler.begin()
                for first in head:
                    handler.event(first)
                while True:
                    handler.raw(event)
            return answers

        def cut(handler, body):
            handler.begin()
            handler.event(chunk("half"))
            handler.cut()

        def not_utf8(handler, body):
            handler.begin()
            handler.raw(b'data: {"choices":[{"delta":{"content":"\xff\xfe"}}]}\n\n')
            handler.end()

        elsewhere = {"headers": [("Location", self.runtime.url + "/elsewhere")]}
        bad = {"a redirect": status(302, **elsewhere), "a redirect that keeps the body": status(307, **elsewhere),
               "unauthorised": status(401), "not found": status(404), "busy": status(429), "failed": status(500),
               "loading": status(503), "whole JSON": status(200, '{"choices":[]}'), "no content": status(204, ""),
               "a page": status(200, "<html>", content_type="text/html"),
               "a huge error": status(500, "x" * 20_000_000),
               "no events": stream(), "only the end": stream("[DONE]"), "not JSON": stream("{"),
               "no object": stream("[1]"), "deep": stream("[" * 5000), "twice": stream('{"a":1,"a":2}'),
               "an error": stream(json.dumps({"error": {"message": "What is Cellule? is refused"}})),
               "no finish reason": stream(chunk("half"), "[DONE]"), "no end": stream(chunk("half")),
               "filtered": stream(chunk("half"), chunk(finish="content_filter"), "[DONE]"),
               "after its end": stream(chunk("half", finish="stop"), chunk("more"), "[DONE]"),
               "cut": cut, "not UTF-8": not_utf8, "a NUL": stream('{"choices":[{"delta":{"content":"\\u0000"}}]}'),
               "an endless line": endless(b"x" * 65536), "an endless event": endless(b"data: " + b"x" * 60000 + b"\n"),
               "endless events": endless(f"data: {chunk('')}\n\n"),
               "endless text": endless(f"data: {chunk('more than was asked for ')}\n\n"),
               "endless thoughts": endless(f"data: {chunk(reasoning='hm')}\n\n")}
        worker = self.start("--slots", "1")
        for what, answers in bad.items():
            with self.subTest(what):
                self.runtime.answer = answers
                answer = self.tiny().finish()
                self.assertIsNotNone(answer.error, answer.raw[-300:])
                self.assertNotIn("[DONE]", answer.events)
                self.runtime.answer = good
                self.answered_again()
        self.assertEqual([path for _, path, _, _ in self.runtime.requests if "elsewhere" in path], [])
        self.assertNotIn("is refused", self.said(worker) + self.pool_log())
        self.assertEqual(self.metric("worker_violations_total"), 0)

    def test_a_request_that_it_refuses_is_the_client_s_error(self):
        self.start()
        self.runtime.answer = lambda handler, body: handler.whole(400, '{"error":{"message":"What is Cellule?"}}')
        answer = self.tiny().finish()
        self.assertEqual(answer.status, 400)
        self.assertIn("HTTP status 400", answer.error["message"])
        self.assertEqual(len(self.runtime.chats()), 1)  # no other worker would do better

    def test_a_client_that_leaves_closes_the_request_at_once(self):
        seen = threading.Event()

        def until_closed(handler, body):
            handler.begin()
            try:
                while True:
                    handler.event(chunk("word "))
                    time.sleep(0.02)
            except OSError:
                seen.set()

        self.runtime.answer = until_closed
        self.start()
        answer = self.tiny(max_tokens=1000).wait_for_text(10)
        answer.leave()
        self.assertTrue(seen.wait(10))
        self.runtime.answer = good
        self.answered_again()

    # Away and back.

    def paused(self, worker):
        return "runtime lost" in self.said(worker)

    def test_a_runtime_that_goes_away_is_found_again(self):
        worker = self.start()
        self.answered_again()
        self.runtime.answer = lambda handler, body: good(handler, body, pause=0.2)
        answer = self.tiny().wait_for_text()
        self.runtime.stop()
        answer.finish()
        self.assertIsNotNone(answer.error)
        eventually("the worker has noticed", lambda: self.paused(worker))
        self.assertEqual(self.metric("workers_connected"), 1)
        waiting = self.tiny()
        self.runtime.answer = good
        self.runtime.start()
        self.assertTrue(worker.alive())
        waiting.finish()
        self.answered_again()

    def test_a_runtime_that_isn_t_there_yet_is_waited_for(self):
        self.runtime.stop()
        worker = self.start(connected=False)
        eventually("it was looked for", lambda: self.paused(worker))
        self.assertEqual(self.metric("workers_connected"), 0)
        self.runtime.refusal = (503, '{"error":{"message":"Loading model"}}')
        self.runtime.start()
        time.sleep(1)
        self.assertEqual(self.metric("workers_connected"), 0)
        self.runtime.refusal = None
        eventually("the worker is connected", lambda: self.metric("workers_connected") == 1)
        self.answered_again()

    def test_lists_that_say_nothing_useful_are_not_believed(self):
        lists = ({}, [], {"data": 1}, {"data": []}, {"data": [{"id": "other"}]}, {"data": [{"id": 7}, None, []]},
                 {"data": [{"id": "tin"}]})
        self.runtime.models = lists[0]
        worker = self.start(connected=False)
        for models in lists:
            self.runtime.models = models
            before = self.said(worker).count("runtime lost")
            eventually("it was asked", lambda: self.said(worker).count("runtime lost") > before)
            self.assertEqual(self.metric("workers_connected"), 0)
            if len(self.said(worker).splitlines()) > 4:
                break  # the pauses grow
        self.assertTrue(worker.alive())

    def test_another_model_under_the_same_name_is_another_offer(self):
        self.start()
        answer = self.tiny()
        self.assert_whole(answer)
        before = self.receipt(answer)["model_digest"]
        self.runtime.models["data"][0]["created"] += 5  # says nothing of the model
        self.runtime.models["data"][0]["meta"]["size"] = 777
        sessions = self.metric("worker_sessions_total")
        eventually("it came back with another", lambda: self.metric("worker_sessions_total") > sessions)
        answer = self.tiny()
        self.assert_whole(answer)
        self.assertNotEqual(self.receipt(answer)["model_digest"], before)

    def test_two_workers_of_one_runtime_and_model_offer_the_same(self):
        second = RuntimeServer()
        self.addCleanup(second.stop)
        second.models["data"][0]["created"] += 1000
        digests = set()
        for runtime in (self.runtime, second):
            self.start(runtime=runtime)
            answer = self.tiny()
            self.assert_whole(answer)
            digests.add(self.receipt(answer)["model_digest"])
            self.stop_workers()
            eventually("it has left", lambda: self.metric("workers_connected") == 0)
        self.assertEqual(len(digests), 1)

    # What it is told.

    def test_keys_and_names_are_used(self):
        key = self.folder / "runtime.key"
        key.write_text("sk-secret\n")
        key.chmod(0o600)
        worker = self.start("--runtime-key-file", str(key), "--profile", "npu-box", "--name", "house model")
        answer = self.question(model="house model")
        self.assert_whole(answer)
        self.assertEqual(self.receipt(answer)["engine_profile"], "runtime-npu-box")
        self.assertTrue(all(headers.get("Authorization") == "Bearer sk-secret"
                            for _, _, headers, _ in self.runtime.requests))
        self.assertEqual(self.runtime.chats()[-1]["model"], "tiny")
        self.assertNotIn("sk-secret", self.said(worker))

    @unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate")
    def test_https_trusts_the_named_ca_alone(self):
        files = [self.folder / name for name in ("runtime.pem", "runtime.pem.key")]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "2", "-subj", "/CN=runtime", "-addext", "subjectAltName=IP:127.0.0.1", "-out", str(files[0]),
                        "-keyout", str(files[1])], check=True, capture_output=True)
        secure = RuntimeServer(certificate=[str(file) for file in files])
        self.addCleanup(secure.stop)
        stranger = self.start(runtime=secure, connected=False)
        eventually("it isn't trusted", lambda: self.paused(stranger))
        self.assertEqual(secure.requests, [])
        self.stop_workers()
        self.start("--runtime-ca", str(files[0]), runtime=secure)
        self.answered_again()

    def test_what_makes_no_sense_is_refused_at_the_start(self):
        state = self.site.worker_folder(0)
        self.site.join_worker(0)
        open_key = self.folder / "open.key"
        open_key.write_text("sk\n")
        open_key.chmod(0o644)
        bad = [["--runtime", url] for url in
               ("ftp://127.0.0.1", "127.0.0.1:80", "http://", "http://user@127.0.0.1", "http://u:p@127.0.0.1", "http://h?x",
                "http://h#x", "http://h:0", "http://h:99999", "http://h /", "http://h\n", "http://" + "h" * 600, "http://[::1")]
        url = ["--runtime", self.runtime.url]
        bad += [[*url, "--profile", name] for name in ("", "Exact", "a b", "x" * 41)]
        bad += [[*url, "--threads", "2"], [*url, "--cache"], [*url, "--memory", "9"], ["--profile", "x"],
                [*url, "--runtime-key-file", "/nowhere"], [*url, "--runtime-key-file", str(open_key)],
                [*url, "--runtime-ca", "/nowhere"]]
        for options in bad:
            with self.subTest(options):
                done = self.site.cellule("worker", "run", "--state", state, "--model", "tiny", *options, check=False)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("cellule worker run: ", done.stderr)


if __name__ == "__main__":
    tap.main()
