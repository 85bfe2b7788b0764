"""The page as a reader and a browser find it."""

import json
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_log import LINE, line

from coopnets.errors import RunError
from coopnets.report import write_report
from coopnets.report.trends import NOT_CURVES
from coopnets.runfolder import RunFolder

Make = Callable[..., RunFolder]
VOID = {"meta", "img", "br", "path", "use"}


class Structure(HTMLParser):
    """Tags and their attributes; fails where they do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def written(folder: RunFolder) -> str:
    write_report(folder)
    return folder.report.read_text(encoding="utf-8")


def drawn(page: str) -> set[str]:
    """Keys of the log that have a curve."""
    return {key for keys in re.findall(r'data-keys="([^"]*)"', page) for key in keys.split()}


def test_every_number_of_the_log_has_a_curve(run: Make) -> None:
    page = written(run([line(i) for i in range(1, 9)]))
    assert drawn(page) >= set(LINE) - NOT_CURVES
    assert page.count("<svg") == page.count('class="curve"') == 10


@pytest.mark.parametrize("key", sorted(LINE))
def test_an_absent_number_leaves_out_no_more_than_itself(run: Make, key: str) -> None:
    lines = [{k: v for k, v in line(i).items() if k != key} for i in range(1, 30)]
    found = drawn(written(run(lines)))
    assert key not in found
    lost = {k for k in LINE if k.startswith("seconds")} if key == "seconds_all" else {key}
    assert found >= set(LINE) - NOT_CURVES - lost


def test_numbers_of_another_method_are_drawn_under_their_own_name(run: Make) -> None:
    page = written(run([{"iteration": i, "wake_loss": 1 / i} for i in range(1, 30)]))
    assert drawn(page) == {"wake_loss"}
    assert "Wake loss" in page


def test_the_page_needs_nothing_from_outside(run: Make) -> None:
    page = written(run([line(i) for i in range(1, 9)], grids=(20, 40)))
    structure = Structure(page)
    assert not re.search(r"https?:|[\"'(]//|@import|url\((?!#)", page)
    assert all((image["src"] or "").startswith("data:image/") for image in structure.all("img"))
    assert all((use["xlink:href"] or "").startswith("#") for use in structure.all("use"))
    assert not [tag for tag, _ in structure.found if tag in ("script", "link", "iframe")]


def test_every_reference_inside_a_picture_has_its_target(run: Make) -> None:
    page = written(run([line(i) for i in range(1, 9)]))
    names = set(re.findall(r'\bid="([^"]+)"', page))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', page)) <= names


def test_text_from_outside_cannot_become_markup(run: Make) -> None:
    bad = "<script>alert('1')</script>"
    events = [{"iteration": 5, "event": "diverged", "what": bad}]
    lines = [line(i, **{"<b>odd": 1.0}) for i in range(1, 9)]
    folder = run(events + lines, source=bad, preset=bad)
    folder.append_log(bad)
    page = written(folder)
    assert "<script" not in page
    assert "<b>odd" not in page
    assert page.count("&lt;script&gt;") >= 4
    Structure(page)


def test_roll_backs_are_listed_with_what_was_done(run: Make) -> None:
    event = {"iteration": 57, "event": "diverged", "what": "f(data) is nan"}
    folder = run([line(i) for i in range(1, 5)] + [event] + [line(i) for i in range(5, 9)])
    folder.append_log(
        "diverged at iteration 57 (f(data) is nan): back to 40, step size x 0.5, try 1 of 5"
    )
    page = written(folder)
    assert "Iteration 57</b> diverged: f(data) is nan → back to 40, step size x 0.5" in page
    assert "diverged once, at iteration 57" in page


def test_a_run_without_log_and_pictures_has_a_report(run: Make) -> None:
    page = written(run([]))
    Structure(page)
    assert "0 of at least 20 log lines" in page
    assert "None yet: the first come with a checkpoint." in page


def test_what_a_killed_run_leaves_is_passed_over(run: Make) -> None:
    folder = run([line(1, f_data=float("nan")), line(2)], grids=(20,))
    with folder.metrics_file.open("a") as stream:
        stream.write('17\n{"seconds": 1}\n{"iteration": 30, "f_da')
    whole = (folder.grids / "00000020.png").read_bytes()
    (folder.grids / "00000040.png").write_bytes(whole[: len(whole) // 2])
    page = written(folder)
    assert "Pictures at iteration 20" in page


def test_settings_that_differ_from_the_preset_are_marked(run: Make) -> None:
    page = written(run([], batch_size=32, precision="bf16"))
    assert "1 of " in page
    assert re.search(r'class="changed"><code>batch_size</code><span>32<small>preset: 100', page)


def test_settings_of_another_version_do_not_stop_the_report(run: Make) -> None:
    assert "future_setting" in written(run([line(1)], future_setting=3))


def test_the_command_to_continue_never_deletes_the_run(run: Make) -> None:
    folder = run([])
    described = folder.describe()
    command = "coopnets train mnist --fresh --run 'my run' --steps 60"
    folder.config_file.write_text(json.dumps({**described, "command": command}))
    page = written(folder)
    assert "--fresh" not in page
    assert "coopnets train mnist --run &#x27;my run&#x27; --steps 60" in page


def test_ten_thousand_lines_take_seconds_and_little_room(run: Make) -> None:
    noise = np.random.default_rng(0).normal(size=10_000)
    folder = run([line(i + 1, f_data=5e6 + 1e5 * float(x)) for i, x in enumerate(noise)])
    write_report(folder)  # the first one imports what draws
    began = time.process_time()
    write_report(folder)
    assert time.process_time() - began < 3
    assert folder.report.stat().st_size < 1_000_000


def test_a_failed_write_leaves_the_old_report(run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run([line(1)])
    folder.report.write_text("old")
    real = Path.write_text

    def full(path: Path, text: str, **options: Any) -> int:
        real(path, text[:100], **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(RunError, match="No space left on device") as caught:
        write_report(folder)
    assert "\n" not in str(caught.value)
    assert folder.report.read_text() == "old"
    assert [p.name for p in folder.path.glob("*unfinished*")] == []
