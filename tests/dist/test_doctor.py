"""``feat2go doctor --distributed``."""


def test_two_processes_that_can_train_together(start, tmp_path):
    words = ["doctor", "--distributed", "--accelerator", "cpu", "--devices", "2", "--folder", str(tmp_path)]
    job = start("fit.py", 2, tmp_path, words=words)
    job.succeed()
    printed, other = (output.read_text() for output in job.outputs)
    checks = ["processes", "devices", "exchange", "episodes", "ddp training", "ddp checkpoint"]
    for name in [*checks, "fsdp2 training", "fsdp2 checkpoint", "same result"]:
        assert f"  ok  {name}" in printed, printed
    assert "NO" not in printed
    assert "Processes" not in other, "the first one speaks for all"
    assert not list(tmp_path.glob(".doctor*"))
