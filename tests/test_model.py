"""A trained pair: saved, loaded, shared, and safe to load."""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from coopnets import CoopNets, checkpoint, pretrained
from coopnets import model as model_module
from coopnets.config import to_dict
from coopnets.errors import RunError
from coopnets.models import Descriptor, Generator
from coopnets.pretrained import WEIGHTS
from coopnets.runfolder import RunFolder
from small import tiny


@pytest.fixture
def export(model: CoopNets, tmp_path: Path) -> Path:
    return model.save_pretrained(tmp_path / "export")


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """A pair with a latent plane, untrained."""
    torch.manual_seed(0)
    config = tiny(generator={"latent": 2, "init_std": 0.3}, langevin={"s": None})
    weights = {
        "descriptor": Descriptor(config.descriptor, 8, 1).state_dict(),
        "generator": Generator(config.generator, 8, 1).state_dict(),
    }
    return CoopNets(config, weights).save_pretrained(tmp_path / "flat")


def test_round_trip_gives_identical_samples(model: CoopNets, export: Path) -> None:
    again = CoopNets.from_pretrained(export)
    data = {**model.about["data"], "source": Path(model.about["data"]["source"]).name}
    assert again.config == model.config
    assert again.about == {**model.about, "data": data}  # where the data lay stays private
    assert torch.equal(again.sample(4, seed=2), model.sample(4, seed=2))
    assert torch.equal(again.energy(model.sample(2)), model.energy(model.sample(2)))


def test_export_holds_what_a_reader_needs(model: CoopNets, export: Path) -> None:
    assert {p.name for p in export.iterdir()} == {
        "config.json", "README.md", "samples.png", *WEIGHTS.values(),
    }  # fmt: skip
    card = (export / "README.md").read_text()
    assert card.startswith("---\n") and "langevin.delta" in card and "TPAMI 2018" in card
    assert json.loads((export / "config.json").read_text())["config"]["size"] == 8


def test_run_gives_the_averages_of_the_last_checkpoint(trained: Path) -> None:
    model = CoopNets.from_pretrained(trained)
    tensors = checkpoint.whole(RunFolder(trained).checkpoints)[0].tensors()
    assert model.config.ema
    for name, net in (("descriptor", model.descriptor), ("generator", model.generator)):
        for k, v in net.state_dict().items():
            assert torch.equal(v, tensors[f"average.{name}.{k}"])
    assert not torch.equal(
        tensors["average.generator.layers.0.weight"], tensors["network.generator.layers.0.weight"]
    )
    assert model.about["iteration"] == 60 and model.about["data"]["images"] == 40


def test_energy_is_the_formula(model: CoopNets) -> None:
    x = torch.rand(3, 1, 8, 8) * 2 - 1
    s = model.config.langevin.s
    with torch.no_grad():
        by_hand = [float(v.double().square().sum() / (2 * s**2)) for v in x]
        expected = torch.tensor(by_hand) - model.descriptor(x)
    torch.testing.assert_close(model.energy(x), expected)


def test_line_begins_and_ends_in_samples(model: CoopNets) -> None:
    paths = model.interpolate(pairs=3, points=5, seed=9)
    assert paths.shape == (3, 5, 1, 8, 8)
    ends = model.generate(6, seed=9)
    torch.testing.assert_close(paths[:, 0], ends[0::2], rtol=0, atol=1e-6)
    torch.testing.assert_close(paths[:, -1], ends[1::2], rtol=0, atol=1e-6)


def test_sphere_has_samples_at_its_corners(model: CoopNets) -> None:
    grids = model.interpolate(kind="sphere", pairs=2, points=4, seed=9)
    assert grids.shape == (2, 4, 4, 1, 8, 8)
    ends = model.generate(8, seed=9).view(2, 4, 1, 8, 8)
    corners = torch.stack([grids[:, 0, 0], grids[:, 0, -1], grids[:, -1, 0], grids[:, -1, -1]], 1)
    torch.testing.assert_close(corners, ends, rtol=0, atol=1e-5)


def test_plane_shows_what_the_generator_makes_of_it(flat: Path) -> None:
    model = CoopNets.from_pretrained(flat)
    map_ = model.interpolate(kind="plane", points=3)
    assert map_.shape == (1, 3, 3, 1, 8, 8)
    middle = model.generator(torch.zeros(1, 2))
    torch.testing.assert_close(map_[0, 1, 1], middle[0], rtol=0, atol=1e-6)
    right = model.generator(torch.tensor([[0.9674216, 0.0]]))  # the quantile of 5/6
    torch.testing.assert_close(map_[0, 1, 2], right[0], rtol=0, atol=1e-5)
    revised = model.interpolate(kind="plane", points=3, langevin_steps=2)
    moved = (revised - map_).flatten(3)
    # Without reference, and with a descriptor that has learnt nothing, all that moves is noise.
    assert (moved - moved[:, :1, :1]).square().mean() < 0.1 * moved.square().mean()
    assert moved.square().mean().sqrt() > 0.5 * 2**0.5 * model.config.langevin.delta


def test_plane_of_other_latent_vectors_is_refused(model: CoopNets) -> None:
    with pytest.raises(RunError, match="this model has 6:"):
        model.interpolate(kind="plane")


def test_noise_is_common_along_a_path(export: Path) -> None:
    """Where the proposals are equal, so are the revisions: no flicker of noise along a path."""
    model = CoopNets.from_pretrained(export)
    for p in model.generator.parameters():
        p.zero_()
    paths = model.interpolate(pairs=2, points=4, langevin_steps=3)
    torch.testing.assert_close(paths, paths[:, :1].expand_as(paths), rtol=0, atol=1e-6)
    assert not torch.allclose(paths[0], paths[1]) and paths.any()


def test_long_paths_are_drawn_in_parts(model: CoopNets, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = model.interpolate(pairs=2, points=7, langevin_steps=3)
    monkeypatch.setattr(model_module, "TOGETHER", 3)
    parts = model.interpolate(pairs=2, points=7, langevin_steps=3)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)


def test_push_uploads_weights_and_card(model: CoopNets, monkeypatch: pytest.MonkeyPatch,
                                       tmp_path: Path) -> None:  # fmt: skip
    done: dict[str, Any] = {}

    class Hub:
        def __init__(self, token: str | None = None) -> None:
            done["token"] = token

        def create_repo(self, repo_id: str, **settings: bool) -> None:
            done["created"] = (repo_id, settings)

        def upload_folder(self, *, repo_id: str, folder_path: Path) -> str:
            done["files"] = {p.name: p.read_bytes() for p in Path(folder_path).iterdir()}
            return f"https://hub/{repo_id}"

    monkeypatch.setattr(model_module, "HfApi", Hub)
    monkeypatch.chdir(tmp_path)
    assert model.push_to_hub("me/digits", private=True, token="t") == "https://hub/me/digits"
    assert done["created"] == ("me/digits", {"private": True, "exist_ok": True})
    assert done["token"] == "t"
    assert {"README.md", "config.json", *WEIGHTS.values()} <= set(done["files"])
    assert b"CoopNets" in done["files"]["README.md"]
    assert not list(tmp_path.iterdir())  # nothing is left behind


def test_download_takes_no_code_and_no_pickle(
    export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def download(repo_id: str, *, allow_patterns: list[str]) -> str:
        asked.update(repo_id=repo_id, patterns=allow_patterns)
        return str(export)

    monkeypatch.setattr(pretrained, "snapshot_download", download)
    assert CoopNets.from_pretrained("me/digits").config.size == 8
    assert asked == {"repo_id": "me/digits", "patterns": ["*.json", "*.safetensors"]}


class Malice:
    """Touches a file when unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.file,))


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_pickles_are_never_run(export: Path, tmp_path: Path, kind: str) -> None:
    mark, file = tmp_path / "executed", export / WEIGHTS["generator"]
    if kind == "pickle":
        file.write_bytes(pickle.dumps(Malice(mark)))
    else:
        torch.save({"a": Malice(mark)}, file)
    with pytest.raises(RunError):
        CoopNets.from_pretrained(export)
    assert not mark.exists()


def test_pickled_checkpoint_is_never_run(trained: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    mark = tmp_path / "executed"
    for path in (run / "checkpoints").iterdir():
        (path / checkpoint.TENSORS).write_bytes(pickle.dumps(Malice(mark)))
    with pytest.raises(RunError, match="no whole checkpoint"):
        CoopNets.from_pretrained(run)
    assert not mark.exists()


def break_json(export: Path) -> None:
    (export / "config.json").write_text("{")


def other_setting(export: Path) -> None:
    content = json.loads((export / "config.json").read_text())
    content["config"]["warp"] = 9
    (export / "config.json").write_text(json.dumps(content))


def without_about(export: Path) -> None:
    content = json.loads((export / "config.json").read_text())
    del content["about"]
    (export / "config.json").write_text(json.dumps(content))


def other_size(export: Path) -> None:
    content = json.loads((export / "config.json").read_text())
    content["config"]["size"] = 16
    (export / "config.json").write_text(json.dumps(content))


def swapped(export: Path) -> None:
    shutil.copy(export / WEIGHTS["descriptor"], export / WEIGHTS["generator"])


def truncated(export: Path) -> None:
    file = export / WEIGHTS["descriptor"]
    file.write_bytes(file.read_bytes()[:-4])


def absent(export: Path) -> None:
    (export / WEIGHTS["descriptor"]).unlink()


@pytest.mark.parametrize(
    "damage",
    [break_json, other_setting, without_about, other_size, swapped, truncated, absent],
)
def test_damaged_model_is_an_error_of_one_line(export: Path, damage: Any) -> None:
    damage(export)
    with pytest.raises(RunError) as error:
        CoopNets.from_pretrained(export)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["no/such/folder", "nowhere", "nobody/nothing", "runs/x y"])
def test_unknown_path_is_an_error_of_one_line(name: str) -> None:
    with pytest.raises(RunError) as error:
        CoopNets.from_pretrained(name)
    assert "\n" not in str(error.value) and name in str(error.value)


def test_weights_do_not_ask_for_gradients(model: CoopNets) -> None:
    nets = (model.descriptor, model.generator)
    assert not any(p.requires_grad for net in nets for p in net.parameters())
    assert not any(net.training for net in nets)


def test_model_from_parts(model: CoopNets) -> None:
    weights: dict[str, dict[str, Tensor]] = {
        "descriptor": model.descriptor.state_dict(), "generator": model.generator.state_dict(),
    }  # fmt: skip
    again = CoopNets(model.config, weights)
    torch.testing.assert_close(again.generate(2), model.generate(2))
    assert to_dict(again.config) == to_dict(model.config)
