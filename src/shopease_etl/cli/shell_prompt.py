"""The line of the shell: editing over several lines, completion, and a history that stays. It needs prompt_toolkit."""

import asyncio
import logging
import termios
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from shopease_etl import cancel
from shopease_etl.cli.shell_text import Vocabulary, is_complete
from shopease_etl.errors import UnreachableError
from shopease_etl.nofollow import make_folder, open_file
from shopease_etl.wording import reason

log = logging.getLogger(__name__)

_PROMPT: Final = "shopease> "
_SIGNAL_SECONDS: Final = 0.2


class Prompt:
    """Reads what the user types; `vocabulary` completes it with Tab."""

    def __init__(self, home: Path, vocabulary: Vocabulary) -> None:
        self._session: PromptSession[str] = PromptSession(
            _PROMPT,
            multiline=True,
            prompt_continuation="->".rjust(len(_PROMPT) - 1) + " ",
            history=_history(home / "query_history"),
            completer=_WordCompleter(vocabulary),
            complete_while_typing=False,
            enable_history_search=True,
            key_bindings=_keys(),
        )

    def read(self) -> str:
        """The next command or statements; EOFError at Ctrl-D and without a terminal, KeyboardInterrupt at Ctrl-C."""
        with cancel.cooperating():  # an exception in the midst of the event loop would be a task's failure
            try:
                return self._session.prompt(pre_run=_watch_signals, handle_sigint=False)
            except (OSError, termios.error) as error:
                raise EOFError from error


class _WordCompleter(Completer):
    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002 - the interface's
        for text, replaced in self._vocabulary.completions(document.text_before_cursor, document.text):
            yield Completion(text, start_position=-replaced)


def _watch_signals() -> None:
    """End the prompt with KeyboardInterrupt when a signal has come; in raw mode Ctrl-C is a key, and none."""
    app = get_app()

    async def watch() -> None:
        while not cancel.is_interrupted():
            await asyncio.sleep(_SIGNAL_SECONDS)
        if not app.is_done:
            app.exit(exception=KeyboardInterrupt)

    app.create_background_task(watch())


def _keys() -> KeyBindings:
    """Enter runs what is complete, else it begins a line."""
    keys = KeyBindings()

    @keys.add("enter")
    def enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline()

    return keys


def _history(path: Path) -> History:
    """The history in a file that only this user can read; if it cannot be written, one that ends with the shell."""
    try:
        make_folder(path.parent)
        with open_file(path, "a+b", 0o600):
            path.chmod(0o600)
    except (OSError, UnreachableError) as error:
        log.warning("the history cannot be kept: %s", reason(error))
        return InMemoryHistory()
    return FileHistory(path)
