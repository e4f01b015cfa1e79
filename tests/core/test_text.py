import hashlib
import math

import pytest
import torch

from feat2go.core.text import hashed_words


def bucket(term, num_buckets):
    digest = int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest(), "little")
    return (digest >> 1) % num_buckets, 1.0 if digest % 2 else -1.0


def test_a_hand_worked_sentence():
    terms = ["push", "the", "cube", "push the", "the cube"]
    expected = torch.zeros(1000)
    for term in terms:
        index, sign = bucket(term, 1000)
        expected[index] += sign
    assert expected.count_nonzero() == 5  # no collision, so the length is sqrt(5)
    torch.testing.assert_close(hashed_words(["Push the cube."], 1000)[0], expected / math.sqrt(5))


def test_the_hash_is_pinned():
    # Saved value models and policies depend on it: these buckets may never move.
    vector = hashed_words(["cube"], 512)[0]
    assert vector.nonzero().tolist() == [[271]]
    assert vector[271] == -1


def test_case_and_punctuation_do_not_matter_and_word_order_does():
    same, other = hashed_words(["put A on B", "Put a on b!"], 512)
    torch.testing.assert_close(same, other, rtol=0, atol=0)
    forward, backward = hashed_words(["put A on B", "put B on A"], 512)
    assert forward @ backward < 0.9


def test_rows_have_unit_length_and_no_words_give_zero():
    vectors = hashed_words(["stack the red cube on the green cube", "", "?!"], 64)
    assert vectors.shape == (3, 64)
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=1), torch.tensor([1.0, 0.0, 0.0]))


def test_no_sentences_give_no_rows():
    assert hashed_words([], 8).shape == (0, 8)


@pytest.mark.parametrize(("sentences", "num_buckets"), [("one string", 8), (["push"], 0)])
def test_wrong_arguments_are_refused(sentences, num_buckets):
    with pytest.raises(ValueError, match=r"sequence of sentences|at least 1"):
        hashed_words(sentences, num_buckets)
