"""Reference data: every figure says where it comes from and how far it can be trusted."""

from importlib.resources import files

import pytest

from twin import reference

TABLES = sorted(
    path.name.removesuffix(".toml")
    for path in files(reference).iterdir()
    if path.name.endswith(".toml")
)
CONFIDENCE = {"H", "M+", "M", "M/L", "L", "unknown"}
EVIDENCE = {"V", "C", "K"}


def leaves(table, path=()):
    """Yield (path, entry) of every table that holds figures or texts of its own."""
    rows = table.items() if isinstance(table, dict) else enumerate(table)
    for key, value in rows:
        if isinstance(value, dict) and "confidence" in value:
            yield (*path, str(key)), value
        elif isinstance(value, dict) or (
            isinstance(value, list) and value and all(isinstance(v, dict) for v in value)
        ):
            yield from leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), {}


@pytest.mark.parametrize("name", TABLES)
def test_every_figure_carries_its_provenance(name):
    entries = list(leaves(reference.load(name)))
    assert entries
    bare = [
        ".".join(path)
        for path, entry in entries
        if not {"confidence", "evidence"} <= set(entry)
        or not {"standard", "source", "note"} & set(entry)
    ]
    assert bare == []


@pytest.mark.parametrize("name", TABLES)
def test_confidence_and_evidence_are_of_the_known_words(name):
    odd = [
        ".".join(path)
        for path, entry in leaves(reference.load(name))
        if entry.get("confidence") not in CONFIDENCE or entry.get("evidence") not in EVIDENCE
    ]
    assert odd == []


@pytest.mark.parametrize("name", TABLES)
def test_only_high_confidence_from_text_or_computation_is_called_verified(name):
    bold = [
        ".".join(path)
        for path, entry in leaves(reference.load(name))
        if entry.get("verified") and (entry["confidence"] != "H" or entry["evidence"] == "K")
    ]
    assert bold == []
