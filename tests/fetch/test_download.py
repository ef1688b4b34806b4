"""Downloads that are cut, wrong, redirected, changed or not resumable."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from voxloom.dataset.fetch.download import Download, download, part_of
from voxloom.dataset.fetch.redirects import DownloadFailed, check_redirection
from voxloom.errors import BadInput, VoxloomError

from .server import QUICK, Site

CONTENT = bytes(range(256)) * 4096


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "files" / "data.bin"


def test_a_whole_file_arrives_with_its_checksums(site: Site, target: Path) -> None:
    site.files["/data.bin"] = CONTENT
    seen: list[tuple[int, int]] = []
    got = download((f"{site.address}/data.bin",), target, settings=QUICK, progress=lambda a, b: seen.append((a, b)))
    assert target.read_bytes() == CONTENT
    assert got.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert got.bytes == len(CONTENT)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [p.name for p in target.parent.iterdir()] == ["data.bin"]


def test_a_cut_download_goes_on_where_it_stopped(site: Site, target: Path) -> None:
    site.files["/data.bin"] = CONTENT
    site.cut_after = [300_000, 200_000]
    download((f"{site.address}/data.bin",), target, settings=QUICK)
    assert target.read_bytes() == CONTENT
    assert [r for _, r in site.asked] == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_run_goes_on_with_the_part(site: Site, target: Path) -> None:
    site.files["/data.bin"] = CONTENT
    site.cut_after = [300_000, 0, 0, 0]
    with pytest.raises(DownloadFailed, match="300000 bytes are kept"):
        download((f"{site.address}/data.bin",), target, settings=QUICK)
    assert not target.exists()
    assert part_of(target).stat().st_size == 300_000
    site.asked.clear()
    download((f"{site.address}/data.bin",), target, settings=QUICK)
    assert target.read_bytes() == CONTENT
    assert site.asked == [("/data.bin", "bytes=300000-")]


def test_a_server_without_ranges_sends_everything_again(site: Site, target: Path) -> None:
    site.files["/data.bin"], site.ranges, site.cut_after = CONTENT, False, [300_000]
    download((f"{site.address}/data.bin",), target, settings=QUICK)
    assert target.read_bytes() == CONTENT


def test_without_a_validator_nothing_is_pieced_together(site: Site, target: Path) -> None:
    site.files["/data.bin"], site.etag, site.cut_after = CONTENT, None, [300_000]
    download((f"{site.address}/data.bin",), target, settings=QUICK)
    assert target.read_bytes() == CONTENT
    assert [r for _, r in site.asked] == [None, None]


def test_a_file_that_changed_meanwhile_is_taken_anew(site: Site, target: Path) -> None:
    site.files["/data.bin"], site.cut_after = CONTENT, [300_000, 0, 0, 0]
    with pytest.raises(DownloadFailed):
        download((f"{site.address}/data.bin",), target, settings=QUICK)
    site.files["/data.bin"], site.etag = CONTENT[::-1], '"v2"'
    download((f"{site.address}/data.bin",), target, settings=QUICK)
    assert target.read_bytes() == CONTENT[::-1]


def test_a_part_that_is_whole_already_is_not_fetched_again(site: Site, target: Path) -> None:
    site.files["/data.bin"], site.cut_after = CONTENT, [300_000, 0, 0, 0]
    with pytest.raises(DownloadFailed):
        download((f"{site.address}/data.bin",), target, settings=QUICK)
    part_of(target).write_bytes(CONTENT)
    download((f"{site.address}/data.bin",), target, settings=QUICK)
    assert target.read_bytes() == CONTENT
    assert site.asked[-1][1] == f"bytes={len(CONTENT)}-"


def test_a_wrong_file_is_removed(site: Site, target: Path) -> None:
    site.files["/data.bin"] = b"<html>not found</html>"
    with pytest.raises(DownloadFailed, match=r"not the expected file: MD5 .* expected 0{32}; the file was removed"):
        download((f"{site.address}/data.bin",), target, md5="0" * 32, settings=QUICK)
    assert list(target.parent.iterdir()) == []


def test_redirections_are_followed(site: Site, target: Path) -> None:
    site.files["/data.bin"] = CONTENT
    site.redirects = {"/old": "/older", "/older": f"{site.address}/data.bin"}
    download((f"{site.address}/old",), target, settings=QUICK)
    assert target.read_bytes() == CONTENT


def test_a_circle_of_redirections_ends(site: Site, target: Path) -> None:
    site.redirects = {"/a": "/b", "/b": "/a"}
    with pytest.raises(DownloadFailed, match="redirects"):
        download((f"{site.address}/a",), target, settings=QUICK)


@pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://host/file", "data:,x"])
def test_redirections_to_other_kinds_of_addresses_are_refused(site: Site, target: Path, place: str) -> None:
    site.redirects = {"/a": place}
    with pytest.raises(DownloadFailed, match="not an http or https"):
        download((f"{site.address}/a",), target, settings=QUICK)


def test_no_way_down_from_https_to_http() -> None:
    check_redirection("http://a/x", "https://b/x")
    with pytest.raises(DownloadFailed, match="unprotected"):
        check_redirection("https://a/x", "http://a/x")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "data.tar", "ftp://host/x"])
def test_only_http_addresses(target: Path, url: str) -> None:
    with pytest.raises(BadInput, match="not an http or https address"):
        download((url,), target, settings=QUICK)


def test_a_missing_file_is_told_at_once(site: Site, target: Path) -> None:
    with pytest.raises(DownloadFailed, match="404"):
        download((f"{site.address}/none",), target, settings=QUICK)
    assert len(site.asked) == 1


def test_a_tired_server_is_asked_again(site: Site, target: Path) -> None:
    site.files["/data.bin"], site.fail_with = CONTENT, [503, 429]
    download((f"{site.address}/data.bin",), target, settings=QUICK)
    assert target.read_bytes() == CONTENT


def test_the_second_address_helps(site: Site, target: Path) -> None:
    site.files["/data.bin"] = CONTENT
    got = download((f"{site.address}/none", f"{site.address}/data.bin"), target, settings=QUICK)
    assert got.url.endswith("/data.bin")
    assert target.read_bytes() == CONTENT


def test_more_than_expected_is_refused(site: Site, target: Path) -> None:
    site.files["/data.bin"] = CONTENT
    with pytest.raises(VoxloomError, match="more than the 1000 expected"):
        download((f"{site.address}/data.bin",), target, settings=Download(largest=1000))


def test_a_full_disk_is_told_before(site: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    site.files["/data.bin"] = CONTENT
    with pytest.raises(VoxloomError, match="Make room"):
        download((f"{site.address}/data.bin",), target, settings=QUICK)
