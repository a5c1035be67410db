"""The checker itself: a history that breaks the promise is found out."""

from __future__ import annotations

import pytest

from tests.support import History, check


@pytest.fixture
def history() -> History:
    """Two senders, two members, three messages, all as promised."""
    history = History()
    for member in ("carol", "dave"):
        history.member(member)
    for seq, (sender, client_id) in enumerate([("alice", "a1"), ("bob", "b1"), ("alice", "a2")], start=1):
        history.attempt(sender, client_id, f"body of {client_id}")
        history.ack(sender, client_id, seq)
        for member in ("carol", "dave"):
            history.delivery(member, seq, sender, client_id, f"body of {client_id}")
    return history


def kinds(history: History) -> set[str]:
    return {finding.kind for finding in check(history)}


def test_a_history_as_promised_has_no_findings(history: History) -> None:
    assert check(history) == []


def test_a_redelivery_is_dropped_by_the_client_and_no_finding(history: History) -> None:
    for seq, client_id in enumerate(["b1", "a2"], start=2):
        history.delivery(
            "carol", seq, "bob" if client_id == "b1" else "alice", client_id, f"body of {client_id}"
        )
    assert check(history) == []
    assert len(history.deliveries["carol"]) == 5
    assert len(history.shown("carol")) == 3


def test_a_message_without_an_ack_may_have_arrived_or_not(history: History) -> None:
    history.attempt("alice", "a3", "the server died")
    history.attempt("bob", "b2", "here too")
    for member in ("carol", "dave"):
        history.delivery(member, 4, "alice", "a3", "the server died")
    assert check(history) == []


def test_a_retry_that_is_answered_with_the_same_place_is_no_finding(history: History) -> None:
    history.attempt("alice", "a1", "body of a1")
    history.ack("alice", "a1", 1)
    assert check(history) == []


def test_what_came_before_a_member_joined_is_not_missed() -> None:
    history = History()
    history.member("carol", head=7)
    history.attempt("alice", "a1", "early")
    history.ack("alice", "a1", 7)
    assert check(history) == []


def test_an_acknowledged_message_that_a_member_never_got_is_lost(history: History) -> None:
    history.attempt("bob", "b2", "gone")
    history.ack("bob", "b2", 4)
    assert kinds(history) == {"lost"}
    assert len(check(history)) == 2


def test_a_retry_that_is_stored_again_is_a_duplicate(history: History) -> None:
    history.ack("alice", "a1", 4)
    for member in ("carol", "dave"):
        history.delivery(member, 4, "alice", "a1", "body of a1")
    assert kinds(history) == {"duplicate"}


def test_a_double_is_found_even_where_only_one_ack_came_through(history: History) -> None:
    for member in ("carol", "dave"):
        history.delivery(member, 4, "alice", "a2", "body of a2")
    assert kinds(history) == {"duplicate"}


def test_a_skipped_entry_is_a_gap(history: History) -> None:
    history.attempt("bob", "b2", "five")
    history.delivery("carol", 5, "bob", "b2", "five")
    assert kinds(history) == {"gap"}


def test_an_entry_that_came_too_late_is_a_gap_and_lost(history: History) -> None:
    late = history.deliveries["dave"].pop(1)
    history.deliveries["dave"].append(late)
    assert kinds(history) == {"gap", "lost"}


def test_an_entry_that_came_late_is_no_finding_in_an_unordered_room(history: History) -> None:
    history.ordered = False
    late = history.deliveries["dave"].pop(1)
    history.deliveries["dave"] += [late, late]
    assert check(history) == []


def test_an_entry_that_never_came_is_lost_in_an_unordered_room(history: History) -> None:
    history.ordered = False
    history.deliveries["dave"].pop(1)
    assert kinds(history) == {"lost"}


def test_a_body_that_nobody_sent_is_a_phantom(history: History) -> None:
    for member in ("carol", "dave"):
        history.delivery(member, 4, "mallory", "m1", "boo")
    assert kinds(history) == {"phantom"}


def test_a_body_that_was_changed_is_a_phantom(history: History) -> None:
    history.attempt("bob", "b2", "as sent")
    for member in ("carol", "dave"):
        history.delivery(member, 4, "bob", "b2", "as changed")
    assert kinds(history) == {"phantom"}


def test_two_members_who_saw_different_entries_at_a_seq_saw_different_orders(history: History) -> None:
    for client_id in ("b2", "b3"):
        history.attempt("bob", client_id, client_id)
    history.delivery("carol", 4, "bob", "b2", "b2")
    history.delivery("dave", 4, "bob", "b3", "b3")
    assert kinds(history) == {"disorder"}


def test_a_reused_seq_after_a_crash_is_found_in_the_redelivery(history: History) -> None:
    history.attempt("bob", "b2", "b2")
    history.delivery("carol", 3, "bob", "b2", "b2")
    assert kinds(history) == {"disorder"}


def test_a_sender_whose_messages_were_swapped_is_found() -> None:
    history = History()
    history.member("carol")
    for client_id in ("a1", "a2"):
        history.attempt("alice", client_id, client_id)
    for seq, client_id in enumerate(["a2", "a1"], start=1):
        history.ack("alice", client_id, seq)
        history.delivery("carol", seq, "alice", client_id, client_id)
    assert kinds(history) == {"disorder"}


def test_an_ack_that_names_the_place_of_another_message_is_false(history: History) -> None:
    history.attempt("bob", "b2", "b2")
    history.ack("bob", "b2", 3)
    assert kinds(history) == {"false ack"}


def test_swapped_messages_are_found_where_no_ack_came_through(history: History) -> None:
    for client_id in ("b2", "b3"):
        history.attempt("bob", client_id, client_id)
    for member in ("carol", "dave"):
        history.delivery(member, 4, "bob", "b3", "b3")
        history.delivery(member, 5, "bob", "b2", "b2")
    assert kinds(history) == {"disorder"}
