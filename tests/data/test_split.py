import pytest

from feat2go.data.split import held_out


def test_a_share_is_held_out_and_at_least_one_on_either_side():
    for num_episodes, share, expected in ((40, 0.2, 8), (2, 0.01, 1), (2, 0.99, 1), (3, 0.99, 2), (10, 0.5, 5)):
        places = held_out(num_episodes, share, seed=0)
        assert len(places) == expected
        assert places == sorted(set(places))
        assert set(places) <= set(range(num_episodes))


def test_the_seed_decides():
    assert held_out(40, 0.2, seed=1) == held_out(40, 0.2, seed=1)
    assert held_out(40, 0.2, seed=1) != held_out(40, 0.2, seed=2)


@pytest.mark.parametrize("num_episodes", [0, 1])
def test_one_episode_can_not_be_split(num_episodes):
    with pytest.raises(ValueError, match=f"{num_episodes} successful episodes can't be split"):
        held_out(num_episodes, 0.5, seed=0)
