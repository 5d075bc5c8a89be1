"""Keys and tokens of known services, by the prefixes that their makers gave them so that they can be found."""

from __future__ import annotations

from agent_runtime.router.prompts.passage import Passage
from agent_runtime.router.prompts.patterns import compiled

_FORMS = (
    r"gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{40,255}",
    r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent)-[A-Za-z0-9_.-]{18,300}",
    r"\b(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z2-7]{16}\b",
    r"\bAIza[A-Za-z0-9_-]{35}|\bya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}",
    r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-\d-[A-Za-z0-9-]{20,}|"
    r"hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{16,}",
    r"\b[srp]k_(?:live|test|prod)_[A-Za-z0-9]{16,}|\bwhsec_[A-Za-z0-9+/=]{24,}",
    r"\bsk-(?:proj-|svcacct-|admin-|ant-(?:api|admin)\d\d-|or-v1-|lf-)?[A-Za-z0-9_-]{20,}",
    r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    r"\bhf_[A-Za-z0-9]{30,}",
    r"\bnpm_[A-Za-z0-9]{36}|\bpypi-[A-Za-z0-9_-]{50,}",
    r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{30,}|\bkey-[0-9a-f]{32}\b",
    r"\bSK[0-9a-f]{32}\b|\bAC[0-9a-f]{32}\b",
    r"\bdo[oprt]_v1_[0-9a-f]{64}|\bdapi[0-9a-f]{32}\b|\bdp\.(?:pt|st|ct)\.[A-Za-z0-9]{30,}",
    r"\bhv[sbr]\.[A-Za-z0-9_-]{24,}|\bpul-[0-9a-f]{40}\b|\bATATT3[A-Za-z0-9_=-]{40,}|\bATCTT3[A-Za-z0-9_=-]{40,}",
    r"\bsq0(?:atp|csp)-[A-Za-z0-9_-]{22,}|\bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|\bEAAA[A-Za-z0-9_-]{50,}",
    r"\b\d{8,10}:AA[A-Za-z0-9_-]{32,}|\b[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,}",
    r"\bgsk_[A-Za-z0-9]{40,}|\br8_[A-Za-z0-9]{30,}|\bpplx-[A-Za-z0-9]{40,}|\bxai-[A-Za-z0-9]{60,}|"
    r"\bnvapi-[A-Za-z0-9_-]{50,}",
    r"\bglsa_[A-Za-z0-9]{32}_[0-9a-f]{8}|\blin_api_[A-Za-z0-9]{30,}|\bntn_[A-Za-z0-9]{40,}|"
    r"\bsecret_[A-Za-z0-9]{43}\b",
    r"AccountKey=[A-Za-z0-9+/]{80,}={0,2}|\bsig=[A-Za-z0-9%]{40,}|\bAGE-SECRET-KEY-1[0-9A-Z]{50,}",
    r"\bpaddock-[A-Za-z0-9_-]{40,}",
)
CUE = (
    r"gh[pousr]_|github_pat_|gl[a-z]{2,5}-|A[A-Z]{3}[A-Z2-7]{12}|AIza|ya29\.|GOCSPX-|xox[abeoprs]-|"
    r"xapp-|slack\.com/services|k_(?:live|test|prod)_|whsec_|"
    r"sk-|eyJ|hf_|npm_|pypi-|SG\.|key-|\bSK[0-9a-f]{8}|\bAC[0-9a-f]{8}|_v1_|dapi|\bdp\.|hv[sbr]\.|"
    r"pul-|AT[AC]TT3|sq0|shp|EAAA|:AA|[MNO][A-Za-z0-9_-]{23,27}\.|"
    r"gsk_|r8_|pplx-|xai-|nvapi-|glsa_|lin_api_|ntn_|secret_|AccountKey|sig=|AGE-SECRET|paddock-"
)
_TOKEN = compiled("|".join(f"(?:{form})" for form in _FORMS), case_sensitive=True)


def find(passage: Passage) -> bool:
    """Whether there is a key or token of a service."""
    return _TOKEN.search(passage.text) is not None
