"""The commands on runs of the other methods."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from coopnets import CoopNets
from coopnets.cli import main
from coopnets.config import SAMPLED_BY
from coopnets.data import to_pixels
from coopnets.errors import RunError
from coopnets.pretrained import WEIGHTS
from small import train_command

Out = pytest.CaptureFixture[str]
CRITIC = [
    "--critic.channels",
    "8",
    "8",
    "--critic.kernels",
    "4",
    "4",
    "--critic.strides",
    "2",
    "2",
]
MORE = {
    "dcgan": CRITIC,
    "wgan": [*CRITIC, "--wgan.critic-steps", "2"],
    "vae": [],
    "generator": ["--posterior.steps", "3"],
    "descriptor": [],
}
GENERATING = sorted(set(MORE) - {"descriptor"})


@pytest.fixture(scope="module")
def runs(array: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny training by each method, not to be written to."""
    folder = tmp_path_factory.mktemp("methods")
    for method, more in MORE.items():
        argv = train_command(array, folder / method, "--method", method, *more, steps=10)
        assert main(argv) == 0
    return {method: folder / method for method in MORE}


def refused(capsys: Out, argv: list[str]) -> str:
    """The one line that a refused command says."""
    capsys.readouterr()
    assert main(argv) == 1
    said = capsys.readouterr().err
    assert said.startswith("coopnets: ") and said.count("\n") == 1
    return said


@pytest.mark.parametrize("method", MORE)
def test_info_names_the_method_and_its_settings_alone(
    method: str, runs: dict[str, Path], capsys: Out
) -> None:
    assert main(["info", str(runs[method])]) == 0
    told = capsys.readouterr().out
    assert f"method {method}" in told and "10 iterations" in told
    assert ("langevin.steps" in told) == (method == "descriptor")
    assert ("wgan.clip" in told) == (method == "wgan")
    assert ("generator.channels" in told) == (method != "descriptor")
    assert "(preset: 0.01)" not in told  # the recipe is no change of the user's
    assert main(["info", str(runs[method]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["config"]["method"] == method


@pytest.mark.parametrize("method", MORE)
def test_presets_show_the_recipe_of_a_method(method: str, capsys: Out) -> None:
    assert main(["presets", "digits", "--method", method]) == 0
    shown = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert shown["method"] == method and shown["size"] == "28"
    assert ("critic_optimizer.lr" in shown) == (method in ("dcgan", "wgan"))
    assert main(["presets", "digits", "--method", method, "--json"]) == 0
    stored = json.loads(capsys.readouterr().out)["digits"]
    assert stored["method"] == method
    if "critic_optimizer.lr" in shown:
        assert float(shown["critic_optimizer.lr"]) == stored["critic_optimizer"]["lr"]


def test_unknown_method_names_the_known_ones(capsys: Out) -> None:
    for argv in (["presets", "digits", "--method", "gan"],
                 ["train", "x.npy", "--run", "r", "--steps", "1", "--method", "gan"]):  # fmt: skip
        assert "dcgan" in refused(capsys, argv)


@pytest.mark.parametrize("method", MORE)
def test_sample_draws_what_the_method_has(
    method: str, runs: dict[str, Path], tmp_path: Path, capsys: Out
) -> None:
    out = tmp_path / "s.npz"
    assert main(["sample", str(runs[method]), "--out", str(out), "-n", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == SAMPLED_BY[method][-1]
    samples = CoopNets.from_pretrained(runs[method]).sample(5)
    assert len(samples.flatten(1).unique(dim=0)) == 5
    with np.load(out) as archive:
        found = archive["images"].astype(int)
    assert np.abs(found - to_pixels(samples).numpy()).max() <= 1
    other = "descriptor" if method != "descriptor" else "generator"
    argv = ["sample", str(runs[method]), "--out", str(out), "--source", other]
    assert f"the method {method} has no {other}" in refused(capsys, argv)


def test_langevin_steps_are_those_of_a_descriptor(
    runs: dict[str, Path], tmp_path: Path, capsys: Out
) -> None:
    found = []
    for steps in ("0", "3", "40"):
        out = tmp_path / f"{steps}.npz"
        argv = ["sample", str(runs["descriptor"]), "--out", str(out), "-n", "4",
                "--langevin-steps", steps]  # fmt: skip
        assert main(argv) == 0
        found.append(np.load(out)["images"].astype(int))
    assert np.abs(found[0] - found[1]).max() > 0 and np.abs(found[1] - found[2]).max() > 0
    for method in GENERATING:
        argv = ["sample", str(runs[method]), "--out", str(tmp_path / "x.png"),
                "--langevin-steps", "3"]  # fmt: skip
        assert f"the method {method} has no descriptor" in refused(capsys, argv)
        assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("method", GENERATING)
@pytest.mark.parametrize("kind", ["linear", "sphere"])
def test_interpolate_by_a_generator_alone(
    method: str, kind: str, runs: dict[str, Path], tmp_path: Path, capsys: Out
) -> None:
    out = tmp_path / "between.png"
    argv = ["interpolate", str(runs[method]), "--out", str(out), "--kind", kind, "--pairs", "2",
            "--points", "3"]  # fmt: skip
    assert main(argv) == 0
    rows = 2 if kind == "linear" else 6
    assert Image.open(out).size == (3 * 10 + 2, rows * 10 + 2)
    assert "has no descriptor" in refused(capsys, [*argv, "--langevin-steps", "2"])


def test_interpolate_without_a_generator_is_refused(
    runs: dict[str, Path], tmp_path: Path, capsys: Out
) -> None:
    out = tmp_path / "between.png"
    said = refused(capsys, ["interpolate", str(runs["descriptor"]), "--out", str(out)])
    assert "the method descriptor has no generator" in said and not out.exists()
    model = CoopNets.from_pretrained(runs["descriptor"])
    with pytest.raises(RunError, match="has no generator"):
        model.generate(2)
    x = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(model.energy(x), -model.descriptor(x))  # without reference


def test_energy_without_a_descriptor_is_refused(runs: dict[str, Path]) -> None:
    for method in GENERATING:
        with pytest.raises(RunError, match=f"the method {method} has no descriptor"):
            CoopNets.from_pretrained(runs[method]).energy(torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize("method", MORE)
def test_what_is_saved_is_the_networks_that_samples_come_from(
    method: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    model = CoopNets.from_pretrained(runs[method])
    export = model.save_pretrained(tmp_path / "export")
    weights = {p.name for p in export.glob("*.safetensors")}
    assert weights == {WEIGHTS[name] for name in SAMPLED_BY[method]}
    again = CoopNets.from_pretrained(export)
    assert torch.equal(again.sample(5, seed=3), model.sample(5, seed=3))
    card = (export / "README.md").read_text()
    assert f"# {method} by coopnets" in card and "MCMC teaching" not in card
    assert re.search(r"N(eur)?IPS|ICLR|ICML|AAAI", card)
    assert ("langevin.delta" in card) == (method == "descriptor")


@pytest.mark.parametrize("method", MORE)
def test_run_leaves_grids_and_a_report_of_its_own(method: str, runs: dict[str, Path]) -> None:
    side = 8 * 10 + 2
    for grid in (runs[method] / "grids").iterdir():
        assert Image.open(grid).size == (2 * side + 12, side)
    text = (runs[method] / "report.html").read_text()
    assert f"{method} ·" in text and "Samples</b>" in text
    assert main(["report", str(runs[method])]) == 0


def test_settings_of_other_methods_are_taken_and_ignored(
    array: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    """One list of flags serves all methods: what a method does not use changes nothing."""
    again = tmp_path / "vae"
    argv = train_command(array, again, "--method", "vae", "--wgan.clip", "0.5",
                         "--langevin.delta", "0.01", steps=10)  # fmt: skip
    assert main(argv) == 0
    a, b = (CoopNets.from_pretrained(run) for run in (runs["vae"], again))
    assert torch.equal(a.sample(3), b.sample(3))


def test_another_method_does_not_go_on_in_the_same_run(
    array: Path, runs: dict[str, Path], capsys: Out
) -> None:
    argv = train_command(array, runs["vae"], "--method", "generator", steps=12)
    assert "method: vae -> generator" in refused(capsys, argv)
