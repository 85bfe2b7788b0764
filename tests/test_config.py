import json

import pytest

from coopnets.config import Config, flatten, from_dict, to_dict
from small import CONFIG, tiny


def test_round_trip_through_json() -> None:
    for config in (Config(), CONFIG, tiny(descriptor={"padding": (1, 2)}, langevin={"s": None})):
        assert from_dict(Config, json.loads(json.dumps(to_dict(config)))) == config


def test_unknown_setting_is_named() -> None:
    with pytest.raises(ValueError, match="temperature"):
        from_dict(Config, {"langevin": {"temperature": 1.0}})


def test_missing_settings_take_their_defaults() -> None:
    assert from_dict(Config, {"size": 32}) == Config(size=32)


def test_flatten_names_every_leaf_once() -> None:
    flat = list(flatten(CONFIG))
    names = [k for k, _ in flat]
    assert len(set(names)) == len(names)
    assert dict(flat)["langevin.delta"] == 0.002 and dict(flat)["size"] == 8
