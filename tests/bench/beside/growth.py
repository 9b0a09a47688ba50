"""How the cost of one thing grows with the number of services, and a drawing of it."""

import os
import random
import statistics
import time
from pathlib import Path

from .arena import Late, Life, cpu, memory, now, skip
from .rounds import restarts

# Row, title of its drawing.
DRAWN = [
    ("restart", "restart, ms"),
    ("restart CPU", "CPU for each restart, ms"),
    ("status of all", "goingctl status, ms"),
    ("status of one", "goingctl status NAME, ms"),
    ("private", "private memory, kB"),
    ("reload", "one changed file, ms"),
    ("reload CPU", "CPU for it, ms"),
]
COLORS = ["#c33", "#36c", "#393"]


def reload(life, pace):
    """Milliseconds from another file in the place of one until that service is in
    main, and CPU milliseconds of going meanwhile."""
    for turn in range(pace.drops):
        number = random.randrange(life.count)
        text = life.contender.text(life, number) + f"env=TURN={turn}\n"
        file = life.place / f"s{number}"
        file.write_text(text)
        total, own = len(life.read()), life.own()
        spent, begin = cpu(own), now()
        file.rename(life.place / f"going.d/s{number}")
        start = life.wait_for(total + 1)[total]
        time.sleep(0.2)
        yield (start[2] - begin) / 1e6, (cpu(own) - spent) * 1000


def live(arena, contender, count, pace, figures):
    def note(row, *values):
        figures.setdefault(row, {}).setdefault(contender.title, {}).setdefault(count, []).extend(values)

    life = Life(arena, contender, count)
    try:
        note("cold start", life.start(contender.prepare(life)))
        time.sleep(pace.settle)
        note("private", memory(life.own())["private"])
        latencies, spent = restarts(life, pace.kills)
        note("restart", *latencies)
        note("restart CPU", spent)
        if contender.has_status:
            note("status of one", *life.clocked(pace.status_runs, contender.status_of_one(life)))
            note("status of all", *life.clocked(pace.status_runs, contender.status_of_all(life)))
        if contender.has_pickup:
            for latency, spent in reload(life, pace):
                note("reload", latency)
                note("reload CPU", spent)
        begin = now()
        contender.stop(life)
        note("stop", life.wait_for_end(begin))
    finally:
        life.close()


def all_lives(arena, contenders, counts, rounds, pace):
    figures = {}
    for _ in range(rounds):
        for count in counts:
            for contender in random.sample(contenders, len(contenders)):
                try:
                    live(arena, contender, count, pace, figures)
                except Late as late:
                    skip(f"{contender.title} with {count} services: {late}")
    return {
        row: {title: {count: statistics.median(it) for count, it in by.items() if it} for title, by in titles.items()}
        for row, titles in figures.items()
    }


def markdown(figures, counts):
    yield "| cost | | " + " | ".join(f"N={count}" for count in counts) + " |"
    yield "|---|---|" + "--:|" * len(counts)
    for row, drawn in DRAWN:
        for title, values in sorted(figures.get(row, {}).items()):
            cells = (f"{values[count]:.3g}" if count in values else "n/a" for count in counts)
            yield f"| {drawn} | {title} | " + " | ".join(cells) + " |"


def logarithm(value, low, high):
    """Where a value is between two others, from 0 to 1, on a logarithmic scale."""
    from math import log

    return log(value / low) / log(high / low) if high > low else 0.5


def drawing(title, by, counts, left, top, width, height):
    """One of the drawings: both axes logarithmic, a line for each contender."""
    values = [it for line in by.values() for it in line.values() if it > 0]
    low, high = min(values) / 1.5, max(values) * 1.5
    # Straight lines are to look like what they are: at least two decades.
    high = max(high, low * 100)

    def at(count, value):
        x = left + width * logarithm(count, counts[0], counts[-1])
        return x, top + height * (1 - logarithm(max(value, low), low, high))

    yield f'<text x="{left}" y="{top - 10}" font-weight="bold">{title}</text>'
    yield f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#999"/>'
    for count in counts:
        x, _ = at(count, low)
        yield f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{top + height}" stroke="#eee"/>'
        yield f'<text x="{x:.1f}" y="{top + height + 15}" text-anchor="middle" fill="#666">{count}</text>'
    for color, (contender, line) in zip(COLORS, sorted(by.items())):
        points = [at(count, line[count]) for count in counts if count in line]
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline points="{way}" fill="none" stroke="{color}" stroke-width="2"><title>{contender}</title></polyline>'
        for (x, y), count in zip(points, [it for it in counts if it in line]):
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>'
            yield f'<text x="{x:.1f}" y="{y - 6:.1f}" text-anchor="middle" fill="{color}">{line[count]:.3g}</text>'


def svg(figures, counts):
    width, height, columns = 300, 180, 3
    drawn = [(title, figures[row]) for row, title in DRAWN if figures.get(row)]
    rows = (len(drawn) + columns - 1) // columns
    all, full = 40 + columns * (width + 60), 60 + rows * (height + 70)
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {all} {full}" font-family="sans-serif" font-size="11">'
    yield f'<rect width="{all}" height="{full}" fill="#fff"/>'
    names = sorted({name for _, by in drawn for name in by})
    for index, (name, color) in enumerate(zip(names, COLORS)):
        yield f'<text x="{40 + 160 * index}" y="20" fill="{color}" font-weight="bold">{name}</text>'
    for index, (title, by) in enumerate(drawn):
        left, top = 40 + index % columns * (width + 60), 60 + index // columns * (height + 70)
        yield from drawing(title, by, counts, left, top, width, height)
    yield "</svg>"
