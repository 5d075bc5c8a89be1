"""Answers given before, kept for the next time that the same key asks the same thing.

:class:`AnswerCache` is the door. It lives in one process and in its memory: what workers answered is not shared between
them, and a restart forgets all of it. Nothing is written anywhere, so that prompts and answers stay where they are.
"""

from agent_runtime.router.answers.cache import AnswerCache, Answerer, Question
from agent_runtime.router.answers.families import cache_families
from agent_runtime.router.answers.recording import Recording
from agent_runtime.router.answers.replay import Replay
from agent_runtime.router.answers.store import Answer

__all__ = ["Answer", "AnswerCache", "Answerer", "Question", "Recording", "Replay", "cache_families"]
