"""Downloads from a server: complete, interrupted, resumed, damaged, and without a connection."""

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

from smix_mm.datasets.prepare import archives as module
from smix_mm.datasets.prepare.archives import Archive, download, get_archive
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


def test_an_archive_is_downloaded_once(server, tmp_path):
    path = get_archive(server.archive, [], tmp_path / "downloads", single=True)
    assert path == tmp_path / "downloads/set.tar" and path.read_bytes() == CONTENT
    assert get_archive(server.archive, [], tmp_path / "downloads", single=True) == path
    assert server.asked == [None]
    assert [found.name for found in path.parent.iterdir()] == ["set.tar"]


def test_an_interrupted_download_is_an_error_and_is_resumed_where_it_was(server, tmp_path):
    server.cut = 2_000_000
    with pytest.raises(DataError, match=r"set.tar ended after 2000000 of 3072000 bytes; run this again to resume it"):
        download(server.archive, tmp_path / "set.tar")
    assert not (tmp_path / "set.tar").exists()
    server.cut = None
    download(server.archive, tmp_path / "set.tar")
    assert (tmp_path / "set.tar").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=2000000-"]
    assert not (tmp_path / "set.tar.part").exists()


def test_a_full_disk_is_no_interrupted_download(server, tmp_path):
    (tmp_path / "set.tar.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        download(server.archive, tmp_path / "set.tar")


def test_a_killed_process_loses_no_bytes_that_had_arrived(server, tmp_path):
    server.cut = 2_200_000
    server.go_on.clear()
    process = multiprocessing.get_context("fork").Process(target=download, args=(server.archive, tmp_path / "set.tar"))
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
    download(server.archive, tmp_path / "set.tar")
    assert (tmp_path / "set.tar").read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={have}-"]


def test_a_server_without_ranges_sends_the_whole_file(server, tmp_path):
    (tmp_path / "set.tar.part").write_bytes(b"something else, as long as it likes")
    server.ranges = False
    download(server.archive, tmp_path / "set.tar")
    assert (tmp_path / "set.tar").read_bytes() == CONTENT


def test_a_complete_part_is_used(server, tmp_path):
    (tmp_path / "set.tar.part").write_bytes(CONTENT)
    download(server.archive, tmp_path / "set.tar")
    assert (tmp_path / "set.tar").read_bytes() == CONTENT and server.asked == ["bytes=3072000-"]


def test_damaged_content_is_an_error_and_deleted(server, tmp_path):
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(DataError, match=rf"should have the MD5 {MD5}, got {hashlib.md5(server.content).hexdigest()}"):
        download(server.archive, tmp_path / "set.tar")
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_server_is_in_the_message(server, tmp_path):
    server.status = 404
    with pytest.raises(DataError, match=r"^127.0.0.1:\d+ returned 404 \(Not Found\) for http://127.0.0.1"):
        download(server.archive, tmp_path / "set.tar")


def test_without_a_connection_it_fails_at_its_first_try_with_one_sentence(tmp_path, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/set.tar"
    tries = []
    urlopen = module.urllib.request.urlopen
    monkeypatch.setattr(module.urllib.request, "urlopen", lambda *args, **kw: tries.append(kw) or urlopen(*args, **kw))
    with pytest.raises(DataError, match=r"^no connection to 127.0.0.1:\d+ \(.*refused\); .*--from$"):
        download(Archive("set.tar", MD5, url), tmp_path / "set.tar")
    assert tries == [dict(timeout=module.TIMEOUT)]
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_stops_sending_does_not_block_the_download(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    server.cut = 1_500_000
    server.go_on.clear()
    with pytest.raises(DataError, match="ended after 1500000 of 3072000 bytes"):
        download(server.archive, tmp_path / "set.tar")


def test_an_archive_that_the_user_names_is_used_in_place(tmp_path):
    archive = Archive("set.tar", MD5, "http://127.0.0.1:1/never-asked")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "set.tar").write_bytes(CONTENT)
    (folder / "other.bin").write_bytes(CONTENT)
    assert get_archive(archive, [folder], tmp_path, single=False) == folder / "set.tar"
    assert (
        get_archive(archive, [folder / "other.bin", folder / "set.tar"], tmp_path, single=False) == folder / "set.tar"
    )
    assert get_archive(archive, [folder / "other.bin"], tmp_path, single=True) == folder / "other.bin", (
        "the md5 decides"
    )


def test_an_incomplete_archive_of_the_user_is_an_error_and_stays(tmp_path):
    half = tmp_path / "set.tar"
    half.write_bytes(CONTENT[: len(CONTENT) // 2])
    with pytest.raises(
        DataError, match=r"set.tar \(1536000 bytes\) should have the MD5 .* got \w{32}: it is damaged, incomplete"
    ):
        get_archive(Archive("set.tar", MD5), [half], tmp_path, single=True)
    assert half.exists(), "it is the user's"


def test_an_archive_without_an_address_is_an_error_that_says_what_to_do(tmp_path):
    archive = Archive("set.tar", MD5, by_hand="you have to sign in at the publisher's")
    with pytest.raises(DataError, match=r"set.tar is neither in .* nor named with --from, and you have to sign in"):
        get_archive(archive, [], tmp_path / "downloads", single=True)
