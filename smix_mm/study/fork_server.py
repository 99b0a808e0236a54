"""Starting trainings and tests without importing everything each time.

A process imports OpenMMLab once and then forks a child for each program. In a study of many short
runs on a CPU the imports would else be most of the work: about 12 s of CPU time for each program.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from functools import partial
from typing import IO, Any, Mapping, Protocol, Sequence

from ..utils.command_line import run_command

IMPORTS = ("smix_mm.engine.train", "smix_mm.engine.test", "mmpretrain.apis", "mmdet.apis")
_MESSAGE_BYTES = 1 << 16


class Process(Protocol):
    """A program that runs: what is used of :class:`subprocess.Popen`."""

    stdout: IO[str] | None

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""

    def wait(self) -> int:
        """Its exit status, once it has ended."""

    def terminate(self) -> None:
        """Ask it to end."""


class ForkServer:
    """Starts programs of this package as children of a process that has imported OpenMMLab.

    For programs on a CPU: a process that has touched CUDA cannot be forked. One program at a time.
    The server starts with the first, and ends, together with its program, with the thread that
    started it, however that ends.

    Args:
        environment: variables of the programs.
        imports: modules that they find imported; what is not installed is left out.
    """

    def __init__(self, environment: Mapping[str, str], imports: Sequence[str] = IMPORTS) -> None:
        self._environment, self._imports = dict(environment), tuple(imports)
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(self, module: str, arguments: Sequence[str]) -> Process:
        """Start ``python -m module arguments...``, whose ``main(arguments)`` returns an exit status."""
        if self._server is None or self._server.poll() is not None:
            self._open()
        assert self._socket is not None
        reader, writer = os.pipe()
        try:
            message = json.dumps(dict(module=module, arguments=list(arguments))).encode()
            socket.send_fds(self._socket, [message], [writer])
        finally:
            os.close(writer)
        return _Forked(self._socket, open(reader, encoding="utf-8", errors="replace"))

    def _open(self) -> None:
        self.close()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno()), *self._imports],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self._environment,
                pass_fds=[theirs.fileno()],
                preexec_fn=die_with_parent,
            )

    def close(self) -> None:
        """End the server."""
        if self._socket is not None:
            self._socket.close()
        if self._server is not None:
            self._server.wait()
        self._server = self._socket = None


class _Forked:
    """A child of the server, which sends its process id and, once it has ended, its exit status."""

    def __init__(self, server: socket.socket, stdout: IO[str]) -> None:
        self.stdout: IO[str] | None = stdout
        self._server = server
        self._pid: int | None = None
        self._status: int | None = None

    def poll(self) -> int | None:
        return self._status

    def wait(self) -> int:
        if self._status is None:
            self._learn_pid()
            # A server that is gone took its child along.
            self._status = -signal.SIGKILL if self._pid is None else self._receive("status", -signal.SIGKILL)
        return self._status

    def terminate(self) -> None:
        self._learn_pid()
        if self._status is None and self._pid is not None:
            os.kill(self._pid, signal.SIGTERM)

    def _learn_pid(self) -> None:
        self._pid = self._receive("pid", None) if self._pid is None else self._pid

    def _receive(self, name: str, gone: Any) -> Any:
        message = self._server.recv(_MESSAGE_BYTES)
        return json.loads(message)[name] if message else gone


def die_with_parent() -> None:
    """Have the kernel end this process with the one that started it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def serve(connection: socket.socket, imports: Sequence[str]) -> int:
    """Fork a child for each program that is asked for, until the other end closes.

    Args:
        connection: where programs are asked for.
        imports: modules to import before the first.

    Returns:
        an exit status: in the server once it is not needed any more, and in each child once its
        program has ended, so that it ends as a program of its own would.
    """
    silence = os.open(os.devnull, os.O_WRONLY)
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, _MESSAGE_BYTES, 1)
        if not message:
            return 0
        # What the imports say, the first time, belongs to the program that they are for.
        _write_to(descriptors[0])
        for name in imports:
            with contextlib.suppress(ImportError):  # a study of pretrainings alone needs no detection
                importlib.import_module(name)
        os.close(descriptors[0])
        child = os.fork()
        if child == 0:
            connection.close()
            die_with_parent()
            program = json.loads(message)
            sys.argv = [program["module"].rpartition(".")[2] + ".py", *program["arguments"]]
            return run_command(partial(importlib.import_module(program["module"]).main, program["arguments"]))
        _write_to(silence)
        connection.send(json.dumps(dict(pid=child)).encode())
        _, ended = os.waitpid(child, 0)
        connection.send(json.dumps(dict(status=os.waitstatus_to_exitcode(ended))).encode())


def _write_to(descriptor: int) -> None:
    """Point stdout and stderr there."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


if __name__ == "__main__":
    sys.exit(serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:]))
