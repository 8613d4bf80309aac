#!/usr/bin/env python3
"""embed.py HEADER OUTPUT SOURCE...: turns NNNN_name.sql files into the C array that HEADER declares.

Numbers run from 0001 without a gap."""
import pathlib
import re
import sys


def literal(line):
    return '"' + line.replace('\\', '\\\\').replace('"', '\\"') + '\\n"'


def main(header, output, sources):
    entries = []
    for number, source in enumerate(sorted(map(pathlib.Path, sources), key=lambda path: path.name), 1):
        match = re.fullmatch(r'(\d{4})_[a-z0-9_]+\.sql', source.name)
        if match is None or int(match.group(1)) != number:
            sys.exit(f'{source}: migration {number:04} is expected here, as {number:04}_what_it_does.sql')
        lines = '\n     '.join(literal(line) for line in source.read_text(encoding='ascii').splitlines())
        entries.append(f'    {{{number}, "{source.stem}",\n     {lines}}},\n')
    pathlib.Path(output).write_text(
        f'#include "{header}"\n\nconst migration store_migrations[] = {{\n' + ''.join(entries) + '};\n'
        f'const size_t store_migration_count = {len(entries)};\n', encoding='ascii')


main(sys.argv[1], sys.argv[2], sys.argv[3:])
