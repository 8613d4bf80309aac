"""What the scenarios share that look for what must not be there: in files, and in the memory of processes."""

import base64
import contextlib
import os
import pathlib
import re
import secrets
import string

CHUNK = 8 * 1024 * 1024
OVERLAP = 4096
PAGE = os.sysconf("SC_PAGESIZE")
SHADOW = 1 << 40  # a sanitizer's notes about memory, none of what is in it
SPARSE = 1 << 30  # a mapping as large is asked which of its pages there are


def letters(count):
    return "".join(secrets.choice(string.ascii_letters) for _ in range(count))


def encodings(secret):
    """How the bytes may stand somewhere, by the encoding's name."""
    found = {"plain": secret, "hex": secret.hex().encode(), "HEX": secret.hex().upper().encode()}
    for offset in range(3):
        whole = base64.b64encode(bytes(offset) + secret)
        inner = whole[-(-8 * offset // 6):8 * (offset + len(secret)) // 6]  # that nothing beside it has a part in
        found[f"base64 at {offset}"] = inner
        found[f"base64url at {offset}"] = inner.translate(bytes.maketrans(b"+/", b"-_"))
    with contextlib.suppress(UnicodeDecodeError):
        text = secret.decode("ascii")
        found["UTF-16LE"] = text.encode("utf-16-le")
        found["UTF-16BE"] = text.encode("utf-16-be")
        found["JSON"] = "".join(f"\\u{ord(letter):04x}" for letter in text).encode()
        found["JSON in capitals"] = "".join(f"\\u{ord(letter):04X}" for letter in text).encode()
        found["URL"] = "".join(f"%{ord(letter):02X}" for letter in text).encode()
    return found


class Patterns:
    """Everything that is looked for."""

    def __init__(self):
        self.named = {}

    def add(self, name, secret):
        for encoding, pattern in encodings(secret).items():
            assert 8 <= len(pattern) <= OVERLAP, (name, encoding)
            self.named.setdefault(pattern, f"{name}, {encoding}")

    def add_ends(self, name, secret, length=15):
        """Its beginning and its end, so that a part of it is found as well."""
        assert len(secret) >= length
        self.add(f"{name} (beginning)", secret[:length])
        self.add(f"{name} (end)", secret[-length:])

    def add_pieces(self, name, secret, length=32):
        """Piece by piece, so that a part of it is found as well."""
        for place in range(0, len(secret) - length + 1, length):
            self.named.setdefault(secret[place:place + length], f"{name} from byte {place}")

    def look(self, data, where):
        """Sentences that name what is there."""
        found = []
        for pattern, name in self.named.items():
            position = data.find(pattern)
            if position >= 0:
                found.append(f"{where} has {name}: {data[max(0, position - 64):position + 160]!r}")
        return found

    def look_through_files(self, paths):
        found = []
        for path in paths:
            found += self.look(pathlib.Path(path).read_bytes(), path)
        return found

    def look_through_memory(self, pid, name):
        found = []
        for place, chunk in memory_of(pid):
            found += self.look(chunk, f"the memory of the {name} ({place})")
        return found


def may_read_memory(pid):
    try:
        with open(f"/proc/{pid}/mem", "rb"):
            return True
    except OSError:
        return False


def pages_there(pid, start, end):
    """The runs of a large mapping's pages that aren't merely reserved."""
    entries_at_once = 1 << 16
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        run = None
        for first in range(start // PAGE, end // PAGE, entries_at_once):
            pagemap.seek(first * 8)
            count = min(entries_at_once, end // PAGE - first)
            entries = pagemap.read(count * 8)
            if entries.count(0) == len(entries):
                continue
            for i in range(0, len(entries), 8):
                there = entries[i + 7] & 0xc0  # in memory, or swapped out
                page = first + i // 8
                if there and run is None:
                    run = page
                elif not there and run is not None:
                    yield run * PAGE, page * PAGE
                    run = None
        if run is not None:
            yield run * PAGE, end // PAGE * PAGE


def mappings(pid):
    """Those that a process may write, with what they are called and how much of them there is."""
    text = pathlib.Path(f"/proc/{pid}/smaps").read_text()
    for head, body in re.findall(r"^([0-9a-f]+-[0-9a-f]+ .*)\n((?:[A-Z].*\n)+)", text, re.MULTILINE):
        span, rights, _, _, _, *name = head.split(None, 5)
        start, end = (int(number, 16) for number in span.split("-"))
        there = sum(int(size) for size in re.findall(r"^(?:Rss|Swap): +(\d+) kB", body, re.MULTILINE))
        # Memory for keys may be closed to all while nobody needs it.
        if there and end - start < SHADOW and ("w" in rights or rights.startswith("---")) and not any("[v" in part for part in name):
            yield start, end, f"{head.split()[0]} {rights} {' '.join(name).strip()}"


def memory_of(pid):
    """All that a process has written, piece by piece: (where, bytes)."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, name in mappings(pid):
            runs = pages_there(pid, start, end) if end - start >= SPARSE else [(start, end)]
            for first, last in runs:
                yield from pieces(memory, first, last, name)


def pieces(memory, first, last, name):
    rest = b""
    for place in range(first, last, CHUNK):
        try:
            memory.seek(place)
            chunk = memory.read(min(CHUNK, last - place))
        except OSError:  # it has gone meanwhile
            return
        for part in written(rest + chunk):
            yield f"{name} at {place:x}", part
        rest = chunk[-OVERLAP:]


def written(chunk):
    """The parts of it between pages of nothing but zeros, which most of a process is."""
    first = None
    for place in range(0, len(chunk), PAGE):
        empty = chunk[place:place + PAGE].count(0) == PAGE
        if empty and first is not None:
            yield chunk[first:place]
        first = None if empty else place if first is None else first
    if first is not None:
        yield chunk[first:]
