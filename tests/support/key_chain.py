"""Keys of a pool and what they sign, made with openssl from what src/domain/ledger/README.md and C2SP say."""

import base64
import hashlib
import json
import pathlib
import subprocess
import tempfile


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True).stdout


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def from_base64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def envelope(*fields):
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


class Key:
    """An Ed25519 key in a file, made if there is none."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        if not self.path.exists():
            openssl("genpkey", "-algorithm", "ed25519", "-out", self.path)
        self.public = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")[-32:]

    @classmethod
    def of_seed(cls, path, seed):
        """As RFC 8410 writes it."""
        private = base64.b64encode(bytes.fromhex("302e020100300506032b657004220420") + seed).decode()
        pathlib.Path(path).write_text(f"-----BEGIN PRIVATE KEY-----\n{private}\n-----END PRIVATE KEY-----\n")
        return cls(path)

    def sign(self, message):
        with tempfile.NamedTemporaryFile() as file:
            file.write(message)
            file.flush()
            return openssl("pkeyutl", "-sign", "-inkey", self.path, "-rawin", "-in", file.name)

    def note_id(self, name):
        return hashlib.sha256(name.encode() + b"\n\x01" + self.public).digest()[:4]

    def note_key(self, name):
        """How readers of signed notes name it."""
        return f"{name}+{self.note_id(name).hex()}+{base64.b64encode(bytes([1]) + self.public).decode()}"

    def note(self, name, text):
        """The text, which ends in a newline, as a note that this key signed."""
        line = base64.b64encode(self.note_id(name) + self.sign(text.encode())).decode()
        return f"{text}\n\u2014 {name} {line}\n"

    def countersign(self, receipt):
        """The receipt (its JSON) as a pool with this key signs it."""
        message = envelope(b"cellule receipt pool v1", from_base64url(receipt["receipt"]),
                           from_base64url(receipt["worker_signature"]))
        return {**receipt, "pool_key": base64url(self.public), "pool_signature": base64url(self.sign(message))}


    def sign_evidence(self, bundle):
        """The evidence (its JSON) as a pool with this key makes it."""
        receipt, answers = self.countersign(bundle["receipt"]), [self.countersign(answer) for answer in bundle["answers"]]
        statements = [(one["receipt"], one) for one in (receipt, *answers)] + [(one["finding"], one) for one in bundle["findings"]]
        parts = [[from_base64url(part) for part in (text, one["worker_key"], one["worker_signature"])] for text, one in statements]
        numbers = [number.to_bytes(4, "big") for number in (bundle["version"], len(answers), len(bundle["findings"]))]
        message = envelope(b"cellule evidence v1", numbers[0], bytes.fromhex(bundle["pool"]), bytes.fromhex(bundle["convicted"]),
                           bundle["made_ms"].to_bytes(8, "big"), *parts[0], numbers[1],
                           *sum(parts[1:1 + len(answers)], []), numbers[2], *sum(parts[1 + len(answers):], []))
        return {**bundle, "receipt": receipt, "answers": answers, "pool_key": base64url(self.public),
                "pool_signature": base64url(self.sign(message))}


class Succession:
    """All keys of a pool, each named by the one before."""

    def __init__(self, first):
        self.keys, self.steps = [first], []
        self.pool_id = hashlib.sha256(first.public).digest()

    def append(self, key, made_ms):
        before = [from_base64url(self.steps[-1][name]) for name in ("former_signature", "signature")] \
            if self.steps else [b"", b""]
        statement = envelope(b"cellule succession v1", self.pool_id, (len(self.steps) + 1).to_bytes(4, "big"), *before,
                             self.keys[-1].public, key.public, made_ms.to_bytes(8, "big"))
        self.steps.append({"key": base64url(key.public), "made_ms": made_ms,
                           "former_signature": base64url(self.keys[-1].sign(statement)),
                           "signature": base64url(key.sign(statement))})
        self.keys.append(key)

    def json(self, steps=None):
        """With these steps in place of its own, if any are given."""
        return json.dumps({"object": "cellule.succession", "pool": self.pool_id.hex(),
                           "first_key": base64url(self.keys[0].public), "steps": self.steps if steps is None else steps})
