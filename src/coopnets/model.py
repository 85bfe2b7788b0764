"""Trained networks, to sample from, to save and to share."""

import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from huggingface_hub import HfApi
from safetensors.torch import save_file
from torch import Tensor, nn

from coopnets.card import model_card
from coopnets.chance import per_sample
from coopnets.clipcanvas import loop_unit, nearest_loop
from coopnets.config import SAMPLED_BY, Config, Precision, image_shape, to_dict
from coopnets.data.frames import USUAL_RATE
from coopnets.errors import CoopNetsError, RunError
from coopnets.interpolate import Kind, linear, plane, sphere
from coopnets.layout import arrange
from coopnets.models import (
    AnyDescriptor,
    AnyGenerator,
    ClipDescriptor,
    ClipGenerator,
    energy,
    evaluating,
    new_descriptor,
    new_generator,
)
from coopnets.pictures import contact_sheet, grid, save_grid
from coopnets.precision import autocast, resolve
from coopnets.pretrained import WEIGHTS, read
from coopnets.sample import each_its_own, latents, propose, refine, samples
from coopnets.stage import stage
from coopnets.version import __version__

TOGETHER, CLIPS_TOGETHER = 100, 4
"""Images, or clips, of a path that are drawn at a time."""

if TYPE_CHECKING:  # loaded when something is completed
    from coopnets.complete.infill import By, Completer
    from coopnets.complete.latent import Search


class CoopNets:
    """Descriptor and generator of one training, or the one its method has, in evaluation mode.

    Args:
        config: settings of the training.
        weights: state of each network under ``descriptor`` and ``generator``.
        about: what else is known: data, iterations, metrics, ``step_scale``.
        device: where to compute; ``auto`` takes an accelerator if there is one.
        precision: arithmetic inside the networks; None is that of the training, but fp32 where
            the device has no bf16.
    """

    def __init__(
        self,
        config: Config,
        weights: dict[str, dict[str, Tensor]],
        about: dict[str, Any] | None = None,
        device: torch.device | str = "cpu",
        precision: Precision | None = None,
    ) -> None:
        self.config, self.about, self.device = config, about or {}, find_device(device)
        trained: Precision = "auto" if config.precision == "bf16" else "fp32"
        self.precision = resolve(precision or trained, self.device)
        self.sources = SAMPLED_BY[config.method]
        """Whose samples can be drawn: ``generator``, ``descriptor``, or one of the two."""
        self.networks: dict[str, nn.Module] = {}
        for name in self.sources:
            net = self.networks[name] = _network(name, config)
            try:
                net.load_state_dict(weights[name])
            except (KeyError, RuntimeError) as error:
                raise RunError(f"the weights do not fit the {name} of these settings") from error
            net.requires_grad_(False).eval().to(self.device)
            arrange(net, config.layout)

    @property
    def descriptor(self) -> AnyDescriptor:
        """f; a RunError where the method has none."""
        return cast(AnyDescriptor, self._network("descriptor"))

    @property
    def generator(self) -> AnyGenerator:
        """g; a RunError where the method has none."""
        return cast(AnyGenerator, self._network("generator"))

    @property
    def fps(self) -> float:
        """Frames a second of the clips that were learnt."""
        return float(self.about.get("data", {}).get("fps") or self.config.fps or USUAL_RATE)

    def loop_length(self, frames: int) -> int:
        """The length of a loop next to so many frames."""
        g, (f, _) = self.generator, self._pair()
        unit = loop_unit(cast(ClipGenerator, g), cast(ClipDescriptor | None, f))
        return nearest_loop(frames, unit)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        device: torch.device | str = "cpu",
        precision: Precision | None = None,
    ) -> "CoopNets":
        """Load from a run folder, a folder of :meth:`save_pretrained`, or a hub id (owner/name).

        Raises:
            RunError: there is no model, or it is damaged.
        """
        return cls(*read(source), device, precision)

    def generate(self, n: int, *, seed: int = 0, first: int = 0, batch_size: int = 100) -> Tensor:
        """Proposals of the generator alone, (n, C, H, W) in [-1, 1], numbers ``first`` and on."""
        self._network("generator")
        parts = self.stream(n, seed=seed, first=first, langevin_steps=0, batch_size=batch_size)
        return torch.cat([x_hat for x_hat, _ in parts])

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        first: int = 0,
        langevin_steps: int | None = None,
        batch_size: int = 100,
        size: tuple[int, int] | None = None,
        tile: bool = False,
        frames: int | None = None,
        loop: bool = False,
    ) -> Tensor:
        """Proposals revised by the descriptor, (n, C, H, W), about [-1, 1]; clips (n, C, T, H, W).

        Of a method with one network its samples: the generator's, or the descriptor's chains.

        Args:
            n: how many.
            seed: names the samples together with their number.
            first: number of the first one.
            langevin_steps: steps of revision; None takes the configured number.
            batch_size: how many at a time; changes memory and speed, not the samples.
            size: (H, W) other than that of the training, of a texture model.
            tile: opposite edges meet, so that copies side by side show no seam.
            frames: T other than that of the training, of clips.
            loop: the last frame is followed by the first, of clips.
        """
        parts = self.stream(
            n, seed=seed, first=first, langevin_steps=langevin_steps, batch_size=batch_size,
            size=size, tile=tile, frames=frames, loop=loop,
        )  # fmt: skip
        return torch.cat([x_tilde for _, x_tilde in parts])

    def stream(
        self,
        n: int,
        *,
        seed: int = 0,
        first: int = 0,
        langevin_steps: int | None = None,
        batch_size: int = 100,
        size: tuple[int, int] | None = None,
        tile: bool = False,
        frames: int | None = None,
        loop: bool = False,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs (proposed, revised) batch by batch, in constant memory.

        Without descriptor both are the generator's samples; without generator the first is noise.

        Raises:
            RunError: steps of revision are asked for, and there is no descriptor.
            CoopNetsError: the model draws pictures of one size alone, or memory does not suffice.
        """
        if langevin_steps:
            self._network("descriptor")
        if size is not None or tile or frames is not None or loop:
            self._network("generator")
        c, (f, g) = self.config, self._pair()
        canvas, batch_size = stage(
            c, g, None if langevin_steps == 0 else f, size=size, tile=tile, frames=frames,
            loop=loop, batch_size=batch_size, device=self.device,
        )  # fmt: skip
        return samples(
            f, g, c.langevin, n,
            canvas=canvas, image=image_shape(c), seed=seed, first=first,
            steps=langevin_steps, precision=self.precision,
            step_scale=self.about.get("step_scale", 1.0), batch_size=batch_size,
            device=self.device,
        )  # fmt: skip

    def interpolate(
        self,
        *,
        kind: Kind = "linear",
        pairs: int = 8,
        points: int = 12,
        seed: int = 0,
        langevin_steps: int = 0,
    ) -> Tensor:
        """Images along paths between latent vectors, or over the latent plane.

        Args:
            kind: ``linear`` between pairs, the four-corner ``sphere``, or ``plane``: all values of
                a latent vector of two numbers.
            pairs: number of paths (linear) or grids (sphere); there is one plane.
            points: images on a path, or on a side of a grid; at least 2.
            seed: names the latent vectors, and the noise of the revision.
            langevin_steps: steps of revision by the descriptor, with common noise along a path.

        Returns:
            (pairs, points, C, H, W), or (pairs, points, points, C, H, W) for the sphere and, with
            one in the place of pairs, the plane.

        Raises:
            RunError: there is no generator, steps are asked for without a descriptor, or a plane
                of latent vectors that have not two numbers.
        """
        self._network("generator")
        shape = self.generator.latent_shape
        if kind == "plane":
            if shape != (2,):
                raise RunError(
                    "a map of the latent plane needs two latent numbers, and this model has "
                    f"{math.prod(shape)}: train with --preset matlab-object, or with "
                    "--generator.latent 2"
                )
            paths, streams = plane(points, self.device)[None], per_sample(seed, 0, 1)
        else:
            ends = {"linear": 2, "sphere": 4}[kind]
            streams = per_sample(seed, 0, ends * pairs)
            z = latents(streams, shape, self.device).view(pairs, ends, -1)
            streams = streams[::ends]
            if kind == "linear":
                paths = linear(z[:, 0], z[:, 1], points)
            else:
                paths = torch.stack([sphere(corners, points) for corners in z])
        shown = []
        for path, stream in zip(paths.flatten(1, -2), streams, strict=True):
            start, parts = stream.get_state(), []
            at_once = CLIPS_TOGETHER if self.config.frames else TOGETHER
            for z in path.view(-1, *shape).split(at_once):
                stream.set_state(start)  # the same noise all along
                x, noise = propose(self.generator, z, self.precision), _common(stream, self.device)
                parts.append(self._refine(x, noise, langevin_steps) if langevin_steps else x)
            shown.append(torch.cat(parts))
        images = torch.stack(shown)
        return images.view(*paths.shape[:-1], *images.shape[2:])

    def complete(
        self,
        x: Tensor,
        mask: Tensor,
        *,
        method: "By | None" = None,
        samples: int | None = None,
        search: "Search | None" = None,
        langevin_steps: int | None = None,
        blend: bool = True,
        seed: int = 0,
        first: int = 0,
        batch_size: int = 100,
    ) -> Tensor:
        """Fill in what is missing.

        Args:
            x: images, (B, C, H, W) in [-1, 1], of any size if the model is of textures; hidden
                values are never looked at.
            mask: boolean, true where hidden; broadcasts to x.
            method: ``generator``, ``descriptor`` or ``both``; None takes all that there is.
            samples: draw so many different completions of each image; None makes the one that
                fits best.
            search: how the generator's latent vector is looked for.
            langevin_steps: steps of revision by the descriptor; None is as in sampling, and ten
                times as many where the generator is left out.
            blend: let the generator's part meet the visible one without a seam.
            seed: names the random numbers together with an image's number.
            first: number of the first image.
            batch_size: images at a time; changes memory and speed, not the completions.

        Returns:
            On x's device, visible pixels bit for bit: (B, C, H, W), or (B, samples, C, H, W).

        Raises:
            CoopNetsError: the images are not such as the model makes, a mask does not fit, hides
                nothing or everything, the run lacks the network, or a number is too small.
        """
        from coopnets.complete.masks import check_images, check_mask

        if batch_size < 1 or (samples is not None and samples < 1):
            raise CoopNetsError(f"samples {samples}, batch_size {batch_size}: at least 1")
        c = self.config
        any_size = c.generator.start == "map" and not c.frames
        check_images(x, image_shape(c), mask, any_size=any_size)
        hidden = check_mask(x, mask)
        completer = self.completer(
            method=method, search=search, langevin_steps=langevin_steps, blend=blend, seed=seed
        )
        parts: list[Tensor] = []
        for k in [None] if samples is None else range(samples):
            rows, start = [], first
            for some, holes in zip(
                torch.split(x, batch_size), torch.split(hidden, batch_size), strict=True
            ):
                some, holes = some.to(self.device), holes.to(self.device)
                rows.append(completer(some, holes, first=start, sample=k))
                start += len(some)
            parts.append(torch.cat(rows).to(x.device))
        return parts[0] if samples is None else torch.stack(parts, 1)

    def completer(
        self,
        *,
        method: "By | None" = None,
        search: "Search | None" = None,
        langevin_steps: int | None = None,
        blend: bool = True,
        seed: int = 0,
    ) -> "Completer":
        """What :meth:`complete` completes batches with, for streams of images."""
        from coopnets.complete.infill import Completer

        f, g = self._pair()
        return Completer(
            self.config, g, f, by=method, search=search,
            blend=blend, langevin_steps=langevin_steps, seed=seed,
            step_scale=self.about.get("step_scale", 1.0), precision=self.precision,
        )  # fmt: skip

    @torch.no_grad()
    def energy(self, x: Tensor) -> Tensor:
        """U(x) of images (B, C, H, W) in [-1, 1], (B,): low where the descriptor expects data."""
        x = x.to(self.device)
        with evaluating(self.descriptor), autocast(self.precision, self.device):
            return energy(self.descriptor(x), x, self.config.langevin.s)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write config.json, a safetensors file for each network, samples.png and a model card."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        data = dict(self.about.get("data", {}))
        if "source" in data:  # the name is enough, where it lay is private
            data["source"] = Path(data["source"]).name
        about = {**self.about, "data": data}
        content = {"coopnets": __version__, "config": to_dict(self.config), "about": about}
        (folder / "config.json").write_text(json.dumps(content, indent=1))
        for name, net in self.networks.items():
            state = {k: v.cpu().contiguous() for k, v in net.state_dict().items()}
            save_file(state, folder / WEIGHTS[name])
        shown = contact_sheet(self.sample(4)) if self.config.frames else grid(self.sample(64), 8)
        save_grid(shown, folder / "samples.png")
        (folder / "README.md").write_text(model_card(self.config, about))
        return folder

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Publish on the Hugging Face hub with its model card; return the address.

        The sample grid goes with it: where the training pictures may not be shown, neither
        may what is drawn after them be published without a thought.
        """
        api = HfApi(token=token)
        api.create_repo(repo_id, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            self.save_pretrained(scratch)
            return str(api.upload_folder(repo_id=repo_id, folder_path=scratch))

    def _pair(self) -> tuple[AnyDescriptor | None, AnyGenerator | None]:
        """Descriptor and generator, as far as there are."""
        f, g = (self.networks.get(name) for name in ("descriptor", "generator"))
        return cast(AnyDescriptor | None, f), cast(AnyGenerator | None, g)

    def _network(self, name: str) -> nn.Module:
        try:
            return self.networks[name]
        except KeyError:
            raise RunError(
                f"the method {self.config.method} has no {name}: its samples are those of its "
                f"{self.sources[-1]}"
            ) from None

    def _refine(self, x: Tensor, noise: Any, steps: int | None) -> Tensor:
        return refine(
            self.descriptor, x, self.config.langevin, noise=noise, steps=steps,
            step_scale=self.about.get("step_scale", 1.0), precision=self.precision,
        )  # fmt: skip


def _network(name: str, config: Config) -> nn.Module:
    return new_descriptor(config) if name == "descriptor" else new_generator(config)


def find_device(named: torch.device | str) -> torch.device:
    """The device of that name; ``auto`` is an accelerator if there is one.

    Raises:
        RunError: there is none.
    """
    if named == "auto":
        found = (
            torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        )
        return found or torch.device("cpu")
    try:
        return torch.zeros(1, device=named).device  # a known name may still be of no device here
    except (RuntimeError, AssertionError) as error:
        raise RunError(f"there is no device {str(named)!r} here: choose cpu or auto") from error


def _common(stream: torch.Generator, device: torch.device) -> Any:
    one = each_its_own([stream], device)
    return lambda like: one(like).expand_as(like)
