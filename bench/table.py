"""The table that the benchmarks print."""

import sys


def say(text):
    print(text, file=sys.stderr, flush=True)


class Rows:
    """What was measured, the yardstick, ours, ratio or difference, the bar and whether it is held."""

    def __init__(self):
        self.rows = []

    def add(self, key, what, yardstick, ours, result, bar, unit, at_least=False):
        """The result may be the bar at most, or at least."""
        held = None if bar is None else result >= bar if at_least else result <= bar
        self.rows.append({"key": key, "what": what, "yardstick": yardstick, "ours": ours, "result": result,
                          "bar": bar, "at_least": at_least, "unit": unit, "held": held})

    def print(self):
        heads = ["", "yardstick", "ours", "result", "bar", ""]
        lines = [heads]
        for row in self.rows:
            verdict = "" if row["held"] is None else "held" if row["held"] else "NOT HELD"
            lines.append([row["what"], number(row["yardstick"]), number(row["ours"]),
                          f"{number(row['result'])} {row['unit']}".strip(),
                          "" if row["bar"] is None else f"{'≥' if row['at_least'] else '≤'} {number(row['bar'])}", verdict])
        widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
        for line in lines:
            print("  ".join(cell.ljust(width) if i in (0, 5) else cell.rjust(width)
                            for i, (cell, width) in enumerate(zip(line, widths))).rstrip())


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
