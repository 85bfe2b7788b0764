"""``coopnets complete``: what it writes, and what it refuses in one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from coopnets.cli import main
from coopnets.complete import output
from coopnets.complete.infill import Completer
from coopnets.complete.masks import random_square
from coopnets.complete.scores import scores
from coopnets.data import to_unit
from coopnets.model import CoopNets
from coopnets.models import Generator
from small import CONFIG, pixels, tiny

Said = pytest.CaptureFixture[str]
QUICK = ["--steps", "5", "--starts", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three 8x8 pictures, of different modes."""
    path = tmp_path_factory.mktemp("damaged")
    for i, image in enumerate(pixels(3, seed=5)):
        Image.fromarray(image).convert("L" if i else "RGB").save(path / f"p{i}.png")
    return path


@pytest.fixture(scope="module")
def dcgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved generator without descriptor."""
    torch.manual_seed(0)
    config = tiny(method="dcgan", memory=0, teaching=0)
    weights = {"generator": Generator(CONFIG.generator, 8, 1).state_dict()}
    return CoopNets(config, weights).save_pretrained(tmp_path_factory.mktemp("dcgan"))


def read(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file))


def run(run: Path, images: Path | str, out: Path, *more: str) -> int:
    return main(["complete", str(run), str(images), "--out", str(out), *QUICK, *more])


def one_line(capsys: Said, *argv: object) -> str:
    capsys.readouterr()
    assert main([str(a) for a in argv]) == 1
    error = capsys.readouterr().err
    assert error.startswith("coopnets: ") and error.count("\n") == 1 and error.endswith("\n")
    return error


def test_visible_pixels_come_back_and_scores_are_of_the_files(
    trained: Path, folder: Path, tmp_path: Path, capsys: Said
) -> None:
    assert run(trained, folder, tmp_path / "out", "--mask", "random:3", "--seed", "4") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    errors, psnrs = [], []
    for i in range(3):
        mask = random_square(3, 8, 4, i)
        x = read(folder / f"p{i}.png")
        x = x if x.ndim == 2 else x[..., 0]
        made = read(tmp_path / "out" / f"p{i}.png")
        assert made.dtype == np.uint8 and made.shape == (8, 8)
        assert np.array_equal(made[~mask[0].numpy()], x[~mask[0].numpy()])
        assert not np.array_equal(made, x)
        y, truth = (to_unit(torch.from_numpy(a.copy()))[None, None] for a in (made, x))
        found, entry = scores(y, truth, mask[None]), results["images"][i]
        assert entry["name"] == f"p{i}.png" and entry["hidden"] == 9
        for name in ("error", "psnr", "ssim"):
            assert entry[name] == pytest.approx(getattr(found, name).tolist())
        errors.append(found.error[0])
        psnrs.append(found.psnr[0])
    assert f"error {np.mean(errors):.4f}" in last and f"PSNR {np.mean(psnrs):.3f} dB" in last
    assert "SSIM" in last and results["mean"]["error"]["mean"] == pytest.approx(np.mean(errors))
    assert (results["method"], results["seed"], results["mask"]) == ("both", 4, "random:3")
    assert results["sigma"] == 1.0 and results["finished"]  # the run's own is 0.3
    sheet = read(tmp_path / "out" / "sheet.png")  # damaged | completed | truth
    assert sheet.shape[:2] == (3 * 10 + 2, 3 * 10 + 2)


def test_several_completions(trained: Path, folder: Path, tmp_path: Path, capsys: Said) -> None:
    out = tmp_path / "out"
    assert run(trained, folder, out, "--mask", "center:4", "--samples", "3", "--json") == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["completed"] == 3 and told["error"]["mean"] > 0
    made = [read(out / f"p1-{k}.png") for k in (1, 2, 3)]
    assert not np.array_equal(made[0], made[1]) and not np.array_equal(made[1], made[2])
    entry = json.loads((out / "results.json").read_text())["images"][1]
    assert entry["files"] == ["p1-1.png", "p1-2.png", "p1-3.png"] and len(entry["ssim"]) == 3
    assert read(out / "sheet.png").shape[:2] == (32, 5 * 10 + 2)


def test_batches_change_nothing(trained: Path, folder: Path, tmp_path: Path) -> None:
    for name, size in (("a", "1"), ("b", "100")):
        assert (
            run(trained, folder, tmp_path / name, "--mask", "random:4", "--batch-size", size) == 0
        )
    for i in range(3):
        one, all_ = (read(tmp_path / name / f"p{i}.png").astype(int) for name in "ab")
        assert np.abs(one - all_).max() <= 1


def test_a_run_with_a_generator_alone(dcgan: Path, folder: Path, tmp_path: Path) -> None:
    assert run(dcgan, folder, tmp_path / "out", "--mask", "center:3") == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["method"] == "generator"


def test_drawn_mask_and_unknown_truth(trained: Path, tmp_path: Path, capsys: Said) -> None:
    """A picture with its hole erased is its own mask; nobody knows what was there."""
    colours = np.full((8, 8, 4), 90, np.uint8)
    colours[..., 3] = 255
    colours[2:5, 3:6, 3] = 0
    Image.fromarray(colours).save(tmp_path / "erased.png")
    out = tmp_path / "out"
    assert run(trained, tmp_path / "erased.png", out, "--mask", str(tmp_path / "erased.png")) == 0
    assert "no truth" in capsys.readouterr().out.splitlines()[-1]
    made = read(out / "erased.png")
    assert (made != 90)[2:5, 3:6].any() and (made == 90).sum() >= 64 - 9
    assert json.loads((out / "results.json").read_text())["mean"] == {}
    assert read(out / "sheet.png").shape[1] == 2 * 10 + 2


def test_a_whole_picture_is_no_mask_of_its_own(
    trained: Path, folder: Path, tmp_path: Path, capsys: Said
) -> None:
    """Its bright parts would be taken for what is missing."""
    argv = ["complete", trained, folder, "--mask", f"{folder}/", "--out", tmp_path / "out", *QUICK]
    assert "p0.png is its own mask and has no transparent part" in one_line(capsys, *argv)
    assert not list((tmp_path / "out").glob("p*.png"))


def test_names_longer_than_files_have(trained: Path, tmp_path: Path) -> None:
    deep = tmp_path / "in" / ("a" * 150) / ("b" * 150)
    deep.mkdir(parents=True)
    Image.fromarray(pixels(1)[0]).save(deep / "x.png")
    assert run(trained, tmp_path / "in", tmp_path / "out", "--mask", "center:3") == 0
    assert (tmp_path / "out" / f"{'a' * 47}-{'b' * 150}-x.png").exists()


def test_damaged_pictures_are_not_compared(trained: Path, folder: Path, tmp_path: Path) -> None:
    assert run(trained, folder, tmp_path / "out", "--mask", "center:3", "--no-truth") == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["compared"] == 0 and "error" not in results["images"][0]


def test_names_that_collide(trained: Path, tmp_path: Path) -> None:
    for i, name in enumerate(("a/x.png", "b/x.png", "x.png", "x.bmp", "sheet.png")):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(pixels(5)[i]).save(tmp_path / "in" / name)
    assert run(trained, tmp_path / "in", tmp_path / "out", "--mask", "center:3") == 0
    names = sorted(p.name for p in (tmp_path / "out").glob("*.png"))
    assert names == ["a-x.png", "b-x.png", "sheet-2.png", "sheet.png", "x-2.png", "x.png"]


def test_data_without_file_names(trained: Path, array: Path, tmp_path: Path) -> None:
    argv = ["--mask", "center:3", "--limit", "2"]
    assert run(trained, array, tmp_path / "out", *argv) == 0
    names = {p.name for p in (tmp_path / "out").iterdir()} - {"sheet.png", "results.json"}
    assert len(names) == 2 and all(name.startswith("x.npy-") for name in names)


def test_nothing_is_overwritten(trained: Path, folder: Path, tmp_path: Path, capsys: Said) -> None:
    out = tmp_path / "out"
    argv = ["complete", trained, folder, "--out", out, "--mask", "center:3", *QUICK]
    assert main([str(a) for a in argv]) == 0
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    for name in ("results.json", "sheet.png", "p0.png"):
        error = one_line(capsys, *argv)
        assert f"{name} is there already: choose another --out" in error
        assert all(p.read_bytes() == before[p.name] for p in out.iterdir())
        (out / name).unlink()


def finished(out: Path) -> tuple[dict[str, object], dict[str, bytes]]:
    """Results less what a repeated command may not repeat, and the pictures."""
    results = json.loads((out / "results.json").read_text())
    assert results.pop("finished")
    results.pop("seconds")
    return results, {p.name: p.read_bytes() for p in out.glob("*.png")}


@pytest.fixture
def stopped_after_two(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ctrl-C in the third completion of all; counts them."""
    called, usual = list[int](), Completer.__call__

    def stopped(self: Completer, x: torch.Tensor, mask: torch.Tensor, **more: Any) -> torch.Tensor:
        called.append(more["first"])
        if len(called) == 3:
            raise KeyboardInterrupt
        return usual(self, x, mask, **more)

    monkeypatch.setattr(Completer, "__call__", stopped)
    return called


def test_interrupted_commands_go_on(
    trained: Path, folder: Path, tmp_path: Path, capsys: Said, stopped_after_two: list[int]
) -> None:
    """What is there already is not made again, and the end is that of a command in one go."""
    out, more = tmp_path / "out", ("--mask", "random:3", "--batch-size", "1")
    assert run(trained, folder, out, *more) == 130
    (out / "notes.txt").write_text("mine")
    half = json.loads((out / "results.json").read_text())
    assert half["completed"] == 2 and not half["finished"]
    argv = ["complete", trained, folder, "--out", out, *QUICK]
    for change in (["--mask", "random:4"], [*more, "--seed", "1"], [*more, "--no-truth"]):
        assert "unfinished completions with another" in one_line(capsys, *argv, *change)
    assert run(trained, folder, out, *more) == 0
    assert stopped_after_two == [0, 1, 2, 2]
    assert "SSIM" in capsys.readouterr().out.splitlines()[-1]
    assert run(trained, folder, tmp_path / "whole", *more) == 0
    assert finished(out) == finished(tmp_path / "whole")
    assert (out / "notes.txt").read_text() == "mine"


def test_commands_killed_while_they_write_go_on(
    trained: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """results.json names pictures that were never written, or were taken away since."""
    usual, out, more = output.as_png, tmp_path / "out", ("--mask", "random:3")
    assert run(trained, folder, tmp_path / "whole", *more) == 0
    for last in (2, 3):
        made = iter(range(1, 9))

        def killed(pixels: torch.Tensor, made: Any = made, last: int = last) -> bytes:
            if next(made) == last:
                raise KeyboardInterrupt
            return usual(pixels)

        monkeypatch.setattr(output, "as_png", killed)
        assert run(trained, folder, out, *more) == 130
    (out / "p0.png").unlink()
    monkeypatch.setattr(output, "as_png", usual)
    assert run(trained, folder, out, *more) == 0
    assert finished(out) == finished(tmp_path / "whole")


def test_a_command_that_is_interrupted_again_earlier_goes_on(
    trained: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it made before is its own still, even if that comes later than where it is now."""
    out, more = tmp_path / "out", ("--mask", "random:3", "--batch-size", "1")
    usual, left = Completer.__call__, [2]

    def stopped(self: Completer, x: torch.Tensor, mask: torch.Tensor, **more: Any) -> torch.Tensor:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return usual(self, x, mask, **more)

    monkeypatch.setattr(Completer, "__call__", stopped)
    assert run(trained, folder, out, *more) == 130
    (out / "p0.png").unlink()
    left[0] = 1  # p0 again, but not p1, which is there
    assert run(trained, folder, out, *more) == 130
    left[0] = 9
    assert run(trained, folder, out, *more) == 0
    assert run(trained, folder, tmp_path / "whole", *more) == 0
    assert finished(out) == finished(tmp_path / "whole")


def test_refused_commands_go_on_once_they_can(
    trained: Path, folder: Path, tmp_path: Path, capsys: Said
) -> None:
    """The mask of the last picture is missing, and then drawn."""
    masks, out = tmp_path / "masks", tmp_path / "out"
    masks.mkdir()
    hole = Image.fromarray(np.pad(np.full((3, 3), 255, np.uint8), ((2, 3), (1, 4))))
    for i in range(2):
        hole.save(masks / f"p{i}.png")
    argv = ["complete", trained, folder, "--out", out, *QUICK, "--mask", masks, "--batch-size", 1]
    assert "no mask for p2.png" in one_line(capsys, *argv)
    hole.save(masks / "p2.png")
    hole.transpose(Image.Transpose.ROTATE_90).save(masks / "p1.png")
    assert "with other masks" in one_line(capsys, *argv)
    hole.save(masks / "p1.png")
    assert main([str(a) for a in argv]) == 0
    assert json.loads((out / "results.json").read_text())["completed"] == 3


def test_unfinished_completions_of_other_pictures_stay(
    trained: Path, folder: Path, tmp_path: Path, capsys: Said, stopped_after_two: list[int]
) -> None:
    out, images = tmp_path / "out", tmp_path / "in"
    images.mkdir()
    for i in range(3):
        Image.open(folder / f"p{i}.png").save(images / f"p{i}.png")
    argv = ["complete", trained, images, "--out", out, *QUICK, "--mask", "center:3",
            "--batch-size", 1]  # fmt: skip
    assert main([str(a) for a in argv]) == 130
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    Image.fromarray(pixels(1, seed=9)[0]).save(images / "p1.png")
    assert "of other pictures" in one_line(capsys, *argv)
    for name in ("p1.png", "p2.png"):
        (images / name).unlink()
    assert "of other pictures" in one_line(capsys, *argv)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    (out / "results.json").write_text("[")
    assert "cannot read" in one_line(capsys, *argv)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--mask", "random:8"], "1 to 7"),
        (["--mask", "center"], "neither a file nor a folder|give the square"),
        (["--mask", "absent.png"], "absent.png"),
        (["--mask", "center:3", "--samples", "0"], "--samples"),
        (["--mask", "center:3", "--steps", "0"], "--steps"),
        (["--mask", "center:3", "--starts", "0"], "--starts"),
        (["--mask", "center:3", "--langevin-steps", "-1"], "--langevin-steps"),
        (["--mask", "center:3", "--batch-size", "0"], "--batch-size"),
        (["--mask", "center:3", "--limit", "0"], "--limit"),
        (["--mask", "center:3", "--sigma", "0"], "--sigma"),
        (["--mask", "center:3", "--sigma", "nan"], "--sigma"),
        (["--mask", "center:3", "--split", "test"], "test"),
        (["--mask", "center:3", "--invert-mask"], "--invert-mask"),
        (["--mask", "center:3", "--method", "generator", "--langevin-steps", "3"],
         "--langevin-steps does nothing with --method generator"),
        (["--mask", "center:3", "--method", "descriptor", "--steps", "9"], "--steps"),
        (["--mask", "center:3", "--method", "descriptor", "--no-blend"], "--no-blend"),
    ],
    ids=lambda value: "-".join(value).strip("-") if isinstance(value, list) else "",
)  # fmt: skip
def test_impossible_requests(
    trained: Path, folder: Path, tmp_path: Path, capsys: Said, more: list[str], says: str
) -> None:
    out = tmp_path / "out"
    error = one_line(capsys, "complete", trained, folder, "--out", out, *more)
    assert any(part in error for part in says.split("|"))
    assert not out.exists()


def test_impossible_masks_from_files(
    trained: Path, folder: Path, tmp_path: Path, capsys: Said
) -> None:
    for name, value, shape in (("none", 0, 8), ("all", 255, 8), ("large", 255, 20)):
        Image.fromarray(np.full((shape, shape), value, np.uint8)).save(tmp_path / f"{name}.png")
    for name, says in (("none", "hides nothing"), ("all", "hides all"), ("large", "make it 8x8")):
        argv = ["complete", trained, folder, "--out", tmp_path / name, *QUICK]
        error = one_line(capsys, *argv, "--mask", tmp_path / f"{name}.png")
        assert says in error and f"{name}.png" in error


def test_methods_that_the_run_has_not(
    dcgan: Path, folder: Path, tmp_path: Path, capsys: Said
) -> None:
    for method in ("descriptor", "both"):
        error = one_line(capsys, "complete", dcgan, folder, "--out", tmp_path / "out",
                         "--mask", "center:3", "--method", method)  # fmt: skip
        assert "dcgan" in error and "--method generator" in error
    assert not (tmp_path / "out").exists()


def test_pictures_that_are_not_there(trained: Path, tmp_path: Path, capsys: Said) -> None:
    argv = ["--out", tmp_path / "out", "--mask", "center:3"]
    assert "absent" in one_line(capsys, "complete", trained, tmp_path / "absent", *argv)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG")
    capsys.readouterr()
    assert main(["complete", str(trained), str(tmp_path / "in"), *map(str, argv)]) == 1
    assert "broken.png" in capsys.readouterr().err


def test_folder_that_cannot_be_used(
    trained: Path, folder: Path, tmp_path: Path, capsys: Said
) -> None:
    (tmp_path / "file").write_text("")
    argv = ["complete", trained, folder, "--mask", "center:3", "--out", tmp_path / "file"]
    assert "file" in one_line(capsys, *argv)


def test_training_ignores_the_methods_of_other_commands(capsys: Said) -> None:
    """--method both is no method of training, and must not be taken for one."""
    with pytest.raises(SystemExit) as exit_:
        main(["complete", "--method", "both"])
    assert exit_.value.code == 2
