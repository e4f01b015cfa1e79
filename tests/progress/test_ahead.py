import threading

import pytest

from feat2go.progress.ahead import one_ahead


def test_hands_out_the_same_in_the_same_order():
    assert list(one_ahead(range(5))) == [0, 1, 2, 3, 4]
    assert list(one_ahead([None, False])) == [None, False]
    assert list(one_ahead([])) == []


def test_the_next_one_comes_while_this_one_is_in_use_and_no_more():
    asked = [threading.Event() for _ in range(3)]

    def entries():
        for number, event in enumerate(asked):
            event.set()
            yield number

    ahead = one_ahead(entries())
    assert next(ahead) == 0
    assert asked[1].wait(timeout=10)
    assert not asked[2].is_set()
    ahead.close()
    assert not asked[2].is_set()


def test_an_error_appears_in_its_place():
    def entries():
        yield "first"
        raise ValueError("second")

    ahead = one_ahead(entries())
    assert next(ahead) == "first"
    with pytest.raises(ValueError, match="second"):
        next(ahead)
