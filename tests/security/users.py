"""The users of Redis that docs/security.md shows, on a real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis

from sisyphus.embedded import EmbeddedServer

PAGE = Path(__file__).parent.parent.parent / "docs" / "security.md"
PASSWORD = "a secret"


def rules() -> dict[str, list[str]]:
    """The users of the page: name -> the words of its rule."""
    block = re.search(r"```acl\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    lines = re.sub(r"\n +", " ", block[1]).splitlines()
    found = [line.split() for line in lines if line]
    assert all(words[0] == "user" for words in found)
    return {words[1]: words[2:] for words in found}


class Guarded:
    """A server whose users are those of the page, and one more for the test itself."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.socket = server.url.removeprefix("unix://")
        with Redis(unix_socket_path=self.socket) as first:
            first.execute_command(
                *("ACL", "SETUSER", "admin", "on", f">{PASSWORD}", "~*", "&*", "+@all")
            )
        self.admin: Any = Redis(
            unix_socket_path=self.socket, username="admin", password=PASSWORD
        )
        self.rules = rules()
        for name in self.rules:
            self.give(name, self.rules[name])

    def give(self, name: str, words: list[str]) -> None:
        """Give a user this rule and no other."""
        words = [word.replace(">PASSWORD", f">{PASSWORD}") for word in words]
        fresh = [] if name == "default" else ["reset"]
        self.admin.execute_command("ACL", "SETUSER", name, *fresh, *words)

    def url(self, name: str) -> str:
        return f"unix://{name}:{PASSWORD.replace(' ', '%20')}@{self.socket}"

    @contextmanager
    def as_(self, name: str) -> Iterator[Any]:
        """A raw client of this user."""
        with Redis(
            unix_socket_path=self.socket, username=name, password=PASSWORD
        ) as client:
            yield client

    def empty(self) -> None:
        self.admin.flushall()
        self.admin.script_flush()
        self.admin.acl_log_reset()

    def refused(self) -> set[str]:
        """What the server has refused to anybody: user and command or key."""
        return {f"{row['username']} {row['object']}" for row in self.admin.acl_log()}
