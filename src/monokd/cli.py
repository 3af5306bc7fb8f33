"""The `monokd` command: a table of commands, each imported only when it is called for."""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from monokd.errors import DataError, run

# Command → its file below monokd/commands; the function there has the file's name.
COMMANDS = {name: name for name in ("check", "unpack", "densify", "evaluate", "show", "predict")}
COMMANDS |= {"import": "import_checkpoint"}
COMMANDS |= {name: name for name in ("export", "submit", "summarize", "history")}


class LazyCommands(TyperGroup):
    """A group that imports a command's module when the command is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**(settings | {"commands": dict.fromkeys(COMMANDS)}))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """The command, imported, or None; DataError where a package is not installed that the command needs."""
        if cmd_name not in COMMANDS:
            return None
        try:
            module = import_module(f"monokd.commands.{COMMANDS[cmd_name]}")
        except ModuleNotFoundError as error:
            package = (error.name or "monokd").partition(".")[0]
            if package == "monokd":
                raise
            hint = "install the extra 'pipeline', in a clone by: pip install '.[pipeline]'"
            raise DataError(f"{cmd_name} needs {package}: {hint}") from error
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(cmd_name)(getattr(module, COMMANDS[cmd_name]))
        return typer.main.get_command(single)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary(file)) for name, file in COMMANDS.items()])


def summary(file: str) -> str:
    """Read the first line of a command's docstring from its file."""
    tree = ast.parse((Path(__file__).parent / f"commands/{file}.py").read_text(encoding="utf-8"))
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == file)
    return (ast.get_docstring(function) or "").partition("\n")[0]


app = typer.Typer(
    cls=LazyCommands, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)


@app.callback()
def about() -> None:
    """Monocular 3D detection: KITTI evaluation, dense depth, knowledge distillation."""


def main() -> None:
    """Run the command line."""
    run(app)


if __name__ == "__main__":
    main()
