"""Fetching archives from a server: whole, broken off, gone on with, damaged, and not to be reached."""

from __future__ import annotations

import hashlib
import multiprocessing
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("cv2")
pytest.importorskip("mmpretrain")

from smix_mm.datasets.prepare import download
from smix_mm.datasets.prepare.download import Archive, fetch, get_archive
from smix_mm.utils.errors import DataError

CONTENT = bytes(range(256)) * 12000  # 3 MB, so that a transfer takes several blocks
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves ``server.content``, with the faults that the server is told to have."""

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        if server.status:
            return self.send_error(server.status)
        start = int(asked.split("=")[1].rstrip("-")) if asked and server.ranges else 0
        if start >= len(server.content):
            return self.send_error(416)
        self.send_response(206 if asked and server.ranges else 200)
        self.send_header("Content-Length", str(len(server.content) - start))
        if asked and server.ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.end_headers()
        self.wfile.write(server.content[start : server.cut])
        self.wfile.flush()
        server.sent.set()
        server.go_on.wait(30)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.content, served.cut, served.ranges, served.status, served.asked = CONTENT, None, True, 0, []
    served.sent, served.go_on = threading.Event(), threading.Event()
    served.go_on.set()
    served.archive = Archive("set.tar", MD5, f"http://127.0.0.1:{served.server_port}/set.tar")
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served
    served.go_on.set()
    served.shutdown()
    served.server_close()


def test_an_archive_is_fetched_whole_and_then_left_alone(server, tmp_path):
    path = get_archive(server.archive, [], tmp_path / "downloads", alone=True)
    assert path == tmp_path / "downloads/set.tar" and path.read_bytes() == CONTENT
    assert get_archive(server.archive, [], tmp_path / "downloads", alone=True) == path
    assert server.asked == [None]
    assert [found.name for found in path.parent.iterdir()] == ["set.tar"]


def test_a_transfer_that_breaks_off_is_said_and_gone_on_with_where_it_was(server, tmp_path):
    server.cut = 2_000_000
    with pytest.raises(
        DataError, match=r"set.tar ended after 2000000 of 3072000 bytes, which are kept: run this again"
    ):
        fetch(server.archive, tmp_path / "set.tar")
    assert not (tmp_path / "set.tar").exists()
    server.cut = None
    fetch(server.archive, tmp_path / "set.tar")
    assert (tmp_path / "set.tar").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=2000000-"]
    assert not (tmp_path / "set.tar.part").exists()


def test_a_killed_process_loses_nothing_that_had_come(server, tmp_path):
    server.cut = 2_200_000
    server.go_on.clear()
    process = multiprocessing.get_context("fork").Process(target=fetch, args=(server.archive, tmp_path / "set.tar"))
    process.start()
    part = tmp_path / "set.tar.part"
    deadline = time.monotonic() + 30
    while (not part.exists() or part.stat().st_size < 2_000_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.join()
    have = part.stat().st_size
    assert process.exitcode == -9 and have >= 2_000_000
    server.cut = None
    server.go_on.set()
    fetch(server.archive, tmp_path / "set.tar")
    assert (tmp_path / "set.tar").read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={have}-"]


def test_a_server_that_cannot_go_on_within_a_file_sends_it_all(server, tmp_path):
    (tmp_path / "set.tar.part").write_bytes(b"something else, as long as it likes")
    server.ranges = False
    fetch(server.archive, tmp_path / "set.tar")
    assert (tmp_path / "set.tar").read_bytes() == CONTENT


def test_a_part_that_is_all_of_it_is_taken(server, tmp_path):
    (tmp_path / "set.tar.part").write_bytes(CONTENT)
    fetch(server.archive, tmp_path / "set.tar")
    assert (tmp_path / "set.tar").read_bytes() == CONTENT and server.asked == ["bytes=3072000-"]


def test_damaged_content_is_said_and_not_kept(server, tmp_path):
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(DataError, match=rf"has the md5 {hashlib.md5(server.content).hexdigest()}, wanted {MD5}"):
        fetch(server.archive, tmp_path / "set.tar")
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_server_is_said(server, tmp_path):
    server.status = 404
    with pytest.raises(DataError, match=r"^127.0.0.1:\d+ answers 404 \(Not Found\) to http://127.0.0.1"):
        fetch(server.archive, tmp_path / "set.tar")


def test_without_a_connection_it_fails_at_its_first_try_with_one_sentence(tmp_path, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/set.tar"
    tries = []
    urlopen = download.urllib.request.urlopen
    monkeypatch.setattr(
        download.urllib.request, "urlopen", lambda *args, **kw: tries.append(kw) or urlopen(*args, **kw)
    )
    with pytest.raises(
        DataError, match=r"^no connection to 127.0.0.1:\d+ \(.*refused\), so nothing is fetched; .*--from$"
    ):
        fetch(Archive("set.tar", MD5, url), tmp_path / "set.tar")
    assert tries == [dict(timeout=download.SECONDS_WITHOUT_AN_ANSWER)]
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_falls_silent_does_not_hold_the_run(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "SECONDS_WITHOUT_AN_ANSWER", 0.3)
    server.cut = 1_500_000
    server.go_on.clear()
    with pytest.raises(DataError, match="ended after 1500000 of 3072000 bytes"):
        fetch(server.archive, tmp_path / "set.tar")


def test_an_archive_that_the_user_has_is_used_from_where_it_lies(tmp_path):
    archive = Archive("set.tar", MD5, "http://127.0.0.1:1/never-asked")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "set.tar").write_bytes(CONTENT)
    (folder / "other.bin").write_bytes(CONTENT)
    assert get_archive(archive, [folder], tmp_path, alone=False) == folder / "set.tar"
    assert get_archive(archive, [folder / "other.bin", folder / "set.tar"], tmp_path, alone=False) == folder / "set.tar"
    assert get_archive(archive, [folder / "other.bin"], tmp_path, alone=True) == folder / "other.bin", "the md5 decides"


def test_half_an_archive_of_the_user_is_said(tmp_path):
    half = tmp_path / "set.tar"
    half.write_bytes(CONTENT[: len(CONTENT) // 2])
    with pytest.raises(DataError, match=r"set.tar has 1536000 bytes and the md5 \w{32}, wanted .* broken or not whole"):
        get_archive(Archive("set.tar", MD5), [half], tmp_path, alone=True)
    assert half.exists(), "it is the user's"


def test_what_has_to_be_fetched_by_hand_is_said(tmp_path):
    archive = Archive("set.tar", MD5, by_hand="its terms want you to sign in at the publisher's")
    with pytest.raises(
        DataError, match=r"set.tar is not in .* nor named with --from, and its terms want you to sign in"
    ):
        get_archive(archive, [], tmp_path / "downloads", alone=True)


def test_progress_says_how_much_and_how_long(monkeypatch, capsys):
    from smix_mm.datasets.prepare import progress

    clock = iter([0.0, 5.0, 20.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.Progress("fetching set.tar", 100_000_000, 20_000_000) as shown:
        shown.reach(30_000_000)
        shown.reach(60_000_000)
    assert capsys.readouterr().err == "fetching set.tar: 60.0 of 100.0 MB, 20 s left\n"
