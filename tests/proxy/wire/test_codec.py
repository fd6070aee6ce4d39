"""Every codec has every name of `Codec`."""

from __future__ import annotations

import inspect

import pytest

from proxy.wire.codec import Codec
from proxy.wire.codecs import CODECS

NAMES = {name for name in vars(Codec) if not name.startswith("_")}


@pytest.mark.parametrize("endpoint", CODECS)
def test_every_codec_offers_all_of_it(endpoint: str) -> None:
    assert len(NAMES) >= 9
    for name in NAMES:
        asked = [p.name for p in inspect.signature(getattr(Codec, name)).parameters.values() if p.name != "self"]
        offered = [p.name for p in inspect.signature(getattr(CODECS[endpoint], name)).parameters.values()]
        assert offered == asked, name
