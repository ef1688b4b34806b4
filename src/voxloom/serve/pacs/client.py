"""A DICOMweb client for services: QIDO-RS, WADO-RS and STOW-RS (PS3.18) through dicomweb-client.

Adds what a service needs: tries again, counts what it got against what the PACS says there is, writes a series whole or
not at all, trusts no UID as a file name, and raises two errors only. Messages name UIDs and statuses, never a patient.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxloom.errors import MissingExtra
from voxloom.files import new_folder
from voxloom.serve.pacs.address import pacs_address
from voxloom.serve.pacs.retry import LATER, PacsFailed, PacsRefused, Retry

if TYPE_CHECKING:
    from dicomweb_client.api import DICOMwebClient
    from pydicom import Dataset

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_ANY_SYNTAX = (("application/dicom", "*"),)
_NUMBER_OF_INSTANCES = "00201209"
#: What is asked of a series beyond what QIDO-RS always returns (PS3.18, table 10.6.3-4).
_FIELDS = ("0020000D", "0020000E", "00080060", "0008103E", _NUMBER_OF_INSTANCES)
#: FailureReason of STOW-RS (PS3.18, table I.2-2) for an instance that is there already: what was wanted.
_DUPLICATE = 0x0111
#: Bytes of one chunk of a request or an answer.
_CHUNK = 1 << 20


def is_uid(text: str) -> bool:
    """Whether a text is a DICOM UID: digits and dots, at most 64 (PS3.5, 9.1). Leading zeros, which occur, are let through."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


@dataclass(frozen=True)
class Found:
    """A series that a PACS has.

    Parameters
    ----------
    instances : how many it says it has of it; None where it does not say.
    """

    study: str
    series: str
    modality: str = ""
    description: str = ""
    instances: int | None = None


class Pacs:
    """A DICOMweb service.

    Parameters
    ----------
    address : like ``http://pacs:8042/dicom-web``.
    headers : sent with each request, e.g. those of ``headers_of``.
    timeout : seconds to connect, and between two pieces of an answer.
    retry : how often is tried.

    May be used from several threads: each has a session of its own.

    Raises
    ------
    BadInput : the address is not one of a DICOMweb service.
    MissingExtra : dicomweb-client is not installed.
    """

    def __init__(
        self,
        address: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: tuple[float, float] = (5.0, 60.0),
        retry: Retry = Retry(),
    ) -> None:
        self.address = pacs_address(address)
        self.headers = dict(headers or {})
        self.timeout = timeout
        self.retry = retry
        self._mine = threading.local()
        _ = self._client

    @property
    def _client(self) -> DICOMwebClient:
        """The client of this thread."""
        if not hasattr(self._mine, "client"):
            self._mine.client = _new_client(self.address, self.headers, self.timeout)
        client: DICOMwebClient = self._mine.client
        return client

    def find(
        self,
        *,
        series: str | None = None,
        study: str | None = None,
        modality: str | None = None,
        most: int | None = None,
    ) -> list[Found]:
        """Series that match (QIDO-RS), all of them or ``most``.

        Raises
        ------
        PacsFailed, PacsRefused : see there.
        """
        wanted = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "Modality": modality}
        filters = {name: value for name, value in wanted.items() if value is not None}
        rows = self.retry.run(lambda: self._search(filters, most))
        return [_found(row) for row in rows]

    def one(self, series: str) -> Found | None:
        """The series with this SeriesInstanceUID; None where the PACS has none, or the text is not a UID."""
        return next(iter(self.find(series=series, most=1)), None) if is_uid(series) else None

    def metadata(self, study: str, series: str) -> list[dict[str, Any]]:
        """The headers of a series' instances in the DICOM JSON model (PS3.18, F), without pixels."""

        def ask() -> list[dict[str, Any]]:
            with _errors("WADO-RS", series):
                return list(self._client.retrieve_series_metadata(study, series))

        return self.retry.run(ask)

    def fetch(self, found: Found, folder: Path) -> list[Path]:
        """Write a series into a new ``folder`` (WADO-RS), each instance in the transfer syntax the PACS keeps it in.

        Returns the files by name. The folder is there with all instances, or not at all.

        Raises
        ------
        PacsFailed : the connection broke, or fewer instances came than the PACS says there are, at each try.
        PacsRefused : there is no such series, or its UIDs are none.
        FileExistsError : the folder is there and not empty.
        """

        def get() -> None:
            with new_folder(folder) as part, _errors("WADO-RS", found.series):
                got = sum(1 for _ in self._save(found, part))
                if got == 0 or (found.instances is not None and got < found.instances):
                    raise PacsFailed(
                        f"WADO-RS: {got} of {found.instances or 'all'} instances of series {found.series} came"
                    )

        self.retry.run(get)
        return sorted(folder.iterdir())

    def store(self, files: Sequence[Path]) -> list[str]:
        """Store DICOM files (STOW-RS), one request each; returns their SOP Instance UIDs.

        An instance that the PACS has already counts as stored: a request whose answer was lost may be repeated.

        Raises
        ------
        PacsFailed, PacsRefused : at the first file that was not stored; those before it are.
        """
        return [self.retry.run(partial(self._store, file)) for file in files]

    def _search(self, filters: dict[str, str], most: int | None) -> list[dict[str, Any]]:
        with _errors("QIDO-RS", filters.get("SeriesInstanceUID", "")):
            return self._client.search_for_series(
                search_filters=filters, limit=most, fields=list(_FIELDS), get_remaining=most is None
            )

    def _save(self, found: Found, folder: Path) -> Iterator[Path]:
        for instance in self._client.iter_series(found.study, found.series, media_types=_ANY_SYNTAX):
            uid = str(instance.SOPInstanceUID)
            if not is_uid(uid):
                raise PacsRefused(f"WADO-RS: an instance of series {found.series} has no valid SOP Instance UID")
            path = folder / f"{uid}.dcm"
            instance.save_as(path, enforce_file_format=True)
            yield path

    def _store(self, file: Path) -> str:
        from pydicom import dcmread

        instance = dcmread(file)
        uid = str(instance.SOPInstanceUID)
        with _errors("STOW-RS", uid):
            answer = self._stow(instance)
        refused = {item.FailureReason for item in answer.get("FailedSOPSequence") or ()} - {_DUPLICATE}
        if refused:
            reasons = ", ".join(f"0x{reason:04X}" for reason in sorted(refused))
            raise PacsRefused(f"STOW-RS: {uid} is refused, failure reason {reasons} (PS3.18, table I.2-2)")
        return uid

    def _stow(self, instance: Dataset) -> Dataset:
        """The answer's dataset, also of a 409 (Conflict), which says of each instance why it failed."""
        from pydicom import Dataset
        from requests import HTTPError

        try:
            return self._client.store_instances([instance])
        except HTTPError as error:
            said = error.response
            if said is None or said.status_code != 409 or "json" not in said.headers.get("Content-Type", ""):
                raise
            answer = Dataset.from_json(said.json())
            if not answer.get("FailedSOPSequence"):
                raise
            return answer


def _new_client(address: str, headers: dict[str, str], timeout: tuple[float, float]) -> DICOMwebClient:
    try:
        from dicomweb_client.api import DICOMwebClient
    except ImportError as error:
        raise MissingExtra("dicomweb-client", "serve") from error
    wanted = {"Accept": "application/dicom+json", **headers}  # of STOW-RS; the other services ask for their own
    client = DICOMwebClient(address, headers=wanted, timeout=timeout, permissive_uid=True, chunk_size=_CHUNK)
    client.set_http_retry_params(retry=False)
    return client


def _found(row: Mapping[str, Any]) -> Found:
    """A row of QIDO-RS's answer in the DICOM JSON model."""

    def text(tag: str) -> str:
        values = row.get(tag, {}).get("Value") or [""]
        return str(values[0])

    count = text(_NUMBER_OF_INSTANCES)
    return Found(text("0020000D"), text("0020000E"), text("00080060"), text("0008103E"), int(count) if count else None)


@contextlib.contextmanager
def _errors(service: str, uid: str) -> Iterator[None]:
    """Turn what requests and dicomweb-client raise into the two errors, without the address's query or any header."""
    import requests
    from pydicom.errors import InvalidDicomError

    what = f"{service} {uid}".rstrip()
    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        kind = PacsFailed if status in LATER else PacsRefused
        raise kind(f"{what}: the PACS answered {status}") from error
    except requests.RequestException as error:
        raise PacsFailed(f"{what}: the PACS cannot be reached ({type(error).__name__})") from error
    except (ValueError, KeyError, AttributeError, EOFError, InvalidDicomError) as error:
        raise PacsRefused(f"{what}: the PACS's answer is not understood ({type(error).__name__})") from error
