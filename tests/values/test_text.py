import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from feat2go.core.text import hashed_words
from feat2go.core.weights import WeightsError
from feat2go.values import HashedWords, SentenceEncoder

SENTENCES = ["push the cube", "the red cube on the green cube", "push the cube"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random BERT, as a sentence encoder's folder looks."""
    path = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "push", "the", "cube", "red", "green", "on"]
    (path / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(path / "vocab.txt")).save_pretrained(path)
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(words), **size)).save_pretrained(path)
    return path


def test_hashed_words_are_those_of_core():
    embedder = HashedWords(num_buckets=16)
    assert embedder.dim == 16
    torch.testing.assert_close(embedder(SENTENCES), hashed_words(SENTENCES, 16), rtol=0, atol=0)


def test_sentence_encoder_averages_over_words_not_padding(folder):
    embedder = SentenceEncoder(str(folder))
    embedded = embedder(SENTENCES)
    assert embedded.shape == (3, embedder.dim) == (3, 16)
    assert torch.equal(embedded[0], embedded[2])
    for sentence, row in zip(SENTENCES, embedded, strict=True):
        hidden = embedder.model(**embedder.tokenizer([sentence], return_tensors="pt")).last_hidden_state[0]
        mean = hidden.mean(dim=0)
        torch.testing.assert_close(row, mean / mean.norm(), rtol=1e-4, atol=1e-5)


def test_a_sentence_is_embedded_once(folder, monkeypatch):
    embedder = SentenceEncoder(str(folder))
    first = embedder(SENTENCES)
    monkeypatch.setattr(embedder, "_embed", lambda sentences: pytest.fail(f"embedded {sentences} again"))
    assert torch.equal(embedder(SENTENCES[:2]), first[:2])


def test_the_fingerprint_is_that_of_the_weights(folder, tmp_path):
    embedder = SentenceEncoder(str(folder))
    assert embedder.fingerprint == SentenceEncoder(str(folder)).fingerprint
    embedder.model.embeddings.word_embeddings.weight.data[5, 0] += 1
    embedder.model.save_pretrained(tmp_path)
    embedder.tokenizer.save_pretrained(tmp_path)
    assert SentenceEncoder(str(tmp_path)).fingerprint != embedder.fingerprint


def test_packaged_weights_that_are_not_here_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("FEAT2GO_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="feat2go weights get minilm"):
        SentenceEncoder()
