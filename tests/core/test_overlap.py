import threading

import pytest
import torch

from feat2go.core.overlap import one_ahead, one_behind


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


def test_a_function_one_behind_gives_what_map_gives():
    assert list(one_behind(str, range(5))) == ["0", "1", "2", "3", "4"]
    assert list(one_behind(str, [])) == []


def test_the_next_one_is_asked_for_here_while_the_function_runs_on_this_one():
    is_next_there, threads = threading.Event(), []

    def entries():
        for number in range(2):
            threads.append(threading.current_thread())
            yield number
        is_next_there.set()

    def function(number):
        # The first one ends only when the second one has been asked for.
        return number == 0 or is_next_there.wait(timeout=10)

    assert list(one_behind(function, entries())) == [True, True]
    assert threads == [threading.current_thread()] * 2


def test_a_functions_error_appears_in_the_place_of_its_result():
    behind = one_behind(lambda number: 1 // number, [1, 0, 1])
    assert next(behind) == 1
    with pytest.raises(ZeroDivisionError):
        next(behind)


def test_the_function_has_one_thread_of_pytorch_and_others_keep_theirs():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert list(one_behind(lambda _: torch.get_num_threads(), range(2))) == [1, 1]
        assert torch.get_num_threads() == 2
        assert list(one_ahead(torch.get_num_threads() for _ in range(1))) == [2]
    finally:
        torch.set_num_threads(before)
