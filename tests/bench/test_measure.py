"""How contests are run: turns, peers, what is told of those that are not there."""

import weakref

import pytest
from bench.harness import FEWEST_ROUNDS, Contest, Run
from bench.measure import (
    FEWEST_PEER_ROUNDS,
    QUICK_S,
    Least,
    Measured,
    Pace,
    PeerError,
    expected_s,
    measure,
)
from bench.peers import Entry, Peer

from .made import case, idle, peer, wait_ms

QUICK = Pace(contest_s=0.02)


def test_a_peer_has_a_ratio_to_each_subject():
    """And quartiles, in their order."""
    found = measure(case(), 10, QUICK, [peer(call=wait_ms(1))])
    rival = found.peers["rival"]
    assert set(rival.ratio) == {"fast", "slow"}
    assert rival.ns[0] <= rival.ns[1] <= rival.ns[2]
    assert rival.ns[1] >= 1e6
    assert rival.ratio["fast"][1] > 10


@pytest.mark.parametrize(
    ("ms", "rounds"), [(5, FEWEST_ROUNDS), (1e3 * QUICK_S / FEWEST_ROUNDS + 50, 5)]
)
def test_a_slow_peer_has_fewer_rounds(ms, rounds):
    """As many as a case has at least while they are quick, whatever the budget; three of a slow
    peer, and some more within the same time."""
    found = measure(case(), 10, QUICK, [peer(call=wait_ms(ms))])
    assert FEWEST_PEER_ROUNDS <= found.peers["rival"].rounds <= rounds
    assert (found.peers["rival"].rounds == FEWEST_ROUNDS) == (rounds == FEWEST_ROUNDS)
    assert found.subjects["fast"].rounds >= case().rounds


def test_rounds_can_be_fixed():
    """However long they take."""
    found = measure(case(), 10, Pace(rounds=4), [peer(call=wait_ms(1))])
    assert (found.subjects["fast"].rounds, found.peers["rival"].rounds) == (4, 4)


def test_contestants_take_turns():
    """Subjects, bound and peer in each round; the state of each is restored before its call."""
    told = []

    def run(name):
        return Run(lambda: told.append(name), lambda: told.append(f"before {name}"))

    both = case(subjects=("a", "b"))
    contest = Contest({"a": run("a"), "b": run("b")}, run("bound"))
    object.__setattr__(both, "setup", lambda n: contest)
    rival = peer(call=run("peer").call, before=run("peer").before)
    measure(both, 10, Pace(rounds=3), [rival])
    turn = [text for name in ("a", "b", "bound", "peer") for text in (f"before {name}", name) * 2]
    assert told[-len(turn) :] == turn
    assert told.count("peer") == told.count("before peer")
    alone = [text for name in ("a", "b", "bound") for text in (f"before {name}", name)]
    assert told[4 * 3 : 4 * 3 + 3 * len(alone)] == alone * 3


def test_a_peer_is_checked_before_it_is_timed():
    """After a restored state and one call."""
    told = []
    entry = Entry(
        lambda: told.append("call"), lambda: told.append("check"), lambda: told.append("before")
    )
    rival = peer(name="checked rival", workloads=())
    object.__setattr__(rival, "workloads", {"walk": lambda n: entry})
    measure(case(), 10, Pace(rounds=1), [rival])
    assert told[:3] == ["before", "call", "check"]


@pytest.mark.parametrize("how", ["check", "call"])
def test_a_peer_that_is_wrong_stops_the_run(how):
    """Who, where and what are told."""

    def wrong():
        raise ValueError("3 is not 4")

    with pytest.raises(PeerError, match=r"rival in walk at 10 .*ValueError: 3 is not 4"):
        measure(case(), 10, QUICK, [peer(**{how: wrong})])


def test_a_peer_that_is_not_there_is_told():
    """With its own reason; one that has no such workload is no matter."""
    peers = [
        peer("gone", absent=lambda: "not installed: no C++ compiler"),
        Peer("nowhere", "no-such-package", {"walk": lambda n: Entry(idle, idle)}),
        peer("small", largest=5),
        peer("swimmer", workloads=("swim",)),
    ]
    found = measure(case(), 10, QUICK, peers)
    assert found.absent == {
        "gone": "not installed: no C++ compiler",
        "nowhere": "not installed",
        "small": "left out beyond 5",
    }
    assert not found.peers


def test_a_peer_that_would_take_too_long_is_left_out():
    """Judged by what it took at the size before, and so at all larger ones."""
    pace = Pace(rounds=1, patience_s=0.1)
    before: dict[int, Measured] = {}
    for size in (10, 100, 1000):
        before[size] = measure(case(), size, pace, [peer(call=wait_ms(20))], before)
    assert "rival" in before[10].peers
    told = before[100].absent["rival"]
    assert told.startswith("left out beyond 10: it would take about ")
    assert before[1000].absent["rival"] == told


def test_a_quick_peer_is_not_left_out_for_how_long_it_is_set_up():
    """As that need not grow: 30 ms at 10 are not 30 s at 10,000."""

    def setup(n):
        wait_ms(30)()
        return Entry(idle, idle)

    steady = peer()
    object.__setattr__(steady, "workloads", {"walk": setup})
    before: dict[int, Measured] = {}
    for size in (10, 1_000, 10_000):
        before[size] = measure(case(), size, Pace(contest_s=0.02, patience_s=20), [steady], before)
        assert "rival" in before[size].peers


@pytest.mark.parametrize(
    ("least", "size", "seconds"),
    [
        ({10: Least(2, 1)}, 100, 2 + 10),
        ({10: Least(2, 1), 20: Least(3, 2)}, 40, 5 + 2 * 2),
        ({10: Least(2, 1), 20: Least(2, 0.5)}, 40, 2.5),
        ({5: Least(9, 9), 10: Least(2, 1), 20: Least(2, 1)}, 10**6, 3),
    ],
)
def test_what_a_peer_will_take(least, size, seconds):
    """Rounds grow with the size; all of it as the last two sizes differ, where there are two."""
    assert expected_s(least, size) == pytest.approx(seconds)


def test_without_a_bound_there_is_no_ratio():
    """Peers are compared all the same."""
    found = measure(case(bound=False), 10, QUICK, [peer()])
    assert found.subjects["fast"].ratio is None
    assert found.subjects["fast"].bound_ns is None
    assert "rival" in found.peers


def test_a_peer_lives_as_long_as_it_is_timed():
    """Whatever of it holds what it works on: here only its check does, as with Mesa's agents."""

    class Agent:
        pass

    def setup(n):
        agent = Agent()
        known = weakref.ref(agent)

        def call():
            assert known() is not None

        def check():
            assert agent is known()

        return Entry(call, check)

    mesa = peer()
    object.__setattr__(mesa, "workloads", {"walk": setup})
    assert measure(case(), 10, QUICK, [mesa]).peers["rival"].rounds >= FEWEST_PEER_ROUNDS


def test_peers_are_let_go():
    """Before the next one is set up, so that memory holds one of them."""
    alive: list[weakref.ref] = []

    class Heavy:
        def call(self):
            """Nothing."""

    def setup(n):
        assert all(ref() is None for ref in alive)
        heavy = Heavy()
        alive.append(weakref.ref(heavy))
        return Entry(heavy.call, idle)

    peers = [peer(name) for name in ("first", "second")]
    for each in peers:
        object.__setattr__(each, "workloads", {"walk": setup})
    measure(case(), 10, QUICK, peers)
    assert len(alive) >= 2
