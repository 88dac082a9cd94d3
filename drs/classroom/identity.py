"""Who handed in what, as the names of downloaded files say it: Canvas, Moodle, Gradescope, or any folder.

>>> parse(["lovelaceada_LATE_12_345_a1_softmax-1"])
Identity(student='lovelaceada', number='12', late=True, attempt=1, rest='a1_softmax-1')
>>> parse(["Ada Lovelace_1234_assignsubmission_file_", "my work"]).student
'Ada Lovelace'
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drs.errors import UsageError

__all__ = ["SUBMITTERS", "Identity", "Roster", "Student", "parse", "plain", "printable", "submitters"]

SUBMITTERS = "submission_metadata.yml"
"""The file in which an export of Gradescope says who handed in which folder."""
_CANVAS = re.compile(r"(?P<name>[^\W_]+)(?P<late>_LATE)?_(?P<number>\d+)_\d+_(?P<rest>.+)", re.IGNORECASE)
_MOODLE = re.compile(r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_file_?(?P<rest>.*)", re.IGNORECASE)
_AGAIN = re.compile(r"(?:-(\d+)|\s*\((\d+)\))$")
_NAMES = ("name", "student", "student name", "full name")
_FIRST, _LAST = ("first name", "given name"), ("surname", "last name", "family name")
_NUMBERS = ("id", "sis user id", "sis login id", "id number", "email address", "email", "username", "sid", "student id")


@dataclass(frozen=True)
class Identity:
    """What a path says of the person who handed in.

    Attributes:
        student: Name, as far as the path has it; empty if no learning platform made the path.
        number: The platform's number of the student (Canvas) or of the submission (Moodle); empty if there is none.
        late: Whether the platform marked it as late.
        attempt: 0 for the first, 1 for the next.
        rest: What the student called the file; empty if no learning platform made the path.
    """

    student: str = ""
    number: str = ""
    late: bool = False
    attempt: int = 0
    rest: str = ""


def printable(text: str) -> str:
    """A file name as every file and terminal can hold it: bytes that are not UTF-8 and control characters escaped."""
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in safe)


def parse(parts: Sequence[str]) -> Identity:
    """Read the parts of a path, the last without its suffix.

    Args:
        parts: Folders and the stem of the file.
    """
    again = _AGAIN.search(parts[-1])
    attempt = int(again[1] or again[2]) if again else 0
    for part in parts:
        if found := _MOODLE.fullmatch(part):
            return Identity(found["name"].strip(), found["number"], False, attempt, found["rest"] or parts[-1])
    if found := _CANVAS.fullmatch(parts[-1]):
        return Identity(found["name"], found["number"], bool(found["late"]), attempt, found["rest"])
    return Identity(attempt=attempt)


def submitters(path: Path) -> dict[str, Identity]:
    """Folder to identity, from the :data:`SUBMITTERS` of a Gradescope export; a group's names are joined by semicolons.

    A file that is something else says nothing: it may be a student's own.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    found = {}
    for folder, entry in content.items() if isinstance(content, dict) else ():
        listed = entry.get(":submitters") if isinstance(entry, dict) else None
        people = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        names, numbers = ("; ".join(printable(str(one.get(key) or "")) for one in people) for key in (":name", ":sid"))
        if names:
            found[str(folder)] = Identity(names, numbers)
    return found


def plain(text: str) -> str:
    """Letters and digits alone, without case and accents.

    >>> plain("Núñez, José-2")
    'nunezjose2'
    """
    split = unicodedata.normalize("NFKD", text).casefold()
    return "".join(one for one in split if one.isalnum())


@dataclass(frozen=True)
class Student:
    """A row of a roster.

    Attributes:
        name: As the roster writes it.
        row: All its columns.
    """

    name: str
    row: Mapping[str, str]

    @property
    def keys(self) -> set[str]:
        """What may stand for this student: numbers, logins and addresses."""
        return {plain(value) for key, value in self.row.items() if key.strip().casefold() in _NUMBERS} - {""}

    @property
    def number(self) -> str:
        """The number or login that a student would type in; the name if the list has none."""
        low = {key.strip().casefold(): value.strip() for key, value in self.row.items()}
        return next((low[key] for key in _NUMBERS if low.get(key)), self.name)

    @property
    def names(self) -> set[str]:
        """The name in both orders."""
        last, comma, first = self.name.partition(",")
        words = self.name.split() if not comma else [*first.split(), *last.split()]
        turned = [*words[-1:], *words[:-1]]
        return {plain("".join(words)), plain("".join(turned)), plain(self.name)} - {""}


class Roster:
    """The class list, from a CSV of Canvas, Moodle, Gradescope or one's own with the columns ``name`` and ``id``.

    Attributes:
        students: In the order of the file.
        columns: Of the file.
    """

    def __init__(self, students: Sequence[Student], columns: Sequence[str]) -> None:
        self.students, self.columns = list(students), list(columns)

    @classmethod
    def read(cls, path: Path) -> Roster:
        """Read a class list.

        Raises:
            UsageError: No such file, not UTF-8, or no column with names.
        """
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = list(csv.DictReader(file))
        except (OSError, ValueError, csv.Error) as error:
            raise UsageError(f"expected a class list as CSV in UTF-8 at {path}, got {error}") from error
        columns = [key for key in (rows[0] if rows else {}) if key]
        students = []
        for row in rows:
            entry = {key: value or "" for key, value in row.items() if key}
            low = {key.strip().casefold(): value.strip() for key, value in entry.items()}
            name = next((low[key] for key in _NAMES if low.get(key)), "")
            first, last = (next((low[key] for key in keys if low.get(key)), "") for keys in (_FIRST, _LAST))
            name = name or f"{first} {last}".strip()
            if name and name.casefold() not in ("points possible", "student, test"):  # rows that Canvas adds
                students.append(Student(name, entry))
        if not students:
            raise UsageError(f"expected a column name, Student, or First name and Surname in {path}, got {columns}")
        return cls(students, columns)

    def find(self, name: str, number: str = "") -> list[Student]:
        """Those whom a name and a number may mean: by both, else by the name, else by the number.

        Args:
            name: As a path has it.
            number: From the learning platform; empty if there is none. Moodle's is the submission's: it may happen to
                be that of another student, and so it does not count against the name.
        """
        wanted = {plain(number), plain(name)} - {""}
        by_number = [one for one in self.students if one.keys & wanted]
        by_name = [one for one in self.students if plain(name) in one.names]
        return [one for one in by_number if one in by_name] or by_name or by_number

    def called(self, student: Student) -> str:
        """The name by which a student of the list is known: with a number where the list repeats the name."""
        same = sum(one.name == student.name for one in self.students)
        return student.name if same == 1 else f"{student.name} ({student.number})"
