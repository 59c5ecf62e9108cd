"""Addresses as people write them: what is meant, and the right spelling of it, without passwords."""

import os
import re
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

URL_FORM: Final = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
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


class AddressError(ValueError):
    """An address in a spelling that is not accepted; `hint` has the right spelling, without secrets."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class SettingError(ValueError):
    """Settings that do not fit together; `setting` is the one to change, and `hint` says how."""

    def __init__(self, setting: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.setting = setting
        self.hint = hint


def s3_address(text: str) -> str | None:
    """The s3:// address for a text in a spelling of another tool; None if it means no S3 address, or already is one."""
    if re.match(r"s3://[^/]", text):
        return None
    endpoint = r"s3(?:[.-][\w.-]+)?\.amazonaws\.com(?:\.cn)?"
    console = r"https?://[\w.-]*console\.aws\.amazon\.com/s3/buckets/([^/?]+)/?"
    if found := re.match(rf"(?:https?://)?([^/]+?)\.{endpoint}(?:/|$)", text, re.IGNORECASE):
        rest = f"{found[1]}/{unquote(text[found.end() :].partition('?')[0])}"
    elif found := re.match(console, text, re.IGNORECASE):
        rest = f"{found[1]}/{dict(parse_qsl(urlsplit(text).query)).get('prefix', '')}"
    elif found := re.match(rf"(?:https?://)?{endpoint}/", text, re.IGNORECASE):
        rest = unquote(text[found.end() :].partition("?")[0])
    elif found := re.match(r"s3[an]?:/*|arn:aws[\w-]*:s3:[^:]*:[^:]*:", text, re.IGNORECASE):
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
        forms = "a folder, s3://BUCKET or s3://BUCKET/PREFIX"
        hint = f"write {forms}; the address of an S3 server of your own goes into AWS_ENDPOINT_URL"
        raise AddressError("it is neither a folder nor an s3:// address", hint)


def check_database_url(text: str, embedded: str) -> None:
    """Raise AddressError unless the text is a libpq URL or conninfo string, or the word for the embedded database."""
    other = re.match(r"[A-Za-z][\w.+:-]*://", text)
    if text == embedded or (re.match(r"\s*[a-z_]+\s*=", text) and not other):
        return
    if text.lower() == embedded:
        raise AddressError("the embedded database is spelled in lower case", f"write it as {embedded}")
    found = re.match(r"(jdbc:)?(postgres(?:ql)?)(?:\+\w+)?:/{0,2}", text, re.IGNORECASE)
    if not found:
        problem = f"only PostgreSQL is supported, not {other[0]}" if other else "it is not a PostgreSQL URL"
        raise AddressError(problem, f"write it as {URL_FORM}, or {embedded}")
    url = _PostgresUrl(text[found.end() :])
    if found[0] not in ("postgresql://", "postgres://"):
        raise AddressError("the URL must begin with postgresql://", f"write it as {url.spelling()}")
    url.check()


def check_variables(text: str, *, is_secret: bool, is_path: bool) -> None:
    """Raise AddressError if the text contains a variable, as a shell would replace.

    `$NAME` without braces is one only in a path: elsewhere it may be part of a password.
    """
    braced = r"\$\{([A-Za-z_]\w*)[^{}]*\}"
    variable = re.compile(rf"{braced}|\$[A-Za-z_]\w*" if is_path else braced, re.ASCII)
    if found := variable.search(text):
        name = f"${{{found[1]}}}" if found[1] else found[0]  # the default in ${NAME:-default} may be secret
        expanded = text if is_secret else os.path.expandvars(text)
        hint = f"write the value in place of {name}" if variable.search(expanded) else f"write it as {expanded}"
        raise AddressError(f"variables such as {name} are not expanded in settings", hint)


def check_ends(text: str, *, is_secret: bool) -> None:
    """Raise AddressError if there are quotes or white space around the text; a secret is not shown in the hint."""
    bare = text.strip()
    quote = bare[:1]
    is_quoted = len(bare) > 1 and quote in ("'", '"') and bare.endswith(quote)
    if bare and (is_quoted or bare != text):
        what, right = ("quotes", bare[1:-1].strip()) if is_quoted else ("white space", bare)
        hint = f"write it without the {what}" if is_secret else f"write it as {right}"
        raise AddressError(f"it has {what} around it", hint)


class _PostgresUrl:
    """A URL after its scheme, as libpq divides it: user and password, hosts and database, and parameters."""

    _SCHEMAS: Final = frozenset({"schema", "currentSchema", "search_path"})

    def __init__(self, rest: str) -> None:
        self._rest = rest
        user, at, tail = rest.partition("@") if "@" in rest.partition("/")[0] else ("", "", rest)
        self._user = user + at
        self._place, _, query = tail.partition("?")
        self._parameters = parse_qsl(query, keep_blank_values=True)
        unknown = "".join(name + value for name, value in self._parameters if name not in PARAMETERS | self._SCHEMAS)
        # An @ this late means that libpq takes a part of the password for something else.
        self._has_late_at = "@" in self._place or "@" in unknown

    def check(self) -> None:
        """Raise AddressError if libpq would misread the URL, or refuse a parameter."""
        if any(character.isspace() for character in self._rest):
            raise AddressError("the URL contains white space", self._encode("a space", "%20"))
        if self._has_late_at:
            name, code = ("an @", "%40") if self._user else ("a /", "%2F")
            raise AddressError(f"the user or the password contains {name}", self._encode(name, code))
        hosts = r"(?:(?:\[[^]]*\]|[^:\[\]@,]*)(?::[0-9]*)?(?:,|$))*"
        if not re.fullmatch(hosts, self._place.partition("/")[0]):
            raise AddressError("the port is not a number", f"write it as {URL_FORM}")
        if re.search(r"%(?![0-9A-Fa-f]{2})", self._rest):
            raise AddressError("it contains a % without two hexadecimal digits after it", self._encode("a %", "%25"))
        if unknown := [name for name, _ in self._parameters if name not in PARAMETERS]:
            message = f"PostgreSQL URLs have no parameter {', '.join(unknown)}"
            raise AddressError(message, f"write it as {self.spelling()}")

    def spelling(self) -> str:
        """The right URL, without the user's name and all that is secret."""
        right = _PostgresUrl(f"USER@{self._rest.rpartition('@')[2]}") if self._has_late_at else self
        kept = "&".join(f"{name}={value}" for name, value in right._parameters if name in PARAMETERS - _SECRETS)
        has_user = bool(right._user) or any(name in _SECRETS for name, _ in right._parameters)
        url = f"postgresql://{'USER:PASSWORD@' if has_user else ''}{right._place}{f'?{kept}' if kept else ''}"
        schemas = [value for name, value in right._parameters if name in self._SCHEMAS]
        return url + (f", and SHOPEASE_SOURCE_SCHEMA={schemas[0]}" if schemas else "")

    def _encode(self, character: str, code: str) -> str:
        return f"write {character} in the user or the password as {code}: {self.spelling()}"
