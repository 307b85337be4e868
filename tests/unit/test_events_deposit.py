"""The digest of a deposit: RFC 8785, whoever writes it."""

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from shared.events.deposit import canonical

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(title=TEXT, answers=st.dictionaries(TEXT, TEXT, max_size=4), eur=st.integers(1, 10**12))
def test_a_deposit_is_written_as_rfc_8785_says_whatever_its_texts_and_names_are(
    title: str, answers: dict[str, str], eur: int
) -> None:
    project = {"title": title, "requested_eur": eur, "answers": answers, "themes": ["b", "a", title]}
    deposited = {"project": project, "organisation": {"name": title, "partner": None}, "attachments": [{"size": 0}]}
    assert canonical(deposited, answers) == rfc8785.dumps(deposited)
