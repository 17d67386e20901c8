"""Write the table of docs/damage.md: every damage is done to every kind of task."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from damages import COLUMNS, DAMAGES, Report, report

PAGE = Path(__file__).parents[2] / "docs" / "damage.md"
START = "<!-- table: written by scripts/write-docs -->\n"
END = "<!-- end of table -->\n"
NOTHING = "-"


def main() -> int:
    """Do all damages, and put what is reported into the page."""
    found: dict[tuple[str, str], Report] = {}
    with tempfile.TemporaryDirectory() as name:
        for number, damage in enumerate(DAMAGES):
            for column in COLUMNS:
                if damage.needs_tool and column.tool is None:
                    continue
                folder = Path(name, f"{number}-{column.title}")
                folder.mkdir()
                found[damage.title, column.title] = report(column, damage, folder)
    text = PAGE.read_text()
    before, rest = text.split(START)
    PAGE.write_text(before + START + table(found) + END + rest.split(END)[1])
    return 0


def table(found: Mapping[tuple[str, str], Report]) -> str:
    """One list of reports for each damage."""
    rows = []
    for damage in DAMAGES:
        rows.append(f"| **{damage.title}** | | |")
        for column in COLUMNS:
            cell = found.get((damage.title, column.title))
            if cell is not None:
                message = cell.message.replace("|", "/").replace("<", "&lt;")
                rows.append(f"| {column.title} | `{cell.code}` | {message} |")
    head = ["| task | error | message |", "|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def cells_of(page: str) -> dict[tuple[str, str], Report]:
    """Read the table back."""
    found: dict[tuple[str, str], Report] = {}
    damage = ""
    for line in page.split(START)[1].split(END)[0].splitlines()[2:]:
        first, code, message = (part.strip() for part in line.strip("|").split("|"))
        if title := re.fullmatch(r"\*\*(.+)\*\*", first):
            damage = title[1]
        else:
            found[damage, first] = Report(code.strip("`"), message.replace("&lt;", "<"))
    return found


if __name__ == "__main__":
    sys.exit(main())
