"""Files and folders that are known again by their contents."""

import hashlib
from pathlib import Path

from facetem.data.digest import digest_of


def test_a_file_has_the_digest_that_other_programs_tell(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"pixels")
    assert digest_of(tmp_path / "a.tif") == hashlib.sha256(b"pixels").hexdigest()


def test_a_folder_is_the_names_and_contents_of_its_files(tmp_path: Path) -> None:
    for name in ("a.zspy", "b.zspy"):
        (tmp_path / name / "data").mkdir(parents=True)
        for part, content in (("data/0.0", b"one"), ("data/0.1", b"other"), (".zattrs", b"{}")):
            (tmp_path / name / part).write_bytes(content)
    first = digest_of(tmp_path / "a.zspy")
    assert digest_of(tmp_path / "b.zspy") == first
    (tmp_path / "b.zspy" / "data" / "0.1").write_bytes(b"others")
    assert digest_of(tmp_path / "b.zspy") != first
    (tmp_path / "a.zspy" / "data" / "0.1").rename(tmp_path / "a.zspy" / "data" / "1.0")
    assert digest_of(tmp_path / "a.zspy") != first


def test_an_emi_is_also_the_ser_files_that_hold_its_pixels(tmp_path: Path) -> None:
    for name in ("a.emi", "a_1.ser", "b_1.ser"):
        (tmp_path / name).write_bytes(name.encode())
    first = digest_of(tmp_path / "a.emi")
    (tmp_path / "b_1.ser").write_bytes(b"of another image")
    assert digest_of(tmp_path / "a.emi") == first
    (tmp_path / "a_1.ser").write_bytes(b"other pixels")
    assert digest_of(tmp_path / "a.emi") != first
