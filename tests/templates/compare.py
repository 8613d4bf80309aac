"""Chat templates give what Jinja gives, set up as transformers sets it up: compare.py RENDER"""

import datetime
import json
import pathlib
import subprocess
import sys
import unittest

import tap

import cases

try:
    import jinja2
    import jinja2.ext
    import jinja2.sandbox
except ImportError:
    jinja2 = None

RENDER = sys.argv[1]
MODELS = sorted((pathlib.Path(__file__).parent / "models").glob("*.jinja"))
REFUSED = "refused"
# Templates that want a call's arguments as the text that they came as.
CLOSED = ("deepseek.jinja",)


if jinja2 is not None:
    class Generation(jinja2.ext.Extension):
        """`generation` marks the assistant's words for training; what stands in it has a scope of its own."""

        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("write"), [], [], body).set_lineno(line)

        def write(self, caller):
            return caller()


def refuse(words):
    raise jinja2.exceptions.TemplateError(words)


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def opened(message):
    """A tool call's arguments come as text; templates are given the object."""
    message = json.loads(json.dumps(message))
    for call in message.get("tool_calls") or []:
        function = call.get("function", {}) if isinstance(call, dict) else {}
        if isinstance(function.get("arguments"), str):
            try:
                value = json.loads(function["arguments"])
            except ValueError:
                continue
            function["arguments"] = value if isinstance(value, dict) else function["arguments"]
    return message


def jinja(case):
    """What Jinja makes of it, or REFUSED."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    if "now" in case:
        now = datetime.datetime.fromtimestamp(case["now"], datetime.timezone.utc)
        environment.globals["strftime_now"] = now.strftime
    variables = {"tools": None, "documents": None, "add_generation_prompt": False}
    variables |= {name: case[name] for name in ("tools", "bos_token", "eos_token", "add_generation_prompt")
                  if name in case}
    variables |= case.get("variables", {})
    messages = [message if case.get("closed") else opened(message) for message in case["messages"]]
    try:
        return environment.from_string(case["template"]).render(messages=messages, **variables)
    except Exception as error:  # whatever a template can run into: Jinja and Python have no common kind for it
        return REFUSED, str(error)


def rendered(rendering):
    return REFUSED if "error" in rendering else "".join(span["text"] for span in rendering["spans"])


def render(several):
    """What our interpreter makes of each."""
    lines = "".join(json.dumps(case) + "\n" for case in several)
    result = subprocess.run([RENDER], input=lines.encode(), capture_output=True, check=True, timeout=240)
    return [json.loads(line) for line in result.stdout.decode().split("\n")[:-1]]


@unittest.skipIf(jinja2 is None, "python3-jinja2 isn't installed")
class Compare(unittest.TestCase):
    maxDiff = None

    def check(self, several):
        ours = render(several)
        self.assertEqual(len(ours), len(several))
        differences = []
        for case, rendering in zip(several, ours):
            theirs = jinja(case)
            why = ""
            if isinstance(theirs, tuple):
                theirs, why = theirs
            if rendered(rendering) != theirs:
                differences.append(f"{case.get('name', case['template'])}\n    jinja: {theirs!r} {why}\n"
                                   f"    ours:  {rendered(rendering)!r} {rendering.get('error', '')}")
        self.assertEqual("\n".join(differences), "")

    def test_every_model_with_every_conversation(self):
        several = []
        for path in MODELS:
            source = path.read_text(encoding="utf-8")
            for name, conversation in cases.conversations():
                several.append({**conversation, "template": source, "name": f"{path.name} {name}",
                                "closed": path.name in CLOSED})
        self.assertGreater(len(several), 100)
        self.check(several)

    def test_every_part_of_the_language(self):
        several = [{**cases.SMALL, "template": source} for source in cases.expressions()]
        self.assertGreater(len(several), 200)
        self.check(several)

    def test_what_is_refused_is_named(self):
        for source, name in cases.refused():
            rendering, = render([{**cases.SMALL, "template": source}])
            self.assertIn(f"'{name}'", rendering.get("error", "it is rendered"), source)


class Trust(unittest.TestCase):
    """Needs no Jinja: what isn't the template's own is never trusted."""

    def test_markers_in_a_conversation_are_never_trusted(self):
        several = []
        for path in MODELS:
            source = path.read_text(encoding="utf-8")
            for name, conversation in cases.hostile():
                several.append({**conversation, "template": source, "name": f"{path.name} {name}"})
        seen = 0
        for case, rendering in zip(several, render(several)):
            spans = rendering.get("spans", [])
            whole = "".join(span["text"] for span in spans)
            trusted = "".join(("+" if span["trusted"] else "-") * len(span["text"]) for span in spans)
            at = whole.find(cases.EVIL)
            while at >= 0:
                self.assertEqual(set(trusted[at:at + len(cases.EVIL)]), {"-"}, case["name"])
                seen += 1
                at = whole.find(cases.EVIL, at + 1)
            self.assertFalse(any(span["trusted"] and cases.MARK in span["text"] for span in spans), case["name"])
        self.assertGreater(seen, 100)

    def test_no_filter_or_method_makes_text_trusted(self):
        several = [{**cases.HOSTILE, "template": source} for source in cases.laundries()]
        for case, rendering in zip(several, render(several)):
            self.assertNotIn("error", rendering, case["template"])
            for span in rendering["spans"]:
                self.assertFalse(span["trusted"], case["template"])


if __name__ == "__main__":
    tap.main()
