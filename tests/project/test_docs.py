"""The documentation is held to the code: generated pages, files, links, commands, words."""

import re
from pathlib import Path

import pytest

from deploy import documentation
from deploy.cli import PROGRAMS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
)
READMES = ("README.md", "README.zh-CN.md")
FOLDERS = ("twin", "ingest", "api", "simulators", "deploy", "tests", "docs", ".ci")
COMMANDS = ("up", *PROGRAMS)


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def spans(text):
    """Return what stands in backticks, outside fenced blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```", "", text))


def targets():
    return set(re.findall(r"(?m)^([a-z-]+):", text_of("Makefile")))


def commands(text):
    """Return the make targets and parktwin commands a text names."""
    known = [*(f"make {t}" for t in targets()), *(f"parktwin {c}" for c in COMMANDS)]
    return {command for command in known if re.search(rf"\b{command}\b", text)}


def test_pages_made_from_the_code_are_current():
    assert documentation.main(["--check"]) == 0


def test_a_stale_page_is_named_and_written_anew(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(documentation, "DOCS", tmp_path)
    assert documentation.main(["--check"]) == 1
    assert "docs/settings.md is not current" in capsys.readouterr().err
    assert documentation.main([]) == 0
    assert documentation.main(["--check"]) == 0


@pytest.mark.parametrize("name", PAGES)
def test_setting_named_in_a_page_exists(name):
    settings = set(re.findall(r"PARKTWIN_[A-Z0-9_]+", text_of("docs/settings.md")))
    source = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("simulators", "deploy")
        for path in [*(ROOT / folder).glob("*.py"), *(ROOT / folder).glob("*.yaml")]
    )
    named = set(re.findall(r"PARKTWIN_[A-Z_]*[A-Z]\b", text_of(name)))
    assert {n for n in named - settings if n not in source} == set()


@pytest.mark.parametrize("name", PAGES)
def test_file_named_in_a_page_exists(name):
    """A path is a span that begins with a folder of ours and ends with a suffix or a slash.

    `park.toml` and `media.toml` are names of files, not paths.
    """
    paths = set()
    for span in spans(text_of(name)):
        match = re.fullmatch(r"([\w.*-]+(?:/[\w.*-]+)*/?)(?::[\w:.]+)?", span)
        folder, _, remaining = match[1].partition("/") if match else ("", "", "")
        if folder in FOLDERS and (remaining.endswith("/") or "." in remaining.rpartition("/")[2]):
            paths.add(match[1])
        elif re.fullmatch(
            r"[A-Z]+(\.zh-CN)?\.md|pyproject\.toml|constraints\.txt|Makefile|LICENSE", span
        ):
            paths.add(span)
    built = {path for path in paths if re.search("/(dist|node_modules)/", path)}
    assert sorted(path for path in paths - built if not list(ROOT.glob(path))) == []


@pytest.mark.parametrize("name", PAGES)
def test_links_inside_the_project_lead_somewhere(name):
    links = re.findall(r"\]\(([^)#\s]+)", text_of(name))
    inside = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in inside if not ((ROOT / name).parent / link).exists()] == []


def test_tests_named_in_the_threat_model_exist():
    text = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 20
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), test


def test_every_page_can_be_reached_from_the_readme():
    linked = set(re.findall(r"\]\(([^)#\s]+)", text_of("README.md")))
    reached = {page for page in PAGES if page in linked or str(Path(page).parent) in linked}
    assert set(PAGES) - reached == {"README.md"}


def test_every_word_of_the_glossary_is_defined_once_in_both_languages():
    rows = re.findall(r"(?m)^\| (?!word|-)(.+?) \| (.+?) \| (.+?) \|$", text_of("docs/glossary.md"))
    assert len(rows) > 40
    words = [word.strip(" `") for first, _, _ in rows for word in first.split(",")]
    assert sorted({word for word in words if words.count(word) > 1}) == []
    assert [first for first, chinese, _ in rows if not re.search("[\u4e00-\u9fff]", chinese)] == []


@pytest.mark.parametrize("name", READMES)
def test_readme_begins_with_the_two_commands(name):
    assert {"make demo", "make test"} <= commands(text_of(name))
    assert len(text_of(name).splitlines()) <= 160


def test_readme_names_every_command():
    every = {f"parktwin {command}" for command in COMMANDS} | {f"make {t}" for t in targets()}
    assert every - commands(text_of("README.md")) == set()


def test_both_readmes_name_the_same_commands():
    assert commands(text_of("README.md")) == commands(text_of("README.zh-CN.md"))


@pytest.mark.parametrize("name", PAGES)
def test_make_targets_of_a_page_exist(name):
    named = {span.split()[1] for span in spans(text_of(name)) if re.match(r"make [a-z]+", span)}
    assert named <= targets()
