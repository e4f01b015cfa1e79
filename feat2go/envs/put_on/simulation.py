"""ManiSkill's environment ``PutOn-v1``: put an object on a receptacle, in a setting of the suite.

Importing this module registers it. All things of a setting are built once; an episode puts those of its state on the
table, the others lie on the floor below, out of the picture. Nothing settles before an episode: things are let go
within a centimetre of where they rest. So an episode begins without a step of physics, in any row of a batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sapien
import torch
from mani_skill.envs.sapien_env import BaseEnv
from mani_skill.sensors.camera import CameraConfig
from mani_skill.utils.registration import register_env
from mani_skill.utils.structs.pose import Pose
from mani_skill.utils.structs.types import GPUMemoryConfig, SimConfig

from feat2go.envs.put_on.assets import AssetSet, AssetsName, asset_set
from feat2go.envs.put_on.names import RECEPTACLES
from feat2go.envs.put_on.overlay import compose, resized
from feat2go.envs.put_on.settings import EpisodeState, setting_named

TASK_ID = "PutOn-v1"
MAX_EPISODE_STEPS = 80

# Success as in RL4VLA: how far the object may be beside and above the receptacle, and how it presses on it.
_BESIDE_M, _ABOVE_M, _CONTACT_N = 0.01, 0.05, 0.03
# After how many steps the object jumps, where it does.
_JUMP_STEP = 5
# Lower edges of things that are let go: above the highest receptacle, since an object may lie across its edge.
_DROP_M = 0.01
_NEAR_M, _LIFTED_M = 0.05, 0.03
_TABLE_SIZE_M = (1.2, 1.6, 0.4)
_FLOOR_DEPTH_M = 1.0
# Behind the robot, where no camera looks.
_PARKING_X_M, _PARKING_PITCH_M = -2.0, 0.3


@register_env(TASK_ID, max_episode_steps=MAX_EPISODE_STEPS)
class PutOnEnv(BaseEnv):  # type: ignore[misc]  # ManiSkill has no types
    """Put the named object on the named receptacle.

    ``reset`` takes the episode from its seed, or from ``options={"episode_id": [...]}``, one for each row that begins.

    Args:
        setting: name of a setting, see ``settings.SETTINGS``.
        assets: ``"shipped"`` or ``"public"``.
        asset_folder: where the public assets are.
        success_requires_grasp: success only after the object has been held by the gripper once.
        control_mode: ManiSkill's; ``"pd_ee_delta_pose"`` stands for what the robot calls it.
        sensor_configs: of the camera; where the asset set's camera has a size of its own, width and height are those of
            the pictures that are made from it.
        options: of ManiSkill's environments.
    """

    SUPPORTED_OBS_MODES = ("none", "state", "state_dict", "rgb+segmentation")
    SUPPORTED_REWARD_MODES = ("none", "sparse")

    def __init__(
        self,
        *args: Any,
        setting: str = "in_distribution",
        assets: AssetsName = "shipped",
        asset_folder: str | None = None,
        success_requires_grasp: bool = False,
        control_mode: str | None = None,
        sensor_configs: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.setting = setting_named(setting)
        self.assets: AssetSet = asset_set(assets, asset_folder)
        self.success_requires_grasp = success_requires_grasp
        camera, sensor_configs = self.assets.camera, dict(sensor_configs or {})
        self.picture_size = (int(sensor_configs.get("height", 128)), int(sensor_configs.get("width", 128)))
        if camera.width:
            sensor_configs.update(width=camera.width, height=camera.height)
        robot = self.assets.robot
        if control_mode in (None, "pd_ee_delta_pose"):
            control_mode = robot.end_effector_control
        super().__init__(
            *args, robot_uids=robot.uid, control_mode=control_mode, sensor_configs=sensor_configs, **options
        )

    @property
    def _default_sim_config(self) -> SimConfig:
        # For a thousand environments: each holds up to 33 things.
        memory = GPUMemoryConfig(
            max_rigid_contact_count=2**22, max_rigid_patch_count=2**20, found_lost_pairs_capacity=2**26
        )
        return SimConfig(sim_freq=500, control_freq=5, spacing=20, gpu_memory_config=memory)

    @property
    def _default_sensor_configs(self) -> list[CameraConfig]:
        camera = self.assets.camera
        return [
            CameraConfig(
                "base_camera",
                sapien.Pose(camera.position, camera.orientation),
                width=camera.width or 128,
                height=camera.height or 128,
                fov=camera.fov,
                intrinsic=None if camera.intrinsic is None else np.array(camera.intrinsic),
                mount=None if camera.mount is None else self.agent.robot.links_map[camera.mount],
            )
        ]

    @property
    def _default_human_render_camera_configs(self) -> list[CameraConfig]:
        return []

    def _load_agent(self, options: dict[str, Any]) -> None:
        robot = self.assets.robot
        super()._load_agent(options, sapien.Pose(robot.position, robot.orientation))

    def _load_lighting(self, options: dict[str, Any]) -> None:
        self.scene.set_ambient_light([0.3, 0.3, 0.3])
        self.scene.add_directional_light([0, 0, -1], [2.2, 2.2, 2.2], shadow=False)
        self.scene.add_directional_light([-1, -0.5, -1], [0.7, 0.7, 0.7])
        self.scene.add_directional_light([1, 1, -1], [0.7, 0.7, 0.7])

    def _load_scene(self, options: dict[str, Any]) -> None:
        self._build_surroundings()
        setting = self.setting
        objects = list(setting.objects)
        rivals = range(len(RECEPTACLES)) if setting.extra == "second receptacle" else setting.receptacles
        self._things: dict[tuple[str, int], Any] = {}
        for kind, models, indices in (
            ("object", self.assets.objects, objects),
            ("receptacle", self.assets.receptacles, rivals),
        ):
            for index in indices:
                self._build_thing(kind, index, models[index])
        self.states: list[EpisodeState] = [setting.state(0)] * self.num_envs
        self._has_grasped = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)

    def _build_surroundings(self) -> None:
        """What things stand on. Of a plain table nothing is drawn: pictures show another in its place."""
        builder = self.scene.create_actor_builder()
        height = self.assets.table_height
        if self.assets.stage is None:
            half = np.array(_TABLE_SIZE_M) / 2
            builder.add_box_collision(half_size=half)
            builder.initial_pose = sapien.Pose([-0.3, 0, height - half[2]])
        else:
            path, position = self.assets.stage
            turned = sapien.Pose(q=[0.7071068, 0.7071068, 0, 0])
            builder.add_nonconvex_collision_from_file(str(path), pose=turned)
            builder.add_visual_from_file(str(path), pose=turned)
            builder.initial_pose = sapien.Pose(position)
        builder.build_static(name="table")
        floor = self.scene.create_actor_builder()
        floor.add_box_collision(half_size=[20, 20, 0.5])
        floor.initial_pose = sapien.Pose([0, 0, height - _FLOOR_DEPTH_M - 0.5])
        floor.build_static(name="floor")

    def _build_thing(self, kind: str, index: int, model: Any) -> None:
        builder = self.scene.create_actor_builder()
        model.add_to(builder)
        builder.initial_pose = sapien.Pose(self._parked(kind, index)[:3])
        self._things[kind, index] = builder.build(name=f"{kind} {index}: {model.name}")

    def _parked(self, kind: str, index: int) -> np.ndarray:
        """(7,): a pose on the floor."""
        model = self._model(kind, index)
        row = 0 if kind == "object" else 1
        height = self.assets.table_height - _FLOOR_DEPTH_M - model.lower[2] + 0.001
        x = _PARKING_X_M - row * _PARKING_PITCH_M
        return np.array([x, _PARKING_PITCH_M * index, height, 1, 0, 0, 0])

    def _model(self, kind: str, index: int) -> Any:
        return (self.assets.objects if kind == "object" else self.assets.receptacles)[index]

    def _initialize_episode(self, env_idx: torch.Tensor, options: dict[str, Any]) -> None:
        rows = env_idx.tolist()
        given = options.get("episode_id")
        # In a partial reset, ManiSkill's seeds are those of the rows that begin, in their order.
        ids = [self.setting.episode_id(int(seed)) for seed in self._episode_seed[: len(rows)]]
        for row, episode_id in zip(rows, ids if given is None else np.atleast_1d(given).tolist(), strict=True):
            self.states[row] = self.setting.state(int(episode_id))
        states = [self.states[row] for row in rows]
        for (kind, index), actor in self._things.items():
            poses = np.stack([self._pose_in(state, kind, index) for state in states])
            actor.set_pose(Pose.create(torch.tensor(poses, dtype=torch.float32, device=self.device)))
        robot = self.assets.robot
        qpos = np.tile(robot.qpos, (len(rows), 1))
        qpos[:, list(robot.offset_joints)] += np.array([state.joint_offset for state in states])
        self.agent.reset(torch.tensor(qpos, dtype=torch.float32, device=self.device))
        self.agent.robot.set_pose(sapien.Pose(robot.position, robot.orientation))
        self._has_grasped[env_idx] = False
        if not self.gpu_sim_enabled:
            self._draw_only(states[0])

    def _pose_in(self, state: EpisodeState, kind: str, index: int) -> np.ndarray:
        """(7,): where a thing is as an episode begins."""
        if kind == "object":
            used, positions, yaw = state.objects, [state.object_position, state.third_position], state.yaw
        else:
            used, positions, yaw = state.receptacles, [state.receptacle_position, state.third_position], 0.0
        if index not in used:
            return self._parked(kind, index)
        position = positions[used.index(index)]
        assert position is not None
        return self._let_go(kind, index, position, yaw)

    def _let_go(self, kind: str, index: int, position: tuple[float, float], yaw: float) -> np.ndarray:
        drop = _DROP_M if kind == "object" else 0.001
        height = self.assets.table_height + drop - self._model(kind, index).lower[2]
        return np.array([*position, height, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])

    def _draw_only(self, state: EpisodeState) -> None:
        """Software rendering pays for every vertex, seen or not."""
        used = {("object", i) for i in state.objects} | {("receptacle", i) for i in state.receptacles}
        for key, actor in self._things.items():
            body = actor._objs[0].find_component_by_type(sapien.render.RenderBodyComponent)
            body.visibility = float(key in used)

    def _step_action(self, action: Any) -> Any:
        carried_out = super()._step_action(action)
        due = [
            row
            for row, elapsed in enumerate((self._elapsed_steps + 1).tolist())
            if elapsed == _JUMP_STEP and self.states[row].moves_to is not None
        ]
        if due:
            self._move_objects(due)
        return carried_out

    def _move_objects(self, rows: list[int]) -> None:
        for index in {self.states[row].object for row in rows}:
            actor = self._things["object", index]
            poses, speeds, turns = (
                value.clone() for value in (actor.pose.raw_pose, actor.linear_velocity, actor.angular_velocity)
            )
            for row in rows:
                state = self.states[row]
                if state.object == index and state.moves_to is not None:
                    new = self._let_go("object", index, state.moves_to, state.yaw)
                    poses[row] = torch.tensor(new, dtype=poses.dtype, device=poses.device)
                    speeds[row] = turns[row] = 0
            actor.set_pose(Pose.create(poses))
            actor.set_linear_velocity(speeds)
            actor.set_angular_velocity(turns)
        if self.gpu_sim_enabled:
            self.scene._gpu_apply_all()
            self.scene._gpu_fetch_all()

    def evaluate(self) -> dict[str, torch.Tensor]:
        """Flags, bool (N,): ``is_near``, ``is_grasped``, ``is_lifted``, ``is_above``, ``has_grasped``, ``success``."""
        position, target = self.position_of("object"), self.position_of("receptacle")
        offset = position - target
        size, target_size = self._half_sizes("object"), self._half_sizes("receptacle")
        is_beside = offset[:, :2].norm(dim=1) <= target_size.amax(dim=1) + _BESIDE_M
        gap = offset[:, 2] - target_size[:, 2] - size[:, 2]
        is_grasped = self.is_grasping()
        self._has_grasped |= is_grasped
        success = is_beside & (offset[:, 2] > 0) & (gap <= _ABOVE_M) & (self._contact() > _CONTACT_N)
        if self.success_requires_grasp:
            success &= self._has_grasped
        is_lifted = position[:, 2] - size[:, 2] - self.assets.table_height > _LIFTED_M
        return {
            "is_near": (self._gripper_position() - position).norm(dim=1) < _NEAR_M + size.amax(dim=1) / 2,
            "is_grasped": is_grasped,
            "is_lifted": is_lifted & is_grasped,
            "is_above": is_lifted & is_beside,
            "has_grasped": self._has_grasped.clone(),
            "success": success,
        }

    def position_of(self, kind: str) -> torch.Tensor:
        """float32 (N, 3): of each row's object or receptacle, in metres."""
        return self._of_each_row(kind, lambda index: self._things[kind, index].pose.p, 3)

    def thing(self, kind: str, row: int) -> tuple[Any, Any]:
        """The actor and model of a row's object or receptacle."""
        index = getattr(self.states[row], kind)
        return self._things[kind, index], self._model(kind, index)

    def is_grasping(self) -> torch.Tensor:
        """Bool (N,): whether each row's object is held."""
        held = self._of_each_row("object", lambda index: self.agent.is_grasping(self._things["object", index])[:, None])
        return held[:, 0] > 0

    def _contact(self) -> torch.Tensor:
        """float32 (N,): how strongly each row's object presses on its receptacle, in newton."""
        force = torch.zeros(self.num_envs, device=self.device)
        for pair in {(state.object, state.receptacle) for state in self.states}:
            rows = [row for row, state in enumerate(self.states) if (state.object, state.receptacle) == pair]
            forces = self.scene.get_pairwise_contact_forces(
                self._things["object", pair[0]], self._things["receptacle", pair[1]]
            )
            force[rows] = forces[rows].norm(dim=1)
        return force

    def _half_sizes(self, kind: str) -> torch.Tensor:
        """float32 (N, 3): half the bounding box of each row's thing at rest, unturned."""
        models = [self._model(kind, getattr(state, kind)) for state in self.states]
        sizes = np.stack([(model.upper - model.lower) / 2 for model in models])
        return torch.tensor(sizes, dtype=torch.float32, device=self.device)

    def _of_each_row(self, kind: str, read: Any, width: int = 1) -> torch.Tensor:
        """Read a tensor (N, width) of each thing in use, and keep of each row what belongs to its own thing."""
        chosen = torch.zeros((self.num_envs, width), device=self.device)
        indices = np.array([getattr(state, kind) for state in self.states])
        for index in np.unique(indices).tolist():
            rows = np.flatnonzero(indices == index).tolist()
            chosen[rows] = read(index)[rows].float()
        return chosen

    def _gripper_position(self) -> torch.Tensor:
        fingers = self.agent.finger1_link.pose.p, self.agent.finger2_link.pose.p
        tcp = getattr(self.agent, "tcp", None)
        position: torch.Tensor = (fingers[0] + fingers[1]) / 2 if tcp is None else tcp.pose.p
        return position

    def compose_images(self, rendered: np.ndarray, segmentation: np.ndarray) -> np.ndarray:
        """What a policy sees: the rendered robot and things before the table's picture, with the setting's texture.

        Args:
            rendered: uint8 (N, H, W, 3).
            segmentation: (N, H, W), what each pixel belongs to.

        Returns:
            uint8 (N, h, w, 3), the picture's size.
        """
        tables = self.assets.tables(*rendered.shape[1:3])
        images = [
            compose(
                picture,
                np.isin(labels, self._labels(state)),
                tables[state.table],
                self.assets.textures[state.texture],
                state.texture_area,
                state.texture_strength,
            )
            for picture, labels, state in zip(rendered, segmentation, self.states, strict=True)
        ]
        if rendered.shape[1:3] != self.picture_size:
            images = [resized(image, self.picture_size) for image in images]
        return np.stack(images)

    def _labels(self, state: EpisodeState) -> list[int]:
        """Segmentation labels of the robot and of what lies on the table."""
        links = [link._objs[0].entity for link in self.agent.robot.get_links()]
        things = [self._things["object", i]._objs[0] for i in state.objects]
        things += [self._things["receptacle", i]._objs[0] for i in state.receptacles]
        return [entity.per_scene_id for entity in (*links, *things)]

    def _get_obs_sensor_data(self, apply_texture_transforms: bool = True) -> dict[str, Any]:
        """For those who use ManiSkill's own observations."""
        observed: dict[str, Any] = super()._get_obs_sensor_data(apply_texture_transforms)
        seen = observed["base_camera"]
        labels = seen["segmentation"][..., 0].cpu().numpy()
        seen["rgb"] = torch.from_numpy(self.compose_images(seen["rgb"].cpu().numpy(), labels)).to(self.device)
        return observed
