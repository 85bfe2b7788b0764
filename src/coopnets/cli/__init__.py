"""The command line: ``coopnets train | sample | complete | evaluate | compare | ...``."""

import os
import sys
from collections.abc import Callable, Sequence

import torch
import tyro

from coopnets.allocator import keep_memory
from coopnets.cli.compare import compare_command
from coopnets.cli.complete import complete
from coopnets.cli.evaluate import evaluate
from coopnets.cli.inspect import info, presets, report
from coopnets.cli.make import interpolate, sample
from coopnets.cli.say import say
from coopnets.cli.train import train_command
from coopnets.errors import CoopNetsError
from coopnets.threads import keep_to_quota

ABOUT = """Cooperative learning of an energy-based descriptor and a latent-variable generator.

The generator proposes samples, a short Langevin run under the descriptor revises them, the
descriptor learns from revised samples against data, and the generator learns from how the
revision changed its proposals (Xie, Lu, Gao, Zhu, Wu, TPAMI 2018).

    coopnets train photos/ --run runs/photos --max-time 30m
    coopnets sample runs/photos -n 64 --out grid.png

Shell completion: coopnets --tyro-print-completion bash (or zsh, tcsh)."""
OUT_OF_MEMORY = (
    "coopnets: out of memory: lower --batch-size or --chains where the command has them, or ask "
    "for less"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code: 0 done, 1 a known error, 2 bad usage, 130 Ctrl-C."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    keep_memory()
    keep_to_quota()
    try:
        commands: dict[str, Callable[..., int]] = {
            # "complete" has a --method of its own, which is none of training's business.
            "train": train_command(arguments if arguments[:1] in (["train"], ["presets"]) else []),
            "sample": sample,
            "interpolate": interpolate,
            "complete": complete,
            "evaluate": evaluate,
            "compare": compare_command(arguments),
            "info": info,
            "report": report,
            "presets": presets,
        }
        code: int = tyro.extras.subcommand_cli_from_dict(
            commands, prog="coopnets", description=ABOUT, args=arguments, use_underscores=False
        )
    except CoopNetsError as error:
        say(f"coopnets: {error}")
        return 1
    except (MemoryError, torch.OutOfMemoryError):
        say(OUT_OF_MEMORY)
        return 1
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        say(OUT_OF_MEMORY)
        return 1
    except BrokenPipeError:  # the reader of our output, head for instance, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        say("coopnets: interrupted")
        return 130
    return code
