"""The figures as a table, and what is promised about them."""

import statistics

from .rounds import percentile

FLOOR, GOING, GRAPH = "floor, fork", "going", "going, 5 levels of `needs`"


def median(values):
    return statistics.median(values)


def part(share):
    return lambda values: percentile(sorted(values), share)


# Title, row, with how many (None: the middle), what of the values.
ROWS = [
    ("**Memory of the supervisor and its helpers, kB**", [
        ("processes", "processes", median),
        ("VmPeak", "VmPeak", median),
        ("VmRSS", "VmRSS", median),
        ("PSS", "PSS", median),
        ("private", "private", median),
    ]),
    ("**Cold start: exec until all are in main, ms**", [("median", "cold start", median), ("least", "cold start", min)]),
    ("**Restart: SIGKILL until the next one is in main, ms**", [
        ("p50", "restart", median),
        ("p99", "restart", part(0.99)),
        ("max", "restart", max),
        ("CPU of the supervisor for each, ms", "restart CPU", median),
    ]),
    ("**Mass kill: all at once until all are back, ms**", [("median", "mass kill", median)]),
    ("**Stop, in order: until everything is gone, ms**", [("median", "stop", median)]),
    ("**Ten idle seconds**", [("wake-ups", "idle wake-ups", median), ("CPU ms", "idle CPU", median)]),
    ("**Status command, exec to exit, ms**", [("of one", "status of one", median), ("of all", "status of all", median)]),
    ("**A file put in its place until its service is in main, ms**", [("median", "pickup", median)]),
]


def show(value):
    if value is None:
        return "n/a"
    if value >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.3g}"


def markdown(contenders, counts, figures):
    """The table, a line at a time."""
    titles = [it.title for it in contenders]
    yield "| | " + " | ".join(titles) + " |"
    yield "|---|" + "--:|" * len(titles)
    for heading, rows in ROWS:
        yield f"| {heading} |" + " |" * len(titles)
        for count in counts:
            for name, row, choose in rows:
                found = figures.get((row, count))
                if found:
                    cells = [choose(found[it]) if found.get(it) else None for it in titles]
                    yield f"| {name}, N={count} | " + " | ".join(map(show, cells)) + " |"
    yield "| **Size of its own programs, kB** |" + " |" * len(titles)
    sizes = [sum(file.stat().st_size for file in it.files) / 1000 for it in contenders]
    yield "| on disk | " + " | ".join(map(show, sizes)) + " |"
    yield ""
    for contender in contenders:
        yield f"- {contender.title}: {contender.note}."


def ratio(figures, row, count, who=GOING, whose=FLOOR):
    found = figures.get((row, count), {})
    if not found.get(who) or not found.get(whose):
        return None
    return median(found[who]) / median(found[whose])


def promises(figures, counts):
    """Title, ratio, limit of what must not grow."""
    most = counts[-1]
    for count in counts[1:]:
        yield f"restart p50 to that of the floor, N={count}", ratio(figures, "restart", count), 1.2
        yield f"mass kill to that of the floor, N={count}", ratio(figures, "mass kill", count), None
    yield f"cold start to that of the floor, N={most}", ratio(figures, "cold start", most), 1.2
    yield f"cold start of a graph to the flat one, N={most}", ratio(figures, "cold start", most, GRAPH, GOING), 1.3


def ratios(promised):
    for title, ratio, limit in promised:
        yield f"- {title}: {ratio:.2f}" + (f" (promised: {limit})" if limit else "")


def insist(contenders, counts, figures):
    """That nothing is missing: no word about how much it is."""
    for _, rows in ROWS:
        for name, row, _ in rows:
            for it in contenders:
                if row in ("pickup", "status of one", "status of all") and not it.has_status:
                    continue
                if not any(figures.get((row, count), {}).get(it.title) for count in counts):
                    raise SystemExit(f"{it.title} has no figure for {row} ({name})")
