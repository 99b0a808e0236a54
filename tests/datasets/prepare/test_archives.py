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


def test_neither_owner_nor_set_user_id_nor_rights_of_others_are_kept(tmp_path, tar_of):
    info = tarfile.TarInfo("run.sh")
    info.mode, info.uid = 0o4777, 0
    archive = tar_of(tmp_path / "set.tar", {"run.sh": info})
    extract(archive, tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out/run.sh").stat().st_mode) == 0o755


HOSTILE = {
    "parent": {"good.txt": b"1", "../evil.txt": b"x"},
    "inner parent": {"a/../../evil.txt": b"x"},
    "symlink": {"l": special("l", tarfile.SYMTYPE, "/etc"), "l/evil.txt": b"x"},
    "relative symlink": {"l": special("l", tarfile.SYMTYPE, ".."), "l/evil.txt": b"x"},
    "symlink that stays inside": {"l": special("l", tarfile.SYMTYPE, "good.txt"), "good.txt": b"x"},
    "hard link": {"l": special("l", tarfile.LNKTYPE, "/etc/passwd")},
    "device": {"d": special("d", tarfile.CHRTYPE)},
    "pipe": {"p": special("p", tarfile.FIFOTYPE)},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_tar_archive_with_a_hostile_member_is_refused(tmp_path, case, tar_of):
    with pytest.raises(DataError, match="not safe .*; download it again"):
        extract(tar_of(tmp_path / "set.tar.gz", HOSTILE[case]), tmp_path / "inside/out")
    assert set(files_in(tmp_path)) <= {"set.tar.gz", "inside/out/good.txt"}


def test_names_that_lead_out_of_the_folder_stay_inside_of_it(tmp_path, tar_of):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in ("../evil.txt", "/tmp/smix_mm/evil.txt"):
            archive.writestr(name, "x")
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    extract(tmp_path / "set.zip", tmp_path / "inside/out")
    extract(tar_of(tmp_path / "set.tar", {"/tmp/smix_mm/evil.txt": b"x"}), tmp_path / "inside/tar")
    absolute = "tmp/smix_mm/evil.txt"
    found = {f"inside/out/{name}" for name in ("evil.txt", absolute, "link")} | {f"inside/tar/{absolute}"}
    assert set(files_in(tmp_path)) == {"set.zip", "set.tar", *found} and not Path(f"/{absolute}").exists()
    assert not (tmp_path / "inside/out/link").is_symlink()


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
    with pytest.raises(DataError, match=f"{name} is damaged, incomplete .*; download it again"):
        extract(archive, tmp_path / "out")


def test_a_damaged_zip_member_is_an_error(tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("one.bin", b"content that is stored as it is")
    archive.write_bytes(archive.read_bytes().replace(b"stored", b"stared"))
    with pytest.raises(DataError, match="is damaged, incomplete"):
        extract(archive, tmp_path / "out")


@pytest.mark.parametrize("name, mode", [("set.tar.bz2", "w:bz2"), ("set.tar.xz", "w:xz"), ("set.tgz", "w:gz")])
def test_damage_inside_a_compressed_archive_is_one_sentence(tmp_path, tar, name, mode):
    content = bytearray(tar({"one.bin": random.Random(0).randbytes(50_000)}, mode))
    for place in range(20_000, 20_050):
        content[place] ^= 0xFF
    for number, damaged in enumerate((bytes(content), b"<html>sign in</html>", b"\x80\x04K\x01.", b"")):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(DataError, match=f"{name} is damaged, incomplete .*; download it again"):
            extract(tmp_path / name, tmp_path / f"out{number}")
