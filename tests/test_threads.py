from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from coopnets.threads import keep_to_quota, quota


@pytest.fixture(autouse=True)
def _threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS")
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("text", "cores"), [("200000 100000\n", 2.0), ("50000 100000\n", 0.5), ("max 100000\n", None)]
)
def test_quota_of_version_2(tmp_path: Path, text: str, cores: float | None) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert quota(tmp_path) == cores


@pytest.mark.parametrize(("text", "cores"), [("300000\n", 3.0), ("-1\n", None)])
def test_quota_of_version_1(tmp_path: Path, text: str, cores: float | None) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(text)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert quota(tmp_path) == cores


@pytest.mark.parametrize(("text", "threads"), [("200000", 2), ("50000", 1), ("900000", 4)])
def test_threads_keep_to_it(tmp_path: Path, text: str, threads: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{text} 100000\n")
    keep_to_quota(tmp_path)
    assert torch.get_num_threads() == threads


def test_what_the_user_says_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    keep_to_quota(tmp_path)
    assert torch.get_num_threads() == 4


def test_elsewhere_nothing_happens(tmp_path: Path) -> None:
    assert quota(tmp_path) is None
    keep_to_quota(tmp_path)
    assert torch.get_num_threads() == 4
