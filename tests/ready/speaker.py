"""A service which does what it is told, a line of Python each, through a named pipe;
and what it may want to do: to say something to whoever supervises it."""
import os
import signal
import socket
import sys
import time


def say(text, fds=(), path=None):
    """As sd_notify(3) does."""
    path = path or os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(path)
        socket.send_fds(sock, [text.encode()], fds) if fds else sock.send(text.encode())


def child(code, wait=True):
    """Runs code in a child of ours; its process number."""
    pid = os.fork()
    if pid == 0:
        exec(code)
        os._exit(0)
    if wait:
        os.waitpid(pid, 0)
    return pid


def note(text):
    """Writes a line down for the test."""
    with open(pipe + ".notes", "a") as file:
        file.write(f"{text}\n")


pipe = sys.argv[1]
# Who is not told to stop goes on.
for order in iter(lambda: open(pipe).read(), None):
    exec(order)
