"""Writes a text into a file: a module that needs no tool."""

from pathlib import Path

from sisyphus.errors import TaskFailed
from sisyphus.modules.base import Module, ModuleSettings, Step
from sisyphus.modules.fields import InputFile, OutputFile
from sisyphus.modules.task import Task


class NoteSettings(ModuleSettings):
    text: str = "a note"
    source: InputFile | None = None
    output_file: OutputFile
    outcome: str = "ok"
    tool: tuple[str, ...] = ()


class Note(Module):
    """Writes a note."""

    Settings = NoteSettings
    settings: NoteSettings

    def plan(self, task: Task) -> list[Step]:
        path = self.settings.output_file
        argv = ["tee", str(path), "a word with 'quotes'"]
        return [Step("write a note", argv=argv, writes=[path])]

    def run(self, task: Task) -> None:
        wanted = self.settings
        task.log(f"writing {wanted.text}")
        if wanted.outcome == "fail":
            raise TaskFailed("the pen broke")
        if wanted.outcome == "mistake":
            raise KeyError("a mistake of the module")
        if wanted.tool:
            task.tool(wanted.tool)
        with task.output(wanted.output_file, overwrite=True) as part:
            Path(part).write_text(wanted.text)
        task.progress(100)
