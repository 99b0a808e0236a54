"""Starting trainings and tests without repeating their imports.

A process imports OpenMMLab once and then forks a child for each program. Without it, imports are most of the work
of a study of many short runs on a CPU: about 12 s of CPU time for each program.
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
    """A running program: the used part of :class:`subprocess.Popen`."""

    stdout: IO[str] | None

    def poll(self) -> int | None:
        """Its exit status, or None while it runs."""

    def wait(self) -> int:
        """Its exit status, once it has ended."""

    def terminate(self) -> None:
        """Send it SIGTERM."""


class ForkServer:
    """Starts programs of this package as children of a process that has imported OpenMMLab.

    For programs on a CPU: a process that has initialised CUDA cannot be forked. One program at a time.
    The server starts with the first program; server and program end, by a signal of the kernel, when the thread that
    started them ends.

    Args:
        environment: variables of the programs.
        imports: modules that the server imports before it forks; those not installed are skipped.
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
    """A child of the server. The server sends its process id and, once it has ended, its exit status."""

    def __init__(self, server: socket.socket, stdout: IO[str]) -> None:
        self.stdout: IO[str] | None = stdout
        self._server = server
        self._pid: int | None = None
        self._status: int | None = None

    def poll(self) -> int | None:
        return self._status

    def wait(self) -> int:
        if self._status is None:
            self._receive_pid()
            # The child ends with the server.
            self._status = -signal.SIGKILL if self._pid is None else self._receive("status", -signal.SIGKILL)
        return self._status

    def terminate(self) -> None:
        self._receive_pid()
        if self._status is None and self._pid is not None:
            os.kill(self._pid, signal.SIGTERM)

    def _receive_pid(self) -> None:
        self._pid = self._receive("pid", None) if self._pid is None else self._pid

    def _receive(self, name: str, default: Any) -> Any:
        """A value that the server sends, or the default if the server has ended."""
        message = self._server.recv(_MESSAGE_BYTES)
        return json.loads(message)[name] if message else default


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def serve(connection: socket.socket, imports: Sequence[str]) -> int:
    """Fork a child for each requested program, until the other end closes the connection.

    Args:
        connection: socket that receives the requests.
        imports: modules to import before the first program.

    Returns:
        an exit status: 0 in the server when the connection is closed, and in each child that of its program.
    """
    devnull = os.open(os.devnull, os.O_WRONLY)
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, _MESSAGE_BYTES, 1)
        if not message:
            return 0
        # The first program's output includes that of the imports.
        _redirect_output(descriptors[0])
        for name in imports:
            with contextlib.suppress(ImportError):  # pretrainings alone do not need MMDetection
                importlib.import_module(name)
        os.close(descriptors[0])
        child = os.fork()
        if child == 0:
            connection.close()
            die_with_parent()
            program = json.loads(message)
            sys.argv = [program["module"].rpartition(".")[2] + ".py", *program["arguments"]]
            return run_command(partial(importlib.import_module(program["module"]).main, program["arguments"]))
        _redirect_output(devnull)
        connection.send(json.dumps(dict(pid=child)).encode())
        _, ended = os.waitpid(child, 0)
        connection.send(json.dumps(dict(status=os.waitstatus_to_exitcode(ended))).encode())


def _redirect_output(descriptor: int) -> None:
    """Redirect stdout and stderr to a file descriptor."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


if __name__ == "__main__":
    sys.exit(serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:]))
