import os

from feat2go.report.provenance import commands, machine, versions


def lines(runs):
    return {command.stage: command.line for command in commands(runs)}


def test_commands_that_were_not_recorded_are_put_together(slide, find):
    found = commands(find(slide))
    assert lines(find(slide))["ppo"] == "feat2go fit --config runs/slide/ppo/config.yaml"
    assert lines(find(slide))["after"] == (
        "feat2go evaluate --config … --checkpoint=runs/slide/ppo --seeds=evaluation --temperature=0.0 --episodes=20 "
        "--output=runs/slide/after"
    )
    assert not any(command.is_exact for command in found)


def test_the_demos_own_commands_are_exact_and_timed(slide, find):
    done = slide / ".done"
    done.mkdir()
    for number, stage in enumerate(("collect", "value", "bc", "ppo", "before")):
        (done / stage).write_text(f"{stage} --config configs/{stage}_slide.yaml")
        os.utime(done / stage, (1000.0 + 10 * number, 1000.0 + 10 * number))
    found = commands(find(slide))
    assert [command.stage for command in found] == ["collect", "value", "bc", "ppo", "before", "after"]
    assert found[3].line == "feat2go ppo --config configs/ppo_slide.yaml"
    assert [command.is_exact for command in found] == [True] * 5 + [False]
    assert [command.seconds for command in found] == [None, 10.0, 10.0, 10.0, 10.0, None]
    # The same where only a part of the demo is asked for.
    assert len(commands(find(slide / "ppo"))) == 5


def test_a_fit_took_from_its_config_to_its_last_row(slide, find):
    os.utime(slide / "ppo" / "config.yaml", (1000.0, 1000.0))
    os.utime(slide / "ppo" / "metrics.csv", (1075.0, 1075.0))
    seconds = {command.stage: command.seconds for command in commands(find(slide))}
    assert seconds["ppo"] == 75.0


def test_versions_and_machine():
    assert {"python", "torch", "feat2go"} <= versions().keys()
    assert "CPU" in machine()
