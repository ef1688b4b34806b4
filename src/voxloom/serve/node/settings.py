"""The settings of a DICOM node: one YAML file that says who may send, what is done with a series, and where results go.

Knows the keys, their defaults and limits, and which word was probably meant. Does not know how a rule is carried out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, ValidationError

from voxloom.archive.rules import Where
from voxloom.errors import BadInput
from voxloom.recipe.duration import seconds_of
from voxloom.recipe.keys import as_bad_input, check_keys, nearest
from voxloom.verbs.options import Format
from voxloom.yamltext import read_text, read_yaml

_STRICT = ConfigDict(extra="forbid", frozen=True)


def _seconds(value: Any) -> Any:
    return seconds_of(value) if isinstance(value, str) else value


def ae_title(value: str) -> str:
    """An AE title without the spaces around it. Raises ValueError where it is none."""
    title = value.strip()
    if not 1 <= len(title) <= 16 or not title.isascii() or not title.isprintable() or "\\" in title:
        raise ValueError("must be an AE title: 1 to 16 ASCII characters without a backslash")
    return title


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError("must be an address or a network, e.g. 10.0.0.5 or 10.0.0.0/24") from None
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
AeTitle = Annotated[str, AfterValidator(ae_title)]
Network = Annotated[str, AfterValidator(_network)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=64)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Peer(BaseModel):
    """Who may send.

    Parameters
    ----------
    aet : its AE title.
    hosts : addresses or networks that it may come from; none named: any.
    associations : how many it may hold at once.
    """

    model_config = _STRICT

    aet: AeTitle
    hosts: tuple[Network, ...] = ()
    associations: int = Field(8, ge=1)

    def comes_from(self, host: str) -> bool:
        """Whether an address is one of this peer's."""
        address = ipaddress.ip_address(host)
        address = getattr(address, "ipv4_mapped", None) or address  # how a socket for IPv6 tells of IPv4
        return not self.hosts or any(address in ipaddress.ip_network(network, strict=False) for network in self.hosts)


class ServerTls(BaseModel):
    """TLS of the node's own port: certificate and key (PEM), and the authority whose certificates peers must show (None: none)."""

    model_config = _STRICT

    cert: Path
    key: Path
    clients: Path | None = None


class ClientTls(BaseModel):
    """TLS towards a destination: the authority that signed its certificate (None: the system's), and one's own certificate."""

    model_config = _STRICT

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


class Destination(BaseModel):
    """Where results go: a DICOM peer (``aet``, ``host``, ``port``) or a DICOMweb server (``url``).

    Parameters
    ----------
    aet, host, port : of a peer that takes C-STORE.
    url : base address of a server that takes STOW-RS, e.g. ``https://pacs/dicom-web``.
    auth_file : a file with one line that opens that server: ``user:password`` or ``Bearer TOKEN``.
    tls : of C-STORE; None sends unencrypted. Of ``https`` the system's authorities hold.
    timeout : seconds to wait for an answer.
    """

    model_config = _STRICT

    aet: AeTitle | None = None
    host: str | None = None
    port: Port | None = None
    url: str | None = Field(None, pattern=r"^https?://")
    auth_file: Path | None = None
    tls: ClientTls | None = None
    timeout: Seconds = 60.0


class Rule(BaseModel):
    """Which series a run sees, and what becomes of its answer. Every rule that a series meets is carried out.

    Parameters
    ----------
    name : as lists and logs show it, and as the folder of its results is called.
    where : conditions on the columns of the series table, as in the rules of ``voxloom select``.
    run : a served run.
    channels : for a run that takes several series of one study: by the name of each of its channels, conditions beyond ``where``
        that tell which series it is. None: every series for itself.
    wait : with ``channels``: how long a study waits for the channels that it has no series for, counted from the last series
        that fitted one.
    formats : what the results are written as.
    to : destinations.
    """

    model_config = _STRICT

    name: Name
    where: Where = {}
    run: str
    channels: dict[str, Where] = {}
    wait: Seconds = 3600.0
    formats: tuple[Format, ...] = Field(("seg",), min_length=1)
    to: tuple[str, ...] = Field(min_length=1)


class Limits(BaseModel):
    """What a sender may use up.

    Parameters
    ----------
    associations : at once, of all peers.
    instance : bytes of one instance, which is held in memory while it comes; a longer one ends the association.
    rate : bytes per second that are taken from one association; None takes what comes.
    instances : of one series; further ones are refused with A700.
    disk_free : bytes that must stay free where the queue lies; with less, instances are refused with A700.
    idle : seconds without a message after which an association is ended.
    """

    model_config = _STRICT

    associations: int = Field(16, ge=1)
    instance: ByteSize = ByteSize(1 << 30)
    rate: ByteSize | None = None
    instances: int = Field(20_000, ge=1)
    disk_free: ByteSize = ByteSize(5 << 30)
    idle: Seconds = 60.0


class Retry(BaseModel):
    """Trying again: the pause doubles from ``first`` to ``most``; after ``attempts`` a result is a dead letter."""

    model_config = _STRICT

    first: Seconds = 10.0
    most: Seconds = 3600.0
    attempts: int = Field(30, ge=1)

    def pause(self, attempts: int) -> float:
        """Seconds to wait after so many attempts."""
        return float(min(self.most, self.first * 2.0 ** min(attempts - 1, 60)))


class Predicting(BaseModel):
    """How often a prediction is tried, and how long one may take."""

    model_config = _STRICT

    first: Seconds = 5.0
    attempts: int = Field(3, ge=1)
    timeout: Seconds = 3600.0


class Keep(BaseModel):
    """How long what is finished stays on disk: sent, dead, and series that no rule wanted."""

    model_config = _STRICT

    sent: Seconds = 86_400.0
    dead: Seconds = 30 * 86_400.0
    unmatched: Seconds = 3600.0


class Audit(BaseModel):
    """The audit log: where (None: ``audit/audit.jsonl`` in the queue), how long one file becomes, and how many are kept."""

    model_config = _STRICT

    file: Path | None = None
    size: ByteSize = ByteSize(10 << 20)
    files: int = Field(20, ge=1)


class Metrics(BaseModel):
    """A port for Prometheus (``/metrics``) and for health checks (``/health``)."""

    model_config = _STRICT

    port: int = Field(ge=0, le=65535)
    host: str = "127.0.0.1"


class NodeSettings(BaseModel):
    """Everything that decides a DICOM node but its port and AE title.

    Parameters
    ----------
    queue : folder of what was received and not yet finished; relative to the settings file. One node at a time uses it.
    stable : a series is ready when no instance came for so long.
    peers : who may send; none named: anyone, which is allowed on loopback only.
    destinations, rules : where results go, and which series become what.
    """

    model_config = _STRICT

    queue: Path = Path("queue")
    stable: Seconds = 3.0
    peers: tuple[Peer, ...] = ()
    destinations: dict[Name, Destination] = Field(min_length=1)
    rules: tuple[Rule, ...] = Field(min_length=1)
    limits: Limits = Limits()
    retry: Retry = Retry()
    predict: Predicting = Predicting()
    keep: Keep = Keep()
    tls: ServerTls | None = None
    audit: Audit = Audit()
    metrics: Metrics | None = None


def load_settings(path: str | Path) -> NodeSettings:
    """Settings from a YAML file; paths in it are relative to its folder.

    Raises
    ------
    BadInput : a missing file, broken YAML, an unknown key (with the nearest right one), a wrong value, a condition on a column
        that the series table does not have, a rule to a destination that there is not, two rules of one name, or a missing
        certificate.
    """
    source = Path(path)
    if not source.is_file():
        raise BadInput("does not exist", source, "Write one as docs/pacs.md shows")
    values = read_yaml(read_text(source), source)
    if not isinstance(values, dict):
        raise BadInput("holds no settings", source, "Write keys such as destinations: and rules:")
    _check_keys(values, NodeSettings, "", source)
    try:
        settings = NodeSettings.model_validate(values)
    except ValidationError as error:
        raise as_bad_input(error, "", source) from None
    settings = _placed(settings, source.absolute().parent)
    _check_together(settings, source)
    return settings


def _check_keys(values: Any, model: type[BaseModel], prefix: str, source: Path) -> None:
    """Refuse unknown keys at every depth; values of a wrong kind are left to pydantic."""
    if not isinstance(values, dict):
        return
    check_keys(values, tuple(model.model_fields), prefix, source)
    for key, value in values.items():
        inner = _model_in(model.model_fields[key].annotation)
        if inner is None:
            continue
        for name, entry in _entries(value, mapping=key == "destinations"):
            _check_keys(entry, inner, f"{prefix}{key}.{name}", source)


def _entries(value: Any, *, mapping: bool) -> Iterable[tuple[str, Any]]:
    """The sections below a key, with what their keys are called in messages."""
    if mapping and isinstance(value, dict):
        return [(f"{name}.", entry) for name, entry in value.items()]
    if isinstance(value, list):
        return [(f"{number}.", entry) for number, entry in enumerate(value)]
    return [("", value)]


def _model_in(kind: Any) -> type[BaseModel] | None:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next((found for part in get_args(kind) if (found := _model_in(part))), None)


def _placed(settings: NodeSettings, folder: Path) -> NodeSettings:
    """The same with all paths absolute."""

    def at(path: Path | None) -> Path | None:
        return None if path is None else folder / path

    def moved(section: Any, *names: str) -> Any:
        return None if section is None else section.model_copy(update={n: at(getattr(section, n)) for n in names})

    destinations = {
        name: moved(one, "auth_file").model_copy(update={"tls": moved(one.tls, "ca", "cert", "key")})
        for name, one in settings.destinations.items()
    }
    changes = {
        "queue": folder / settings.queue,
        "destinations": destinations,
        "tls": moved(settings.tls, "cert", "key", "clients"),
        "audit": moved(settings.audit, "file"),
    }
    return settings.model_copy(update=changes)


def _check_together(settings: NodeSettings, source: Path) -> None:
    names = [rule.name for rule in settings.rules]
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadInput(f"two rules are called {twice[0]}", source, "Give every rule a name of its own")
    for rule in settings.rules:
        if "wait" in rule.model_fields_set and not rule.channels:
            what = f"the rule {rule.name} has `wait`, but takes every series for itself"
            raise BadInput(what, source, "Name its channels, or leave out wait")
        for place in rule.to:
            if place not in settings.destinations:
                hint = nearest(place, list(settings.destinations), f"There are: {', '.join(settings.destinations)}")
                raise BadInput(f"the rule {rule.name} sends to {place}, which is not a destination", source, hint)
    for name, one in settings.destinations.items():
        _check_destination(name, one, source)
    files = [settings.tls] + [one.tls for one in settings.destinations.values()]
    paths = [p for tls in files if tls for p in dict(tls).values() if p]
    paths += [one.auth_file for one in settings.destinations.values() if one.auth_file]
    for path in paths:
        if not path.is_file():
            raise BadInput("does not exist", path, f"{source} names it")
    from voxloom.serve.node.routing import check_rules

    check_rules(settings.rules, source)


def _check_destination(name: str, one: Destination, source: Path) -> None:
    peer = (one.aet, one.host, one.port)
    if (one.url is None) == (peer == (None, None, None)) or (one.url is None and None in peer):
        fix = "Give either aet, host and port (C-STORE) or url (STOW-RS)"
        raise BadInput(f"the destination {name} is not complete, or is two", source, fix)
    if one.auth_file is not None and one.url is None:
        raise BadInput(f"the destination {name} takes C-STORE, which knows no password", source, "Leave out auth_file")
    if one.tls is not None and one.url is not None:
        fix = "Leave out tls; an authority of your own is named by the variable REQUESTS_CA_BUNDLE"
        raise BadInput(f"the destination {name} has the TLS of its https address", source, fix)
