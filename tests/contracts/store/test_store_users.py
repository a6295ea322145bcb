"""Who may sign in, on both databases: what lets in, what does not, and what is kept of it."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import argon2
import pytest
from factories import NOW
from sqlalchemy import select

from pm_app.errors import BadSettings
from pm_app.store import ROLES, may
from pm_app.store.schema.users import api_tokens, oidc_sessions, sessions, sign_in_attempts, users

HOUR = timedelta(hours=1)
PASSWORD = "correct horse battery"
WHO = {"at": NOW, "actor": "test"}


@pytest.fixture
def people(store):
    """A store with one operator."""
    store.users.add("ada", PASSWORD, role="operator", **WHO)
    return store.users


def signed_in(people, at=NOW):
    return people.open_session("ada", at=at, lasts=8 * HOUR)


def test_name_and_password_together_tell_who_it_is(people):
    found = people.check_password("ada", PASSWORD)

    assert (found.name, found.role, found.disabled_at) == ("ada", "operator", None)
    assert people.check_password("ada", PASSWORD + "x") is None
    assert people.check_password("bob", PASSWORD) is None
    assert people.check_password("ada", "x" * 10_000_000) is None


def test_nothing_in_the_store_lets_anyone_in(store, monkeypatch):
    monkeypatch.setattr(argon2, "PasswordHasher", argon2.PasswordHasher.func)
    people = store.users
    people.add("ada", PASSWORD, role="operator", **WHO)
    token, session = signed_in(people)
    key = people.add_token("historian", role="viewer", **WHO)
    with store._database.reading() as connection:
        rows = [connection.execute(select(table)).all() for table in (users, sessions, api_tokens)]

    text = repr(rows)
    assert "$argon2id$v=19$m=65536,t=3,p=4$" in text
    assert all(secret not in text for secret in (PASSWORD, token, key))
    assert people.session(repr(rows[1][0].token_hash), at=NOW) is None
    assert PASSWORD not in repr(people)


def test_a_session_is_its_tokens_until_it_is_over(people):
    token, session = signed_in(people)
    other, _ = signed_in(people)

    assert token != other
    assert people.session(token, at=NOW + 7 * HOUR) == session
    assert people.session(token, at=NOW + 8 * HOUR) is None
    assert people.session("", at=NOW) is None
    assert people.session("\ud800", at=NOW) is None
    people.close_session(token)
    assert people.session(token, at=NOW) is None
    assert people.session(other, at=NOW) is not None


def test_a_session_of_single_sign_on_is_its_tokens_and_needs_no_account(people, store):
    own = store.oidc_sessions
    token = own.open("zoe", role="operator", at=NOW, lasts=8 * HOUR)
    other = own.open("zoe", role="operator", at=NOW, lasts=8 * HOUR)

    found = own.find(token, at=NOW + 7 * HOUR)
    assert (found.user, found.role, found.expires_at) == ("zoe", "operator", NOW + 8 * HOUR)
    assert own.find(other, at=NOW).csrf != found.csrf
    for nothing in ("", "oidc.", "\ud800", "oidc.\ud800", token[5:], token.upper()):
        assert own.find(nothing, at=NOW) is None
    assert own.find(token, at=NOW + 8 * HOUR) is people.session(token, at=NOW) is None
    with store._database.reading() as connection:
        assert token not in repr(connection.execute(select(oidc_sessions)).all())
    own.close(token)
    assert (own.find(token, at=NOW), own.find(other, at=NOW) is not None) == (None, True)
    own.open("ann", role="viewer", at=NOW + 9 * HOUR, lasts=HOUR)
    with store._database.reading() as connection:
        assert len(connection.execute(select(oidc_sessions)).all()) == 1


def test_groups_and_account_of_one_name_give_the_higher_role_and_a_disabled_one_none(people, store):
    own = store.oidc_sessions
    as_viewer, as_engineer, by_account = (
        own.open("ada", role=role, at=NOW, lasts=HOUR) for role in ("viewer", "engineer", "")
    )
    nobody = own.open("zoe", role="", at=NOW, lasts=HOUR)

    def roles():
        found = (own.find(token, at=NOW) for token in (as_viewer, as_engineer, by_account, nobody))
        return [row and row.role for row in found]

    assert roles() == ["operator", "engineer", "operator", None]
    people.set_role("ada", "viewer", **WHO)
    assert roles() == ["viewer", "engineer", "viewer", None]
    people.set_disabled("ada", True, **WHO)
    assert roles() == [None] * 4
    people.set_disabled("ada", False, **WHO)
    assert roles() == [None] * 4


def test_sessions_that_are_over_are_swept_when_another_begins(people, store):
    signed_in(people)
    signed_in(people, at=NOW + 9 * HOUR)
    with store._database.reading() as connection:
        assert len(connection.execute(select(sessions)).all()) == 1


def test_a_new_password_signs_out_whoever_had_the_old_one(people):
    token, _ = signed_in(people)
    people.set_password("ada", "another one altogether", **WHO)

    assert people.session(token, at=NOW) is None
    assert people.check_password("ada", PASSWORD) is None
    assert people.check_password("ada", "another one altogether")


def test_whoever_is_disabled_is_out_at_once_and_may_come_back(people):
    token, _ = signed_in(people)
    people.set_disabled("ada", True, **WHO)

    assert people.session(token, at=NOW) is None
    assert people.check_password("ada", PASSWORD) is None
    people.set_disabled("ada", False, **WHO)
    assert people.check_password("ada", PASSWORD)
    assert people.session(token, at=NOW) is None


def test_another_role_holds_at_once(people):
    token, _ = signed_in(people)
    people.set_role("ada", "engineer", **WHO)

    assert people.session(token, at=NOW).role == "engineer"


def test_roles_include_those_before_them():
    allowed = {role: [needed for needed in ROLES if may(role, needed)] for role in ROLES}

    assert allowed == {
        "viewer": ["viewer"],
        "operator": ["viewer", "operator"],
        "engineer": ["viewer", "operator", "engineer"],
    }


def test_a_token_lets_a_program_in_until_it_is_revoked(people):
    key = people.add_token("historian", role="viewer", **WHO)

    assert people.check_token(key).name == "historian"
    assert people.check_token(key[:-1]) is None
    people.revoke_token("historian", **WHO)
    assert people.check_token(key) is None
    assert [row.revoked_at for row in people.tokens()] == [NOW]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p: p.add("ada", PASSWORD, role="viewer", **WHO), "there is a user 'ada' already"),
        (lambda p: p.add("", PASSWORD, role="viewer", **WHO), "needs 1 to 100 printable"),
        (lambda p: p.add("a\nb", PASSWORD, role="viewer", **WHO), "needs 1 to 100 printable"),
        (lambda p: p.add("eve", PASSWORD, role="root", **WHO), "one of viewer, operator, engineer"),
        (lambda p: p.add("eve", "short", role="viewer", **WHO), "10 to 1000 characters, got 5"),
        (lambda p: p.set_password("bob", PASSWORD, **WHO), "no user 'bob'; there are: ada"),
        (lambda p: p.set_role("bob", "viewer", **WHO), "no user 'bob'"),
        (lambda p: p.set_disabled("bob", True, **WHO), "no user 'bob'"),
        (lambda p: p.revoke_token("none", **WHO), "no token 'none'"),
        (lambda p: [p.add_token("t", role="viewer", **WHO) for _ in "12"], "a token 't' already"),
    ],
)
def test_what_will_not_do_is_told_and_leaves_no_trace(people, call, words):
    before = people.users(), len(people.audit())
    with pytest.raises(BadSettings, match=words):
        call(people)

    assert people.users() == before[0]
    assert len(people.audit()) <= before[1] + 1  # the first of two tokens was given


def test_who_did_what_is_kept(people):
    people.set_role("ada", "engineer", at=NOW + HOUR, actor="root")
    people.note("ada", "acknowledge", "alarm 3", at=NOW + 2 * HOUR, details="seen", address="::1")

    newest, role, added = people.audit()
    assert (newest.actor, newest.target, newest.details, newest.address) == (
        "ada",
        "alarm 3",
        "seen",
        "::1",
    )
    assert (role.at, role.actor, role.action, role.details) == (
        NOW + HOUR,
        "root",
        "set role",
        "engineer",
    )
    assert (added.action, added.target) == ("add user", "ada")
    assert len(people.audit(limit=1)) == 1
    assert PASSWORD not in repr(people.audit())


def waits(store, tries, at=NOW):
    """How long each of these pairs of a name and a client has to wait."""
    return [store.sign_in_attempts.begin(*pair, at=at).wait_seconds for pair in tries]


def test_of_attempts_at_once_only_so_many_are_begun(store):
    with ThreadPoolExecutor(10) as threads:
        found = list(threads.map(lambda _: waits(store, [("ada", "10.0.0.1")])[0], range(40)))

    assert Counter(found) == {0: 5, 300: 35}


def test_attempts_are_counted_by_pair_client_and_name(store):
    names = [(f"name-{number}", "10.0.0.1") for number in range(30)]
    clients = [("eve", f"10.0.1.{number}") for number in range(60)]

    assert Counter(waits(store, names)) == {0: 20, 300: 10}
    assert Counter(waits(store, clients)) == {0: 50, 300: 10}
    assert waits(store, [("otto", "10.0.0.1"), ("otto", "10.0.0.2"), ("eve", "::")]) == [
        300,
        0,
        300,
    ]


def test_attempts_are_forgotten_after_a_while_whatever_the_clock_did(store):
    tries = [("ada", "10.0.0.1")] * 6
    waits(store, tries, at=NOW + timedelta(days=1))
    assert waits(store, tries) == [0] * 5 + [300]
    assert waits(store, tries[:1], at=NOW + timedelta(minutes=4)) == [60]

    assert waits(store, tries, at=NOW + timedelta(minutes=5)) == [0] * 5 + [300]
    with store._database.reading() as connection:
        assert len(connection.execute(select(sign_in_attempts)).all()) == 5


def test_who_gets_in_begins_anew_and_other_names_of_the_client_do_not(store):
    waits(store, [("ada", "10.0.0.1")] * 5 + [("eve", "10.0.0.1")] * 5)
    store.sign_in_attempts.succeeded("ada", "10.0.0.1")

    assert waits(store, [("ada", "10.0.0.1"), ("eve", "10.0.0.1")]) == [0, 300]


def test_no_name_that_was_typed_is_kept_and_a_flood_is_not_noted_for_ever(store):
    begun = [
        store.sign_in_attempts.begin("my secret password", f"10.0.0.{number}", at=NOW)
        for number in range(50)
    ]
    more = [
        store.sign_in_attempts.begin(f"name-{number}", f"10.0.1.{number}", at=NOW)
        for number in range(200)
    ]
    with store._database.reading() as connection:
        assert "secret" not in repr(connection.execute(select(sign_in_attempts)).all())

    assert all(attempt.noted for attempt in begun) and not more[-1].noted
