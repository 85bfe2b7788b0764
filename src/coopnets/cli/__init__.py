"""The command line: ``coopnets train | sample | interpolate | info | presets``."""

import sys
from collections.abc import Callable, Sequence

import tyro

from coopnets.cli.inspect import info, presets
from coopnets.cli.make import interpolate, sample
from coopnets.cli.train import train_command
from coopnets.errors import CoopNetsError

ABOUT = """Cooperative learning of an energy-based descriptor and a latent-variable generator.

The generator proposes samples, a short Langevin run under the descriptor revises them, the
descriptor learns from revised samples against data, and the generator learns from how the
revision changed its proposals (Xie, Lu, Gao, Zhu, Wu, TPAMI 2018).

    coopnets train photos/ --run runs/photos --max-time 30m
    coopnets sample runs/photos -n 64 --out grid.png

Shell completion: coopnets --tyro-print-completion bash (or zsh, tcsh)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code: 0 done, 1 a known error, 2 bad usage, 130 Ctrl-C."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        commands: dict[str, Callable[..., int]] = {
            "train": train_command(arguments),
            "sample": sample,
            "interpolate": interpolate,
            "info": info,
            "presets": presets,
        }
        code: int = tyro.extras.subcommand_cli_from_dict(
            commands, prog="coopnets", description=ABOUT, args=arguments, use_underscores=False
        )
    except CoopNetsError as error:
        print(f"coopnets: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("coopnets: interrupted", file=sys.stderr)
        return 130
    return code
