


def test_damaged_episodes_stop_it_or_are_left_out_on_request(tmp_path):
    writer = EpisodeWriter(tmp_path, DatasetInfo("bar", ("base",), 8, 10.0, 7, 0, ()))
    for number in range(3):
        frames, seed = np.zeros((4, 8, 8, 3), np.uint8), episode_seed("train", number)
        actions = np.zeros((3, 7), np.float32)
        writer.write(Episode({"base": frames}, "go", actions, None, True, None, f"bar-{number}", "bar", seed, 10.0))
    damaged = tmp_path / "episodes" / "000001.h5"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    with pytest.raises(DatasetError, match=r"000001\.h5"):
        DemonstrationDataModule([str(tmp_path)]).setup("fit")
    data = DemonstrationDataModule([str(tmp_path)], validation_share=0, skip_damaged=True)
    data.setup("fit")
    assert {episode.uid for episode in data._train} == {"bar-0", "bar-2"}
