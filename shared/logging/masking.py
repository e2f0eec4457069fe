"""Find secrets by the name they go under and by their shape, and hide them.

Pure functions on text and names; `shared.logging.values` applies them to nested values.

What is hidden inside text: the value of a `name=value`, `"name": "value"` or `'name', 'value'` pair whose name tells of
a secret; Bearer and Basic credentials; JWTs; Keelson API keys (the public id stays); AWS, GitHub, GitLab, Slack and
Stripe keys; PEM private keys; the password of a URL; card numbers. An unquoted value ends at white space, a quote,
`&`, `<` or `>`: a secret with those characters must stand in quotes to be hidden whole.
"""

import re
from functools import lru_cache

MASK = "[masked]"

_STEMS = (
    "passw(?:or)?d",
    "passphrase",
    "pwd",
    "secret",
    "token",
    r"api[\s_.-]*key",
    r"access[\s_.-]*key",
    r"private[\s_.-]*key",
    r"signing[\s_.-]*key",
    r"encryption[\s_.-]*key",
    "authori[sz]ation",
    "cookie",
    "credential",
)
_WORDS = ("dsn", "auth", "jwt", "pin", "cvv", "cvc", "otp")

_SECRET_KEY = re.compile("|".join(_STEMS), re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SEPARATORS = re.compile(r"[^A-Za-z0-9]+")
# With a number for its value, a name that holds one of these counts or times a secret and does not hold one.
_MEASURES = frozenset(
    {"bucket", "buckets", "count", "rate", "capacity", "remaining", "expires", "expiry", "length", "ttl"}
)

_NAME = rf"(?:{'|'.join(_STEMS)}|(?<![A-Za-z])(?:{'|'.join(_WORDS)})(?![A-Za-z]))"
_VALUE = (
    r"(?:"
    r"b?(?P<quote>\\+[\"'])(?:.*?(?<!\\)(?P=quote)|.*)"  # inside a JSON text that is itself a JSON string
    r"|b?\"(?:\\.|[^\"\\])*(?:\"|\\?$)"
    r"|b?'(?:\\.|[^'\\])*(?:'|\\?$)"
    r"|(?:\[[^\]]*\]?|\{[^}]*\}?|\([^)]*\)?)[^\s&\"'<>]*"
    r"|(?:(?:bearer|basic|apikey|digest|token)\s+)?[^\s&\"'<>]+"
    r")"
)
_PAIR = re.compile(
    rf"(?P<name>{_NAME}[\w.-]{{0,100}})(?P<separator>\\*[\"']?\s*(?:=>|:=|==|[:=])\s*|\\*[\"']\s*,\s*(?=b?\\*[\"'])){_VALUE}",
    re.IGNORECASE | re.DOTALL,
)
_HEADER = re.compile(
    r"(?P<head>(?:cookie\\*[\"']?\s*[:=]|authori[sz]ation:)[ \t]*)(?=[^\s\"'\\])[^\r\n\"']+", re.IGNORECASE
)
# Pydantic repeats the refused input under the field's name: the name is on a line of its own.
_REFUSED = re.compile(rf"(?P<head>^[^\n]*{_NAME}[^\n]*\n[^\n]*?input_value=)[^\n]*", re.IGNORECASE | re.MULTILINE)
_SCHEME = re.compile(r"\b(?P<scheme>bearer)\s+[^\s\"',;<>]+", re.IGNORECASE)
_BASIC = re.compile(r"\b(?P<scheme>[Bb]asic|BASIC)\s+(?=[A-Za-z0-9+/]*[A-Z0-9=+/])[A-Za-z0-9+/]{6,}={0,2}")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_KEELSON = re.compile(r"(?<![A-Za-z])kl_(?P<id>[0-9A-Za-z]+)_[0-9A-Za-z_-]+")
_VENDOR = re.compile(
    r"eyJ[\w-]{5,}(?:\.[\w-]*){1,4}|eyJ[\w-]{30,}"
    r"|(?<![A-Za-z0-9])(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ANVA)[0-9A-Z]{16}(?![A-Za-z0-9])"
    r"|(?:gh[pousr]_|github_pat_|glpat-)[\w-]{16,}|xox[abeprs]-[\w-]{10,}|(?:sk|rk)_(?:live|test)_\w{10,}"
)
# A port is no password: http://host:8080/path?to=a@b keeps its host.
_USERINFO = re.compile(r"://(?:(?P<user>[^\s:/@\"'<>]*):(?!\d{1,5}[/?#])[^\s\"'<>]*|[^\s:/@\"'<>]{20,})@")
_DIGITS = re.compile(r"(?<![0-9A-Za-z])(?<!\d\.)\d+(?:[ -]\d+)*(?![0-9A-Za-z]|\.\d)")

# What every suspect text has one of, in lower case: looking for plain words is far faster than the search below.
_HINTS = (
    *("pass", "pwd", "secret", "token", "key", "authori", "cookie", "credential", "bearer", "basic", *_WORDS),
    *("kl_", "eyj", "akia", "asia", "agpa", "aida", "aroa", "anpa", "anva"),
    *("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "sk_", "rk_", "://"),
)
_LONG_NUMBER = re.compile(r"\d(?:[ -]?\d){12}")
# One search decides whether a text needs any of the above: nearly all texts do not.
_SUSPECT = re.compile(
    rf"{'|'.join(_STEMS)}|(?<![a-z])(?:{'|'.join(_WORDS)})(?![a-z])|bearer|basic\s|kl_|eyj|akia|asia|agpa|aida|aroa"
    r"|anpa|anva|gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|[sr]k_(?:live|test)_|://[^\s]*@|private key"
    r"|\d(?:[ -]?\d){12}",
    re.IGNORECASE,
)
# Short texts known to hold no secret: names of accounts, paths and codes come again and again.
_CLEAN: set[str] = set()
_LONGEST_KEPT = 128
_MOST_KEPT = 4_096
_SHORTEST_NUMBER = 13
_LONGEST_NUMBER = 19
_CARD_GROUPS = frozenset(
    {(4, 4, 4, 4), (4, 4, 4, 4, 1), (4, 4, 4, 4, 2), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (4, 4, 5)}
)


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name holds a secret, whatever its case and separators."""
    return bool(_SECRET_KEY.search(_SEPARATORS.sub("", name))) or not _words(name).isdisjoint(_WORDS)


@lru_cache(maxsize=4096)
def is_measure_name(name: str) -> bool:
    """Tell whether a number under this secret-like name is a count or a rate, as in `token_bucket_capacity`."""
    return not _words(name).isdisjoint(_MEASURES)


def _words(name: str) -> set[str]:
    return {word.lower() for word in _SEPARATORS.split(_CAMEL.sub("_", name)) if word}


def mask_text(text: str) -> str:
    """Return the text with every secret in it replaced by `[masked]`."""
    if len(text) < _SHORTEST_NUMBER and text.isalnum():
        return text
    if text in _CLEAN:
        return text
    masked = _masked(text)
    if len(text) <= _LONGEST_KEPT and masked == text:
        if len(_CLEAN) >= _MOST_KEPT:
            _CLEAN.clear()
        _CLEAN.add(text)
    return masked


def _masked(text: str) -> str:
    lowered = text.lower()
    if not any(map(lowered.__contains__, _HINTS)):
        # Only a number can be a secret: ids made of the time in nanoseconds are as long.
        return _DIGITS.sub(_mask_cards, text) if len(text) >= _SHORTEST_NUMBER and _LONG_NUMBER.search(text) else text
    if not _SUSPECT.search(text):
        return text
    text = _PEM.sub(MASK, text)
    if "input_value=" in text:
        text = _REFUSED.sub(rf"\g<head>{MASK}", text)
    text = _HEADER.sub(rf"\g<head>{MASK}", text)
    text = _PAIR.sub(rf"\g<name>\g<separator>{MASK}", text)
    text = _SCHEME.sub(rf"\g<scheme> {MASK}", text)
    text = _BASIC.sub(rf"\g<scheme> {MASK}", text)
    text = _USERINFO.sub(_mask_userinfo, text)
    text = _KEELSON.sub(rf"kl_\g<id>_{MASK}", text)
    text = _VENDOR.sub(MASK, text)
    return _DIGITS.sub(_mask_cards, text)


def is_card_number(digits: str) -> bool:
    """Tell whether a run of digits can be a payment card: 13 to 19 of them, a card's first digits, Luhn's check.

    Only first digits 3 to 6 (and 2221 to 2720 with 16 digits) are cards', so that nanosecond epochs, which start with
    1 until 2033, are never hit. One in ten other numbers of that length and start passes Luhn's check by chance.
    """
    if not _SHORTEST_NUMBER <= len(digits) <= _LONGEST_NUMBER or not digits.isascii():
        return False
    if digits[0] not in "3456" and not (len(digits) == 16 and "2221" <= digits[:4] <= "2720"):
        return False
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) << (position & 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _mask_userinfo(match: re.Match[str]) -> str:
    user = match["user"]
    return f"://{MASK}@" if user is None else f"://{user}:{MASK}@"


def _mask_cards(match: re.Match[str]) -> str:
    run = match[0]
    if len(run) < _SHORTEST_NUMBER:
        return run
    parts = re.split(r"([ -])", run)
    groups = parts[::2]
    masked: list[str] = []
    index = 0
    while index < len(groups):
        width = _card_at(groups, index)
        masked.append(parts[2 * index - 1] if index else "")
        masked.append(MASK if width else groups[index])
        index += max(width, 1)
    return "".join(masked)


def _card_at(groups: list[str], start: int) -> int:
    """Return how many groups from `start` on make up one card number; 0 for none."""
    for width in (5, 4, 3, 1):
        window = groups[start : start + width]
        shaped = width == 1 or tuple(len(group) for group in window) in _CARD_GROUPS
        if len(window) == width and shaped and is_card_number("".join(window)):
            return width
    return 0
