#!/usr/bin/env python3
"""embed.py HEADER OUTPUT SOURCE...: turns NNNN_name.sql files into the C arrays that HEADER declares.

Numbers run without a gap: SQLite's from 0001, PostgreSQL's (in the folder of that name) from 0009, the first that it
has; both end with the same."""
import pathlib
import re
import sys


def literal(line):
    return '"' + line.replace('\\', '\\\\').replace('"', '\\"') + '\\n"'


def array(name, sources, first):
    """The C array of these steps, and the number of the last."""
    entries = []
    for number, source in enumerate(sorted(sources, key=lambda path: path.name), first):
        match = re.fullmatch(r'(\d{4})_[a-z0-9_]+\.sql', source.name)
        if match is None or int(match.group(1)) != number:
            sys.exit(f'{source}: migration {number:04} is expected here, as {number:04}_what_it_does.sql')
        lines = '\n     '.join(literal(line) for line in source.read_text(encoding='ascii').splitlines())
        entries.append(f'    {{{number}, "{source.stem}",\n     {lines}}},\n')
    return (f'const migration {name}_migrations[] = {{\n' + ''.join(entries) + '};\n'
            f'const size_t {name}_migration_count = {len(entries)};\n', first + len(entries) - 1)


def main(header, output, sources):
    paths = [pathlib.Path(source) for source in sources]
    own, last = array('store', [path for path in paths if path.parent.name != 'postgresql'], 1)
    other, other_last = array('postgresql', [path for path in paths if path.parent.name == 'postgresql'], 9)
    if last != other_last:
        sys.exit(f'migrations: SQLite is at {last:04}, PostgreSQL at {other_last:04}: each step is written for both')
    pathlib.Path(output).write_text(f'#include "{header}"\n\n{own}\n{other}', encoding='ascii')


main(sys.argv[1], sys.argv[2], sys.argv[3:])
