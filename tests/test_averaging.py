import torch
from torch import nn

from coopnets.averaging import averaged_copy, update_average


def test_average_by_hand_with_its_warm_up() -> None:
    """Decay (1 + t) / (10 + t) until it reaches its value."""
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = averaged_copy(net)
    expected = {k: v.clone() for k, v in net.state_dict().items() if v.is_floating_point()}
    for t in (0, 1, 5, 100, 5000):
        with torch.no_grad():
            for v in net.state_dict().values():
                if v.is_floating_point():
                    v.add_(torch.randn_like(v))
        decay = min(0.9, (1 + t) / (10 + t))
        for k, v in expected.items():
            expected[k] = decay * v + (1 - decay) * net.state_dict()[k]
        update_average(average, net, 0.9, t)
    for k, v in expected.items():
        torch.testing.assert_close(average.state_dict()[k], v)


def test_average_is_frozen_and_apart() -> None:
    net = nn.Linear(2, 2)
    average = averaged_copy(net)
    with torch.no_grad():
        net.weight.add_(1)
    assert not torch.equal(average.weight, net.weight)
    assert not average.training and not any(p.requires_grad for p in average.parameters())
    assert net.weight.requires_grad
