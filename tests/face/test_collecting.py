"""How often Python looks for garbage in cycles while a run lives."""

import gc

import pytest

from populace.runs.collecting import OBJECTS, rare_collections


@pytest.fixture
def thresholds():
    """The collector's own, put back afterwards."""
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)


def test_the_collector_looks_rarely_within(thresholds):
    """And as before afterwards, also after an error."""

    def failing():
        with rare_collections():
            assert gc.get_threshold() == (OBJECTS, *thresholds[1:])
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert gc.get_threshold() == thresholds


@pytest.mark.parametrize("own", [0, 2 * OBJECTS])
def test_whoever_has_it_look_more_rarely_is_left_alone(thresholds, own):
    """0 is never."""
    gc.set_threshold(own)
    with rare_collections():
        assert gc.get_threshold()[0] == own
    assert gc.get_threshold()[0] == own
