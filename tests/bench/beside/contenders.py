"""Who takes part: where each is got from, how it is told what to run, and how it
is asked and stopped. All with what their manuals say is usual, and without loggers."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from .arena import quiet, skip


class Contender:
    """What most have in common. `note` is what a reader must know of its figures."""

    title, note = "", ""
    # How many it can take.
    most = 10**9
    # Directories of its programs and their libraries; its own programs on disk.
    paths, libraries, files = (), (), ()
    has_status = has_pickup = True
    # It takes part in fewer rounds.
    is_slow = False

    def prepare(self, life):
        """Writes down the services 0 to count; answers with the words to run."""
        raise NotImplementedError

    def status_of_one(self, life):
        return None

    def status_of_all(self, life):
        return None

    def add(self, life, number):
        """Puts one more service in its place: how, when all is written."""
        return None

    def stop(self, life):
        life.root.send_signal(signal.SIGTERM)


class Floor(Contender):
    has_status = has_pickup = False

    def __init__(self, arena, how, title):
        self.arena, self.how, self.title = arena, how, title
        self.files = (Path(arena.floor),)
        self.note = f"60 lines of C, static ({arena.compiler})"

    def prepare(self, life):
        return [self.arena.floor, self.how, str(life.count), self.arena.starter]


class Going(Contender):
    title = "going"

    def __init__(self, program, options=(), title="going"):
        self.program, self.options, self.title = program, options, title
        self.note = "static build, `stdout=inherit`" + (f", {title.partition(', ')[2]}" if "," in title else "")
        self.files = (Path(program),)

    def text(self, life, number):
        return f"cmd={life.arena.starter} {number}\n"

    def prepare(self, life):
        (life.place / "going.d").mkdir()
        for number in range(life.count):
            (life.place / f"going.d/s{number}").write_text(self.text(life, number))
        words = ["-d", "going.d", "-r", str(life.place / "run"), "--report", "stderr", "-o", "stdout=inherit"]
        return [self.program, *words, *self.options]

    def control(self, life, *words):
        return [f"{self.program}ctl", "-r", str(life.place / "run"), *words]

    def status_of_one(self, life):
        return self.control(life, "status", "s0")

    def status_of_all(self, life):
        return self.control(life, "status")

    def add(self, life, number):
        file = life.place / f"s{number}"
        file.write_text(self.text(life, number))
        return lambda: file.rename(life.place / f"going.d/s{number}")


class Graph(Going):
    """Five levels, each of which needs one service of the level before it."""

    def __init__(self, program):
        super().__init__(program, title="going, 5 levels of `needs`")
        self.note = "each service needs one of the level below"

    def text(self, life, number):
        level = life.count // 5
        need = f"needs=s{number - level}\n" if number >= level else ""
        return super().text(life, number) + need


class Scanned(Contender):
    """A directory of directories, each with a program `run` in it."""

    def prepare(self, life):
        (life.place / "service").mkdir()
        for number in range(life.count):
            self.write(life, number, life.place / "service")
        return self.words()

    def write(self, life, number, where):
        folder = where / f"s{number}"
        folder.mkdir()
        # No shell in between: whoever can may do without.
        (folder / "run").symlink_to(life.arena.starter)
        return folder

    def add(self, life, number):
        folder = self.write(life, number, life.place)
        return lambda: folder.rename(life.place / f"service/s{number}")

    def all(self, life):
        return [f"service/{it.name}" for it in (life.place / "service").glob("s[0-9]*")]


class Runit(Scanned):
    title, note = "runit", "looks for new services every 5 s; a run shorter than 1 s is followed by a pause"

    def words(self):
        return ["runsvdir", "service"]

    def status_of_one(self, life):
        return ["sv", "status", "./service/s0"]

    def status_of_all(self, life):
        return ["sv", "status", *(f"./{it}" for it in self.all(life))]

    def stop(self, life):
        life.root.send_signal(signal.SIGHUP)


class Daemontools(Scanned):
    title = "daemontools"
    note = "looks for new services every 5 s; `svscan` is ended, then `svc -dx` told to all; 1000 services at most"
    most = 1000

    def words(self):
        return ["svscan", "service"]

    def status_of_one(self, life):
        return ["svstat", "service/s0"]

    def status_of_all(self, life):
        return ["svstat", *self.all(life)]

    def stop(self, life):
        life.root.send_signal(signal.SIGTERM)
        subprocess.run(["svc", "-dx", *self.all(life)], cwd=life.place, env=life.environment, check=False)


class S6(Scanned):
    title = "s6"
    note = "waits 1 s before each restart; is told of new services by `s6-svscanctl -a`; `s6-svstat` is asked one by one"

    def words(self):
        return ["s6-svscan", "-c", "6000", "service"]

    def status_of_one(self, life):
        return ["s6-svstat", "service/s0"]

    def status_of_all(self, life):
        return ["/bin/sh", "-c", "for it in service/s*; do s6-svstat $it; done"]

    def add(self, life, number):
        rename = super().add(life, number)

        def put():
            rename()
            subprocess.run(["s6-svscanctl", "-a", "service"], cwd=life.place, env=life.environment, check=True)

        return put


class Supervisor(Contender):
    title = "supervisor"
    note = "looks every second who is to be restarted; is told of new services by `supervisorctl update`"
    is_slow = True

    def section(self, life, number):
        return (
            f"[program:s{number}]\ncommand={life.arena.starter} {number}\n"
            "stdout_logfile=NONE\nstderr_logfile=NONE\n"
        )

    def prepare(self, life):
        place = life.place
        programs = "".join(self.section(life, number) for number in range(life.count))
        (place / "more").mkdir()
        (place / "supervisord.conf").write_text(
            f"[supervisord]\nnodaemon=true\nsilent=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={place}/pid\n"
            f"minfds=16384\nchildlogdir={place}\n[unix_http_server]\nfile={place}/sock\n"
            f"[supervisorctl]\nserverurl=unix://{place}/sock\n[rpcinterface:supervisor]\n"
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n"
            f"[include]\nfiles={place}/more/*.conf\n" + programs
        )
        return ["supervisord", "-c", str(place / "supervisord.conf")]

    def control(self, *words):
        return ["supervisorctl", "-c", "supervisord.conf", *words]

    def status_of_one(self, life):
        return self.control("status", "s0")

    def status_of_all(self, life):
        return self.control("status")

    def add(self, life, number):
        file = life.place / f"s{number}"
        file.write_text(self.section(life, number))

        def put():
            file.rename(life.place / f"more/s{number}.conf")
            subprocess.run(
                self.control("update"), cwd=life.place, env=life.environment, check=True, stdout=subprocess.DEVNULL
            )

        return put


def find(arena, contender, package, names, may_fetch):
    """Its programs: those in PATH, or unpacked from the distribution's package
    without installing it, for runit's would replace init."""
    found = [shutil.which(name) for name in names]
    if not all(found) and may_fetch:
        folder = arena.work / package
        folder.mkdir(exist_ok=True)
        depends = subprocess.run(["apt-cache", "depends", package], capture_output=True, text=True, check=False)
        libraries = [it for it in depends.stdout.split() if it.startswith("lib") and it != "libc6"]
        for it in [package, *libraries]:
            quiet("apt-get", "download", it, cwd=folder)
        for deb in folder.glob("*.deb"):
            quiet("dpkg", "-x", deb, folder / "root")
        contender.libraries = tuple({str(it.parent) for it in folder.rglob("*.so.*")})
        found = [next((str(it) for it in (folder / "root").rglob(name) if os.access(it, os.X_OK)), None) for name in names]
    if not all(found):
        return may_fetch and skip(f"{contender.title} cannot be installed here")
    contender.paths = tuple({str(Path(it).parent) for it in found})
    contender.files = tuple(Path(it) for it in found)
    return contender


def find_supervisor(arena, may_fetch):
    contender = Supervisor()
    bin = arena.work / "venv/bin"
    if shutil.which("supervisord"):
        bin = Path(shutil.which("supervisord")).parent
    elif not may_fetch or not (
        quiet(sys.executable, "-m", "venv", arena.work / "venv") and quiet(bin / "pip", "install", "supervisor")
    ):
        return may_fetch and skip("supervisor cannot be installed here")
    contender.paths = (str(bin),)
    package = next(iter((bin.parent / "lib").glob("python*/site-packages/supervisor")), None)
    contender.files = tuple(package.rglob("*.py")) if package else ()
    return contender




def all_of(arena, program, may_fetch):
    """The floors, going, and whoever of the others can be had."""
    yield Floor(arena, "fork", "floor, fork")
    yield Floor(arena, "spawn", "floor, posix_spawn")
    yield Going(program)
    scanned = [
        (Runit(), "runit", ["runsvdir", "runsv", "sv"]),
        (S6(), "s6", ["s6-svscan", "s6-supervise", "s6-svstat", "s6-svscanctl"]),
        (Daemontools(), "daemontools", ["svscan", "supervise", "svstat", "svc"]),
    ]
    for contender, package, names in scanned:
        found = find(arena, contender, package, names, may_fetch)
        if found:
            yield found
    found = find_supervisor(arena, may_fetch)
    if found:
        yield found
    for title in ("dinit", "nitro", "busybox runsvdir") if may_fetch else ():
        skip(f"{title} does not take part: Debian 12 has no package of it")
