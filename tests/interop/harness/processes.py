"""Processes which the harness started, and their ends."""

import os
import pathlib
import signal
import subprocess
import time

RUNNING: list["Process"] = []


class Process:
    """A child whose standard output and error go to files."""

    def __init__(self, arguments: list, log: pathlib.Path, environment: dict | None = None, stdin=subprocess.DEVNULL, pass_fds: tuple = ()) -> None:
        self.output = log.with_suffix(".log")
        self.errors = log.with_suffix(".err")
        arguments = [str(argument) for argument in arguments]
        log.with_suffix(".command").write_text(" ".join(arguments) + "\n")
        with open(self.output, "wb") as output, open(self.errors, "wb") as errors:
            self.child = subprocess.Popen(
                arguments,
                stdin=stdin,
                stdout=output,
                stderr=errors,
                env={**os.environ, **(environment or {})},
                cwd=log.parent,
                pass_fds=pass_fds,
            )
        RUNNING.append(self)

    def wait(self, seconds: float) -> int | None:
        """The exit code, or None if the child had to be killed because it took longer."""
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        finally:
            if self in RUNNING:
                RUNNING.remove(self)

    def end(self) -> None:
        """Asks it to end; kills it if it does not."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        self.wait(2)

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()
        if self in RUNNING:
            RUNNING.remove(self)

    def text(self) -> str:
        """Everything it has written so far."""
        return self.output.read_text(errors="replace") + self.errors.read_text(errors="replace")

    def saw(self, wanted: str, seconds: float) -> bool:
        """Whether it writes the wanted text before the time is up, or before it ends."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.child.poll() is not None
            if wanted in self.text():
                return True
            if ended or time.monotonic() > deadline:
                return False
            time.sleep(0.01)

    def last_line(self) -> str:
        """What it said last, its complaints first."""
        for file in (self.errors, self.output):
            lines = [line.strip() for line in file.read_text(errors="replace")[-2000:].splitlines()]
            lines = [line for line in lines if line and line.isprintable()]
            if lines:
                return lines[-1][:200]
        return "no output"


def end_all() -> None:
    for process in list(RUNNING):
        process.kill()


def udp_port_is_bound(port: int) -> bool:
    table = pathlib.Path("/proc/net/udp").read_text()
    return any(line.split()[1].endswith(f":{port:04X}") for line in table.splitlines()[1:])
