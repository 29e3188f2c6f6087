import numpy as np

from segexp.training.resources import ResourceMeter


def test_energy_is_the_difference_of_the_counters(tmp_path):
    for name, microjoules in (("intel-rapl:0", 1_000_000), ("intel-rapl:1", 5_000_000), ("intel-rapl:0:0", 7)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{microjoules}\n")
    meter = ResourceMeter(tmp_path)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text(f"{1_000_000 + 3_600_000_000}\n")
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("0\n")  # it ran over: not known
    assert meter.read()["energy_wh"] == 1.0


def test_no_counter_no_figure_and_memory_grows(tmp_path):
    meter = ResourceMeter(tmp_path)
    before = meter.read()
    held = np.ones(200 * 2**20, np.uint8)
    after = meter.read()
    assert before["energy_wh"] is None
    assert after["peak_memory_mib"] >= max(before["peak_memory_mib"], 200)
    assert held.sum() == held.size
