"""`reveille top` in a terminal, driven by a test.

terminal.py REVEILLE TEST ADMIN PROXY PID

PID is that of the Reveille at ADMIN and PROXY.
"""
import fcntl
import http.client
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import threading
import time

PATIENCE = 30
ENTER, LEAVE, SHOW_CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"
PIECE = re.compile(rb"\x1b\[([?\d;]*)([A-Za-z])|([^\x1b]+)")


def check(holds, what):
    if not holds:
        raise SystemExit(what)


class Terminal:
    """A terminal with a program in it, and what is on its screen."""

    def __init__(self, command, width=100, height=20, **env):
        self.master, self.slave = pty.openpty()
        self.size(width, height)
        self.before = termios.tcgetattr(self.slave)
        self.bytes, self.parsed, self.cells, self.at = b"", 0, {}, (0, 0)
        # As a login shell does, it leads a session that has this terminal.
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for number in range(3):
                os.dup2(self.slave, number)
            os.closerange(3, 256)
            os.execve(command[0], command, {**os.environ, "TERM": "xterm", **env})

    def size(self, width, height):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0.02)[0]:
            try:
                self.bytes += os.read(self.master, 65536)
            except OSError:
                return
        for piece in PIECE.finditer(self.bytes, self.parsed):
            numbers, command, text = piece.groups()
            if piece.end() == len(self.bytes) and command is None and b"\x1b" in piece[0]:
                break
            self.parsed = piece.end()
            if text is not None:
                for char in text.decode(errors="replace"):
                    self.cells[self.at] = char
                    self.at = (self.at[0], self.at[1] + 1)
            elif command == b"H":
                row, column = (numbers.split(b";") + [b"1", b"1"])[:2]
                self.at = (int(row or 1) - 1, int(column or 1) - 1)
            elif command == b"J":
                self.cells = {}
            elif command == b"K":
                row, column = self.at
                self.cells = {at: char for at, char in self.cells.items() if at[0] != row or at[1] < column}

    def lines(self):
        rows = max((row for row, _ in self.cells), default=-1) + 1
        lines = [[] for _ in range(rows)]
        for (row, column), char in self.cells.items():
            line = lines[row]
            line.extend(" " * (column + 1 - len(line)))
            line[column] = char
        return ["".join(line).rstrip() for line in lines]

    def until(self, holds, what):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.read()
            if holds(self.lines()):
                return self.lines()
        raise SystemExit(f"waited in vain until {what}:\n" + "\n".join(self.lines()))

    def until_said(self, *words):
        def said(lines):
            text = re.sub(r"\s+", " ", "\n".join(lines))
            return all(word in text for word in words)
        return self.until(said, f"{words} are said")

    def press(self, keys):
        os.write(self.master, keys.encode())

    def end(self):
        """Its exit code, once the terminal is as it was."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            check(time.monotonic() < deadline, "it does not end")
        self.read()
        check(self.bytes.count(LEAVE) == 1 and self.bytes.endswith(LEAVE), "the screen of before is back")
        check(SHOW_CURSOR in self.bytes, "the cursor is back")
        check(termios.tcgetattr(self.slave) == self.before, "the terminal's settings are back")
        return os.waitstatus_to_exitcode(status)


def request(proxy, answers):
    def run():
        connection = http.client.HTTPConnection(proxy, timeout=PATIENCE)
        connection.request("GET", "/hello", headers={"Host": "web.test"})
        answers.append(connection.getresponse().status)
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def top(reveille, admin, *args, **more):
    return Terminal([reveille, "top", "--admin", admin, "--interval", "50ms", *args], **more)


def test_wake(reveille, admin, proxy, pid):
    """A wake is seen, sorted first, explained, filtered, at any size."""
    shown = top(reveille, admin, height=45)
    shown.until_said("2 targets: 2 cold", "default/other cold")
    answers = []
    thread = request(proxy, answers)
    rows = shown.until_said("1 waking, 1 cold", "default/web waking 0/1 0 1 1")
    check(rows[3].startswith("default/web"), f"who wakes is first: {rows}")
    shown.press("\x1b[B\r")
    shown.until_said("default/web is waking", "by GET web.test/hello; 1 request waits for an endpoint")
    open("go", "w").close()
    shown.until_said("default/web is warm", "first endpoint default/web-0 ready after")
    thread.join()
    check(answers == [200], f"{answers}")
    shown.press("\r")
    shown.until(lambda lines: not any(line.startswith("Next: ") for line in lines),
                "nothing is explained any more")
    shown.press("/")
    shown.until(lambda lines: lines[1].startswith("filter: _"), "keys go into the filter")
    shown.press("oth")
    shown.until(lambda lines: lines[3:4] and lines[3].startswith("default/other") and len(lines) < 6,
                "one is left")
    shown.press("\r")
    shown.size(40, 10)
    os.kill(shown.pid, signal.SIGWINCH)
    lines = shown.until(lambda lines: lines and max(map(len, lines)) <= 40, "it fits")
    check(any("default/other" in line for line in lines), f"{lines}")
    hints = shown.bytes.count(b"q quit  / filter")
    check(hints == 1, f"what stays is not written again: {hints} times")
    shown.press("q")
    check(shown.end() == 0, "quit in order")


def test_end(reveille, admin, proxy, pid):
    """Ended in every way, the terminal is as it was."""
    shown = top(reveille, admin)
    shown.until_said("2 targets")
    shown.press("\x03")
    check(shown.end() == 0, "Ctrl-C")
    for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
        shown = top(reveille, admin)
        shown.until_said("2 targets")
        os.kill(shown.pid, number)
        check(shown.end() == 0, f"{number!r}")


def test_lost(reveille, admin, proxy, pid):
    """A Reveille that goes is waited for, and said."""
    shown = top(reveille, admin, NO_COLOR="1")
    shown.until_said("2 targets")
    os.kill(pid, signal.SIGTERM)
    shown.until_said("what is shown is old", "nobody listens on", "default/web")
    check(not re.search(rb"\x1b\[(3\d|38;|9\d)", shown.bytes), "colours in spite of NO_COLOR")
    shown.press("q")
    check(shown.end() == 0, "quit in order")


def main():
    reveille, name, admin, proxy, pid = sys.argv[1:]
    globals()[f"test_{name}"](reveille, admin, proxy, int(pid))


main()
