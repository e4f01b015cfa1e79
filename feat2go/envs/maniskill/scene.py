"""A ManiSkill environment, stepped without its generic observation path."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from feat2go.envs.maniskill import light
from feat2go.envs.maniskill.config import SimulationConfig, SimulationInfo
from feat2go.envs.maniskill.control import Control
from feat2go.envs.maniskill.requirements import explain, missing_assets, require_task
from feat2go.envs.maniskill.tasks import task_named

# ManiSkill's name for it: scaled so that the best possible reward of an action is about 1.
DENSE_REWARD = "normalized_dense"

# Any other control is ManiSkill's own name of a control mode.
_CONTROL_MODES = {"ee": "pd_ee_delta_pose", "joint": "pd_joint_delta_pos"}


class Scene:
    """N rows of one ManiSkill environment: one on a CPU, any number on a GPU.

    Only what is asked for is computed: a step evaluates the task's flags, pictures are taken on request and from the
    task's first camera, or those that ``tasks`` names. ManiSkill's ``get_obs`` would render every camera and assemble a
    nested dictionary each time.

    Attributes:
        env: the unwrapped ManiSkill environment.
        info: its sizes.
        success, failed: bool (N,), after the last step.
        milestone: int64 (N,), the furthest milestone whose condition holds after the last step.
        reward: float32 (N,), the task's own dense reward of the last step; zero unless the config asks for it.

    Raises:
        UnknownNameError: for a task that ManiSkill doesn't know.
        RequirementError: if Vulkan or an asset is missing; the message names the command that mends it.
        ValueError: for a control that the robot doesn't have, and for a task without a camera or time limit or, if it
            is asked for, without a dense reward.
    """

    def __init__(self, config: SimulationConfig, num_rows: int = 1, device: str = "cpu") -> None:
        self.env = _make(config, num_rows, device)
        self.num_rows = num_rows
        self._has_light_assets = config.light_assets
        if not self.env._sensors:
            raise ValueError(f"'{config.task}' has no camera, so there is nothing to observe")
        self._milestones = task_named(config.task).milestones
        self._other_cameras = task_named(config.task).other_cameras
        self._control_name = config.control
        self._control = Control(self.env, config.control)
        self.success = np.zeros(num_rows, bool)
        self.failed = np.zeros(num_rows, bool)
        self.milestone = np.zeros(num_rows, np.int64)
        self.reward = np.zeros(num_rows, np.float32)
        self.info = SimulationInfo(
            action_dim=self._control.action_dim,
            state_dim=self.states().shape[1],
            fps=float(self.env.control_freq),
            max_episode_steps=self._time_limit(config),
            cameras=("base", *self._other_cameras),
        )

    def reset(self, row: int, seed: int) -> None:
        """Start the episode of ``seed`` in one row, alone: its randomness does not depend on the other rows."""
        if not self.env.gpu_sim_enabled:
            _renew_physics(self.env.scene)
        options = {} if self.num_rows == 1 else {"env_idx": torch.tensor([row], device=self.env.device)}
        _, reset_info = self.env.reset(seed=[seed], options=options)
        if reset_info["reconfigure"]:
            # The task built a new scene for this episode, with a new robot.
            self._control = Control(self.env, self._control_name)
        if self._has_light_assets and not self.env.gpu_sim_enabled:
            for sensor in self._sensors:
                light.drop_reflections(sensor.camera)
        for hidden in self.env._hidden_objects:
            hidden.hide_visual()
        self.success[row] = self.failed[row] = False
        self.milestone[row] = 0

    def step(self, actions: np.ndarray) -> None:
        """Carry out one action in every row: float32 (N, A) in [-1, 1]."""
        reward, flags = self._control.apply(actions)
        self.reward = np.broadcast_to(reward.cpu().numpy(), self.num_rows).astype(np.float32)
        self.success = self._flag(flags, "success")
        self.failed = self._flag(flags, "fail")
        self.milestone = self._furthest(flags)

    def images(self) -> np.ndarray:
        """uint8 (N, K, H, W, 3): what the cameras see now."""
        self.env.scene.update_render(update_sensors=True, update_human_render_cameras=False)
        return np.stack([self._image(sensor) for sensor in self._sensors], axis=1)

    def states(self) -> np.ndarray:
        """float32 (N, S): proprioception, then the positions of the objects that no picture shows."""
        parts = [_proprioception(agent) for agent in self._control.agents]
        parts += [hidden.pose.p for hidden in self.env._hidden_objects]
        return torch.cat(parts, dim=1).cpu().numpy().astype(np.float32)

    def positions(self) -> np.ndarray:
        """float32 (N, B, 3): where the grippers and everything that can move are, in metres."""
        tools = [agent.tcp.pose.p for agent in self._control.agents if hasattr(agent, "tcp")]
        actors = self.env.scene.actors.values()
        found = [*tools, *(actor.pose.p for actor in actors if actor.px_body_type != "static")]
        return torch.stack(found, dim=1).cpu().numpy().astype(np.float32)

    def close(self) -> None:
        self.env.close()

    def _image(self, sensor: Any) -> np.ndarray:
        """uint8 (N, H, W, 3)."""
        compose = getattr(self.env, "compose_images", None)
        sensor.capture()
        seen = sensor.get_obs(rgb=True, depth=False, position=False, segmentation=compose is not None)
        image: np.ndarray = seen["rgb"].cpu().numpy()
        if compose is not None:
            image = compose(image, seen["segmentation"][..., 0].cpu().numpy())
        return image

    @property
    def camera(self) -> Any:
        """ManiSkill's first camera, which takes the picture ``"base"``."""
        return self._sensors[0].camera

    @property
    def _sensors(self) -> list[Any]:
        """The task's first camera and the others that are shown; new ones after a task built a new scene."""
        sensors = self.env._sensors
        return [next(iter(sensors.values())), *(sensors[uid] for uid in self._other_cameras.values())]

    def _flag(self, flags: dict[str, Any], name: str) -> np.ndarray:
        if name not in flags:
            return np.zeros(self.num_rows, bool)
        flag: np.ndarray = flags[name].cpu().numpy()
        return flag.astype(bool)

    def _furthest(self, flags: dict[str, Any]) -> np.ndarray:
        furthest = np.zeros(self.num_rows, np.int64)
        for level, predicate in enumerate(self._milestones.values(), start=1):
            furthest[predicate(self.env, flags).cpu().numpy()] = level
        furthest[self.success] = len(self._milestones) + 1
        return furthest

    def _time_limit(self, config: SimulationConfig) -> int:
        from mani_skill.utils.registration import REGISTERED_ENVS

        own = REGISTERED_ENVS[config.task].max_episode_steps
        limit = config.max_episode_steps or task_named(config.task).max_episode_steps or own
        if limit is None:
            raise ValueError(f"'{config.task}' has no time limit of its own; give max_episode_steps")
        return int(limit)


def _proprioception(agent: Any) -> torch.Tensor:
    """(N, 5) for a gripper: its position, yaw (rad) and opening (m); the joint positions for any other robot."""
    qpos: torch.Tensor = agent.robot.get_qpos()
    if not hasattr(agent, "tcp") or not hasattr(agent, "finger1_link"):
        return qpos
    pose = agent.tcp.pose
    w, x, y, z = pose.q.unbind(1)
    # The gripper looks down, so its x axis is nearly horizontal: its direction is the yaw.
    yaw = torch.atan2(2 * (x * y + w * z), 1 - 2 * (y * y + z * z))
    return torch.cat([pose.p, yaw[:, None], qpos[:, -2:].sum(1, keepdim=True)], dim=1)


def _renew_physics(scene: Any) -> None:
    """Move everything into a new physics system, which knows nothing of the episodes before.

    PhysX keeps the order in which contacts came about, and how long a body has been at rest, beyond any reset of poses
    and velocities: without this, the first touch goes another way in each repetition of the same episode.
    """
    import sapien

    old = scene.sub_scenes[0]
    physics = sapien.physx.PhysxCpuSystem()
    physics.timestep = scene.px.timestep
    new = sapien.Scene([physics, old.render_system])
    entities = list(old.entities)
    for entity in entities:
        old.remove_entity(entity)
    for entity in entities:
        new.add_entity(entity)
    for body in physics.rigid_dynamic_components:
        if not body.kinematic:
            body.put_to_sleep()
            body.wake_up()
    scene.sub_scenes[0] = new
    scene.px = physics


def _make(config: SimulationConfig, num_rows: int, device: str) -> Any:
    import gymnasium as gym
    import mani_skill.envs  # noqa: F401  registers ManiSkill's own tasks
    from mani_skill.utils import sapien_utils
    from mani_skill.utils.registration import REGISTERED_ENVS

    importlib.import_module(task_named(config.task).module)
    require_task(config.task)
    sensors: dict[str, Any] = {"width": config.image_size, "height": config.image_size, "shader_pack": "minimal"}
    # Where cameras on the robot are shown as well, they stay where they are.
    first = sensors.setdefault("base_camera", {}) if task_named(config.task).other_cameras else sensors
    if config.view is not None:
        first.update(pose=sapien_utils.look_at(*config.view), mount=None, entity_uid=None)
    if config.fov is not None:
        first.update(fov=config.fov, intrinsic=None)
    options: dict[str, Any] = {
        "num_envs": num_rows,
        "control_mode": _CONTROL_MODES.get(config.control, config.control),
        "sensor_configs": sensors,
        "sim_backend": "physx_cpu" if device == "cpu" else device,
        "render_backend": _render_backend(device),
    }
    if "none" in REGISTERED_ENVS[config.task].cls.SUPPORTED_OBS_MODES:
        options["obs_mode"] = "none"
    reward_modes = REGISTERED_ENVS[config.task].cls.SUPPORTED_REWARD_MODES
    if config.dense_reward:
        if DENSE_REWARD not in reward_modes:
            raise ValueError(f"'{config.task}' has no dense reward, only: {', '.join(reward_modes)}")
        options["reward_mode"] = DENSE_REWARD
    elif "none" in reward_modes:
        options["reward_mode"] = "none"
    try:
        with _refusing_downloads():
            return gym.make(config.task, **options, **config.task_options).unwrapped
    except (RuntimeError, AssertionError, OSError, ImportError) as error:
        explained = explain(error, config.task)
        if explained is None:
            raise
        raise explained from error


def _render_backend(device: str) -> str:
    if device != "cpu":
        return device
    # Simulation on the CPU, but with a GPU beside it: software rendering may not even be installed.
    return "gpu" if torch.cuda.is_available() else "cpu"


@contextlib.contextmanager
def _refusing_downloads() -> Iterator[None]:
    """Where ManiSkill would ask on the terminal whether to download something, raise instead."""
    from mani_skill.utils import download_asset

    def refuse(question: str) -> bool:
        # "Environment NAME requires ..." or "Robot NAME has ..."
        raise missing_assets(question.split()[1])

    ask, download_asset.prompt_yes_no = download_asset.prompt_yes_no, refuse
    try:
        yield
    finally:
        download_asset.prompt_yes_no = ask
