"""The experiment with dynamic textures on tiny models: its figures, its resumption, refusals."""

import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments" / "dynamic-textures"))

import make
from dynamic import figures, work
from dynamic.figures import draw_clip, draw_spectra
from dynamic.layout import markdown, verdicts, wins
from dynamic.sources import find
from dynamic.systems import load_clips, save_clips
from matplotlib.figure import Figure

from coopnets.data import to_pixels, to_unit
from coopnets.errors import CoopNetsError, DivergenceError
from coopnets.evaluate import open_extractor
from coopnets.evaluate.motion import energy, look_at, measure, reconstruction, seam
from coopnets.lds import learn
from coopnets.model import CoopNets
from small import CLIP_FLAGS

TINY = [
    *CLIP_FLAGS, "--langevin.steps", "2", "--batch-size", "2", "--chains", "2", "--steps", "4",
]  # fmt: skip
"""A model of clips that learns for a second."""
BOTH = ("spectra.png", "loops.gif")
"""Figures of all clips."""
SYSTEMS = (*work.OURS, "lds-5", "lds-3")
Err = pytest.CaptureFixture[str]


def moving(count: int, seed: int) -> np.ndarray:
    """Drifting waves with grain, uint8 (count, 12, 12, 3)."""
    rng = np.random.default_rng(seed)
    t, y, x = np.meshgrid(np.arange(count), np.arange(12), np.arange(12), indexing="ij")
    wave = np.sin(0.6 * t + 0.5 * x + seed) + np.sin(0.35 * t - 0.5 * y)
    wave = wave[..., None] * [50, 40, 30] + 128 + rng.normal(0, 4, (count, 12, 12, 3))
    return wave.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long clip and a short one."""
    folder = tmp_path_factory.mktemp("videos")
    for name, count, seed in (("long", 80, 0), ("short", 40, 1)):
        frames = [Image.fromarray(frame) for frame in moving(count, seed)]
        frames[0].save(folder / f"{name}.webp", save_all=True, append_images=frames[1:],
                       duration=40, loop=0, lossless=True)  # fmt: skip
    (folder / "README.txt").write_text("no clip")
    return folder


@pytest.fixture
def argv(videos: Path, network: Callable[[int], str], tmp_path: Path) -> list[str]:
    return ["--videos", str(videos), "--out", str(tmp_path / "out"), "--minutes", "9",
            "--size", "8", "--windows", "20", "--samples", "2", "--states", "5", "3",
            "--latent-steps", "6", "--starts", "2", "--features", network(3), *TINY]  # fmt: skip


def table(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "out" / "table.json").read_text())
    return found


def test_figures_are_of_what_they_say(argv: list[str], tmp_path: Path) -> None:
    assert make.main([*argv, "--publish", str(tmp_path / "shown")]) == 0
    found = table(tmp_path)
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == ["long", "short"]
    row, folder = rows["long"], tmp_path / "out" / "long"
    assert row["clip"]["learnt"] == 80 and row["clip"]["frames"] == 32 and row["clip"]["fps"] == 25
    model = CoopNets.from_pretrained(folder / "run")
    original = torch.from_numpy(
        work.open_observed(model.config, argv[1] + "/long.webp", "train", None, None, False,
                           lambda _: None).clips[0]
    )  # fmt: skip
    drawn = {name: load_clips(folder / f"{name}.npz") for name in SYSTEMS}
    for i in range(2):
        pair = next(iter(model.stream(1, seed=0, first=i)))
        for name, x in zip(("generator", "revised"), pair, strict=True):
            assert torch.equal(drawn[name]["clips"][i], to_pixels(x[0]))
    system = learn([to_unit(original)], 5)
    assert torch.equal(drawn["lds-5"]["clips"][1], to_pixels(system.sample(32, 1)))
    assert drawn["lds-5"]["long"].shape == (3, 128, 8, 8)
    seen = look_at([original], open_extractor(argv[argv.index("--features") + 1]), count=20)
    for name in SYSTEMS:
        by_hand = measure(drawn[name]["clips"][1], seen, 1)
        entry = row["measured"][name][1]
        assert {k: entry[k] for k in by_hand} == pytest.approx(by_hand, rel=1e-4)
        assert row["long"][name]["energy"] == pytest.approx(
            energy(drawn[name]["long"][:, -32:]) / energy(original)
        )
    assert row["measured"]["itself"][0]["energy"] == pytest.approx(1)
    assert row["measured"]["itself"][0]["copy"] == pytest.approx(1)
    assert len(row["measured"]["piece"]) == 2 and rows["short"]["measured"]["piece"] == []
    loop = drawn["revised"]["loop"]
    assert row["loop"]["revised"]["seam"] == pytest.approx(seam(loop))
    again = load_clips(folder / "reconstructed-generator.npz")["clip"]
    psnr, ssim = reconstruction(again, original[:, :32])
    entry = row["reconstructed"]["generator"]
    assert (entry["psnr"], entry["ssim"]) == (psnr, ssim)
    assert entry["numbers"] == math.prod(model.generator.latent_shape)
    text = (tmp_path / "out" / "table.md").read_text()
    assert f"| {psnr:.2f} | {ssim:.3f} |" in text and str(tmp_path) not in text
    assert "± is their standard deviation" in text and "linear system, 5 states" in text
    assert {k: v["of"] for k, v in found["better"].items()} == {"lds-5": 2, "lds-3": 2}
    assert (tmp_path / "out" / "spectra.png").exists() and (folder / "sheet.png").exists()
    kinds = [f"{n}-{k}.gif" for n in rows for k in (*SYSTEMS, "long", "loop") if k != "generator"]
    figures = [f"{name}.png" for name in rows]
    assert {p.name for p in (tmp_path / "out" / "gifs").iterdir()} == set(kinds)
    assert {p.name for p in (tmp_path / "shown").iterdir()} == {*kinds, *figures, *BOTH}
    assert all((tmp_path / "out" / name).exists() for name in BOTH)
    with Image.open(tmp_path / "shown" / "loops.gif") as playing:
        assert playing.n_frames == loop.shape[1]
        assert playing.size[0] > 2 * loop.shape[3] > playing.size[1]  # side by side
    with Image.open(tmp_path / "out" / "gifs" / "long-long.gif") as playing:
        assert playing.n_frames == 128


def test_the_reconstruction_is_nearer_than_any_sample(argv: list[str], tmp_path: Path) -> None:
    assert make.main([*argv, "--clips", "long", "--latent-steps", "40"]) == 0
    folder = tmp_path / "out" / "long"
    first = work.first_frames(folder)
    samples = [
        reconstruction(clip, first)[0] for clip in load_clips(folder / "generator.npz")["clips"]
    ]
    assert table(tmp_path)["rows"][0]["reconstructed"]["generator"]["psnr"] > max(samples)


def test_stopped_commands_go_on(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Err
) -> None:
    usual, measured, looked = work.measure, list[int](), list[int]()

    def stopped(*given: Any) -> Any:
        measured.append(1)
        if len(measured) == 4:
            raise KeyboardInterrupt
        return usual(*given)

    def look(*given: Any, **more: Any) -> Any:
        looked.append(1)
        return look_at(*given, **more)

    monkeypatch.setattr(work, "measure", stopped)
    monkeypatch.setattr(work, "look_at", look)
    assert make.main([*argv, "--clips", "long"]) == 130
    assert "repeat the command" in capsys.readouterr().err
    assert make.main([*argv, "--clips", "long"]) == 0
    each = 4 * (2 + 1) + 2 + 1  # systems: samples and the long one; pieces; itself
    assert len(measured) == each + 1
    rows, seen = table(tmp_path)["rows"], len(looked)
    assert make.main([*argv, "--clips", "long"]) == 0  # nothing is left to do
    assert len(measured) == each + 1 and len(looked) == seen
    assert table(tmp_path)["rows"] == rows
    assert make.main([*argv, "--clips", "long", "--states", "5", "4"]) == 0
    assert len(measured) == each + 1 + 3  # the linear system alone is another


def test_a_training_that_diverged_is_lost_and_the_others_go_on(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = work.trained

    def unlucky(video: Path, run: Path, *more: Any) -> CoopNets:
        if "long" in video.name:
            raise DivergenceError("diverged at iteration 9 (NaN): gave up after 5 tries")
        return usual(video, run, *more)

    monkeypatch.setattr(work, "trained", unlucky)
    assert make.main(argv) == 0
    found = table(tmp_path)
    assert [bool(row["failed"]) for row in found["rows"]] == [True, False]
    assert found["better"]["lds-5"]["of"] == 2
    text = (tmp_path / "out" / "table.md").read_text()
    assert "- long: diverged at iteration 9 (NaN): gave up" in text
    assert "| long | linear system, 5 states | no | no | no | no |" in text


def test_a_training_that_is_refused_ends_the_command(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Err
) -> None:
    """Whatever an earlier one of the same folder ended with."""

    def refused(video: Path, run: Path, *more: Any) -> CoopNets:
        run.mkdir(parents=True)
        (run / "log.txt").write_text("diverged at iteration 9 (NaN): gave up after 5 tries\n")
        raise CoopNetsError("the training failed, as said above")

    monkeypatch.setattr(work, "trained", refused)
    assert make.main(argv) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "dynamic-textures: the training failed, as said above"
    )
    assert not (tmp_path / "out" / "table.md").exists()


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Those that were begun."""
    begun: list[Path] = []

    def trained(video: Path, *more: Any) -> CoopNets:
        begun.append(video)
        raise KeyboardInterrupt

    monkeypatch.setattr(work, "trained", trained)
    return begun


def test_clips_that_cannot_be_used_are_told_before_the_first_training(
    argv: list[str], tmp_path: Path, videos: Path, capsys: Err, trainings: list[Path]
) -> None:
    folder = tmp_path / "videos"
    shutil.copytree(videos, folder)
    (folder / "broken.avi").write_bytes(b"no video")
    still = np.full((40, 12, 40, 3), 90, np.uint8)
    still[:, :, 0] = np.arange(40)[:, None, None]  # beyond the square that is cut out
    for name, frames in (("brief", moving(20, 0)), ("still", still)):
        pictures = [Image.fromarray(frame) for frame in frames]
        pictures[0].save(folder / f"{name}.apng", format="PNG", save_all=True,
                         append_images=pictures[1:], duration=40)  # fmt: skip
    assert make.main([*argv, "--videos", str(folder)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 4 and not trainings
    assert said[0].startswith("brief.apng cannot be used: 20 frames, 32 wanted")
    assert said[1].startswith("broken.avi cannot be used: ")
    assert said[2] == "still.apng does not move: all its frames are the same"
    assert said[3] == (
        "dynamic-textures: 3 of 5 clips cannot be used, as said: leave them out by --clips long "
        "short"
    )
    assert make.main([*argv, "--videos", str(folder), "--clips", "long", "short"]) == 130
    assert len(trainings) == 1


def test_sheets_to_publish_have_no_original(tmp_path: Path) -> None:
    clip = torch.full((3, 32, 8, 8), 90, dtype=torch.uint8)
    for name in SYSTEMS:
        save_clips(tmp_path / f"{name}.npz", {"clips": clip[None]})
    save_clips(tmp_path / "reconstructed-generator.npz", {"clip": clip})
    draw_clip(SYSTEMS, tmp_path, torch.full_like(clip, 90).clone(), tmp_path / "with.png")
    draw_clip(SYSTEMS, tmp_path, None, tmp_path / "without.png")
    heights = [Image.open(tmp_path / f"{name}.png").height for name in ("with", "without")]
    assert heights[0] > heights[1]


def test_every_linear_system_has_a_curve_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, file: drawn.append(figure))
    systems = [f"lds-{n}" for n in range(6)]
    measured = {s: [{"curve": [1.0, 2.0, 3.0]}] for s in (*figures.COLOURS, *systems)}
    found = {"name": "x", "failed": None, "clip": {"fps": 25}, "linear": dict.fromkeys(systems),
             "measured": measured}  # fmt: skip
    draw_spectra([found], Path("spectra.png"))
    lines = drawn[0].axes[0].get_lines()
    assert len(lines) == len(figures.COLOURS) + 6
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(lines)


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("generator", "drawn-pair"), ("revised", "drawn-pair"), ("lds-5", "lds-5"),
        ("reconstructed-lds-5", "lds-5"), ("reconstructed-generator", "reconstructed-generator"),
        ("original", None),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_with_its_record(
    tmp_path: Path, name: str, record: str | None
) -> None:
    """And nothing else: the training lies in the same folder."""
    for other in ("drawn-pair", "lds-5", "reconstructed-generator"):
        (tmp_path / f"{other}.json").write_text("{}")
    (tmp_path / f"{name}.npz").write_bytes(b"no archive")
    with pytest.raises(CoopNetsError) as refused:
        load_clips(tmp_path / f"{name}.npz")
    beside = f" and {record}.json beside it" if record else ""
    assert str(refused.value).endswith(f": remove it{beside}, and repeat the command")


def row(ours: dict[str, list[float]], theirs: dict[str, list[float]]) -> dict[str, Any]:
    def entries(values: dict[str, list[float]]) -> list[dict[str, float]]:
        count = len(values["energy"])
        return [{"frames KD": 0, "differences KD": 0, "copy": 0.5,
                 **{k: v[i] for k, v in values.items()}} for i in range(count)]  # fmt: skip

    measured = {"revised": entries(ours), "generator": entries(ours), "lds-9": entries(theirs),
                "piece": [], "itself": entries(theirs)}  # fmt: skip
    return {"name": "x", "failed": None, "measured": measured}


def values(frames: Any, differences: Any, spectrum: Any, energy: Any) -> dict[str, list[float]]:
    return {"frames FD": frames, "differences FD": differences, "spectrum": spectrum,
            "energy": energy}  # fmt: skip


def test_who_is_better() -> None:
    """Energy is judged by its factor from 1; clear is worst against best; a failure is lost."""
    theirs = values([4.0, 5.0], [4.0, 5.0], [2.0, 2.0], [0.5, 0.5])
    found = verdicts(row(values([3.0, 3.9], [4.4, 4.4], [2.0, 2.1], [1.9, 1.9]), theirs), "lds-9")
    assert {k: (v["better"], v["clear"]) for k, v in found.items()} == {
        "frames FD": (True, True), "differences FD": (True, False), "spectrum": (False, False),
        "energy": (True, True),
    }  # fmt: skip
    still = verdicts(row(values([1.0], [1.0], [1.0], [0.0]), theirs), "lds-9")
    assert not still["energy"]["better"] and still["frames FD"]["better"]
    all_better = row(values([1.0], [1.0], [1.0], [1.0]), theirs)
    failed = {"name": "y", "failed": "why"}
    assert wins([all_better, failed], "lds-9") == {
        "better": dict.fromkeys(found, 1), "clear": dict.fromkeys(found, 1), "all": 1, "of": 2,
    }  # fmt: skip
    assert "## Failed\n\n- y: why" in markdown([failed], {"seed": 0})


def test_pieces_are_measured_against_all_else() -> None:
    clip = torch.arange(200, dtype=torch.uint8).view(1, 200, 1, 1)
    other = clip[:, :50]
    (first, rest), (last, before) = work.pieces([clip, other], 64)
    assert first.flatten().tolist() == list(range(64))
    assert [r.flatten().tolist() for r in rest] == [list(range(64, 200)), list(range(50))]
    assert last.flatten().tolist() == list(range(136, 200))
    assert [len(b.flatten()) for b in before] == [136, 50]
    halves = work.pieces([clip[:, :64]], 64)
    assert [len(p.flatten()) for p, _ in halves] == [32, 32]
    assert work.pieces([clip[:, :60]], 64) == []
    stopped = torch.cat([clip[:, :64], clip[:, 63:64].expand(-1, 80, -1, -1)], 1)
    assert [len(p.flatten()) for p, _ in work.pieces([stopped], 64)] == [64]  # the last alone


def test_clips_are_found_by_name(videos: Path, tmp_path: Path) -> None:
    assert list(find(videos, [])) == ["long", "short"]
    assert list(find(videos, ["short"]).values()) == [videos / "short.webp"]
    shutil.copy(videos / "long.webp", tmp_path / "long.webp")
    shutil.copy(videos / "long.webp", tmp_path / "long.gif")
    with pytest.raises(CoopNetsError, match="two clips are called long"):
        find(tmp_path, [])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--videos", "nowhere"], "nowhere is no folder"),
        (["--clips", "magic"], "choose among long, short"),
        (["--minutes", "0"], "--minutes"),
        (["--samples", "0"], "--samples"),
        (["--starts", "0"], "--starts"),
        (["--threads", "0"], "--threads"),
        (["--features", "magic"], "magic"),
        (["--frames", "28"], "--frames 28: measures take 32 or more"),
        (["--frames", "0"], "these settings learn pictures"),
        (["--method", "descriptor"], "clips are drawn by both networks"),
        (["--generator.clips", "ST"], "give for instance --generator.channels"),
        (["--size", "9"], "--size 8 or 12 would do"),
        (["--limit", "1"], "--limit: the experiment sets that itself"),
        (["--out", "FILE"], "as a run folder: File exists"),
        (["--publish", "FILE"], "is no folder"),
    ],
)
def test_impossible_experiments(
    argv: list[str], tmp_path: Path, capsys: Err, trainings: list[Path], change: list[str],
    says: str,
) -> None:  # fmt: skip
    (tmp_path / "file").write_text("")
    change = [str(tmp_path / "file") if word == "FILE" else word for word in change]
    assert make.main([*argv, *change]) == 1 and not trainings
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith("dynamic-textures: ") and says in error[-1]
    assert not (tmp_path / "out" / "long").exists()
