"""``make demo-clinic``: a PACS, a run, a DICOM node and the page on this machine, and one series that goes round.

A phantom is trained on, another phantom is pushed into Orthanc as a DICOM series, Orthanc sends it to the node, and the node's
segmentation comes back into the same study. No patient data is involved, and nothing can be reached from another machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.serve.orthanc import Orthanc, free_port, running

KIND = "lumbar-mr"


@dataclass(frozen=True)
class Clinic:
    """What runs: the PACS, and the ports of the service."""

    orthanc: Orthanc
    http: int
    dicom: int


def trained_run(folder: Path, budget: str, cases: int) -> Path:
    """The run of an earlier demo, or one that is trained now on phantoms."""
    run = folder / "spine"
    if not (run / "summary.json").is_file():
        voxloom("phantom", KIND, "-o", str(folder / "phantoms"), "--count", str(cases))
        voxloom("train", str(folder / "phantoms"), "-o", str(run), "--budget", budget)
    return run


def series_of(folder: Path) -> list[Path]:
    """A phantom that the run has not seen, as the files of a DICOM series."""
    if not folder.exists():
        voxloom("phantom", KIND, "-o", str(folder), "--count", "1", "--seed", "99", "--dicom")
    return sorted(path for path in folder.rglob("*.dcm"))


def voxloom(*words: str) -> None:
    """One command of Voxloom, with its output."""
    print("$ voxloom", *words, flush=True)
    subprocess.run([sys.executable, "-m", "voxloom", *words], check=True)


def settings_of(orthanc: Orthanc, run: Path, queue: Path) -> dict[str, Any]:
    """Settings of the node: every MR goes to the run, and its segmentation to the PACS."""
    return {
        "queue": str(queue),
        "stable": 1,
        "destinations": {"pacs": {"aet": orthanc.aet, "host": "127.0.0.1", "port": orthanc.dicom}},
        "rules": [{"name": "spine", "where": {"modality": "MR"}, "run": run.name, "formats": ["seg"], "to": ["pacs"]}],
        "limits": {"disk_free": "1MB"},
    }


def viewer() -> list[str]:
    """Options that show OHIF, where MONAI Label's wheel is installed."""
    with contextlib.suppress(ImportError):
        import monailabel

        return ["--ohif", str(Path(str(monailabel.__file__)).parent / "endpoints" / "static" / "ohif")]
    return []


@contextlib.contextmanager
def clinic(folder: Path, run: Path) -> Iterator[Clinic]:
    """The PACS, and a service with node, page and the way to the PACS, for a ``with`` block."""
    folder.mkdir(parents=True, exist_ok=True)
    # an earlier demo's: a series that lies there is not predicted again
    shutil.rmtree(folder / "queue", ignore_errors=True)
    with running(folder / "orthanc") as orthanc:
        http, dicom = free_port(), free_port()
        node = folder / "node.yaml"
        node.write_text(json.dumps(settings_of(orthanc, run, folder / "queue"), indent=2))
        words = ["serve", str(run), "--state", str(folder / "state"), "--device", "cpu", "--http", str(http), *viewer()]
        words += ["--pacs", orthanc.dicom_web, "--dicom", str(dicom), "--aet", "VOXLOOM", "--node", str(node)]
        print("$ voxloom", *words, flush=True)
        with (folder / "service.log").open("wb") as log:
            service = subprocess.Popen([sys.executable, "-m", "voxloom", *words], stdout=log, stderr=log)
        try:
            listening = b"Serving http://"  # told after "Listening for DICOM"
            until(lambda: service.poll() is not None or listening in (folder / "service.log").read_bytes(), 120)
            if service.poll() is not None:
                raise RuntimeError((folder / "service.log").read_text()[-2000:])
            yield Clinic(orthanc, http, dicom)
        finally:
            service.send_signal(signal.SIGTERM)
            try:
                service.wait(60)
            except subprocess.TimeoutExpired:
                service.kill()
                service.wait()


def round_trip(found: Clinic, files: list[Path], seconds: float = 300) -> dict[str, Any]:
    """Push a series into the PACS and let it send it to the node; Orthanc's entry of the segmentation that comes back."""
    found.orthanc.upload(files)
    source = found.orthanc.find("Series", Modality="MR")[-1]
    found.orthanc.knows("voxloom", "VOXLOOM", found.dicom)
    before = {one["ID"] for one in found.orthanc.find("Series", Modality="SEG")}  # of an earlier demo
    found.orthanc.send("voxloom", source["ID"])

    def new() -> list[dict[str, Any]]:
        return [one for one in found.orthanc.find("Series", Modality="SEG") if one["ID"] not in before]

    until(lambda: bool(new()), seconds)
    return new()[-1]


def until(true: Callable[[], bool], seconds: float) -> None:
    """Wait for something (TimeoutError where it does not come)."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"nothing came within {seconds:.0f} s")
        time.sleep(0.05)


def main() -> None:
    """The demo, until Ctrl-C; with ``--once`` it ends when the segmentation is back."""
    parser = argparse.ArgumentParser(description="A PACS, a run, a node and the page on this machine.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", default="2m", help="training time where there is no run yet")
    parser.add_argument("--cases", type=int, default=24, help="phantoms that are trained on")
    parser.add_argument("--once", action="store_true")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    run = trained_run(chosen.folder, chosen.budget, chosen.cases)
    with clinic(chosen.folder, run) as found:
        result = round_trip(found, series_of(chosen.folder / "patient"))
        about = result["MainDicomTags"]
        print(f"A segmentation came back into the PACS: series {about['SeriesInstanceUID']}")
        print(f"  in Orthanc  {found.orthanc.url}/app/explorer.html#series?uuid={result['ID']}")
        print(f"  the page    http://127.0.0.1:{found.http}/")
        print(f"  OHIF        http://127.0.0.1:{found.http}/ohif/")
        print(f"  3D Slicer   MONAI Label server http://127.0.0.1:{found.http}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while not chosen.once:
                time.sleep(1)


if __name__ == "__main__":
    main()
