"""The documentation is held to the code: settings, files, commands, vocabulary."""

import re
from pathlib import Path

import pytest

from api.settings import ApiSettings
from ingest.settings import IngestSettings

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = sorted({*ApiSettings.model_fields, *IngestSettings.model_fields})
# The law of words; the table stands in ARCHITECTURE.md.
WORDS = (
    "park", "plant", "unit", "uom", "quantity", "stream", "node", "tank", "tag", "sample",
    "quality", "time_us", "received_us", "image", "cycle", "step", "memory", "estimate", "balance",
    "residual", "adjustment", "command", "reconciliation", "gross error", "accumulation",
    "intensity", "rollup", "alarm", "gateway", "feed", "reject",
)  # fmt: skip
FOLDERS = ("twin", "ingest", "api", "simulators", "deploy", "tests", ".ci")
COMMANDS = (
    "up", "ingest", "api", "simulate", "replay", "import", "quarantine", "rejects", "check"
)  # fmt: skip


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def spans(text):
    """Return what stands in backticks, outside fenced blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```", "", text))


def commands(text):
    """Return the make targets and parktwin commands a text names."""
    targets = re.findall(r"(?m)^([a-z]+):", text_of("Makefile"))
    known = [*(f"make {t}" for t in targets), *(f"parktwin {c}" for c in COMMANDS)]
    return {command for command in known if re.search(rf"\b{command}\b", text)}


def test_every_setting_is_named_in_the_readme():
    named = set(re.findall(r"PARKTWIN_[A-Z0-9_]+", text_of("README.md")))
    assert [name for name in SETTINGS if f"PARKTWIN_{name.upper()}" not in named] == []


def test_readme_names_no_setting_that_does_not_exist():
    named = set(re.findall(r"PARKTWIN_([A-Z_]*[A-Z])\b", text_of("README.md")))
    assert named
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in FOLDERS[:-1]
        for path in (ROOT / folder).glob("*.py")
    )
    unknown = {n for n in named if n.lower() not in SETTINGS and f"PARKTWIN_{n}" not in source}
    assert unknown == set()


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "ARCHITECTURE.md"])
def test_file_named_in_the_documentation_exists(name):
    """A path is a span that begins with a folder of ours and ends with a suffix or a slash.

    `park.toml` and `media.toml` are names of files, not paths.
    """
    paths = set()
    for span in spans(text_of(name)):
        match = re.fullmatch(r"([\w.*-]+(?:/[\w.*-]+)*/?)(?::[\w:.]+)?", span)
        folder, _, rest = match[1].partition("/") if match else ("", "", "")
        if folder in FOLDERS and (rest.endswith("/") or "." in rest.rpartition("/")[2]):
            paths.add(match[1])
        elif re.fullmatch(
            r"[A-Z]+(\.zh-CN)?\.md|pyproject\.toml|constraints\.txt|Makefile|LICENSE", span
        ):
            paths.add(span)
    built = {path for path in paths if re.search("/(dist|node_modules)/", path)}
    assert sorted(path for path in paths - built if not list(ROOT.glob(path))) == []


@pytest.mark.parametrize("link", ["README.md", "README.zh-CN.md", "ARCHITECTURE.md"])
def test_links_inside_the_project_lead_somewhere(link):
    targets = re.findall(r"\]\(([^)#\s]+)", text_of(link))
    inside = [t for t in targets if not re.match(r"[a-z]+:", t)]
    assert [t for t in inside if not (ROOT / t).exists()] == []


def test_every_word_of_the_vocabulary_is_in_the_architecture():
    match = re.search(r"(?ms)^#+ [^\n]*vocabulary.*?\n(.*?)(?=^#{1,2} |\Z)",
                      text_of("ARCHITECTURE.md"), re.IGNORECASE)  # fmt: skip
    assert match, "ARCHITECTURE.md has no section Vocabulary"
    assert [word for word in WORDS if not re.search(rf"\b{word}\b", match[1])] == []


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_readme_begins_with_the_two_commands(name):
    assert {"make demo", "make test"} <= commands(text_of(name))


def test_both_readmes_name_the_same_commands():
    assert commands(text_of("README.md")) == commands(text_of("README.zh-CN.md"))


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "ARCHITECTURE.md"])
def test_make_targets_of_the_documentation_exist(name):
    targets = set(re.findall(r"(?m)^([a-z]+):", text_of("Makefile")))
    named = {span.split()[1] for span in spans(text_of(name)) if re.match(r"make [a-z]+", span)}
    assert named <= targets
