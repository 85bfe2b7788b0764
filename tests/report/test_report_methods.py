"""Reports of the other methods: their own curves, rules, pictures and commands."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from coopnets.methods import build, recipe
from coopnets.methods.recipes import RECIPES
from coopnets.presets import preset
from coopnets.processes import Processes
from coopnets.report import write_report
from coopnets.report.explain import NOT_CURVES, REST
from coopnets.report.guide import GUIDES, guide
from coopnets.report.health import checks, verdict
from coopnets.report.history import History
from coopnets.report.images import latest, over_time
from coopnets.runfolder import RunFolder
from small import CONFIG

Make = Callable[..., RunFolder]
OTHERS = sorted(set(RECIPES) - {"coopnets"})
LOOP = {"seconds_all": 0.1, "images_per_second": 640.0}
LINES: dict[str, dict[str, float]] = {
    "dcgan": {"critic_loss": 0.9, "generator_loss": 1.5, "d_data": 0.7, "d_generated": 0.3,
              "seconds_critic": 0.06, "seconds_generator": 0.03},
    "wgan": {"distance": 0.1, "critic_loss": -0.1, "generator_loss": 0.05, "penalty": 0.02,
             "seconds_critic": 0.06, "seconds_generator": 0.03},
    "vae": {"bound": 50.0, "kl": 60.0, "residual": 0.2, "seconds_forward": 0.03,
            "seconds_step": 0.06},
    "generator": {"reconstruction_error": 90.0, "residual": 0.2, "latent_rms": 1.02,
                  "seconds_infer": 0.08, "seconds_learn": 0.01},
    "descriptor": {"f_data": 2.1, "f_revised": 2.0, "chain_rms": 0.9, "displacement": 0.8,
                   "drift": 0.012, "noise": 0.01, "seconds_d1": 0.09, "seconds_d2": 0.005,
                   "langevin_share": 0.9},
}  # fmt: skip


def log(method: str, count: int = 100, **changed: Any) -> list[dict[str, Any]]:
    """A healthy log; ``key=function`` of the part of the run that is over, 0 to 1."""
    falling = {"wgan": "distance", "generator": "reconstruction_error"}.get(method)
    lines = []
    for i in range(1, count + 1):
        line = {"iteration": 10 * i, "seconds": 1.0 * i, **LOOP, **LINES[method]}
        if falling:
            line[falling] *= 3 - 2 * i / count
        line.update({k: f(i / count) for k, f in changed.items()})
        lines.append(line)
    return lines


def failing(method: str, lines: list[dict[str, Any]]) -> list[str]:
    found = checks(History(lines, []), 1.0, guide(method).rules, guide(method).remedy)
    assert len(found) == 1 + len(guide(method).rules)  # the log has the numbers of every rule
    return [c.rule for c in found if c.state == "attention"]


def page(folder: RunFolder) -> str:
    write_report(folder)
    return folder.report.read_text(encoding="utf-8")


def drawn(text: str) -> set[str]:
    return {key for keys in re.findall(r'data-keys="([^"]*)"', text) for key in keys.split()}


def test_there_is_a_guide_for_every_method() -> None:
    assert set(GUIDES) == set(RECIPES)
    assert guide("of another version") is GUIDES["coopnets"]


@pytest.mark.parametrize("method", sorted(RECIPES))
def test_every_number_that_a_method_logs_is_explained(method: str) -> None:
    """And every curve of its guide has numbers, but for those that are options."""
    learner = build(recipe(CONFIG, method), Processes(), 8)
    logged = {*learner.iterate(torch.rand(learner.images, 1, 8, 8) * 2 - 1, 0).metrics, *LOOP}
    lines = {key for curve in guide(method).curves for key in curve.lines}
    assert logged - NOT_CURVES <= lines
    assert lines - logged <= {
        "gap", REST, "penalty", "ahead", "observed_residual", "observed_kl",
    }  # fmt: skip
    for rule in guide(method).rules:
        assert set(rule.keys) <= logged


@pytest.mark.parametrize("method", OTHERS)
def test_page_of_a_method_speaks_of_that_method_alone(method: str, run: Make) -> None:
    folder = run(log(method), grids=(20, 40), panels=2, method=method)
    text = page(folder)
    assert drawn(text) >= set(LINES[method]) - NOT_CURVES
    assert f"digits · {method} · mnist" in text
    assert "All are those of the preset." in text
    assert f"--method {method}" in text
    own = {"descriptor": "descriptor-optimizer", "dcgan": "critic-optimizer",
           "wgan": "critic-optimizer"}.get(method, "generator-optimizer")  # fmt: skip
    assert own in text
    for part in ("descriptor", "critic"):
        if part not in own:
            assert f"--{part}-optimizer" not in text and f"<code>{part}" not in text
    assert "MCMC" not in text and "revision" not in text.lower().replace("revisions", "revision")
    assert ("Langevin" in text) == (method in ("descriptor", "generator"))


def test_changed_settings_are_told_against_the_recipe(run: Make) -> None:
    config = recipe(preset("digits"), "wgan")
    assert config.critic_optimizer.lr == 5e-5
    folder = run(log("wgan"), method="wgan", wgan={"clip": 0.02, "gradient_penalty": 0.0,
                                                  "critic_steps": 5})  # fmt: skip
    text = page(folder)
    assert re.search(r'class="changed"><code>wgan.clip</code><span>0.02<small>preset: 0.01', text)
    assert "1 of " in text and "--wgan.clip 0.02" in text


@pytest.mark.parametrize("method", OTHERS)
def test_grid_of_two_panels(method: str, run: Make) -> None:
    folder = run([], grids=(20, 40), panels=2, method=method)
    last = latest(folder, 28)
    assert last is not None and list(last.panels) == ["data", "samples"]
    assert [(p.width, p.height) for p in last.panels.values()] == [(186, 186)] * 2
    assert all(list(s.panels) == ["samples"] for s in over_time(folder, 28))
    assert guide(method).samples.split()[0] in page(folder)


@pytest.mark.parametrize("method", OTHERS)
def test_a_healthy_run_passes(method: str) -> None:
    assert failing(method, log(method)) == []
    found = checks(History(log(method, 10), []), 1.0, guide(method).rules)
    assert verdict(found, 10)[0] == "early"


@pytest.mark.parametrize(
    ("method", "changed", "rule"),
    [
        ("dcgan", {"critic_loss": lambda _: 0.001}, "has not won"),
        ("dcgan", {"critic_loss": lambda _: 2.0}, "no worse than a guess"),
        ("wgan", {"distance": lambda t: 0.3 - t}, "finds data above"),
        ("wgan", {"distance": lambda t: 0.1 + t}, "passed its peak"),
        ("vae", {"bound": lambda t: 50 - 20 * t}, "bound rises"),
        ("vae", {"kl": lambda t: 5 * (1 - t)}, "latent vectors are used"),
        ("generator", {"reconstruction_error": lambda t: 50 + 50 * t}, "error falls"),
        ("generator", {"latent_rms": lambda _: 3.1}, "as large as the prior's"),
        ("generator", {"latent_rms": lambda _: 0.4}, "as large as the prior's"),
        ("descriptor", {"chain_rms": lambda t: 0.8 + t}, "end where images are"),
        ("descriptor", {"f_data": lambda t: 2.1 + 30 * t**3}, "stay together"),
    ],
)
def test_each_deviation_fails_its_rule(
    method: str, changed: dict[str, Callable[[float], float]], rule: str
) -> None:
    (failed,) = failing(method, log(method, **changed))
    assert rule in failed


@pytest.mark.parametrize("method", OTHERS)
def test_remedy_after_a_divergence_is_the_methods_own(method: str, run: Make) -> None:
    event = {"iteration": 57, "event": "diverged", "what": "x"}
    text = page(run([event, *log(method)], method=method))
    assert "Before a longer run lower <code>--" in text
    if method != "descriptor":
        assert "--langevin" not in text
