"""Checkpoints are whole or absent."""

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from coopnets import checkpoint
from coopnets.checkpoint import STATE, TENSORS, UNFINISHED, forget_after, prune, whole, write
from coopnets.errors import RunError


def tensors(value: float) -> dict[str, Tensor]:
    return {"a": torch.full((3, 5), value), "b": torch.arange(4), "c": torch.tensor(value)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two checkpoints, of iterations 5 and 10."""
    for iteration in (5, 10):
        write(tmp_path, iteration, tensors(iteration), {"seconds": iteration / 2})
    return tmp_path


def test_round_trip_is_bit_for_bit(folder: Path) -> None:
    given = {
        "odd": torch.tensor([0.1, -0.0, 1e-45, torch.inf]), "half": torch.ones(3).half(),
        "view": torch.arange(12.0).view(3, 4).T, "number": torch.tensor(7),
    }  # fmt: skip
    write(folder, 15, given, {"seconds": 1.25})
    found = whole(folder)[0]
    assert (found.iteration, found.state["seconds"]) == (15, 1.25)
    for k, v in found.tensors().items():
        assert v.dtype == given[k].dtype
        assert v.numpy().tobytes() == given[k].contiguous().numpy().tobytes()


def test_newest_comes_first(folder: Path) -> None:
    write(folder, 100_000_000, tensors(1), {})  # nine digits
    assert [c.iteration for c in whole(folder)] == [100_000_000, 10, 5]


def truncate(path: Path) -> None:
    data = (path / TENSORS).read_bytes()
    (path / TENSORS).write_bytes(data[:-1])


def flip(path: Path) -> None:
    data = bytearray((path / TENSORS).read_bytes())
    data[-3] ^= 1
    (path / TENSORS).write_bytes(data)


def empty(path: Path) -> None:
    (path / TENSORS).write_bytes(b"")


def without_state(path: Path) -> None:
    (path / STATE).unlink()


def without_tensors(path: Path) -> None:
    (path / TENSORS).unlink()


def half_state(path: Path) -> None:
    (path / STATE).write_text((path / STATE).read_text()[:20])


def strange_state(path: Path) -> None:
    (path / STATE).write_text(json.dumps([1, 2]))


def unfinished(path: Path) -> None:
    path.rename(path.with_name(path.name + UNFINISHED))


@pytest.mark.parametrize(
    "damage",
    [
        truncate, flip, empty, without_state, without_tensors, half_state, strange_state,
        unfinished,
    ],
)  # fmt: skip
def test_damaged_one_is_left_out_and_the_one_before_it_found(
    folder: Path, damage: Callable[[Path], None]
) -> None:
    damage(folder / "00000010")
    assert [c.iteration for c in whole(folder)] == [5]
    assert float(whole(folder)[0].tensors()["c"]) == 5


def test_any_flipped_byte_is_noticed(folder: Path) -> None:
    file = folder / "00000010" / TENSORS
    data = file.read_bytes()
    for at in range(0, len(data), max(len(data) // 25, 1)):
        file.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        assert [c.iteration for c in whole(folder)] == [5]
    file.write_bytes(data)
    assert [c.iteration for c in whole(folder)] == [10, 5]


def test_full_disk_keeps_the_earlier_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object, file: Path) -> None:
        file.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    for iteration in (10, 15):  # one that replaces, and a new one
        with pytest.raises(RunError, match="No space left on device") as error:
            write(folder, iteration, tensors(0), {})
        assert "\n" not in str(error.value)
    assert [c.iteration for c in whole(folder)] == [10, 5]
    assert float(whole(folder)[0].tensors()["c"]) == 10
    assert not list(folder.glob(f"*{UNFINISHED}"))


def test_replacing_is_whole(folder: Path) -> None:
    write(folder, 10, tensors(99), {"seconds": 1})
    assert float(whole(folder)[0].tensors()["c"]) == 99


def test_leftover_of_a_kill_is_in_nobodys_way(folder: Path) -> None:
    leftover = folder / f"00000015{UNFINISHED}"
    leftover.mkdir()
    (leftover / "rubbish").write_text("half")
    write(folder, 15, tensors(15), {})
    assert [c.iteration for c in whole(folder)] == [15, 10, 5]
    assert not (folder / "00000015" / "rubbish").exists()


def test_prune_keeps_the_newest(folder: Path) -> None:
    (folder / f"00000020{UNFINISHED}").mkdir()
    write(folder, 15, tensors(15), {})
    prune(folder, 2)
    assert sorted(p.name for p in folder.iterdir()) == ["00000010", "00000015"]


def test_forget_after(folder: Path) -> None:
    forget_after(folder, 5)
    assert [c.iteration for c in whole(folder)] == [5]


def test_no_folder_is_no_checkpoint(tmp_path: Path) -> None:
    assert whole(tmp_path / "absent") == []
