"""Draw docs/images/put_on_settings.png: every setting of put_on, as the shipped assets show it.

Of each setting: the words of one episode, the first pictures of it and of two others, and the picture of it after seven
actions of the expert. Run it with ``python docs/make_put_on_grid.py``; it takes a minute or two.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from feat2go.core.seeding import episode_seed
from feat2go.envs.maniskill import light
from feat2go.envs.maniskill.config import SimulationConfig
from feat2go.envs.maniskill.experts import expert_for
from feat2go.envs.maniskill.scene import Scene
from feat2go.envs.put_on import SETTINGS
from feat2go.envs.put_on.words import sentence

OUTPUT = Path(__file__).parent / "images" / "put_on_settings.png"
SIZE, TITLE_HEIGHT, NUM_STRIPS_ACROSS = 128, 18, 2
NUM_ACTIONS = 7


def strip(name: str) -> np.ndarray:
    """uint8 (SIZE, 4 * SIZE, 3): one setting."""
    config = SimulationConfig(
        task="PutOn-v1",
        image_size=SIZE,
        control="ee",
        view=None,
        fov=None,
        light_assets=True,
        max_episode_steps=None,
        expert_noise=0.0,
        expert_tempo=1.0,
        expert_detours=0,
        task_options={"setting": name},
    )
    scene = Scene(config)
    expert = expert_for(config, scene.env, 0)
    assert expert is not None
    pictures = []
    # The first episode last, so that it can go on.
    for i in (2, 1, 0):
        scene.reset(0, episode_seed("development", i))
        pictures.insert(0, scene.images()[0, 0])
    expert.reset(0)
    for i in range(NUM_ACTIONS):
        scene.step(expert.action(i)[None])
    pictures.append(scene.images()[0, 0])
    scene.close()
    return np.concatenate(pictures, axis=1)


def main() -> None:
    """One strip for each setting, in two columns."""
    light.install()
    height, width = SIZE + TITLE_HEIGHT, 4 * SIZE
    num_rows = -(-len(SETTINGS) // NUM_STRIPS_ACROSS)
    canvas = Image.new("RGB", (NUM_STRIPS_ACROSS * (width + 8), num_rows * height), "white")
    draw = ImageDraw.Draw(canvas)
    for i, setting in enumerate(SETTINGS.values()):
        # Down the first column, then the second.
        left, top = i // num_rows * (width + 8), i % num_rows * height
        words = sentence(episode_seed("development", 0), setting=setting.name)
        draw.text((left + 2, top + 4), f'{setting.name}  ({setting.category})  "{words}"', fill="black")
        canvas.paste(Image.fromarray(strip(setting.name)), (left, top + TITLE_HEIGHT))
    # 256 colours keep the file small.
    canvas.quantize(256).save(OUTPUT, optimize=True)


if __name__ == "__main__":
    main()
