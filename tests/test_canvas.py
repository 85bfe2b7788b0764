"""Textures of any size, and tiles, from a trained pair."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from coopnets import canvas as canvas_module
from coopnets.canvas import batch_that_fits, bytes_each, plan, reach
from coopnets.chance import per_sample
from coopnets.cli import main
from coopnets.cli.make import sides
from coopnets.complete.latent import Search
from coopnets.errors import CoopNetsError
from coopnets.model import CoopNets
from coopnets.presets import preset
from coopnets.sample import latents, refine

FLAGS = [
    "--preset", "texture", "--size", "16", "--generator.latent", "3",
    "--generator.channels", "8", "8", "--generator.kernels", "4", "4", "4",
    "--descriptor.channels", "8", "8", "--descriptor.kernels", "4", "3",
    "--descriptor.strides", "2", "2", "--langevin.steps", "3", "--batch-size", "4",
    "--chains", "4", "--precision", "fp32", "--generator.init-std", "0.3",
]  # fmt: skip


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stripes."""
    file = tmp_path_factory.mktemp("texture") / "stripes.png"
    stripes = (127.5 * (1 + np.sin(np.arange(40) * 0.9))).astype(np.uint8)
    Image.fromarray(np.broadcast_to(stripes, (36, 40)).copy()).save(file)
    return file


@pytest.fixture(scope="module")
def run(picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "stripes"
    assert main(["train", str(picture), "--run", str(folder), "--steps", "8", *FLAGS]) == 0
    return folder


@pytest.fixture(scope="module")
def pair(run: Path) -> CoopNets:
    return CoopNets.from_pretrained(run)


@pytest.mark.parametrize("size", [(16, 16), (37, 50), (8, 120), (5, 3)])
def test_any_size(pair: CoopNets, size: tuple[int, int]) -> None:
    """Larger and smaller than what was learnt from, and no multiple of anything."""
    x = pair.sample(2, size=size)
    assert x.shape == (2, 3, *size) and bool(torch.isfinite(x).all())


def test_batches_do_not_matter(pair: CoopNets) -> None:
    whole = pair.sample(3, size=(20, 30), batch_size=3)
    torch.testing.assert_close(
        pair.sample(3, size=(20, 30), batch_size=1), whole, rtol=0, atol=1e-5
    )


def test_the_frame_cut_off_is_as_wide_as_what_an_output_looks_at(pair: CoopNets) -> None:
    planned = plan(pair.config, pair.generator, 20, 30)
    assert min(planned.drawn[0] - 20, planned.drawn[1] - 30) >= 2 * reach(pair.config)
    x = torch.randn(1, 3, *planned.drawn)
    top, left = (planned.drawn[0] - 20) // 2, (planned.drawn[1] - 30) // 2
    assert torch.equal(planned.cut(x), x[:, :, top : top + 20, left : left + 30])


def test_a_tile_is_drawn_on_the_torus(pair: CoopNets) -> None:
    z = latents(per_sample(5, 0, 2), (3, 4, 4), pair.device)
    proposed = pair.sample(2, seed=5, size=(32, 32), tile=True, langevin_steps=0)
    torch.testing.assert_close(proposed, pair.generator.tile(z))


def test_the_chain_of_a_tile_runs_on_the_torus(pair: CoopNets) -> None:
    """Without noise, revision and a shift around the torus commute."""
    planned = plan(pair.config, pair.generator, 32, 32, tile=True)
    x = torch.randn(1, 3, 32, 32)
    still = replace(pair.config.langevin, tau=0.0)

    def revised(x: Tensor) -> Tensor:
        return refine(pair.descriptor, x, still, noise=torch.Generator(), canvas=planned)

    torch.testing.assert_close(
        revised(x.roll((8, 16), (2, 3))), revised(x).roll((8, 16), (2, 3)), rtol=0, atol=1e-4
    )


def test_sides_of_a_tile(pair: CoopNets) -> None:
    with pytest.raises(CoopNetsError, match=r"multiples of 8.*24x32 or 32x32"):
        pair.sample(1, size=(30, 32), tile=True)


def test_other_models_draw_one_size(model: CoopNets) -> None:
    with pytest.raises(CoopNetsError, match="8x8 alone"):
        model.sample(1, size=(16, 16))
    with pytest.raises(CoopNetsError, match="8x8 alone"):
        model.sample(1, tile=True)


def test_memory_bounds_the_batch_and_refuses_what_cannot_fit(
    pair: CoopNets, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = plan(pair.config, pair.generator, 512, 512)
    each = bytes_each(pair.config, planned)
    monkeypatch.setattr(canvas_module, "free_bytes", lambda device: int(3.5 * each))
    assert batch_that_fits(pair.config, planned, 100, pair.device) == 3
    assert batch_that_fits(pair.config, planned, 2, pair.device) == 2
    monkeypatch.setattr(canvas_module, "free_bytes", lambda device: each // 4)
    with pytest.raises(CoopNetsError, match=r"240x240 would fit") as refused:
        batch_that_fits(pair.config, planned, 1, pair.device)
    smaller = plan(pair.config, pair.generator, 240, 240)
    assert bytes_each(pair.config, smaller) <= each // 4
    assert "GB" in str(refused.value)


def test_what_is_proposed_instead_fits_whatever_its_shape(
    pair: CoopNets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A narrow strip is mostly frame, which does not shrink with it."""
    planned = plan(pair.config, pair.generator, 16, 100_000)
    free = bytes_each(pair.config, planned) // 10
    monkeypatch.setattr(canvas_module, "free_bytes", lambda device: free)
    with pytest.raises(CoopNetsError) as refused:
        batch_that_fits(pair.config, planned, 1, pair.device)
    found = re.search(r"free: (\d+)x(\d+) would fit", str(refused.value))
    assert found
    proposed = plan(pair.config, pair.generator, *map(int, found.groups()))
    assert 0.5 * free < bytes_each(pair.config, proposed) <= free


def test_proposals_alone_need_less_memory(pair: CoopNets, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(pair.config, pair.generator, 512, 512)
    needed = bytes_each(pair.config, planned, revised=False)
    assert needed < bytes_each(pair.config, planned)
    monkeypatch.setattr(canvas_module, "free_bytes", lambda device: needed)
    assert batch_that_fits(pair.config, planned, 9, pair.device, revised=False) == 1
    with pytest.raises(CoopNetsError, match="would fit"):
        batch_that_fits(pair.config, planned, 9, pair.device)


def test_a_tile_that_would_fit_is_one(pair: CoopNets, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = plan(pair.config, pair.generator, 520, 520, tile=True)
    each = bytes_each(pair.config, planned)
    monkeypatch.setattr(canvas_module, "free_bytes", lambda device: each // 4)
    with pytest.raises(CoopNetsError, match=r"240x240 would fit$"):  # 247 before it is rounded
        batch_that_fits(pair.config, planned, 1, pair.device)
    plan(pair.config, pair.generator, 240, 240, tile=True)


def test_no_more_memory_than_the_container_may_take(tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    told = {"max": "9000", "current": "5000", "stat": "inactive_file 700"}
    for name, text in told.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert canvas_module.free_bytes(cpu, tmp_path) == 4700
    (tmp_path / "memory.max").write_text("max")
    assert canvas_module.free_bytes(cpu, tmp_path) > 1e6
    assert canvas_module.free_bytes(cpu, tmp_path / "nothing") > 1e6
    old = tmp_path / "memory"
    old.mkdir()
    for name, text in {"limit_in_bytes": "8000", "usage_in_bytes": "5000",
                       "stat": "inactive_file 1\ntotal_inactive_file 700"}.items():  # fmt: skip
        (old / f"memory.{name}").write_text(text)
    assert canvas_module.free_bytes(cpu, tmp_path) == 3700
    (old / "memory.limit_in_bytes").write_text(str(2**63 - 4096))  # no bound
    assert canvas_module.free_bytes(cpu, tmp_path) > 1e6


def test_a_picture_is_no_smaller_than_what_the_descriptor_sees(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", str(picture), "--run", str(tmp_path / "run"), "--steps", "1", *FLAGS]
    assert reach(preset("texture")) == 24  # 1 + 2 + 3 + 6 + 12 + 24 = 48 pixels
    assert main([*argv, "--descriptor.kernels", "9", "6"]) == 1
    assert "--size 16 is smaller than the 19 pixels" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("windows", ["--windows", "--no-windows"])
def test_what_holds_no_texture_is_refused_whole_or_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], windows: str
) -> None:
    frames = [Image.new("L", (40, 36), level) for level in (9, 99)]
    frames[0].save(tmp_path / "moves.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "flat.png")
    frames[0].resize((15, 40)).save(tmp_path / "thin.png")
    for name, says in (("moves.gif", "animation of 2 frames"), ("flat.png", "a single colour"),
                       ("thin.png", "15x40 pixels, smaller than the window")):  # fmt: skip
        argv = ["train", str(tmp_path / name), "--run", str(tmp_path / "run"), "--steps", "1"]
        assert main([*argv, *FLAGS, windows]) == 1
        assert says in capsys.readouterr().err


def test_a_texture_is_completed_from_its_latent_map(pair: CoopNets) -> None:
    """Inference of a whole map of latent numbers explains better what is visible."""
    x = pair.generate(1)
    hidden = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    hidden[..., 4:8, 4:8] = True
    seen = ~hidden.expand_as(x)
    errors = []
    for steps in (1, 60):
        completer = pair.completer(method="generator", search=Search(steps=steps, sigma=0.05))
        decoded = completer.decoded(x, hidden, 0, None)
        errors.append(float((decoded - x)[seen].square().mean()))
    assert errors[1] < 0.5 * errors[0]
    found = pair.complete(x, hidden, method="both", langevin_steps=2)
    assert torch.equal(found[seen], x[seen])


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_scores_of_whole_pictures_are_refused(
    command: str, run: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = {
        "evaluate": ["evaluate", str(run), "--data", str(picture), "--split", "train"],
        "compare": ["compare", str(picture), "--preset", "texture", "--out", str(tmp_path / "c"),
                    "--max-time", "1s", "--split", "train"],
    }[command]  # fmt: skip
    capsys.readouterr()
    assert main(argv) == 1
    said = capsys.readouterr().err
    assert "learns windows of pictures" in said and said.count("\n") == 1
    assert not (tmp_path / "c").exists()


def test_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheet.png"
    assert main(["sample", str(run), "--size", "24x40", "--out", str(out)]) == 0
    assert Image.open(out).size == (40, 24)
    assert main(["sample", str(run), "--size", "16", "--tile", "-n", "2", "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["sample", str(run), "--size", "big", "--out", str(out)]) == 1
    assert "--size 'big' is no size" in capsys.readouterr().err


def test_sizes_in_words() -> None:
    assert sides("512x768") == (512, 768) and sides("64") == (64, 64)
    for wrong in ("", "0", "5x", "3x0", "-4", "1.5"):
        with pytest.raises(CoopNetsError):
            sides(wrong)
