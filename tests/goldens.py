"""Reference outputs of the original implementations: what tests/golden/*/README.md describes."""

from pathlib import Path

import torch
from safetensors.torch import load_file

FOLDER = Path(__file__).parent / "golden"


class Golden:
    """The tensors of one folder of tests/golden."""

    def __init__(self, name):
        self.folder = FOLDER / name
        self.tensors = load_file(self.folder / "golden.safetensors")

    def __getitem__(self, name):
        return self.tensors[f"out.{name}"]

    def given(self, name):
        return self.tensors[f"in.{name}"]

    @property
    def pixels(self):
        return self.given("pixel_values_i8").float() * self.given("pixel_values_scale")

    @property
    def training(self):
        """Ids and mask of the padded training batch."""
        return self.given("train_input_ids"), self.given("train_attention_mask")

    def prompt(self, row):
        """Ids and mask of one prompt, without the trailing 29871."""
        return self.given(f"predict{row}_input_ids"), self.given(f"predict{row}_attention_mask")

    def prompts(self):
        """The two prompts as one padded batch."""
        rows = [self.prompt(row)[0][0] for row in range(2)]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=32000)
        return ids, (ids != 32000).long()

    def before_actions(self):
        """The training rows up to their first action id, 29871 included."""
        ids, mask = self.training
        is_action = (ids >= 31744) & (ids < 32000)
        is_behind = torch.arange(ids.shape[1]) >= is_action.int().argmax(1)[:, None]
        return ids.masked_fill(is_behind, 32000), mask.masked_fill(is_behind, 0)


def near(actual, expected, atol):
    """Equal to an absolute tolerance, whatever the dtypes."""
    torch.testing.assert_close(actual.double(), expected.double(), rtol=0, atol=atol)
