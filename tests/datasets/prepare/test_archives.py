"""Extraction: all files of an archive, and nothing outside of the folder."""

from __future__ import annotations

import random
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("cv2")
pytest.importorskip("mmpretrain")

from smix_mm.datasets.prepare.archives import extract
from smix_mm.utils.errors import DataError


@pytest.fixture
def tar_of(tar):
    """A function that writes an archive to a path and returns it."""

    def write(path: Path, members: dict[str, bytes | tarfile.TarInfo], mode: str = "w:gz") -> Path:
        path.write_bytes(tar(members, mode))
        return path

    return write


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_tar_archive_is_extracted_with_its_folders(tmp_path, mode, tar_of):
    members = {"a/one.txt": b"1", "a/b/two.txt": b"22", "./three.txt": b""}
    archive = tar_of(tmp_path / "set.tar", members, mode)
    extract(archive, tmp_path / "out")
    assert files_in(tmp_path / "out") == {"a/one.txt": b"1", "a/b/two.txt": b"22", "three.txt": b""}


def test_a_zip_archive_is_extracted_with_its_folders(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/", "")
        archive.writestr("a/one.txt", "1" * 1000)
    extract(tmp_path / "set.zip", tmp_path / "out")
    assert files_in(tmp_path / "out") == {"a/one.txt": b"1" * 1000}


def test_the_modes_of_an_archive_are_not_kept(tmp_path, tar_of):
    info = tarfile.TarInfo("run.sh")
    info.mode, info.uid = 0o4777, 0
    archive = tar_of(tmp_path / "set.tar", {"run.sh": info})
    extract(archive, tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out/run.sh").stat().st_mode) & 0o7111 == 0


HOSTILE = {
    "parent": ({"good.txt": b"1", "../evil.txt": b"x"}, "leads out of the folder"),
    "inner parent": ({"a/../../evil.txt": b"x"}, "leads out of the folder"),
    "absolute": ({"/tmp/evil.txt": b"x"}, "leads out of the folder"),
    "windows": ({"a\\..\\..\\evil.txt": b"x"}, "leads out of the folder"),
    "drive": ({"C:/evil.txt": b"x"}, "leads out of the folder"),
    "symlink": ({"l": special("l", tarfile.SYMTYPE, "/etc"), "l/evil.txt": b"x"}, "is a link"),
    "hard link": ({"l": special("l", tarfile.LNKTYPE, "/etc/passwd")}, "is a link"),
    "device": ({"d": special("d", tarfile.CHRTYPE)}, "is a device or pipe"),
    "pipe": ({"p": special("p", tarfile.FIFOTYPE)}, "is a device or pipe"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_tar_archive_with_a_hostile_member_is_refused(tmp_path, case, tar_of):
    members, message = HOSTILE[case]
    inner = tmp_path / "inside"
    with pytest.raises(DataError, match=message):
        extract(tar_of(tmp_path / "set.tar.gz", members), inner / "out")
    written = files_in(tmp_path)
    assert set(written) <= {"set.tar.gz", "inside/out/good.txt"} and not Path("/tmp/evil.txt").exists()


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt"])
def test_a_zip_archive_with_a_hostile_name_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(DataError, match="leads out of the folder"):
        extract(tmp_path / "set.zip", tmp_path / "inside/out")
    assert set(files_in(tmp_path)) == {"set.zip"}


def test_a_zip_archive_with_a_link_is_refused(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="is a link or a device"):
        extract(tmp_path / "set.zip", tmp_path / "out")
    assert set(files_in(tmp_path)) == {"set.zip"}


@pytest.mark.parametrize("name", ["set.tar", "set.tar.gz", "set.zip"])
def test_an_incomplete_archive_is_an_error(tmp_path, name, tar_of):
    archive = tmp_path / name
    content = bytes(range(256)) * 400
    if name.endswith("zip"):
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr("one.bin", content)
    else:
        tar_of(archive, {"one.bin": content}, "w:gz" if name.endswith("gz") else "w")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=f"{name} is damaged or incomplete .*; download it again"):
        extract(archive, tmp_path / "out")


def test_a_damaged_zip_member_is_an_error(tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("one.bin", b"content that is stored as it is")
    archive.write_bytes(archive.read_bytes().replace(b"stored", b"stared"))
    with pytest.raises(DataError, match="is damaged or incomplete"):
        extract(archive, tmp_path / "out")


@pytest.mark.parametrize("name, mode", [("set.tar.bz2", "w:bz2"), ("set.tar.xz", "w:xz"), ("set.tgz", "w:gz")])
def test_damage_inside_a_compressed_archive_is_one_sentence(tmp_path, tar, name, mode):
    content = bytearray(tar({"one.bin": random.Random(0).randbytes(50_000)}, mode))
    for place in range(20_000, 20_050):
        content[place] ^= 0xFF
    for number, damaged in enumerate((bytes(content), b"<html>sign in</html>", b"\x80\x04K\x01.", b"")):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(DataError, match=f"{name} is damaged or incomplete .*; download it again"):
            extract(tmp_path / name, tmp_path / f"out{number}")
