"""The pages around the chapters: glossary, notation, bibliography, licence and citation."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"


def entries() -> dict[str, str]:
    """Every term of the glossary and its definition in one line."""
    block = re.search(r"```\{glossary\}\n:sorted:\n\n(.*)```", (BOOK / "glossary.md").read_text(), flags=re.DOTALL)
    assert block is not None
    found: dict[str, str] = {}
    for part in block[1].strip().split("\n\n"):
        term, *lines = part.split("\n")
        assert lines
        assert term not in found, term
        assert all(line.startswith("  ") for line in lines), term
        found[term] = " ".join(line.strip() for line in lines)
    return found


def test_a_definition_is_one_to_three_sentences() -> None:
    assert len(entries()) >= 50
    for term, text in entries().items():
        plain = re.sub(r"\$[^$]*\$|\{[a-z:]+\}`[^`]*`", "x", text)
        sentences = re.findall(r"[.](?= [A-Z]|$)", plain)
        assert plain.endswith("."), term
        assert 1 <= len(sentences) <= 3, (term, plain)


def test_every_term_that_a_page_uses_is_defined() -> None:
    terms = {term.lower() for term in entries()}
    for page in BOOK.glob("*.md"):
        for used in re.findall(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`", page.read_text()):
            assert used.lower() in terms, (page.name, used)


def test_every_equation_of_the_notation_is_labelled_and_referred_to() -> None:
    text = (BOOK / "notation.md").read_text()
    labels = re.findall(r"```\{math\}\n:label: (\S+)", text)
    assert labels == ["notation-drs", "notation-rce", "notation-non-me", "notation-kd", "notation-cw-wb"]
    assert text.count("```{math}") == len(labels)
    glossary = (BOOK / "glossary.md").read_text()
    assert {label for label in labels if f"{{eq}}`{label}`" in glossary} == set(labels)


def test_every_reference_has_a_link() -> None:
    text = (BOOK / "references.bib").read_text()
    found = re.findall(r"^@\w+\{(\w+),(.*?)^\}", text, flags=re.MULTILINE | re.DOTALL)
    assert len(found) == text.count("\n@") + 1
    for key, fields in found:
        arxiv = re.search(r"eprint = \{\d{4}\.\d{4,5}\},\n  archivePrefix = \{arXiv\}", fields)
        assert arxiv or re.search(r"doi = \{10\.\d{4,}/\S+\}|url = \{https://\S+\}", fields), key


def test_the_citation_is_valid_and_names_the_version_that_is_installed() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "type", "version", "license", "references"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert citation["license"] == "MIT"  # the schema reads a list as a choice between licences, which this is not
    for reference in citation["references"]:
        assert {"type", "title", "authors", "year", "url"} <= set(reference)
        assert all({"family-names", "given-names"} <= set(author) for author in reference["authors"])


def test_the_page_on_citing_says_what_the_citation_file_says() -> None:
    citation, page = yaml.safe_load((ROOT / "CITATION.cff").read_text()), (BOOK / "cite.md").read_text()
    fields = dict(re.findall(r"^  (\w+) += \{+(.*?)\}+,?$", page, flags=re.MULTILINE))
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert (fields["title"], fields["version"]) == (citation["title"], citation["version"])
    assert [{"name": fields["author"]}] == citation["authors"]
    assert fields["url"] == config["sphinx"]["config"]["ogp_site_url"]
    assert fields["year"] == config["copyright"]
    assert f"| version | {citation['version']};" in page
    assert "{doc}`cite`" in (BOOK / "intro.md").read_text()


def test_binder_gets_torch_without_cuda() -> None:
    packages = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda, [pip] = [one for one in packages if isinstance(one, str)], [one for one in packages if isinstance(one, dict)]
    assert packages.index(pip) == len(packages) - 1  # pip finds what conda has installed
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"pytorch-cpu{needed['dependencies'][0].removeprefix('torch')}" in conda
    vision = next(one for one in needed["optional-dependencies"]["study"] if one.startswith("torchvision"))
    assert vision in conda
    assert pip == {"pip": ["-e .[book,classroom]"]}


def test_the_licence_says_which_part_is_under_which() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith("MIT License\n")
    assert "https://creativecommons.org/licenses/by/4.0/legalcode" in text
    footer = yaml.safe_load((ROOT / "_config.yml").read_text())["html"]["extra_footer"]
    assert "creativecommons.org/licenses/by/4.0/" in footer
    assert "MIT" in footer


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", version) for version in versions[1:])
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, flags=re.MULTILINE)) <= kinds


def test_what_contributors_are_told_to_open_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for path in re.findall(r"`((?:drs|tests|book|notebooks|data)/[\w/.]+?)/?(?:::(\w+))?`", text):
        file, test = path
        if "NAME" not in file and "NN_" not in file:
            assert (ROOT / file).exists(), file
            assert not test or f"def {test}(" in (ROOT / file).read_text(), test
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, flags=re.MULTILINE)) <= targets
