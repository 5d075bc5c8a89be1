"""Conversations that are remembered: in memory, or on disk in SQLite.

Two runs in one session never overlap, whether they are tasks of one program, threads or several processes: the second
waits for the first. Sessions that cannot be read are kept aside, and nothing is overwritten.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import sqlite3
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter

from agent_runtime.agents.errors import SessionCorruptError
from agent_runtime.agents.history import newest, without_instructions
from agent_runtime.agents.options import KEPT_MESSAGES, SENT_MESSAGES
from fleet_spec.errors import BadInputError

_SCHEMA = "CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, updated TEXT NOT NULL, messages BLOB NOT NULL)"
_BUSY_TIMEOUT_SECONDS = 30.0
_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.1


class Turn:
    """One run's share in a session."""

    def __init__(self, sent: list[ModelMessage]) -> None:
        self.sent = sent
        """What of the conversation is sent along."""
        self.added: list[ModelMessage] = []

    def add(self, messages: Sequence[ModelMessage]) -> None:
        """Remember what was said, once the run has reached its end."""
        self.added.extend(messages)


class Session:
    """A conversation in memory. :meth:`SessionStore.session` gives one on disk."""

    def __init__(
        self, session_id: str = "", *, kept_messages: int = KEPT_MESSAGES, sent_messages: int = SENT_MESSAGES
    ) -> None:
        """Make a session.

        Args:
            session_id: What it is called.
            kept_messages: How many messages are remembered, at least 2.
            sent_messages: How many of them are sent along, the newest.
        """
        if kept_messages < 2 or not 0 <= sent_messages <= kept_messages:
            raise BadInputError(
                f"a session cannot keep {kept_messages} messages and send {sent_messages}. "
                "fix: keep 2 or more, and send no more than are kept"
            )
        self.session_id = session_id
        self.kept_messages = kept_messages
        self.sent_messages = sent_messages
        self._messages: list[ModelMessage] = []
        self._running = threading.Lock()

    async def messages(self) -> list[ModelMessage]:
        """What is remembered."""
        return list(self._messages)

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[Turn]:
        """Hold the session for one run; other runs in it wait. What was added is remembered at the end."""
        await self._hold()
        try:
            remembered = await self.messages()
            turn = Turn(newest(remembered, self.sent_messages))
            yield turn
            if turn.added:
                said = [*remembered, *without_instructions(turn.added)]
                await self._remember(newest(said, self.kept_messages))
        finally:
            self._release()

    async def clear(self) -> None:
        """Forget everything."""
        await self._hold()
        try:
            await self._remember([])
        finally:
            self._release()

    async def _remember(self, messages: list[ModelMessage]) -> None:
        self._messages = messages

    async def _hold(self) -> None:
        # A thread's lock and not asyncio's: a session may serve several event loops, one after another or at once.
        pause_seconds = _FIRST_PAUSE_SECONDS
        while not self._running.acquire(blocking=False):
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _release(self) -> None:
        self._running.release()


class SessionStore:
    """Sessions in a SQLite file."""

    def __init__(self, path: Path) -> None:
        """Open or make the store.

        Raises:
            SessionCorruptError: the file is no store of sessions; it was moved aside.
        """
        self.path = path
        self._locks = path.with_name(f"{path.name}.locks")
        self._locks.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._checked(), closing(self._connect()) as database, database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(_SCHEMA)
        path.chmod(0o600)

    def session(
        self, session_id: str, *, kept_messages: int = KEPT_MESSAGES, sent_messages: int = SENT_MESSAGES
    ) -> Session:
        """The session of that name; it begins empty."""
        if not session_id.strip():
            raise BadInputError("a session on disk needs a name. fix: store.session('alice')")
        return _StoredSession(self, session_id, kept_messages, sent_messages)

    def session_ids(self) -> list[str]:
        """The sessions that the store holds."""
        with self._checked(), closing(self._connect()) as database:
            return [str(row[0]) for row in database.execute("SELECT id FROM sessions ORDER BY id")]

    def load(self, session_id: str) -> list[ModelMessage]:
        """What is remembered of a session.

        Raises:
            SessionCorruptError: it cannot be read; it was kept aside under another name.
        """
        with self._checked(), closing(self._connect()) as database:
            row = database.execute("SELECT messages FROM sessions WHERE id = ?", (session_id,)).fetchone()
        if row is None:
            return []
        try:
            return ModelMessagesTypeAdapter.validate_json(row[0])
        except ValidationError as error:
            aside = f"{session_id} (unreadable, {_now()})"
            with closing(self._connect()) as database, database:
                database.execute("UPDATE sessions SET id = ? WHERE id = ?", (aside, session_id))
            raise SessionCorruptError(
                f"session {session_id!r} in {self.path} cannot be read; it is kept as {aside!r}. "
                "fix: run again, which begins it anew"
            ) from error

    def save(self, session_id: str, messages: list[ModelMessage]) -> None:
        """Remember a session's messages in place of those before; none forgets it."""
        with self._checked(), closing(self._connect()) as database, database:
            if not messages:
                database.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
                return
            text = ModelMessagesTypeAdapter.dump_json(messages)
            database.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", (session_id, _now(), text))

    def lock_path(self, session_id: str) -> Path:
        """The file whose lock a run holds while it works in a session."""
        return self._locks / hashlib.sha256(session_id.encode()).hexdigest()[:32]

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_SECONDS)

    def _checked(self) -> _KeptAside:
        return _KeptAside(self.path)


class _KeptAside:
    """Moves a store that is no database aside, and says so."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # A database that is busy or read-only is whole; only these say that the file itself is not.
        if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.OperationalError):
            return
        aside = self._path.with_name(f"{self._path.name}.unreadable-{_now().replace(':', '')}")
        self._path.rename(aside)
        for extra in ("-wal", "-shm"):
            journal = self._path.with_name(self._path.name + extra)
            if journal.exists():
                journal.rename(aside.with_name(aside.name + extra))
        raise SessionCorruptError(
            f"{self._path} is no readable store of sessions ({error}); it is kept as {aside}. "
            "fix: run again, which begins a new store"
        ) from error


class _StoredSession(Session):
    def __init__(self, store: SessionStore, session_id: str, kept_messages: int, sent_messages: int) -> None:
        super().__init__(session_id, kept_messages=kept_messages, sent_messages=sent_messages)
        self._store = store
        self._lock: int | None = None

    async def messages(self) -> list[ModelMessage]:
        return await asyncio.to_thread(self._store.load, self.session_id)

    async def _remember(self, messages: list[ModelMessage]) -> None:
        await asyncio.to_thread(self._store.save, self.session_id, messages)

    async def _hold(self) -> None:
        await super()._hold()
        descriptor = -1
        try:
            descriptor = os.open(self._store.lock_path(self.session_id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            pause_seconds = _FIRST_PAUSE_SECONDS
            while not _locked(descriptor):
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
            self._lock = descriptor
        except BaseException:
            if descriptor >= 0:
                os.close(descriptor)
            super()._release()
            raise

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)  # which lets go of the lock, as the end of the process would
            self._lock = None
        super()._release()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
