"""What Cellule keeps of a user, opened by implementations of Fernet that aren't ours, given the key, and theirs by ours:
records.py RECORDS CLIENTS_FOLDER

The record's layout and PADMÉ are written down anew here, after src/domain/memory/include/memory/record.h.
"""

import base64
import json
import os
import pathlib
import struct
import subprocess
import sys
import unittest

import tap
from run import installed

try:
    import cryptography.fernet
except ImportError:
    cryptography = None

RECORDS, CLIENTS = sys.argv[1], pathlib.Path(sys.argv[2])
KEY = bytes(range(1, 33))
USER, KIND, ID = 77, 3, b"0123456789abcdef"
NOW_MS = 1800000000123
# Of lengths whose bytes are ASCII: npm's fernet gives text alone, and the length stands in it.
CONTENTS = ["", "x", "what was asked", "x" * 97, "{\"title\":\"a\\nb\"}", "y" * 1872]


def padded(length):
    """Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", algorithm 1."""
    exponent = length.bit_length() - 1
    low = exponent - exponent.bit_length()
    mask = (1 << low) - 1 if low > 0 else 0
    return (length + mask) & ~mask


def lay_out(content, user=USER):
    text = struct.pack(">BBQ16sI", 1, KIND, user, ID, len(content)) + content
    return text + bytes(padded(len(text)) - len(text))


def ours(act, given, user=USER):
    return subprocess.run([RECORDS, act, KEY.hex(), str(KIND), str(user), ID.hex(), str(NOW_MS)], input=given,
                          capture_output=True, check=False)


def sealed(content):
    done = ours("seal", content)
    assert done.returncode == 0, done.stderr
    return done.stdout


@unittest.skipIf(cryptography is None, "python3-cryptography is not installed")
class Python(unittest.TestCase):
    def setUp(self):
        self.fernet = cryptography.fernet.Fernet(base64.urlsafe_b64encode(KEY))

    def test_pythons_cryptography_opens_our_records(self):
        for content in CONTENTS + [os.urandom(70000).hex()]:
            token = base64.urlsafe_b64encode(sealed(content.encode()))
            self.assertEqual(self.fernet.decrypt(token), lay_out(content.encode()))
            self.assertEqual(self.fernet.extract_timestamp(token), NOW_MS // 86400000 * 86400)

    def test_we_open_records_of_pythons_cryptography(self):
        for content in CONTENTS + [os.urandom(70000).hex()]:
            token = base64.urlsafe_b64decode(self.fernet.encrypt(lay_out(content.encode())))
            opened = ours("open", token)
            self.assertEqual((opened.returncode, opened.stdout), (0, content.encode()), opened.stderr)

    def test_we_do_not_open_what_is_of_another_place_or_changed(self):
        token = base64.urlsafe_b64decode(self.fernet.encrypt(lay_out(b"what was asked", user=USER + 1)))
        self.assertEqual(ours("open", token).returncode, 1)
        self.assertEqual(ours("open", token, user=USER + 1).stdout, b"what was asked")
        for changed in (token[:-1], token[:-1] + bytes([token[-1] ^ 1]), b"", token + b"\0"):
            refused = ours("open", changed, user=USER + 1)
            self.assertEqual((refused.returncode, refused.stdout), (1, b""))
            self.assertTrue(refused.stderr.startswith(b"corrupt: "), refused.stderr)


@unittest.skipUnless(installed(CLIENTS), f"the npm packages are not installed: run tools/clients {CLIENTS}")
class Node(unittest.TestCase):
    def ask(self, **question):
        done = subprocess.run(["node", "fernet.mjs"], cwd=CLIENTS, text=True, check=True, stdout=subprocess.PIPE,
                              input=json.dumps({"key": base64.urlsafe_b64encode(KEY).decode(), "open": [], "seal": [], **question}))
        return json.loads(done.stdout)

    def test_npms_fernet_opens_our_records(self):
        tokens = [base64.urlsafe_b64encode(sealed(content.encode())).decode() for content in CONTENTS]
        self.assertEqual(self.ask(open=tokens)["opened"], [lay_out(content.encode()).decode() for content in CONTENTS])

    def test_we_open_records_of_npms_fernet(self):
        tokens = self.ask(seal=[lay_out(content.encode()).decode() for content in CONTENTS])["sealed"]
        self.assertEqual(len(tokens), len(CONTENTS))
        for token, content in zip(tokens, CONTENTS):
            opened = ours("open", base64.urlsafe_b64decode(token))
            self.assertEqual((opened.returncode, opened.stdout), (0, content.encode()), opened.stderr)


tap.main()
