"""The pages around the chapters: glossary, notation, bibliography, licence and citation."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
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
