import json
from dataclasses import replace
from pathlib import Path

import pytest

from coopnets.config import Config
from coopnets.errors import RunError
from coopnets.evaluate import append_records, read_records
from coopnets.runfolder import RunFolder
from small import CONFIG, tiny

DATA = {"source": "x.npy", "split": "train", "images": 40, "fingerprint": "abc"}


def start(folder: RunFolder, config: Config = CONFIG, fresh: bool = False, **data: str) -> None:
    folder.start(config, {**DATA, **data}, {}, fresh)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A started run."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    start(folder)
    return folder


def test_settings_come_back(folder: RunFolder) -> None:
    assert folder.config() == CONFIG
    assert folder.describe()["data"] == DATA
    start(folder)  # the same settings again


def test_other_settings_are_refused_and_shown(folder: RunFolder) -> None:
    other = tiny(langevin={"delta": 0.003}, sigma=0.5)
    with pytest.raises(RunError) as error:
        start(folder, other)
    text = str(error.value)
    assert "langevin.delta: 0.002 -> 0.003" in text and "sigma: 0.3 -> 0.5" in text
    assert "--fresh" in text and "batch_size" not in text and "\n" not in text
    assert folder.config() == CONFIG


def test_settings_that_the_method_has_no_use_for_may_differ(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    start(folder, tiny(method="vae"))
    start(folder, tiny(method="vae", langevin={"delta": 0.003}, memory=7))
    with pytest.raises(RunError, match=r"\(sigma: 0\.3 -> 0\.5\)"):
        start(folder, tiny(method="vae", sigma=0.5, langevin={"delta": 0.003}))


def test_other_data_are_refused(folder: RunFolder) -> None:
    with pytest.raises(RunError, match=r"data: x\.npy -> y\.npy"):
        start(folder, fingerprint="def", source="y.npy")
    with pytest.raises(RunError, match=r"data: x\.npy has other content than then"):
        start(folder, fingerprint="def")
    start(folder, source="/elsewhere/x.npy")  # the same pixels


def test_fresh_starts_over(folder: RunFolder) -> None:
    folder.append_metrics({"iteration": 1})
    folder.append_log("said")
    (folder.checkpoints / "00000005").mkdir()
    (folder.grids / "00000005.png").write_bytes(b"")
    folder.replace(folder.recovery_file, {"from": 5})
    append_records(folder.path, [{"FID": 1.0}])
    start(folder, tiny(sigma=0.5), fresh=True)
    assert folder.config().sigma == 0.5
    assert not list(folder.checkpoints.iterdir()) and not list(folder.grids.iterdir())
    assert folder.metrics() == [] and folder.recovery() == {}
    assert not folder.log_file.exists()
    assert read_records(folder.path) == []  # scores of a run that is no more


def test_fresh_keeps_what_the_user_put_there(folder: RunFolder) -> None:
    (folder.path / "samples.png").write_text("mine")
    (folder.tracker).mkdir()
    start(folder, tiny(sigma=0.5), fresh=True)
    assert (folder.path / "samples.png").read_text() == "mine"
    assert not folder.tracker.exists() and folder.config().sigma == 0.5


@pytest.mark.parametrize("fresh", [False, True])
def test_folder_of_other_things_is_refused_and_left_alone(tmp_path: Path, fresh: bool) -> None:
    treasure = tmp_path / "thesis.txt"
    treasure.write_text("years of work")
    with pytest.raises(RunError, match=r"thesis\.txt"):
        start(RunFolder(tmp_path), fresh=fresh)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_run_killed_before_its_settings_were_written_can_start_again(tmp_path: Path) -> None:
    """Killed between making its folders and config.json: nobody's work is in there."""
    folder = RunFolder(tmp_path)
    folder.grids.mkdir()
    folder.checkpoints.mkdir()
    start(folder)
    assert folder.config() == CONFIG


def test_one_training_at_a_time(folder: RunFolder) -> None:
    with folder.locked(), pytest.raises(RunError, match="in use"), RunFolder(folder.path).locked():
        pass
    with folder.locked():  # free again
        pass


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot use"), RunFolder(tmp_path / "file").locked():
        pass


def test_half_written_line_of_the_log_is_skipped(folder: RunFolder) -> None:
    folder.append_metrics({"iteration": 10, "f_data": 1.5})
    with folder.metrics_file.open("a") as stream:
        stream.write('{"iteration": 20, "f_d')
    assert folder.metrics() == [{"iteration": 10, "f_data": 1.5}]


def test_line_after_a_half_written_one_is_not_lost(folder: RunFolder) -> None:
    folder.append_metrics({"iteration": 10})
    with folder.metrics_file.open("a") as stream:
        stream.write('{"iteration": 20, "f_d')
    folder.forget_after(10)  # as every resumption does
    folder.append_metrics({"iteration": 20})
    assert [m["iteration"] for m in folder.metrics()] == [10, 20]


def test_forget_after_drops_what_is_done_again_and_keeps_events(folder: RunFolder) -> None:
    for i in (10, 20, 30):
        folder.append_metrics({"iteration": i})
        (folder.grids / f"{i:08d}.png").write_bytes(b"")
        (folder.grids / f"{i:08d}.webp").write_bytes(b"")
    folder.append_metrics({"iteration": 30, "event": "diverged", "what": "nan"})
    folder.forget_after(20)
    assert [m["iteration"] for m in folder.metrics()] == [10, 20, 30]
    assert [m["iteration"] for m in folder.metrics() if "event" in m] == [30]
    kept = [f"{i:08d}.{kind}" for i in (10, 20) for kind in ("png", "webp")]
    assert sorted(p.name for p in folder.grids.iterdir()) == kept


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"config": {"warp": 9}}', '{"config": 3}'])
def test_damaged_settings_are_an_error_of_one_line(folder: RunFolder, text: str) -> None:
    folder.config_file.write_text(text)
    for use in (folder.config, lambda: start(folder)):
        with pytest.raises(RunError) as error:
            use()
        assert "\n" not in str(error.value)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run"):
        RunFolder(tmp_path).describe()


def test_settings_of_an_older_version_take_defaults(folder: RunFolder) -> None:
    content = json.loads(folder.config_file.read_text())
    del content["config"]["data_noise"]
    folder.config_file.write_text(json.dumps(content))
    assert folder.config() == CONFIG
    start(folder)
    with pytest.raises(RunError, match="data_noise"):
        start(folder, replace(CONFIG, data_noise=0.1))


def test_replace_is_whole(folder: RunFolder) -> None:
    folder.replace(folder.recovery_file, {"from": 5})
    folder.replace(folder.recovery_file, {"from": 7})
    assert folder.recovery() == {"from": 7}
    assert not list(folder.path.glob("*.unfinished"))
