"""``feat2go fit | validate | test | predict``: LightningCLI with registry names and the guards of docs/traps.md."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from feat2go.cli.parsing import install_names, read_argv
from feat2go.training.checkpoints import AtomicCheckpointIO, read_checkpoint
from feat2go.training.precision import HalfWeights
from feat2go.training.processes import naming_lost_processes, watch_parent
from feat2go.training.progress_bar import PacedProgressBar
from feat2go.training.resuming import ConfiguredOptimizer, ContinuedCSVLogger, RandomStates, RowOfCheckpoint
from feat2go.training.strategies import register_strategies
from feat2go.training.unprofiled import Unprofiled


class TrainingCLI(LightningCLI):
    """LightningCLI whose runs live in one folder, ``--run_dir``: config, logs, checkpoints and the exported model."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--run_dir", type=str, default="runs/default", help="folder of everything the run writes")

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        config.trainer.default_root_dir = config.run_dir

    def instantiate_classes(self) -> None:
        """Say what a constructor said: where None would do as well, jsonargparse wraps its sentence into a page."""
        try:
            super().instantiate_classes()
        except ValueError as error:
            is_wrapped = str(error).startswith("Does not validate") and isinstance(error.__cause__, ValueError)
            raise ValueError(str(error.__cause__ if is_wrapped else error)) from error

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Add the loggers, progress bar and checkpoints that the config does not set itself."""
        config = self.config_init[self.subcommand]
        trainer = config["trainer"]
        run_dir = Path(trainer["default_root_dir"])
        # `logger: false` stays as it is; only an unset one is filled in.
        if trainer.get("logger") is None:
            kwargs["logger"] = _loggers(run_dir, config["ckpt_path"]) if self.subcommand == "fit" else False
        if trainer.get("profiler") is None:
            kwargs["profiler"] = Unprofiled()
        plugins = list(trainer.get("plugins") or [])
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            plugins.append(AtomicCheckpointIO())
        if trainer.get("precision") in ("bf16-true", "16-true"):
            # Lightning takes a plugin or a precision, not both.
            plugins.append(HalfWeights(trainer["precision"]))
            kwargs["precision"] = None
        kwargs["plugins"] = plugins
        kwargs["callbacks"] = [*(trainer.get("callbacks") or []), *_default_callbacks(trainer, run_dir)]
        return super().instantiate_trainer(**kwargs)

    def _run_subcommand(self, subcommand: str) -> None:
        """Say how to go on after Ctrl-C, or when another process of the job has ended."""
        last = Path(self.trainer.default_root_dir) / "checkpoints" / "last.ckpt"
        try:
            with naming_lost_processes():
                super()._run_subcommand(subcommand)
        except RuntimeError as error:
            if not str(error).startswith("Error(s) in loading state_dict"):
                raise
            differing = " ".join(str(error).split())
            raise ValueError(f"the checkpoint of --ckpt_path is of another config: {differing}") from error
        except SystemExit as exit:
            # Lightning's own answer to Ctrl-C.
            if not isinstance(exit.__context__, KeyboardInterrupt):
                raise
            how = f"go on from {last} with `--ckpt_path last`" if last.is_file() else "there is no checkpoint yet"
            raise KeyboardInterrupt(how if subcommand == "fit" else "") from None

    def _parse_ckpt_path(self) -> None:
        """Leave the command line alone: Lightning would let the checkpoint's hyper-parameters override it."""


def _loggers(run_dir: Path, ckpt_path: str | None) -> list[Logger]:
    checkpoint = run_dir / "checkpoints" / "last.ckpt" if ckpt_path == "last" else Path(ckpt_path or "")
    # Without a checkpoint, `last` begins anew: one command for the first start and for every one after.
    resumes = ckpt_path is not None and (ckpt_path != "last" or checkpoint.is_file())
    return [
        TensorBoardLogger(run_dir, name="", version=""),
        ContinuedCSVLogger(run_dir, read_checkpoint(checkpoint)["epoch"] if resumes else -1),
    ]


def _default_callbacks(trainer: Any, run_dir: Path) -> list[Callback]:
    given = tuple(type(callback) for callback in trainer.get("callbacks") or [])
    callbacks: list[Callback] = [ConfiguredOptimizer(), RandomStates(), RowOfCheckpoint()]
    if trainer.get("enable_progress_bar") is not False and not any(issubclass(c, RichProgressBar) for c in given):
        callbacks.append(PacedProgressBar())
    if trainer.get("enable_checkpointing") is not False and not any(issubclass(c, ModelCheckpoint) for c in given):
        # At the end of an epoch only: in the middle of one, the rollout that it belongs to is not saved.
        callbacks.append(
            ModelCheckpoint(
                run_dir / "checkpoints",
                save_last=True,
                every_n_epochs=1,
                save_on_train_epoch_end=True,
                # Else a second run in the same folder leaves the first one's last.ckpt as it is, beside a last-v1.ckpt.
                enable_version_counter=False,
            )
        )
    return callbacks


def run(words: Sequence[str]) -> None:
    """Parse, build and run one of Lightning's verbs."""
    install_names()
    register_strategies()
    watch_parent()
    # The first is about a way to call it that is not ours; the second is not true of a log that goes on; the third, of
    # means that all processes have exchanged before.
    exchanged = r"It is recommended to use `self.log\('(rollout/|train/|success)"
    for needless in ("LightningCLI's args parameter is intended", "Experiment logs directory", exchanged):
        warnings.filterwarnings("ignore", message=needless)
    TrainingCLI(
        LightningModule,
        LightningDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        args=read_argv(words),
        # Episodes before the first update would only be waited for.
        trainer_defaults={"num_sanity_val_steps": 0, "log_every_n_steps": 1},
        # Only a fit leaves its config; one that is resumed finds its own there.
        save_config_callback=SaveConfigCallback if words[0] == "fit" else None,
        save_config_kwargs={"overwrite": True},
        # The modules make their optimisers themselves; a second way to set one would be ignored, or worse.
        auto_configure_optimizers=False,
        parser_kwargs={
            "prog": "feat2go",
            "default_env": False,
            "allow_abbrev": False,
            # Every error repeats the usage, and all options fill a page of it.
            words[0]: {"usage": f"feat2go {words[0]} --config FILE [--OPTION VALUE ...]"},
        },
    )
