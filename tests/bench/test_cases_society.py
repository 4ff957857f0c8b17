"""The cases of ties, at sizes other than those that are timed."""

from bench.cases_society import CONTACTS, contacts_100k


def test_there_may_be_more_contacts_than_ties():
    """A tenth as many ties as contacts: all are found, and weigh what the bare loop says."""
    contest = contacts_100k.contest(CONTACTS // 10)
    contest.verify()
    assert contest.rows == CONTACTS
