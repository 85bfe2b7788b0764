"""The commands of the experiments are accepted, and their tables go into their READMEs."""

import importlib.util
import json
import re
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from coopnets.cli import compare as cli
from coopnets.errors import CoopNetsError
from coopnets.evaluate import Extractor, features

FOLDER = Path(__file__).parents[2] / "experiments"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """experiments/make.py, with a copy of the READMEs to write into."""
    spec = importlib.util.spec_from_file_location("make_experiments", FOLDER / "make.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    shutil.copytree(FOLDER, tmp_path / "experiments")
    monkeypatch.setattr(module, "HERE", tmp_path / "experiments")
    return module


NAMES = {"digits": (28, "mnist"), "cifar10": (32, "cifar10"), "celeba": (64, "celeba"),
         "lsun-bedroom": (64, "lsun-bedroom")}  # fmt: skip


@pytest.mark.parametrize("official", [None, "weights.pth"])
@pytest.mark.parametrize("name", NAMES)
def test_commands_are_accepted(
    make: ModuleType, name: str, official: str | None, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    asked: list[Any] = []

    def open_images(source: str, **how: Any) -> None:
        asked.append((how["size"], source))
        raise CoopNetsError("far enough")

    monkeypatch.setattr(cli, "open_images", open_images)
    monkeypatch.setattr(sys, "argv", ["make.py"])
    more = ["--official", official] if official else []
    assert make.main([name, *more, "--moments", "3"]) == 1
    assert sys.argv[:2] == ["coopnets", "compare"]
    assert asked == [NAMES[name]] and "far enough" in capsys.readouterr().err
    argv = make.command(name, None, None, official, ["--moments", "3"])
    assert len({w for w in argv if w.startswith("--")}) == sum(w.startswith("--") for w in argv)
    last = dict(pairwise(argv))
    assert last["--moments"] == "3" and last["--out"] == f"runs/{name}"
    assert last["--samples"] == ("50000" if official else "10000")
    assert last["--features"] == ("inception" if official else "efficientnet-lite0")
    if official:
        assert last["--inception-weights"] == official
        assert last.get("--split") == ("train" if name != "digits" else None)


def test_an_option_given_twice_counts_once(make: ModuleType) -> None:
    more = ["--max-time=1m", "--samples", "20", "--generator.channels", "8", "8", "--no-parzen"]
    argv = make.command("digits", "x.npz", "there", None, more)
    assert argv[:4] == ["compare", "x.npz", "--out", "there"]
    assert " --max-time 1m " in " ".join(argv) and "30m" not in argv and "10000" not in argv
    assert " --generator.channels 8 8 --no-parzen" in " ".join(argv)


def slot(text: str, name: str) -> str:
    found = re.search(rf"<!-- table {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert found
    return found[1]


def test_table_is_written_beside_the_published_figures(
    make: ModuleType, carried_out: Any, clock: Any, tmp_path: Path
) -> None:
    outcome = carried_out(methods="coopnets,dcgan,vae,generator")
    readme = tmp_path / "experiments" / "benchmarks" / "README.md"
    before = readme.read_text()
    argv = ["cifar10", "--table", str(tmp_path / "out" / "table.json")]
    assert make.main(argv) == 0
    after = readme.read_text()
    written = slot(after, "cifar10")
    published = {"DCGAN": "37.70", "VAE": "126.32", "CoopNets generator": "35.25",
                 "CoopNets descriptor": "33.61", "generator alone": "–"}  # fmt: skip
    for row in outcome["rows"]:
        score = f"{row['record']['scores']['FD (small)']:.4g}"
        assert f"| {row['row']} | {published[row['row']]} | 12 | 2 s | {score} |" in written
    assert "| training images | – |" in written and "1 thread" in written
    assert str(tmp_path) not in after and "x.npz, split test, 30 images" in written
    assert "`coopnets compare x.npz --out out" in written
    for warning in outcome["warnings"]:
        assert f"- {warning}" in written
    others = ("celeba", "lsun-bedroom", "cifar10 official")
    assert all(slot(after, name) == slot(before, name) for name in others)
    assert make.main([*argv, "--called", "CIFAR-10, as JPEG"]) == 0
    again = slot(readme.read_text(), "cifar10")
    assert "CIFAR-10, as JPEG, split test" in again
    assert again.count("| DCGAN |") == written.count("| DCGAN |") == 1
    assert "- Langevin steps of a sample: CoopNets descriptor " in again


def test_pictures_to_compare_with_keep_their_file_in_the_table(make: ModuleType) -> None:
    """Under one name for both, held-out pictures would read as those of the training."""
    outcome = {"data": {"source": "/here/train.zip"}, "real": {"source": "/here/test.zip"},
               "command": "coopnets compare /here/train.zip"}  # fmt: skip
    told = make._without_paths(outcome, "Faces")
    assert told["data"]["source"] == "Faces (train.zip)"
    assert told["real"]["source"] == "Faces (test.zip)"
    assert make._without_paths(outcome, None)["real"]["source"] == "test.zip"
    one = make._without_paths({**outcome, "real": outcome["data"]}, "Faces")
    assert one["data"]["source"] == one["real"]["source"] == "Faces"


def test_official_fid_has_a_table_of_its_own(
    make: ModuleType, command: Any, clock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coopnets.cli import main

    matrix = torch.randn(64, 5, generator=torch.Generator().manual_seed(0)).double()
    stand_in = Extractor(
        "inception", "none", "0" * 64, lambda x: (x.flatten(1).double() @ matrix / 255, None), True
    )
    monkeypatch.setattr(features, "inception", lambda weights, device: stand_in)
    more = ["--features", "inception", "--inception-weights", "given.pth"]
    assert main(command(*more, methods="coopnets,vae")) == 0
    table = tmp_path / "out" / "table.json"
    assert "| FID |" in (tmp_path / "out" / "table.md").read_text()
    assert make.main(["cifar10", "--table", str(table)]) == 0
    text = (tmp_path / "experiments" / "benchmarks" / "README.md").read_text()
    assert "| FID |" in slot(text, "cifar10 official")
    before = (FOLDER / "benchmarks" / "README.md").read_text()
    assert slot(text, "cifar10") == slot(before, "cifar10")
    with pytest.raises(SystemExit) as exit_:
        make.main(["digits", "--table", str(table)])
    assert "no place for the table digits official" in str(exit_.value)


def test_published_figures_are_those_of_the_readme() -> None:
    known = json.loads((FOLDER / "benchmarks" / "published.json").read_text())
    text = (FOLDER / "benchmarks" / "README.md").read_text()
    for row in known["cifar10"]:
        figures = [known[name][row] for name in ("lsun-bedroom", "celeba", "cifar10")]
        assert f"| {row} | " + " | ".join(f"{f:.2f}" for f in figures) + " |" in text
