import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import binomtest

from feat2go.core import EvaluationRow
from feat2go.rollouts.tables import read_metadata, read_table, summarise, write_table


def row(seed, once=True, at_end=True):
    video = f"videos/{seed}_success.mp4"
    return EvaluationRow("Track-v1", "tilt", "mild", seed, once, at_end, 6, 2, 0.25, video, "slide to the end")


ROWS = [row(2_000_000_000), row(2_000_000_001, at_end=False), row(2_000_000_002, once=False, at_end=False)]


def test_round_trip_with_metadata(tmp_path):
    metadata = {"checkpoint": "runs/ppo", "temperature": "0.0", "versions": {"feat2go": "0.1.0"}}
    write_table(ROWS, tmp_path / "deep" / "episodes.parquet", metadata)
    assert read_table(tmp_path / "deep" / "episodes.parquet") == ROWS
    assert read_metadata(tmp_path / "deep" / "episodes.parquet") == metadata


def test_an_empty_table_keeps_its_columns(tmp_path):
    write_table([], tmp_path / "episodes.parquet")
    assert read_table(tmp_path / "episodes.parquet") == []
    assert read_metadata(tmp_path / "episodes.parquet") == {}
    assert pq.read_schema(tmp_path / "episodes.parquet").field("terminal_value").type == pa.float64()


def test_an_interrupted_write_keeps_the_old_table(tmp_path, monkeypatch):
    path = tmp_path / "episodes.parquet"
    write_table(ROWS, path)

    def interrupt(table, where):
        where.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_table(ROWS[:1], path)
    assert read_table(path) == ROWS
    assert [file.name for file in tmp_path.iterdir()] == ["episodes.parquet"]


def test_errors_name_the_file_and_the_column(tmp_path):
    path = tmp_path / "episodes.parquet"
    with pytest.raises(FileNotFoundError, match=r"episodes\.parquet: no such table"):
        read_table(path)
    path.write_bytes(b"not parquet")
    with pytest.raises(ValueError, match=r"episodes\.parquet: not a parquet file"):
        read_table(path)
    write_table(ROWS, path)
    table = pq.read_table(path)
    pq.write_table(table.drop(["seed"]), path)
    with pytest.raises(ValueError, match=r"episodes\.parquet: column 'seed' is missing"):
        read_table(path)
    pq.write_table(table.set_column(3, "seed", pa.array(["a", "b", "c"])), path)
    with pytest.raises(ValueError, match=r"episodes\.parquet: column 'seed' holds string, not int64"):
        read_table(path)


def test_summary_has_wilson_intervals():
    summary = summarise(ROWS)
    for rate, num_successes in ((summary.success_once, 2), (summary.success_at_end, 1)):
        expected = binomtest(num_successes, 3).proportion_ci(0.95, method="wilson")
        assert (rate.num_successes, rate.num_episodes, rate.rate) == (num_successes, 3, num_successes / 3)
        assert (rate.low, rate.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_nothing_can_not_be_summarised():
    with pytest.raises(ValueError, match="no evaluated episodes"):
        summarise([])
