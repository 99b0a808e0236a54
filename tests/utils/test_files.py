"""Files are whole or not there."""

import json
import os
import stat

import pytest

from smix_mm.utils.errors import UsageError
from smix_mm.utils.files import (
    atomic_path,
    check_output,
    content_hash,
    file_hash,
    newest_first,
    save_figure,
    write_json,
    write_text,
)


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, dict(a=1))
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert json.loads(path.read_text()) == dict(a=1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_the_temporary_name_keeps_the_ending_and_the_file_the_usual_rights(tmp_path):
    with atomic_path(tmp_path / "deep" / "figure.png") as temporary:
        assert temporary.suffix == ".png" and temporary.parent == tmp_path / "deep"
        temporary.write_text("x")
    (tmp_path / "plain").touch()
    rights = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep/figure.png", tmp_path / "plain")]
    assert rights[0] == rights[1]


def test_equal_content_is_equal_bytes(tmp_path):
    write_json(tmp_path / "a", dict(x=1, y=[2.5]))
    write_json(tmp_path / "b", dict(y=[2.5], x=1))
    assert file_hash(tmp_path / "a") == file_hash(tmp_path / "b")
    assert content_hash(dict(x=1, y=2)) == content_hash(dict(y=2, x=1)) != content_hash(dict(x=1, y=3))


def test_the_hash_is_sha256(tmp_path):
    write_text(tmp_path / "a", "abc")
    assert file_hash(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_an_output_that_is_an_input_is_refused_under_any_name(tmp_path, monkeypatch):
    source = tmp_path / "a.json"
    source.write_text("x")
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "hard").hardlink_to(source)
    monkeypatch.chdir(tmp_path)
    for out in (source, "a.json", "link", "hard", "../" + tmp_path.name + "/a.json"):
        with pytest.raises(UsageError, match="the output should be another file than the input"):
            check_output(out, "none", source)
    check_output("b.json", source)


def test_checkpoints_are_ordered_by_their_numbers_and_kinds_by_their_time(tmp_path):
    names = ["epoch_10.pth", "epoch_9.pth", "iter_500.pth", "best_AP_epoch_2.pth", "weights.pth", "epoch_11.pth"]
    for age, name in enumerate(names):  # epoch_11 was copied first
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (10**9 - age, 10**9 - age))
    ordered = [path.name for path in newest_first(tmp_path.iterdir())]
    assert ordered == ["epoch_11.pth", "epoch_10.pth", "iter_500.pth", "best_AP_epoch_2.pth", "weights.pth",
                       "epoch_9.pth"]  # fmt: skip
    assert newest_first([]) == []


def test_a_figure_with_an_unknown_suffix_is_refused_in_one_sentence(tmp_path):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    with pytest.raises(UsageError, match="the suffix of an image file should be one of .*png.*, got .*a.xyz"):
        save_figure(figure, tmp_path / "a.xyz")
    assert list(tmp_path.iterdir()) == []
