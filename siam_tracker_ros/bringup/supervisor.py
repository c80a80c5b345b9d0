"""Child processes, each in a group of its own: their output, their deaths, and their end in order."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

# A node may take 20 s to let go of what it holds (nodes/node_process.py).
INTERRUPT_S = 25.0
TERMINATE_S = 5.0
_KILL_S = 5.0
_POLL_S = 0.02
_KEPT_LINES = 200
_PR_SET_PDEATHSIG = 1
_FAILURE = re.compile(r"\b(?:configure|activate) failed: .+|^error: .+")


@dataclass
class Child:
    """A process that was started, and the last lines it wrote."""

    name: str
    process: subprocess.Popen[bytes]
    reader: threading.Thread | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    def end_text(self) -> str:
        """How it ended, in words."""
        code = self.process.returncode
        if code is not None and code < 0:
            return f"{self.name} was ended by {signal.Signals(-code).name}"
        return f"{self.name} ended with exit status {code}" if code else f"{self.name} is done"


def failure_in(lines: Sequence[str]) -> str:
    """Why a node failed, by what it wrote; empty if it did not say."""
    for line in reversed(lines):
        found = _FAILURE.search(line)
        if found:
            return found[0]
    return ""


class Supervisor:
    """Starts processes and, as a context manager, leaves none behind.

    `say` is called with each line of their output, from several threads, one at a time. `hurry` is asked
    while processes are being stopped in turn; once true, all that are left are told at once.
    """

    def __init__(self, say: Callable[[str], None], hurry: Callable[[], bool] = lambda: False) -> None:
        self._say = say
        self._saying = threading.Lock()
        self._hurry = hurry
        self.children: list[Child] = []

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Child:
        """Start a process. Call it from the main thread: the child ends with the thread that started it."""
        process = subprocess.Popen(
            command,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        child = Child(name, process)
        child.reader = threading.Thread(target=self._read, args=(child,), name=f"{name} output", daemon=True)
        child.reader.start()
        self.children.append(child)
        return child

    def say(self, text: str) -> None:
        """A line of our own between theirs."""
        with self._saying:
            self._say(text)

    def ended(self) -> list[Child]:
        """Those that have ended by themselves since the last call; they are forgotten."""
        gone = [child for child in self.children if child.process.poll() is not None]
        for child in gone:
            # What the process itself has left behind in its group; it may hold the output open.
            _signal_group(child, signal.SIGKILL)
            self._finish_output(child)
            self.children.remove(child)
        return gone

    def stop(self) -> list[str]:
        """End every process, the last of `children` first, each by SIGINT, then SIGTERM, then SIGKILL.

        Returns the names of those that had to be killed.
        """
        killed = []
        told = set()
        while self.children:
            child = self.children[-1]
            if self._hurry():
                for other in self.children:
                    if other.name not in told:
                        _signal(other, signal.SIGINT)
                        told.add(other.name)
            elif child.name not in told:
                _signal(child, signal.SIGINT)
            if not self._stopped(child):
                killed.append(child.name)
            _signal_group(child, signal.SIGKILL)
            self._finish_output(child)
            self.children.pop()
        return killed

    def _stopped(self, child: Child) -> bool:
        if _wait(child, INTERRUPT_S, self._hurry):
            return True
        self.say(f"{child.name} does not end: SIGTERM")
        _signal(child, signal.SIGTERM)
        if _wait(child, TERMINATE_S):
            return True
        self.say(f"{child.name} does not end: SIGKILL; shared memory of its own may be left in /dev/shm")
        _signal_group(child, signal.SIGKILL)
        _wait(child, _KILL_S)
        return False

    def _read(self, child: Child) -> None:
        assert child.process.stdout is not None
        with child.process.stdout as pipe:
            for raw in pipe:
                line = raw.decode(errors="replace").rstrip()
                child.lines.append(line)
                self.say(f"[{child.name}] {line}")

    def _finish_output(self, child: Child) -> None:
        if child.reader is not None:
            # Not for ever: a grandchild that left the group may hold the pipe open.
            child.reader.join(_KILL_S)


def _wait(child: Child, seconds: float, hurry: Callable[[], bool] = lambda: False) -> bool:
    deadline = time.monotonic() + seconds
    while child.process.poll() is None:
        if hurry():
            deadline = min(deadline, time.monotonic() + TERMINATE_S)
            hurry = _never
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _never() -> bool:
    return False


def _signal(child: Child, number: int) -> None:
    if child.process.poll() is None:
        child.process.send_signal(number)


def _signal_group(child: Child, number: int) -> None:
    try:
        os.killpg(child.process.pid, number)
    except (ProcessLookupError, PermissionError):
        return


# Loaded before any fork: in the child only the call itself is left to do.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _end_with_parent() -> None:
    """Have the kernel interrupt this process when its parent dies, however that happens."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
