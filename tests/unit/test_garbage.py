"""Pausing the search for cycles: it must go on afterwards, whatever happened."""

import gc

import pytest

from loaders.garbage import search_paused


def test_the_search_goes_on_when_the_outermost_block_ends() -> None:
    with search_paused():
        with search_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_search_goes_on_after_an_error() -> None:
    with pytest.raises(ValueError), search_paused():
        raise ValueError
    assert gc.isenabled()
