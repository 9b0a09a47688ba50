"""Where the contenders meet: a place on tmpfs, the programs of the bench, and what
can be seen of processes from outside."""

import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# No supervisor needs longer for anything; whoever does is told and left out.
LIMIT = 120
RECORD = struct.Struct("=iiq")
HERE = Path(__file__).parent


class Late(Exception):
    """Something did not happen in time."""


def quiet(*words, **more):
    return subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more).returncode == 0


def now():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def until(what, condition, limit=LIMIT, pause=0.002):
    """Looks again and again, seldom enough to leave the processors alone."""
    end = time.monotonic() + limit
    while not (found := condition()):
        if time.monotonic() > end:
            raise Late(f"waited in vain for {what}")
        time.sleep(pause)
    return found


def compiler(may_fetch):
    """musl's, if there is one: its static programs are a tenth as large."""
    if may_fetch and not shutil.which("musl-gcc") and os.geteuid() == 0:
        quiet(HERE.parent.parent / "need", "musl-gcc")
    return "musl-gcc" if shutil.which("musl-gcc") else "cc"


class Arena:
    def __init__(self, may_fetch):
        shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.work = Path(tempfile.mkdtemp(prefix="going-bench-", dir=shared))
        self.work.chmod(0o755)
        self.compiler = compiler(may_fetch)
        for name in ("starter", "floor", "clock"):
            words = [self.compiler, "-O2", "-static", "-s", "-o", self.work / name, HERE / f"{name}.c"]
            subprocess.run(words, check=True)
        self.starter, self.floor, self.clock = (str(self.work / it) for it in ("starter", "floor", "clock"))

    def close(self):
        shutil.rmtree(self.work, ignore_errors=True)


def descendants(root):
    """Root and all below it that are no services."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                # The name may have blanks, and parentheses, in it.
                name, rest = Path(f"/proc/{entry}/stat").read_text().split("(", 1)[1].rsplit(")", 1)
            except OSError:
                continue
            if name not in ("starter", "run"):
                children.setdefault(int(rest.split()[1]), []).append(int(entry))
    found, next = [root], [root]
    while next:
        next = [it for parent in next for it in children.get(parent, ())]
        found += next
    return found


def fields(path):
    """`Name:  value kB` lines, as numbers."""
    found = {}
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if words and words[0].isdigit():
            found[name] = int(words[0])
    return found


def memory(pids):
    """kB, the sum over processes. Private is what was written to: other pages of a
    program are clean, and the same for all who run it."""
    total = {"processes": len(pids), "VmPeak": 0, "VmRSS": 0, "PSS": 0, "private": 0}
    for pid in pids:
        status, maps = fields(f"/proc/{pid}/status"), fields(f"/proc/{pid}/smaps_rollup")
        for name, value in (
            ("VmPeak", status["VmPeak"]),
            ("VmRSS", status["VmRSS"]),
            ("PSS", maps["Pss"]),
            ("private", maps["Anonymous"]),
        ):
            total[name] += value
    return total


def switches(pids):
    found = [fields(f"/proc/{pid}/status") for pid in pids]
    return sum(it["voluntary_ctxt_switches"] + it["nonvoluntary_ctxt_switches"] for it in found)


def cpu(pids):
    """Seconds on a processor, to the nanosecond (proc(5), schedstat)."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


class Life:
    """One life of a contender with so many services, from its exec to its end."""

    def __init__(self, arena, contender, count):
        self.arena, self.contender, self.count = arena, contender, count
        self.place = Path(tempfile.mkdtemp(dir=arena.work))
        self.place.chmod(0o755)
        self.records = self.place / "records"
        self.records.touch()
        self.environment = {
            "PATH": ":".join([*contender.paths, os.environ["PATH"]]),
            "BENCH_RECORDS": str(self.records),
        }
        if contender.libraries:
            self.environment["LD_LIBRARY_PATH"] = ":".join(contender.libraries)
        self.root = None

    def start(self, words):
        """Milliseconds from the exec until all services have got to main."""
        stamp = self.place / "stamp"
        # The last one to hold its end is gone when the other end is told so.
        self.gone, end = os.pipe()
        with open(self.place / "complaints", "wb") as complaints:
            self.root = subprocess.Popen(
                [self.arena.clock, "from", stamp, *words],
                env=self.environment,
                cwd=self.place,
                stdin=subprocess.DEVNULL,
                stdout=end,
                stderr=complaints,
            )
        os.close(end)
        starts = self.wait_for(self.count)
        begin = struct.unpack("=q", stamp.read_bytes())[0]
        return (max(at for _, _, at in starts) - begin) / 1e6

    def read(self):
        return [*RECORD.iter_unpack(self.records.read_bytes())]

    def wait_for(self, total):
        """All records, when there are so many."""

        def is_there():
            if self.root.poll() is not None:
                raise Late(f"ended with status {self.root.returncode}: {self.complaints()}")
            return self.records.stat().st_size >= total * RECORD.size

        try:
            until("", is_there)
        except Late as late:
            have = len({number for number, _, _ in self.read()})
            raise Late(f"{have} of {self.count} services ran after {LIMIT} s {late}: {self.complaints()}") from late
        return self.read()

    def complaints(self):
        return (self.place / "complaints").read_text(errors="replace")[-300:].strip()

    def pids(self):
        """Number to pid of the latest process."""
        return {number: pid for number, pid, _ in self.read()}

    def own(self):
        return descendants(self.root.pid)

    def clocked(self, times, words):
        """Milliseconds that a command takes, each time; none if it fails."""
        run = subprocess.run(
            [self.arena.clock, "runs", str(times), *words], env=self.environment, cwd=self.place, capture_output=True
        )
        return [int(it) / 1e6 for it in run.stdout.split()] if run.returncode == 0 else []

    def wait_for_end(self, begin):
        """Milliseconds until everything is gone."""
        if not select.select([self.gone], [], [], LIMIT)[0]:
            raise Late("it did not stop")
        took = (now() - begin) / 1e6
        self.root.wait(LIMIT)
        return took

    def close(self):
        """Leaves nothing, however it went."""
        if self.root and self.root.poll() is None:
            for pid in self.own():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.root.wait()
        if self.root:
            # What it was to restart meanwhile is of this place, whoever has it now.
            for pid in {pid for _, pid, _ in self.read()}:
                try:
                    if os.readlink(f"/proc/{pid}/exe") == self.arena.starter:
                        os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            os.close(self.gone)
        shutil.rmtree(self.place, ignore_errors=True)


def skip(what):
    print(f"skipped: {what}", file=sys.stderr, flush=True)
