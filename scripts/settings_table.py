"""Write the table of settings into docs/settings.md; called by scripts/write-docs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sisyphus.settings import PREFIX, Settings

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"
START, END = (
    "<!-- table: written by scripts/write-docs -->\n",
    "<!-- end of table -->\n",
)
COMPUTED = {"hostname": "the machine's name", "roots": "the working folder"}


def table() -> str:
    """One row for each setting, in the order of settings.py."""
    rows = ["| in `sisyphus.toml` | variable | default | |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = COMPUTED.get(name) or shown(field.default)
        variable = f"`{PREFIX}{name.upper()}`"
        rows.append(
            f"| `{name}` | {variable} | {default} | {escaped(field.description)} |"
        )
    return "\n".join(rows) + "\n"


def shown(default: Any) -> str:
    """Write a default as people do."""
    if default is None or default == ():
        return ""
    if isinstance(default, float):
        return f"{default:g}"
    return f"`{default}`" if isinstance(default, str) else str(default)


def escaped(text: str | None) -> str:
    """Keep Markdown from taking a placeholder for a tag."""
    return (text or "").replace("<", "&lt;")


def page(before: str) -> str:
    """Put the table in its place on the page."""
    head, _, rest = before.partition(START)
    return f"{head}{START}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
