"""``voxloom serve``: bring runs to people: the REST API and the page."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from voxloom.cli.options import Device

if TYPE_CHECKING:
    from voxloom.serve.engine import Engine
    from voxloom.serve.http.app import Part
    from voxloom.serve.http.guard import Security
    from voxloom.serve.http.server import Listening
    from voxloom.serve.service import Service
    from voxloom.serve.store import Store

#: Port where none is named.
PORT = 8000


def command(
    runs: Annotated[Optional[list[Path]], typer.Argument(help="Folders of runs or ensembles that predict.")] = None,
    data: Annotated[
        Optional[Path], typer.Option(help="Scans to look at and annotate: a data set, or a folder of scans.")
    ] = None,
    state: Annotated[
        Optional[Path], typer.Option(help="Folder of all that is written. [default: DATA-voxloom beside the data]")
    ] = None,
    http: Annotated[
        Optional[int], typer.Option(help=f"Port of the page and of the REST API. [default: {PORT}]", min=0, max=65535)
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine --token-file is needed.")] = (
        "127.0.0.1"
    ),
    allow_host: Annotated[
        Optional[list[str]],
        typer.Option("--allow-host", help="A name by which browsers call this machine; may be repeated."),
    ] = None,
    token_file: Annotated[
        Optional[Path],
        typer.Option(
            "--token-file", help="Who may use it: a line NAME TOKEN [view, annotate or lead] per person, chmod 600."
        ),
    ] = None,
    tls_cert: Annotated[Optional[Path], typer.Option("--tls-cert", help="Certificate (PEM) for HTTPS.")] = None,
    tls_key: Annotated[Optional[Path], typer.Option("--tls-key", help="Its key (PEM).")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond this machine without TLS all the same.")
    ] = False,
    max_upload: Annotated[int, typer.Option(help="MiB of an upload at most.", min=1)] = 4096,
    device: Device = "auto",
    pacs: Annotated[
        Optional[str], typer.Option(help="DICOMweb address of a PACS, whose series 3D Slicer and OHIF then see too.")
    ] = None,
    pacs_auth: Annotated[
        Optional[Path], typer.Option(help="File with one line for the PACS: user:password or Bearer TOKEN.")
    ] = None,
    pacs_modality: Annotated[
        Optional[list[str]],
        typer.Option("--pacs-modality", help="Only list series of this modality, e.g. CT; may be repeated."),
    ] = None,
    ohif: Annotated[Optional[Path], typer.Option(help="Folder of a build of the OHIF viewer, shown at /ohif/.")] = None,
    dicom: Annotated[
        Optional[int],
        typer.Option(
            help="Port of a DICOM node (usual is 11112); without --http or --data it is all.", min=0, max=65535
        ),
    ] = None,
    aet: Annotated[str, typer.Option(help="AE title of the DICOM node.")] = "VOXLOOM",
    node: Annotated[
        Optional[Path],
        typer.Option(help="Settings of the DICOM node (YAML): who may send, rules, where results go."),
    ] = None,
) -> None:
    """Serve RUNS: predict, look, annotate, correct and train again, in a browser, over a REST API, or from a PACS."""
    from voxloom.serve.engine import Engine
    from voxloom.serve.http.server import Listening, check_listening
    from voxloom.serve.service import Service

    if dicom is not None and all(given is None for given in (http, data, state, pacs, ohif)):
        serve_dicom(runs or [], device, DicomPort(dicom, aet, node, host))
        return
    where = Listening(host, PORT if http is None else http, tls_cert, tls_key, insecure)
    security = secured(token_file, allow_host or (), tls_cert is not None, max_upload)
    check_listening(where, security.people is not None)
    engine = Engine(named_runs(runs or []), device=device)
    with closed_on_error(engine):
        service = Service(engine, opened_store(engine, data, state, max_upload))
    with closed_on_error(service):
        parts = [clients_part(service, Clients(pacs, pacs_auth, tuple(pacs_modality or ()), ohif))]
    engine.warm()
    with node_beside(engine, None if dicom is None and node is None else DicomPort(dicom, aet, node, host)):
        serve_http(service, security, where, parts)


@contextlib.contextmanager
def closed_on_error(opened: Engine | Service) -> Iterator[None]:
    """Close what was opened where the block does not end well."""
    try:
        yield
    except BaseException:
        opened.close()
        raise


@dataclass(frozen=True)
class Clients:
    """Programs beside the page: OHIF (folder of its build), 3D Slicer, and the PACS whose series both see."""

    pacs: str | None
    auth: Path | None
    modalities: tuple[str, ...]
    ohif: Path | None


@dataclass(frozen=True)
class DicomPort:
    """Where a DICOM node listens, as what, and with which settings."""

    port: int | None
    aet: str
    settings: Path | None
    host: str


def serve_dicom(runs: Sequence[Path], device: str, where: DicomPort) -> None:
    """Serve as a DICOM node alone, until Ctrl-C or SIGTERM, and then stop in order."""
    from voxloom.serve.engine import Engine

    engine = Engine(named_runs(runs), device=device)
    try:
        with node_beside(engine, where), contextlib.suppress(KeyboardInterrupt):
            engine.warm()
            threading.Event().wait()
    finally:
        engine.close()


@contextlib.contextmanager
def node_beside(engine: Engine, where: DicomPort | None) -> Iterator[None]:
    """A DICOM node that the runs of an engine see, while the block runs; none where none is asked for."""
    from voxloom.errors import BadInput, MissingExtra

    if where is None:
        yield
        return
    if where.port is None or where.settings is None:
        raise BadInput("--dicom and --node go together", None, "Give a port and the settings of the node")
    try:
        import pynetdicom  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("pynetdicom", "serve") from error
    from voxloom.serve.node.engine import open_node

    node = open_node(engine, where.settings, aet=where.aet, host=where.host, port=where.port)
    node.start()
    try:
        typer.echo(f"Listening for DICOM as {where.aet} on {where.host}:{node.port} (Ctrl-C stops)")
        if node.metrics_port is not None:
            typer.echo(f"Figures for Prometheus on port {node.metrics_port}")
        yield
    finally:
        node.close()


def named_runs(folders: Sequence[Path]) -> dict[str, Path]:
    """Runs by the names of their folders, made unique and fit for an address."""
    from voxloom.serve.store.ids import safe_id

    named: dict[str, Path] = {}
    for folder in folders:
        named[safe_id(folder.resolve().name, named)] = folder
    return named


def secured(token_file: Path | None, names: Sequence[str], tls: bool, max_upload: int) -> Security:
    """How the service is guarded (BadInput for a token file that others may read, or that is wrong)."""
    from voxloom.errors import MissingExtra

    try:
        from voxloom.serve.http.guard import Security
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "the web server", "serve") from error
    from voxloom.serve.http.people import People

    people = None if token_file is None else People.of(token_file)
    return Security(people, frozenset(names), tls, upload=max_upload << 20)


def opened_store(engine: Engine, data: Path | None, state: Path | None, max_upload: int) -> Store:
    """The store of what is served; scans have the channels of the first run, where no data set names them."""
    from voxloom.serve.store import Limits, Store

    first = next(iter(engine.runs.values()), None)
    channels = first.channels if first is not None else ("image",)
    return Store.of(
        data, Path("voxloom-serve") if data is None and state is None else state, channels=channels,
        limits=Limits(unpacked=2 * max_upload << 20),
    )  # fmt: skip


def clients_part(service: Service, clients: Clients) -> Part:
    """What the plug-ins of 3D Slicer and OHIF ask for (BadInput for a wrong address, secret or folder)."""
    from voxloom.errors import BadInput
    from voxloom.serve.http.monailabel import Desk, monailabel_part
    from voxloom.serve.pacs import Pacs, headers_of

    if clients.pacs is None and (clients.auth is not None or clients.modalities):
        raise BadInput("--pacs-auth and --pacs-modality are for a PACS", None, "Give --pacs ADDRESS")
    archive = None if clients.pacs is None else Pacs(clients.pacs, headers=headers_of(clients.auth))
    return monailabel_part(Desk(service, archive, clients.modalities), clients.ohif)


def serve_http(service: Service, security: Security, where: Listening, parts: Sequence[Part] = ()) -> None:
    """Serve until Ctrl-C or SIGTERM, and then stop in order."""
    from voxloom.cli import output
    from voxloom.serve.http.app import create_app
    from voxloom.serve.http.server import log_to_screen, open_socket, server_of

    with closed_on_error(service):
        listening = open_socket(where)
    log_to_screen()
    port = listening.getsockname()[1]
    shown = "localhost" if where.host in ("127.0.0.1", "0.0.0.0") else where.host
    typer.echo(f"Serving {'https' if where.tls else 'http'}://{shown}:{port}/ (Ctrl-C stops)")
    output.note(f"All that is written lies in {service.store.state}")
    server_of(create_app(service, security, parts), where).run(sockets=[listening])
