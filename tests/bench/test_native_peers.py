"""Peers in C++: compiled here, they compute what Populace does; what is missing is told."""

import gc
import os
import weakref

import numpy as np
import pytest
from bench.native import CompilationError, Made, Source, compiled, compiler
from bench.native.entries import MAKERS
from bench.peers import entt_peer, flecs_peer, native_fast_peer, native_peer

from bench import native

PEERS = [native_peer.PEER, native_fast_peer.PEER, entt_peer.PEER, flecs_peer.PEER]
ENTRIES = [(peer, case) for peer in PEERS for case in peer.workloads]
SMALLEST = 10_000

needs_compiler = pytest.mark.skipif(not compiler(), reason="no C++ compiler")


def entry_of(peer, case):
    """Set up, its state restored, called once."""
    if why := peer.why_absent():
        pytest.skip(f"{peer.name}: {why}")
    entry = peer.workloads[case](SMALLEST)
    rounds(entry, 1)
    return entry


def rounds(entry, n):
    for _ in range(n):
        if entry.before is not None:
            entry.before()
        entry.call()


@pytest.mark.parametrize(
    ("peer", "case"), ENTRIES, ids=[f"{peer.name}-{case}" for peer, case in ENTRIES]
)
def test_peers_compute_what_populace_does(peer, case):
    """The check of every entry passes after one call."""
    entry_of(peer, case).check()


@needs_compiler
@pytest.mark.parametrize("case", ["prune_owners", "edges_update", "spawn_4c", "decay_w6"])
def test_restored_states_are_whole(case):
    """What `before` restores, or time does not change, checks out after any number of rounds."""
    entry = entry_of(native_peer.PEER, case)
    rounds(entry, 3)
    entry.check()


@needs_compiler
@pytest.mark.parametrize("case", ["iter_2c", "spawn_4c", "edges_update"])
def test_a_second_call_is_noticed(case):
    """A state that was not restored fails the check."""
    entry = entry_of(native_peer.PEER, case)
    entry.call()
    with pytest.raises(AssertionError):
        entry.check()


@needs_compiler
def test_a_prune_that_was_left_out_is_noticed():
    """All memories are there, where a tenth of them should have gone."""
    entry = entry_of(native_peer.PEER, "prune_owners")
    entry.before()
    with pytest.raises(AssertionError):
        entry.check()


def test_every_workload_has_the_name_of_a_case():
    """So that none is silently never run."""
    from bench.harness import discover

    assert MAKERS.keys() <= {case.name for case in discover()}


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_a_missing_compiler_is_told(peer, monkeypatch):
    """With the way out, and no version."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert peer.why_absent() == (
        "not installed: no C++ compiler; install g++, or name one with CXX=..."
    )
    assert peer.version() == ""


@needs_compiler
@pytest.mark.parametrize(
    ("peer", "variable", "file"),
    [(entt_peer.PEER, "ENTT_INCLUDE", "entt.hpp"), (flecs_peer.PEER, "FLECS_INCLUDE", "flecs.h")],
    ids=["EnTT", "flecs"],
)
def test_a_missing_header_is_told(peer, variable, file, monkeypatch, tmp_path):
    """With the variable that names where it is."""
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr(native, "SYSTEM", tmp_path / "nowhere")
    why = peer.why_absent()
    assert why.startswith("not installed: no ")
    assert file in why
    assert f"{variable}=FOLDER" in why


@needs_compiler
def test_a_header_that_does_not_compile_is_told(monkeypatch, tmp_path):
    """The first error, instead of an exception in the middle of a run; and nothing stays behind."""
    (tmp_path / "entt").mkdir()
    (tmp_path / "entt" / "entt.hpp").write_text("#error older than anything\n")
    monkeypatch.setenv("ENTT_INCLUDE", str(tmp_path))
    monkeypatch.setattr(native, "BUILT", tmp_path / "built")
    why = entt_peer.PEER.why_absent()
    assert why.startswith("not compiled: ")
    assert "older than anything" in why
    assert list((tmp_path / "built").iterdir()) == []


@needs_compiler
def test_a_change_of_the_source_compiles_anew(monkeypatch, tmp_path):
    """What is built is named after its source; the same source is built once."""
    monkeypatch.setattr(native, "HERE", tmp_path)
    monkeypatch.setattr(native, "BUILT", tmp_path / "built")

    def answer(number):
        (tmp_path / "answer.cpp").write_text(f'extern "C" long answer() {{ return {number}; }}\n')
        compiled.cache_clear()
        return compiled(Source("answer.cpp")).answer()

    try:
        assert (answer(1), answer(2)) == (1, 2)
        made = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "built").iterdir()}
        assert answer(1) == 1
        assert len(made) == 2
        assert made == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "built").iterdir()}
    finally:
        compiled.cache_clear()


@needs_compiler
def test_what_is_linked_in_may_have_the_name_of_the_source(monkeypatch, tmp_path):
    """As flecs.cpp and the library's own flecs.c: both are in what is built."""
    (tmp_path / "answer.c").write_text("long six(void) { return 6; }\n")
    (tmp_path / "answer.cpp").write_text(
        'extern "C" long six(); extern "C" long answer() { return 7 * six(); }\n'
    )
    monkeypatch.setattr(native, "HERE", tmp_path)
    monkeypatch.setattr(native, "BUILT", tmp_path / "built")
    try:
        assert compiled(Source("answer.cpp", beside=(tmp_path / "answer.c",))).answer() == 42
    finally:
        compiled.cache_clear()


@needs_compiler
def test_a_source_that_does_not_compile_raises(monkeypatch, tmp_path):
    """CompilationError with what the compiler said."""
    (tmp_path / "wrong.cpp").write_text("this is no C++\n")
    monkeypatch.setattr(native, "HERE", tmp_path)
    monkeypatch.setattr(native, "BUILT", tmp_path / "built")
    with pytest.raises(CompilationError, match="error"):
        compiled(Source("wrong.cpp"))


@needs_compiler
def test_what_a_library_made_is_freed_with_its_last_reference():
    """A bound function keeps it alive, and the arrays that it was given."""
    columns = np.zeros((4, 10), np.float32)
    made = Made(compiled(native_peer.SOURCE), "moving", 10, columns)
    pointer = weakref.ref(made.pointer)
    step = made.bind("step", np.float32(1))
    del made
    gc.collect()
    assert pointer() is not None
    assert step() == 0
    del step
    gc.collect()
    assert pointer() is None


def test_arrays_with_gaps_are_refused():
    """C would read what lies between."""
    with pytest.raises(ValueError, match="without gaps"):
        native.passed(np.zeros((4, 4))[:, 1])


@needs_compiler
def test_versions_name_the_compiler():
    """What a figure depends on."""
    name = os.path.basename(compiler())
    assert native_peer.PEER.version().startswith(name)


@needs_compiler
def test_no_library_changes_how_the_process_computes():
    """Fast mathematics ends with the library: numbers below the normal ones stay what they are."""
    compiled(native_fast_peer.SOURCE)
    assert np.array([2.0**-1074]) * np.ones(1) == 2.0**-1074
