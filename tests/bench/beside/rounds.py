"""What is measured in one life of a contender, and the order of the lives."""

import os
import random
import signal
import time

from .arena import Late, Life, cpu, memory, now, skip, switches

# One death after the other, far enough apart to be seen to by the fast ones, and by
# those who wait a second all the same.
APART = 0.01
KILLS = 200
STATUS_RUNS = 20


class Pace:
    """How long to wait, and how often to repeat."""

    def __init__(self, is_quick):
        self.is_quick = is_quick
        # So long a run is no early death for anybody who takes part: going's own
        # limit, 5 s, is the longest.
        self.settle = 0.3 if is_quick else 5.5
        self.idle = 0.2 if is_quick else 10
        self.drops = 1 if is_quick else 5
        self.kills = 5 if is_quick else KILLS
        self.status_runs = 2 if is_quick else STATUS_RUNS


def percentile(values, part):
    """Of a sorted list."""
    return values[min(len(values) - 1, int(len(values) * part))]


def restarts(life, kills):
    """Milliseconds from SIGKILL until the next process is in main, and CPU
    milliseconds of the supervisor for each."""
    pids, own = life.pids(), life.own()
    before, total, killed = cpu(own), len(life.read()), {}
    numbers = random.sample(range(life.count), min(kills, life.count))
    for number in numbers:
        killed[number] = now()
        os.kill(pids[number], signal.SIGKILL)
        time.sleep(APART)
    starts = life.wait_for(total + len(numbers))[total:]
    latencies = sorted((at - killed[number]) / 1e6 for number, _, at in starts)
    spent = (cpu(own) - before) * 1000 / len(numbers)
    return latencies, spent


def mass_kill(life):
    """Milliseconds from the first of all deaths until all are back."""
    pids, total = life.pids().values(), len(life.read())
    begin = now()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    starts = life.wait_for(total + life.count)[total:]
    return (max(at for _, _, at in starts) - begin) / 1e6


def pickups(life, pace):
    """Milliseconds from a file in its place until its service is in main."""
    for number in range(life.count, life.count + pace.drops):
        put, total = life.contender.add(life, number), len(life.read())
        # At any moment of somebody's rounds.
        time.sleep(random.random() * pace.settle)
        begin = now()
        put()
        start = life.wait_for(total + 1)[total]
        yield (start[2] - begin) / 1e6


def live(arena, contender, count, pace, figures, is_first):
    """One life. `figures` gets lists of values by row."""

    def note(row, *values):
        figures.setdefault((row, count), {}).setdefault(contender.title, []).extend(values)

    life = Life(arena, contender, count)
    try:
        note("cold start", life.start(contender.prepare(life)))
        begin = time.monotonic()
        if is_first and count == pace.middle:
            time.sleep(2 if not pace.is_quick else 0)
            own = life.own()
            woken, spent = switches(own), cpu(own)
            time.sleep(pace.idle)
            note("idle wake-ups", switches(own) - woken)
            note("idle CPU", (cpu(own) - spent) * 1000)
        time.sleep(max(0, begin + pace.settle - time.monotonic()))
        if is_first:
            for name, value in memory(life.own()).items():
                note(name, value)
        if count == pace.middle and contender.has_status:
            note("status of one", *life.clocked(pace.status_runs, contender.status_of_one(life)))
            note("status of all", *life.clocked(pace.status_runs, contender.status_of_all(life)))
        if count > 1:
            latencies, spent = restarts(life, pace.kills)
            note("restart", *latencies)
            note("restart CPU", spent)
            time.sleep(pace.settle)
            note("mass kill", mass_kill(life))
        if count == pace.middle and contender.has_pickup:
            note("pickup", *pickups(life, pace))
        begin = now()
        contender.stop(life)
        note("stop", life.wait_for_end(begin))
    finally:
        life.close()


def starts(arena, contenders, count, rounds, figures):
    """Lives that are nothing but a start."""
    cold = figures.setdefault(("cold start", count), {})
    for _ in range(rounds):
        for contender in random.sample(contenders, len(contenders)):
            life = Life(arena, contender, count)
            try:
                cold.setdefault(contender.title, []).append(life.start(contender.prepare(life)))
                begin = now()
                contender.stop(life)
                life.wait_for_end(begin)
            finally:
                life.close()


def all_lives(arena, contenders, counts, rounds, pace, figures):
    """Everybody in turns, in an order that changes, so that the machine's moods are
    the same for all."""
    pace.middle = counts[len(counts) // 2]
    left_out = set()
    for round in range(rounds):
        for count in counts:
            for contender in random.sample(contenders, len(contenders)):
                if count > contender.most or (contender, count) in left_out:
                    continue
                if round and contender.is_slow and round >= max(2, rounds // 2):
                    continue
                try:
                    live(arena, contender, count, pace, figures, round == 0)
                except Late as late:
                    left_out.add((contender, count))
                    skip(f"{contender.title} with {count} services: {late}")
