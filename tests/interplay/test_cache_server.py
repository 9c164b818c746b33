"""The reference's cache server, with the reference and the library as its clients: what one sends
the other is served, while its own files agree.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from peer import Cache, Lookup, Peer

TOKENS = {"alice": "token of alice", "bob": "token of bob"}
QUOTA = 4_000
# Nobody is hasty here: what does not come in time would be a miss.
PATIENT = {"timeout_ms": 20_000, "send_timeout_ms": 20_000}

Machine = Callable[..., Cache]


@pytest.fixture
def server(reference: Peer, tmp_path: Path) -> str:
    """Its URL. It runs in the reference's process, which is a client of it as well."""
    users: list[dict[str, object]] = [
        {"token": token, "user": user} for user, token in TOKENS.items()
    ]
    users.append({"token": "token of carol", "user": "carol", "quota": QUOTA})
    return str(reference.ask("serve", store=str(tmp_path / "server"), users=users)["is"])


@pytest.fixture
def machine(reference: Peer, library: Peer, server: str, tmp_path: Path) -> Machine:
    """A cache with a workspace of its own, over the server."""

    def opened(whose: str, name: str, user: str = "alice", promote: bool = False) -> Cache:
        workspace = tmp_path / name / "work"
        workspace.mkdir(parents=True)
        (workspace / "notes.txt").write_text("three short words")
        token = TOKENS.get(user, f"token of {user}")
        if whose == "reference":
            settings = {"url": server, "token": token, "promote": promote}
            return reference.open(tmp_path / name / "none", workspace, server=settings)
        remote = {"kind": "http", "url": server, "token": token, "promote_to_shared": promote}
        store = tmp_path / name / "store"
        return library.open(store, workspace, config={"remote": {**remote, **PATIENT}})

    return opened


def roots(cache: Cache) -> tuple[tuple[str, str], ...]:
    expected = cache.fingerprint(cache.workspace / "notes.txt", "content")
    assert expected is not None
    return (("notes.txt", expected),)


def passed_on(cache: Cache) -> None:
    if cache.peer.name == "library":
        cache.ask("flush")


BOTH_WAYS = pytest.mark.parametrize(
    ("maker", "taker"),
    [("library", "reference"), ("reference", "library"), ("library", "library")],
)


@BOTH_WAYS
def test_what_one_made_serves_the_other_while_its_files_agree(
    machine: Machine, maker: str, taker: str
) -> None:
    here, there = machine(maker, "here"), machine(taker, "there")
    key = here.peer.key(b"call")
    payload = bytes(range(256)) * 33
    here.persist(key, payload, "read", roots(here))
    passed_on(here)
    hit = Lookup("hit", payload, "read", roots(here))
    assert there.lookup_revalidate(key) == hit
    (there.workspace / "notes.txt").write_text("changed")
    assert there.lookup_revalidate(key).state == "invalidated"
    (there.workspace / "notes.txt").write_text("three short words")
    assert there.lookup_revalidate(key) == hit


@BOTH_WAYS
def test_what_is_not_there_or_of_other_files_is_not_served(
    machine: Machine, maker: str, taker: str
) -> None:
    here, there = machine(maker, "here"), machine(taker, "there")
    key = here.peer.key(b"call")
    assert there.lookup_revalidate(key) == Lookup("miss")
    (there.workspace / "notes.txt").write_text("of another branch")
    here.persist(key, b"result", "read", roots(here))
    passed_on(here)
    assert there.lookup_revalidate(key).state == "invalidated"


@BOTH_WAYS
def test_an_invalidation_drops_what_was_made_from_it(
    machine: Machine, maker: str, taker: str
) -> None:
    here, there = machine(maker, "here"), machine(taker, "there")
    first, second = here.peer.key(b"first"), here.peer.key(b"second")
    here.persist(second, b"made from it", "llm_call", (), [first])
    passed_on(here)
    assert there.lookup_revalidate(second).payload == b"made from it"
    if taker == "library":
        there.invalidate_upstream(first)
        assert there.lookup_revalidate(second) == Lookup("miss")
        passed_on(there)
    else:
        there.mark_dirty(first)  # its client asks the server only then
    assert there.lookup_revalidate(second) == Lookup("miss")
    # What the maker kept itself is its own affair; the server has it no more.
    assert machine("reference", "third").lookup(second) == Lookup("miss")


@BOTH_WAYS
def test_users_share_what_was_promoted_and_nothing_else(
    machine: Machine, maker: str, taker: str
) -> None:
    there = machine(taker, "there", user="bob")
    for promote in (False, True):
        here = machine(maker, f"here {promote}", promote=promote)
        key = here.peer.key(b"promoted" if promote else b"kept")
        here.persist(key, b"result", "read", roots(here))
        passed_on(here)
        found = there.lookup_revalidate(key)
        assert found.state == ("hit" if promote else "miss")


def test_a_full_quota_keeps_results_here_and_lookups_going(machine: Machine) -> None:
    here = machine("library", "here", user="carol")
    there = machine("library", "there", user="carol")
    keys = [here.peer.key(name) for name in (b"first", b"second", b"third")]
    for key in keys:
        here.persist(key, b"x" * (QUOTA // 2), "read", roots(here))
        passed_on(here)
    assert [there.lookup_revalidate(key).state for key in keys] == ["hit", "hit", "miss"]
    assert here.lookup_revalidate(keys[2]).state == "hit"


def test_a_wrong_token_leaves_the_library_with_its_own_store(machine: Machine) -> None:
    here = machine("library", "here", user="mallory")
    key = here.peer.key(b"call")
    assert here.lookup_revalidate(key) == Lookup("miss")
    here.persist(key, b"result", "read", roots(here))
    passed_on(here)
    assert here.lookup_revalidate(key).payload == b"result"
    assert "mallory" not in here.peer.log()
    assert here.peer.log().count("refuses our token") == 1


def test_the_workspace_decides_what_a_relative_root_is(machine: Machine) -> None:
    here, there = machine("library", "here"), machine("library", "there")
    key = here.peer.key(b"call")
    here.persist(key, b"result", "read", roots(here))
    passed_on(here)
    shutil.rmtree(here.workspace)
    assert there.lookup_revalidate(key).payload == b"result"
    assert here.lookup_revalidate(key).state == "invalidated"
