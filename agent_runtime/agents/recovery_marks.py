"""The marks of calls that were written as text: tags, special tokens, words; and the signs of the contrary."""

from __future__ import annotations

import re

THOUGHT = re.compile(r"</think(?:ing)?>")
BAR = r"[|\uff5c]"
OPENING = re.compile(
    r"<tool_?calls?>|<tools?>|<function_?-?calls?>|<function>|<tool_use>|<start_function_call>"
    rf"|<{BAR}/?tool[_\u2581]?calls?(?:[_\u2581]?(?:section[_\u2581])?(?:begin|start))?{BAR}?>"
    rf"|<{BAR}(?:python_tag|python_start|action_start|plugin){BAR}>"
    r"|\[/?TOOL_CALLS?\]|\[Calling tools?:?|(?:^|\n)Calling tools?:|functools(?=\s*\[)|\u273fFUNCTION\u273f:?",
    re.IGNORECASE,
)
OPEN_FUNCTION = re.compile(r"<(?:function|invoke|tool)(?:=|\s+name\s*=\s*)[\"']?([^\s\"'>]+)[\"']?\s*>", re.IGNORECASE)
CLOSE_FUNCTION = re.compile(r"</(?:function|invoke|tool|tool_call)>", re.IGNORECASE)
PARAMETER = re.compile(
    r"<param(?:eter)?(?:=|\s+name\s*=\s*)[\"']?([^\s\"'>]+)[\"']?\s*>(.*?)"
    r"(?:</param(?:eter)?>|(?=<param(?:eter)?[=\s])|(?=</function>)|(?=</invoke>)|(?=</tool)|$)",
    re.DOTALL | re.IGNORECASE,
)
ARGUMENT_PAIR = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)(?:</arg_value>|$)", re.DOTALL)
HARMONY = re.compile(r"to=(?:functions\.)?([\w.-]+)(.*?)(?=<\|call\|>|<\|end\|>|<\|start\|>|\bto=|$)", re.DOTALL)
REACT = re.compile(
    r"^[ \t*]*(?:Action|Tool|Function)[ \t*]*:[ \t*]*`?([\w .:-]{1,80}?)`?[ \t*]*\n+"
    r"[ \t*]*(?:(?:Action|Tool|Function)[ _])?(?:Input|Arguments?|Args|Parameters)[ \t*]*:[ \t*]*(.*?)"
    r"(?=\n[ \t*]*(?:Observation|Thought|Final Answer)\b|\Z)",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
REACT_WHOLE = re.compile(r"^[ \t*]*(?:Action|(?:Tool|Function) call)[ \t*]*:[ \t*]*", re.MULTILINE | re.IGNORECASE)
FENCE = re.compile(r"```[ \t]*([\w+-]*)[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL)
NAMED_OBJECT = re.compile(r"(?<!\w)([A-Za-z_][\w.:/-]{0,63})(?:\[ARGS\]|ARGS|json|<[^<>]{0,60}>|[^\w{}<]){0,40}(?=\{)")
"""A name and then an object, with nothing but marks between them. Bounded: a long word costs what a short one does."""
ESCAPED = re.compile(r"<escape>(.*?)<escape>", re.DOTALL)
CODE_LANGUAGES = ("tool_code", "tool_call", "python", "py", "")
EXAMPLE = re.compile(
    r"\b(?:examples?|e\.g|for instance|such as|looks?\s+like|format|syntax|template|documentation|docs)\b",
    re.IGNORECASE,
)
EXPLAINING = re.compile(
    r"\b(?:formatted|schema|would|could|might|returns?|returned|response|output|body|snippet|suppose|imagine"
    r"|instead of|means|equals?|if you)\b",
    re.IGNORECASE,
)
MID_SENTENCE = re.compile(r"[\w,(][ \t]*\Z")
LOOKED_BACK_CHARS = 160
LONGEST_PREAMBLE_CHARS = 1200
LEFT_OVER = re.compile(r"(?:</?[^\s<>]{1,60}>|\[/\w+\]|[\s\]`;.,]|</?\w*\Z)*")
"""Closing tags and tokens. No two of its choices begin alike, or a reply that repeats a token would take for ever."""
