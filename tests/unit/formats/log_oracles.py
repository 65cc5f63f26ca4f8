"""Slow, plain parsers of log lines, written apart from ours: what a line says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

DIGITS = frozenset("0123456789")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TOKEN = frozenset("!#$%&'*+.^_|~-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
BLANKS = " \t\r\n\x0b\x0c"
LARGEST = 2**63 - 1
REFERENCE = datetime(2024, 3, 5, 10, 20, 30, tzinfo=UTC)
Row = dict[str, Any]


class NoMatchError(Exception):
    """The line is not of the format."""


def need(condition: object) -> None:
    if not condition:
        raise NoMatchError


def number(text: str, digits: tuple[int, int] = (1, 99)) -> int:
    need(text and set(text) <= DIGITS and digits[0] <= len(text) <= digits[1])
    return int(text)


def moment(day: str, clock: str, zone: timedelta, micros: int = 0) -> datetime:
    """Return a moment from ``YYYY-MM-DD`` and ``HH:MM:SS``."""
    parts = clock.split(":")
    need(day.count("-") == 2 and len(parts) == 3 and all(len(part) == 2 for part in parts))
    year, month, of_month = day.split("-")
    need(1000 <= number(year, (4, 4)) < 3000)
    hour, minute, second = (number(part) for part in parts)
    days = number(month, (2, 2)), number(of_month, (2, 2))
    try:
        naive = datetime(number(year), *days, hour, minute, second, micros)  # noqa: DTZ001  its zone comes next
    except ValueError as exc:
        raise NoMatchError from exc
    return naive.replace(tzinfo=timezone(zone)).astimezone(UTC)


def offset(sign: str, hours: str, minutes: str) -> timedelta:
    need(sign in ("+", "-") and number(hours, (2, 2)) < 24 and number(minutes, (2, 2)) < 60)
    return timedelta(hours=int(hours), minutes=int(minutes)) * (1 if sign == "+" else -1)


def dashed(text: str) -> str | None:
    return None if text == "-" else text


def word(text: str) -> tuple[str, str]:
    """Return what stands before the first space, and what behind it."""
    first, space, rest = text.partition(" ")
    need(first and space)
    return first, rest


def quoted(text: str) -> tuple[str, str]:
    """Return what stands in quotes at the start, as it is written, and what follows."""
    need(text.startswith('"'))
    at = 1
    while at < len(text) and text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    need(at < len(text))
    return text[1:at], text[at + 1 :]


def access(line: str, *, is_combined: bool) -> Row:
    address, rest = word(line)
    ident, rest = word(rest)
    need(rest[:1] not in ("", " "))
    at = rest.find(" [", 1)
    while at >= 0:
        try:
            tail = access_tail(rest[at + 2 :], is_combined=is_combined)
        except NoMatchError:
            at = rest.find(" [", at + 1)
        else:
            for name in ("status", "body_bytes"):
                need(tail[name] is None or tail[name] <= LARGEST)
            head = {"remote_addr": dashed(address), "ident": dashed(ident), "remote_user": dashed(rest[:at])}
            return head | tail
    raise NoMatchError


def access_tail(text: str, *, is_combined: bool) -> Row:
    stamp, rest = text[:26], text[26:]
    need(len(stamp) == 26 and stamp[2] == stamp[6] == "/" and stamp[11] == ":" and stamp[20] == " ")
    need(rest.startswith("] ") and stamp[3:6] in MONTHS)
    day = f"{stamp[7:11]}-{MONTHS.index(stamp[3:6]) + 1:02}-{stamp[:2]}"
    time = moment(day, stamp[12:20], offset(stamp[21], stamp[22:24], stamp[24:26]))
    request, rest = quoted(rest[2:])
    need(rest.startswith(" "))
    status, rest = word(rest[1:] + " ")
    size, rest = word(rest)
    row: Row = {"time": time, "request": dashed(request)}
    row |= dict(zip(("method", "path", "protocol"), request_line(request), strict=True))
    row |= {name: dashed(text) and number(text) for name, text in (("status", status), ("body_bytes", size))}
    rest = rest[:-1] if rest else ""
    if is_combined:
        row["referer"], rest = quoted(rest)
        need(rest.startswith(" "))
        row["user_agent"], rest = quoted(rest[1:])
        row |= {name: dashed(row[name]) for name in ("referer", "user_agent")}
    need(not rest and (is_combined or text.endswith(size)))
    return row


def request_line(text: str) -> tuple[str | None, str | None, str | None]:
    parts = text.split(" ")
    if len(parts) != 3 or not parts[0] or not set(parts[0]) <= TOKEN or not parts[1]:
        return None, None, None
    version = parts[2].removeprefix("HTTP/").split(".")
    is_version = parts[2].startswith("HTTP/") and len(version) <= 2 and all(v and set(v) <= DIGITS for v in version)
    return (parts[0], parts[1], parts[2]) if is_version else (None, None, None)


def iso(text: str, most: int = 6) -> tuple[datetime, str]:
    """Return a moment to microseconds, and the digits of its second's fraction."""
    need(len(text) > 19 and text[10] == "T" and text[4] == text[7] == "-")
    rest, digits = text[19:], ""
    if rest.startswith("."):
        digits = rest[1 : 1 + len(rest[1:]) - len(rest[1:].lstrip("0123456789"))]
        need(1 <= len(digits) <= most)
        rest = rest[1 + len(digits) :]
    if rest == "Z":
        zone = timedelta(0)
    else:
        need(len(rest) == 6 and rest[3] == ":")
        zone = offset(rest[0], rest[1:3], rest[4:])
    return moment(text[:10], text[11:19], zone, int(digits.ljust(9, "0")[:6])), digits


def priority(text: str) -> tuple[Row, str]:
    need(text.startswith("<"))
    inner, close, rest = text[1:].partition(">")
    need(close and number(inner, (1, 3)) <= 191)
    value = int(inner)
    return {"priority": value, "facility": value // 8, "severity": value % 8}, rest


def rfc3164(line: str) -> Row:
    row: Row = {"priority": None, "facility": None, "severity": None}
    if line.startswith("<"):
        row, line = priority(line)
    if line[:3] in MONTHS:
        row["timestamp"], rest = bsd(line)
    else:
        text, rest = word(line)
        row["timestamp"], rest = iso(text)[0], f" {rest}"
    need(rest.startswith(" "))
    host, rest = word(rest[1:])
    return row | {"hostname": dashed(host)} | tagged(rest)


def bsd(line: str) -> tuple[datetime, str]:
    month, rest = MONTHS.index(line[:3]) + 1, line[4:]
    need(line[3:4] == " " and len(rest) > 9)
    size = 2 if rest[0] in " 0" or rest[1] in DIGITS else 1
    day, rest = rest[:size].replace(" ", "0"), rest[size:]
    need(rest.startswith(" ") and 1 <= number(day) <= 31)
    for year in range(REFERENCE.year + 1, REFERENCE.year - 9, -1):
        try:
            found = moment(f"{year}-{month:02}-{int(day):02}", rest[1:9], timedelta(0))
        except NoMatchError:
            continue
        if found <= REFERENCE + timedelta(days=1):
            return found, rest[9:]
    raise NoMatchError


def tagged(text: str) -> Row:
    end = next((at for at, sign in enumerate(text) if sign.isspace() or sign in ":[]"), len(text))
    name, rest, pid = text[:end], text[end:], None
    if rest.startswith("["):
        inner, close, behind = rest[1:].partition("]")
        if close and inner and not any(sign.isspace() for sign in inner):
            pid, rest = inner, behind
    if not name or not rest.startswith(":"):
        return {"app_name": None, "proc_id": None, "message": text}
    return {"app_name": dashed(name), "proc_id": dashed(pid or "-"), "message": rest[1:].removeprefix(" ")}


def rfc5424(line: str) -> Row:
    row, rest = priority(line)
    version, rest = word(rest)
    need(number(version, (1, 3)) and version[0] != "0")
    stamp, rest = word(rest)
    row["timestamp"] = None if stamp == "-" else iso(stamp)[0]
    for name in ("hostname", "app_name", "proc_id", "msg_id"):
        text, rest = word(rest)
        row[name] = dashed(text)
    row["version"] = int(version)
    row["structured_data"], rest = (None, rest[1:]) if rest.startswith("-") else elements(rest)
    need(not rest or rest.startswith(" "))
    row["message"] = rest[1:].removeprefix("\ufeff") if rest else None
    return row


def name_end(text: str, at: int) -> int:
    start = at
    while at < len(text) and not text[at].isspace() and text[at] not in '="]':
        at += 1
    need(at > start)
    return at


def elements(text: str) -> tuple[list[Row], str]:
    found: list[Row] = []
    at = 0
    need(text.startswith("["))
    while text.startswith("[", at):
        end = name_end(text, at + 1)
        element: Row = {"id": text[at + 1 : end], "params": []}
        while text.startswith(" ", end):
            equals = name_end(text, end + 1)
            need(text.startswith('="', equals))
            value, at = "", equals + 2
            while at < len(text) and text[at] != '"':
                need(text[at] != "]")
                if text[at] == "\\":
                    at += 1
                    need(at < len(text))
                    value += text[at] if text[at] in '"\\]' else "\\" + text[at]
                else:
                    value += text[at]
                at += 1
            need(at < len(text))
            element["params"].append({"name": text[end + 1 : equals], "value": value})
            end = at + 1
        need(text.startswith("]", end))
        found.append(element)
        at = end + 1
    return found, text[at:]


def logfmt(line: str) -> Row:
    row: Row = {}
    at, is_apart = 0, True
    while True:
        while at < len(line) and line[at] in BLANKS:
            at, is_apart = at + 1, True
        if at == len(line):
            break
        need(is_apart)
        is_apart = False
        start = at
        while at < len(line) and line[at] not in BLANKS and line[at] not in '="':
            at += 1
        key, value = line[start:at], "true"
        need(key and key not in row)
        if line.startswith('="', at):
            end = at + 2
            while end < len(line) and line[end] != '"':
                end += 2 if line[end] == "\\" else 1
            need(end < len(line))
            try:
                value = json.loads(line[at + 1 : end + 1], strict=False)
            except ValueError as exc:
                raise NoMatchError from exc
            need(not any("\ud800" <= sign <= "\udfff" for sign in value))
            at = end + 1
        elif line.startswith("=", at):
            end = at + 1
            while end < len(line) and line[end] not in BLANKS and line[end] != '"':
                end += 1
            value, at = line[at + 1 : end], end
        row[key] = value
    need(row)
    return row


def cri(line: str) -> Row:
    stamp, rest = word(line)
    time, digits = iso(stamp, 9)
    stream, rest = word(rest)
    tag, message = word(rest)
    need(stream in ("stdout", "stderr") and tag.split(":", maxsplit=1)[0] in ("P", "F"))
    return {"timestamp": time, "stream": stream, "message": message, "nanoseconds": int(digits.ljust(9, "0")[6:])}
