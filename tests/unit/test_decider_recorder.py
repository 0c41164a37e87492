"""The file of a recording: written as it comes, given up where the disk is full."""

from __future__ import annotations

from pathlib import Path

from ezpath_decider.recorder import Recorder, cannot_write
from structlog.testing import capture_logs


def test_given_messages_then_they_are_in_the_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "live.rec"
    recorder = Recorder(file)
    recorder.write(b"one")
    recorder.write(b"two")
    assert file.read_bytes() == b"onetwo"


def test_given_a_full_disk_then_the_recording_ends_with_a_word_and_the_decider_goes_on() -> None:
    recorder = Recorder(Path("/dev/full"))
    with capture_logs() as said:
        recorder.write(b"one")
        recorder.write(b"two")
    assert [line["event"] for line in said] == ["recording ended"]
    assert "No space left" in said[0]["reason"]


def test_given_a_place_where_nothing_can_be_written_then_it_is_said_at_the_start(tmp_path: Path) -> None:
    (said,) = cannot_write(tmp_path / "nowhere" / "live.rec")
    assert said == (
        f"--record {tmp_path}/nowhere/live.rec: cannot be written: No such file or directory. "
        "Give a file in a folder that is there and that the decider may write to"
    )
    (said,) = cannot_write(tmp_path)
    assert "Is a directory" in said


def test_given_a_look_at_the_place_then_what_is_there_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "live.rec"
    assert cannot_write(None) == cannot_write(file) == []
    assert not file.exists()
    file.write_bytes(b"an older recording")
    assert cannot_write(file) == []
    assert file.read_bytes() == b"an older recording"
