from segexp.sweeps.ledger import DONE, FAILED, QUEUED, RUNNING, Entry, Ledger
from tests.sweeps.tiny_job import lines_of


def test_entries_are_the_last_states_and_count_the_starts(tmp_path):
    ledger = Ledger(tmp_path / "sweep" / "ledger.jsonl")
    ledger.add("a", "job-a", QUEUED, overrides=["x=1"])
    ledger.add("b", "job-b", RUNNING)
    ledger.add("a", "job-a", RUNNING)
    assert ledger.entries() == {"a": Entry("job-a", RUNNING, "", 1), "b": Entry("job-b", RUNNING, "", 1)}
    ledger.add("a", "job-a", FAILED, why="it broke")
    ledger.add("a", "job-a", RUNNING)
    ledger.add("b", "job-b", DONE)
    assert ledger.entries() == {"a": Entry("job-a", RUNNING, "", 2), "b": Entry("job-b", DONE, "", 1)}
    lines = lines_of(tmp_path / "sweep")
    assert [line["state"] for line in lines] == [QUEUED, RUNNING, RUNNING, FAILED, RUNNING, DONE]
    assert lines[0]["overrides"] == ["x=1"]


def test_two_ledgers_of_one_file_see_each_others_lines(tmp_path):
    one, two = (Ledger(tmp_path / "ledger.jsonl") for _ in range(2))
    assert one.entries() == {}
    two.add("a", "job-a", QUEUED)
    assert one.entries() == two.entries() == {"a": Entry("job-a", QUEUED, "", 0)}


def test_a_line_that_was_cut_off_is_passed_over(tmp_path, caplog):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.add("1", "one", RUNNING)
    with ledger.path.open("ab") as file:
        file.write(b'{"job": "1", "name": "one", "sta')
    ledger.add("1", "one", DONE)
    assert ledger.entries() == {"1": Entry("one", DONE, "", 1)}
    assert len(ledger.path.read_bytes().splitlines()) == 3  # the broken one ends where the next begins
    assert not caplog.text


def test_a_damaged_line_is_named(tmp_path, caplog):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for state in (QUEUED, RUNNING, DONE):
        ledger.add("1", "one", state)
    whole, entries = ledger.path.read_bytes(), ledger.entries()
    ledger.path.write_bytes(whole.replace(b"running", b"runninh"))
    assert Ledger(ledger.path).entries() == {"1": Entry("one", DONE, "", 0)}
    assert "ledger.jsonl: line 2 is damaged and left out" in caplog.text
    for place in range(0, len(whole) - 1, 5):  # the last newline may be cut off by a kill
        caplog.clear()
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 7
        ledger.path.write_bytes(damaged)
        assert Ledger(ledger.path).entries() == entries or "is damaged" in caplog.text


def test_lines_without_checksums_are_read(tmp_path, caplog):
    (tmp_path / "ledger.jsonl").write_text('{"job": "1", "name": "one", "state": "done"}\n')
    assert Ledger(tmp_path / "ledger.jsonl").entries() == {"1": Entry("one", DONE, "", 0)}
    assert not caplog.text
