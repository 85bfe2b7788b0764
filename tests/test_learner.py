"""What a checkpoint holds of a learner."""

import pytest

from coopnets.errors import RunError
from coopnets.learner import restore, state_numbers, state_tensors
from test_cooperate import SIMPLE, started


def test_a_checkpoint_of_networks_with_other_parts_gets_a_line_that_says_what_to_do() -> None:
    learner = started(**SIMPLE)
    tensors, numbers = state_tensors(learner), state_numbers(learner)
    restore(learner, dict(tensors), numbers)
    lost = next(key for key in tensors if key.startswith("network.descriptor."))
    older = {key: value for key, value in tensors.items() if key != lost}
    with pytest.raises(RunError, match=r"does not fit the descriptor .* --fresh"):
        restore(learner, older, numbers)
