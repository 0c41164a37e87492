"""What the load generators of the bench's applications say is read as they say it. The texts are recorded ones."""

from __future__ import annotations

import pytest
from ezpath_bench.figures.applications import memcached, nginx, zeromq
from ezpath_lab.shell import LabError

MEMCASLAP = """\
Get Statistics (111640 events)
   Min:        15
   Max:    159631
   Avg:       776
   Geo:    428.24
   Std:   2818.79
   Log2 Dist:
       4:       68     5176     3033     3838
       8:    11778    33197    38982     9755
      12:     4249     1117      169      128
      16:      119        9       22

Total Statistics (122822 events)
   Min:        15
   Max:    159644
   Avg:       780
   Geo:    429.24
   Std:   2836.99
   Log2 Dist:
       4:       74     5677     3350     4186
       8:    12920    36445    42961    10775
      12:     4686     1244      191      145
      16:      132       12       24

cmd_get: 111686
cmd_set: 11184
get_misses: 0
written_bytes: 3160546
read_bytes: 7680976
object_bytes: 536832

Run time: 2.0s Ops: 122870 TPS: 61311 Net_rate: 5.2M/s
"""

H2LOAD = """\
1795857446574646\t200\t224
1795857446574641\t200\t542
1795857446574642\t200\t546
1795857446574643\t200\t549
1795857446574644\t200\t552
"""


def test_memcaslap_says_how_many_operations_and_how_long_they_took() -> None:
    said = memcached.parse(MEMCASLAP)

    assert (said.operations, said.per_second, said.misses) == (122870, 61311.0, 0)
    assert sum(said.buckets.values()) == 122822, "those of SET and GET together, each once"
    assert said.buckets[18] == 24, "from 2^17 microseconds to 2^18: the longest took 159,644"


def test_percentiles_of_memcached_lie_in_the_bucket_that_holds_them() -> None:
    said = memcached.parse(MEMCASLAP)

    assert 256 < said.percentile(0.5) < 512
    assert 32768 < said.percentile(0.999) < 65536
    assert said.percentile(1.0) == 2**18


def test_a_memcaslap_that_could_not_connect_is_refused_with_what_it_said() -> None:
    with pytest.raises(LabError, match="connect error"):
        memcached.parse("connect error: Connection refused\n")


def test_requests_are_read_from_the_log_of_h2load() -> None:
    requests = nginx.parse(H2LOAD)

    assert list(requests.microseconds) == [224, 542, 546, 549, 552]
    assert requests.percentile(50) == 546
    assert (requests.cut_off, requests.failed) == (0, 0)


def test_requests_that_the_end_cut_off_and_those_that_failed_are_counted_apart() -> None:
    requests = nginx.parse(H2LOAD + "1795857446574645\t503\t90\n1795857446574645\t-1\t30\n")

    assert len(requests.microseconds) == 5
    assert (requests.cut_off, requests.failed) == (1, 1)


@pytest.mark.parametrize("log", ["", "1795857446574646\t-1\t224\n", "not a log\n"])
def test_a_log_without_answers_is_no_measurement(log: str) -> None:
    with pytest.raises(LabError, match="h2load"):
        nginx.parse(log)


def test_what_zeromq_peers_say_is_taken_by_name() -> None:
    said = '{"messages": 97660, "seconds": 1.0004}\n'

    assert zeromq.parse(said, "messages", "seconds") == {"messages": 97660.0, "seconds": 1.0004}


@pytest.mark.parametrize("said", ["", "Traceback (most recent call last):", "[]", '{"messages": 3}'])
def test_a_zeromq_peer_that_counted_nothing_is_no_measurement(said: str) -> None:
    with pytest.raises(LabError, match=r"exchange\.py said nothing of messages, seconds"):
        zeromq.parse(said, "messages", "seconds")
