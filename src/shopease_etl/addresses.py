"""Addresses as people write them: what is meant, and its right spelling, without passwords."""

import os
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

URL_FORM: Final = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
LAKE_FORM: Final = "a folder, s3://BUCKET or s3://BUCKET/PREFIX"
_CREDENTIALS: Final = "USER:PASSWORD@"
_SECRETS: Final = frozenset(
    {"password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret", "passfile", "user"}
)
# What libpq takes after the ?; `ssl` is JDBC's, which libpq knows.
PARAMETERS: Final = _SECRETS | {
    *("application_name", "channel_binding", "client_encoding", "connect_timeout", "dbname", "gssdelegation", "ssl"),
    *("fallback_application_name", "gssencmode", "gsslib", "host", "hostaddr", "keepalives", "keepalives_count"),
    *("keepalives_idle", "keepalives_interval", "krbsrvname", "load_balance_hosts", "max_protocol_version"),
    *("min_protocol_version", "oauth_client_id", "oauth_issuer", "oauth_scope", "options", "port", "replication"),
    *("require_auth", "requirepeer", "requiressl", "service", "servicefile", "ssl_max_protocol_version", "sslcert"),
    *("ssl_min_protocol_version", "sslcertmode", "sslcompression", "sslcrl", "sslcrldir", "sslkey", "sslkeylogfile"),
    *("sslmode", "sslnegotiation", "sslrootcert", "sslsni", "target_session_attrs", "tcp_user_timeout"),
}
_SCHEMAS: Final = frozenset({"schema", "currentSchema", "search_path"})

_POSTGRES: Final = re.compile(r"(jdbc:)?(postgres(?:ql)?)(?:\+\w+)?:/{0,2}", re.IGNORECASE)
_OTHER_SCHEME: Final = re.compile(r"[A-Za-z][\w.+:-]*://")
_CONNINFO: Final = re.compile(r"\s*[a-z_]+\s*=")
_HOSTS: Final = re.compile(r"(?:(?:\[[^]]*\]|[^:\[\]@,]*)(?::[0-9]*)?(?:,|$))*")
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BRACED: Final = re.compile(r"\$\{([A-Za-z_]\w*)[^{}]*\}", re.ASCII)
_VARIABLE: Final = re.compile(rf"{_BRACED.pattern}|\$[A-Za-z_]\w*", re.ASCII)

_S3: Final = re.compile(r"s3://[^/]")
_S3_SCHEME: Final = re.compile(r"s3[an]?:/*", re.IGNORECASE)
_S3_ARN: Final = re.compile(r"arn:aws[\w-]*:s3:[^:]*:[^:]*:", re.IGNORECASE)
_S3_VIRTUAL_HOST: Final = re.compile(
    r"(?:https?://)?([^/]+?)\.s3(?:[.-][\w.-]+)?\.amazonaws\.com(?:\.cn)?(?:/|$)", re.I
)
_S3_PATH: Final = re.compile(r"(?:https?://)?s3(?:[.-][\w.-]+)?\.amazonaws\.com(?:\.cn)?/", re.IGNORECASE)
_S3_CONSOLE: Final = re.compile(r"https?://[\w.-]*console\.aws\.amazon\.com/s3/buckets/([^/?]+)/?", re.IGNORECASE)


class AddressError(ValueError):
    """An address that is written in another way than we read it; `hint` tells the right spelling, without secrets."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def s3_address(text: str) -> str | None:
    """The s3:// address that the text means in a spelling of another tool; None where it means none, or is one."""
    if _S3.match(text):
        return None
    if found := _S3_VIRTUAL_HOST.match(text):
        rest = f"{found[1]}/{_path(text[found.end() :])}"
    elif found := _S3_CONSOLE.match(text):
        rest = f"{found[1]}/{dict(parse_qsl(urlsplit(text).query)).get('prefix', '')}"
    elif found := _S3_PATH.match(text):
        rest = _path(text[found.end() :])
    elif found := _S3_SCHEME.match(text) or _S3_ARN.match(text):
        rest = text[found.end() :]
    else:
        return None
    return f"s3://{rest.strip('/') or 'BUCKET/PREFIX'}"


def check_lake(text: str) -> None:
    """Raise AddressError unless the text is a folder's path or an s3:// address."""
    if right := s3_address(text):
        raise AddressError("an S3 address must begin with s3://", f"write it as {right}")
    if text.lower().startswith("file:"):
        path = unquote(urlsplit(text).path) or "FOLDER"
        raise AddressError("a folder is a path, not a file: URL", f"write it as {path}")
    if "://" in text and not text.startswith("s3://"):
        hint = f"write {LAKE_FORM}; the address of an S3 server of your own goes into AWS_ENDPOINT_URL"
        raise AddressError("it is neither a folder nor an s3:// address", hint)


def check_database_url(text: str, embedded: str) -> None:
    """Raise AddressError unless the text is a libpq URL or conninfo string, or the word for the embedded database."""
    if text == embedded or (_CONNINFO.match(text) and not _OTHER_SCHEME.match(text)):
        return
    if text.lower() == embedded:
        raise AddressError("the embedded database is spelled in lower case", f"write it as {embedded}")
    found = _POSTGRES.match(text)
    if not found:
        other = _OTHER_SCHEME.match(text)
        what = f"only PostgreSQL is supported, not {other[0]}" if other else "it is not a PostgreSQL URL"
        raise AddressError(what, f"write it as {URL_FORM}, or {embedded}")
    rest = text[found.end() :]
    if found[0] not in ("postgresql://", "postgres://"):
        raise AddressError("the URL must begin with postgresql://", f"write it as {_spelling(rest)}")
    _check_credentials(rest)
    _check_parameters(rest)


def check_variables(text: str, *, is_secret: bool, is_path: bool) -> None:
    """Raise AddressError where the text has a variable in it, which a shell would have replaced.

    `$NAME` without braces is one in a path alone: elsewhere it may be part of a password.
    """
    variable = _VARIABLE if is_path else _BRACED
    if found := variable.search(text):
        name = f"${{{found[1]}}}" if found[1] else found[0]  # what stands for an unset one may be secret
        whole = text if is_secret else os.path.expandvars(text)
        hint = f"write the value in place of {name}" if variable.search(whole) else f"write it as {whole}"
        raise AddressError(f"variables such as {name} are not expanded in settings", hint)


def check_ends(text: str, *, is_secret: bool) -> None:
    """Raise AddressError where there are quotes or white space around the text, which is shown if it is no secret."""
    bare = text.strip()
    quote = bare[:1]
    is_quoted = len(bare) > 1 and quote in ("'", '"') and bare.endswith(quote)
    if bare and (is_quoted or bare != text):
        what, right = ("quotes", bare[1:-1].strip()) if is_quoted else ("white space", bare)
        hint = f"write it without the {what}" if is_secret else f"write it as {right}"
        raise AddressError(f"it has {what} around it", hint)


def _path(text: str) -> str:
    return unquote(text.partition("?")[0])


def _parts(rest: str) -> tuple[str, str, list[tuple[str, str]]]:
    """User and password, place, and parameters of a URL after its scheme, as libpq finds them."""
    before_slash = rest.partition("/")[0]
    user, at, tail = rest.partition("@") if "@" in before_slash else ("", "", rest)
    place, _, query = tail.partition("?")
    return user + at, place, parse_qsl(query, keep_blank_values=True)


def _is_cut(place: str, pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether an @ comes so late that libpq has taken a part of the password for something else."""
    foreign = "".join(name + value for name, value in pairs if name not in PARAMETERS | _SCHEMAS)
    return "@" in place or "@" in foreign


def _check_credentials(rest: str) -> None:
    user, place, pairs = _parts(rest)
    if any(sign.isspace() for sign in rest):
        raise AddressError("the URL contains white space", _encode("a blank", "%20", rest))
    if _is_cut(place, pairs):
        name, code = ("an @", "%40") if user else ("a /", "%2F")
        raise AddressError(f"the user or the password contains {name}", _encode(name, code, rest))
    if not _HOSTS.fullmatch(place.partition("/")[0]):
        raise AddressError("the port is not a number", f"write it as {URL_FORM}")
    if _BAD_PERCENT.search(rest):
        raise AddressError("it contains a % without two hexadecimal digits after it", _encode("a %", "%25", rest))


def _check_parameters(rest: str) -> None:
    unknown = [name for name, _ in _parts(rest)[2] if name not in PARAMETERS]
    if unknown:
        raise AddressError(f"PostgreSQL URLs have no parameter {', '.join(unknown)}", f"write it as {_spelling(rest)}")


def _encode(sign: str, code: str, rest: str) -> str:
    return f"write {sign} in the user or the password as {code}: {_spelling(rest)}"


def _spelling(rest: str) -> str:
    """The URL as libpq reads it, from what comes after the scheme: without the user's name and all that is secret."""
    user, place, pairs = _parts(rest)
    if _is_cut(place, pairs):
        user, place, pairs = _parts(f"USER@{rest.rpartition('@')[2]}")
    kept = "&".join(f"{name}={value}" for name, value in pairs if name in PARAMETERS - _SECRETS)
    has_user = bool(user) or any(name in _SECRETS for name, _ in pairs)
    url = f"postgresql://{_CREDENTIALS if has_user else ''}{place}{f'?{kept}' if kept else ''}"
    schemas = [value for name, value in pairs if name in _SCHEMAS]
    return url + (f", and SHOPEASE_SOURCE_SCHEMA={schemas[0]}" if schemas else "")
