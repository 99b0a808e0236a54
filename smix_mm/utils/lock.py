"""Locks that also hold between hosts which share a file system, such as those on the folders of a study.

A lock is a file that the kernel creates for one process only (``O_EXCL``). ``flock`` is not used: on some network file
systems it fails, and on others it holds within one host only. Its process touches the file every 20 s.
A lock is abandoned if its process, on this host, has ended, or if a process of another host has not touched it for ten
minutes; the clocks of the hosts should agree within a few minutes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Iterator

from .errors import SmixError, StepError

HEARTBEAT = 20.0
ABANDONED_AFTER = 600.0


@contextmanager
def hold(path: Path, busy: str, *, wait: bool = False, error: type[SmixError] = StepError) -> Iterator[None]:
    """Hold a lock; should another process take it over, this one is ended.

    Args:
        path: file of the lock.
        busy: beginning of the error's message: what another process does.
        wait: wait until the lock is free. Defaults to False, for an error.
        error: class of the error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex
    while not _acquire(path, token):
        if not wait:
            holder = {"pid": "unknown", "host": "another host", **(_read(path) or {})}
            raise error(
                f"{busy} (process {holder['pid']} on {holder['host'].split()[0]}); wait until it ends, or stop it. "
                f"If it ended on another host, its lock is taken over after {ABANDONED_AFTER / 60:.0f} minutes."
            )
        time.sleep(1)
    released = threading.Event()
    heart = threading.Thread(target=_beat, args=(path, token, released), daemon=True)
    heart.start()
    try:
        yield
    finally:
        released.set()
        heart.join()
        if read_token(path) == token:
            path.unlink(missing_ok=True)


def is_held(path: Path) -> bool:
    """Whether a process that has not abandoned it holds the lock."""
    holder = _read(path)
    return holder is not None and not _is_abandoned(path, holder)


def _acquire(path: Path, token: str) -> bool:
    holder = _read(path)
    if holder is not None and not (_is_abandoned(path, holder) and _remove(path, holder)):
        return False
    try:
        with open(path, "x", encoding="utf-8") as file:
            json.dump(dict(token=token, host=_host(), pid=os.getpid(), started=_started(os.getpid())), file)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    return True


def _remove(path: Path, holder: dict[str, Any]) -> bool:
    """Remove an abandoned lock. Only one process can create the claim on it, so a newer lock is never removed."""
    claim = path.with_name(f"{path.name}.{holder['token']}")
    try:
        claim.touch(exist_ok=False)
    except FileExistsError:
        if _age(claim) > ABANDONED_AFTER:  # its process was killed between these lines
            claim.unlink(missing_ok=True)
        return False
    try:
        if read_token(path) != holder["token"]:
            return False
        path.unlink()
        return True
    finally:
        claim.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {"token": "unreadable", **content}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError):  # it is being written, or is in another format
        return {"token": "unreadable"}


def read_token(path: Path) -> str | None:
    """What identifies the holder of a lock, or None if nothing holds it."""
    return (_read(path) or {}).get("token")


def _is_abandoned(path: Path, holder: dict[str, Any]) -> bool:
    if holder.get("host") == _host():
        return _started(holder["pid"]) != holder["started"]
    return _age(path) > ABANDONED_AFTER


def _age(path: Path) -> float:
    with suppress(OSError):
        return time.time() - path.stat().st_mtime
    return 0.0


def _host() -> str:
    """This host since its start, and the name space in which process ids count."""
    boot = ""
    with suppress(OSError):
        boot = f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    return f"{socket.gethostname()} {boot or uuid.uuid4()}"


def _started(pid: int) -> str | None:
    """When a process of this host started, in ticks since the boot; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _beat(path: Path, token: str, released: threading.Event) -> None:
    while not released.wait(HEARTBEAT):
        with suppress(OSError):  # a network file system may fail for a moment
            if read_token(path) not in (token, "unreadable"):
                print(f"{path} was taken over by another process, so this one ends", file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGTERM)
            os.utime(path)
