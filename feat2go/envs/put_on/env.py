"""The put-on suite behind the contract of ``core.protocols.VectorEnv``."""

from __future__ import annotations

from torch import Tensor

from feat2go.envs.maniskill.env import ManiSkill
from feat2go.envs.put_on.assets import AssetsName
from feat2go.envs.put_on.settings import setting_named


class PutOn(ManiSkill):
    """N environments of ``PutOn-v1`` in one setting, run as ``envs.maniskill.env.ManiSkill`` says.

    A seed stands for an episode state of the setting. Actions are 7-d end-effector deltas at 5 Hz. With the shipped
    assets, one unit is 0.1 m or 0.1 rad; with the public ones, whose robot is a WidowX, 0.1 m or 0.5 rad.

    Args:
        setting: ``"in_distribution"`` or another name in ``settings.SETTINGS``.
        assets: ``"shipped"``: primitives and drawn pictures, with a Panda; ``"public"``: those of RL4VLA and RLinf,
            with a WidowX-250S, from ``asset_folder``.
        asset_folder: of the public assets, see docs/put_on.md; by default what ``FEAT2GO_PUT_ON_ASSETS`` says.
        num_envs: N.
        num_workers: processes; by default one per environment, up to the number of CPUs.
        image_size: side of the pictures in pixels.
        max_episode_steps: the suite's limit is 80.
        light_assets: low-poly robot, for software rendering; by default where there is no GPU.
        expert_noise: standard deviation of Gaussian noise on the expert's motion, in action units.
        expert_tempo: lowest relative speed of a phase of the expert, in (0, 1].
        expert_detours: random places that the expert visits before it begins, at most.
        expert_turns: whether the expert turns its gripper to the sides of the object. If False, it takes the object as
            it lies, so that imitating it needs no sight of how a round thing is turned.
        success_requires_grasp: success only after the gripper has held the object once, as the reward of RL4VLA and
            RLinf has it; their success rate does without.
        terminate_on_success: if False, episodes run to the limit. May be set between episodes.

    Raises:
        ValueError: for an unknown setting or a value that is out of range.
        FileNotFoundError: if a public asset is missing, with the command that gets it.
        RequirementError: if ManiSkill or Vulkan is missing, with the command that mends it.
    """

    def __init__(
        self,
        setting: str = "in_distribution",
        assets: AssetsName = "shipped",
        asset_folder: str | None = None,
        num_envs: int = 4,
        num_workers: int | None = None,
        image_size: int = 128,
        max_episode_steps: int | None = None,
        light_assets: bool | None = None,
        expert_noise: float = 0.0,
        expert_tempo: float = 1.0,
        expert_detours: int = 0,
        expert_turns: bool = True,
        success_requires_grasp: bool = False,
        terminate_on_success: bool = True,
    ) -> None:
        setting_named(setting)
        self.setting = setting
        self._assets = assets
        super().__init__(
            task="PutOn-v1",
            num_envs=num_envs,
            num_workers=num_workers,
            image_size=image_size,
            max_episode_steps=max_episode_steps,
            light_assets=light_assets,
            expert_noise=expert_noise,
            expert_tempo=expert_tempo,
            expert_detours=expert_detours,
            expert_turns=expert_turns,
            terminate_on_success=terminate_on_success,
            task_options={
                "setting": setting,
                "assets": assets,
                "asset_folder": asset_folder,
                "success_requires_grasp": success_requires_grasp,
            },
        )

    def expert_actions(self) -> Tensor:
        """float32 (N, A): what the scripted expert would do now, with its noise; zero where no episode runs.

        Raises:
            NotImplementedError: with the public assets.
        """
        if self._assets != "shipped":
            raise NotImplementedError("the expert of 'put_on' handles the Panda of the shipped assets only")
        return super().expert_actions()
