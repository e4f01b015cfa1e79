"""What the suite's things are called, and how the task is said.

The first 16 objects, the first receptacle, the first 16 tables and the first phrasing are for training; the others are
set apart for the out-of-distribution settings. The names are those of RL4VLA's suite ("put X on Y" in one scene with 25
objects); the phrasings are our own.
"""

from __future__ import annotations

OBJECTS = (
    "carrot",
    "kitchen shovel",
    "bread",
    "plastic bottle",
    "7up can",
    "zucchini",
    "ketchup bottle",
    "watering can",
    "pipe",
    "toy bear",
    "fast food cup",
    "plant",
    "banana",
    "hamburger",
    "golf ball",
    "BBQ sauce",
    "travel cup",
    "pepper",
    "nonstop can",
    "potato",
    "baguette",
    "champagne glass",
    "kitchen spoon",
    "onion",
    "cup",
)
RECEPTACLES = (
    "plate",
    "cloth",
    "carpet",
    "newspaper",
    "sheet metal",
    "drawing tablet",
    "tomato slice",
    "pizza",
    "flat bowl",
    "gramophone disk",
    "frying pan",
    "mouse pad",
    "cutting board",
    "chess board",
    "manhole cover",
    "envelope",
    "notepad",
)
NUM_TABLES = 21
PHRASINGS = (
    "put {object} on {receptacle}",
    "place the {object} on the {receptacle}",
    "lay {object} on {receptacle}",
    "bring the {object} to the {receptacle}",
    "grab the {object} and set it on the {receptacle}",
    "lift {object} and lower it onto {receptacle}",
    "would you put the {object} on the {receptacle}",
    "put the {object} onto the {receptacle}, please.",
    "set the {object} down on top of the {receptacle}",
    "the {object} belongs on the {receptacle}.",
    "onto the {receptacle} goes the {object}",
    "see to it that the {object} ends up on the {receptacle}",
    "carry the {object} across the table to the {receptacle}",
    "I want the {object} on the {receptacle}.",
    "can the {object} go on the {receptacle}?",
    "{object}, on the {receptacle}.",
    "rest the {object} upon the {receptacle}",
)

TRAIN_OBJECTS, UNSEEN_OBJECTS = range(16), range(16, len(OBJECTS))
TRAIN_RECEPTACLES, UNSEEN_RECEPTACLES = range(1), range(1, len(RECEPTACLES))
TRAIN_TABLES, UNSEEN_TABLES = range(16), range(16, NUM_TABLES)
TRAIN_PHRASINGS, UNSEEN_PHRASINGS = range(1), range(1, len(PHRASINGS))
# Of the textures, one for each table, these are blended over pictures.
BLENDED_TEXTURES = range(1, 17)


def instruction(phrasing: int, named_object: str, named_receptacle: str) -> str:
    """``"put carrot on plate"``, for phrasing 0."""
    return PHRASINGS[phrasing].format(object=named_object, receptacle=named_receptacle)
