"""What an image id of a client means: a case of the store, a name that was sent, or a series of the PACS.

3D Slicer names an image after its volume and never learns what the store made of the name. So a name that is not an id stands for
the id that it is always turned into, and a second scan under a name that is taken is refused, lest a mask lands on the other one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from voxloom.files import sha256_file
from voxloom.serve.http.monailabel.pacs_cases import PacsCases
from voxloom.serve.refusals import Conflict, NotThere
from voxloom.serve.store import Sent, Store
from voxloom.serve.store.ids import safe_id


class Images:
    """The images of a service.

    Parameters
    ----------
    pacs : None where there is none.
    """

    def __init__(self, store: Store, pacs: PacsCases | None = None) -> None:
        self.store, self.pacs = store, pacs
        self._lock = threading.Lock()

    def ids(self) -> list[str]:
        """Every image: cases of the store, then series of the PACS that were not fetched yet."""
        own = self.store.ids()
        further = [] if self.pacs is None else [one.series for one in self.pacs.listed()]
        return [*own, *(series for series in further if series not in set(own))]

    def case(self, image: str) -> str:
        """The id of the case that an image id means; a series of the PACS is fetched.

        Raises
        ------
        NotThere : there is no such image.
        """
        own = self.store.ids()
        for name in (image, safe_id(image) if image else ""):
            if name in own:
                return name
        if self.pacs is not None:
            return self.pacs.take(image)
        raise NotThere("there is no such image", "image", "List them: GET /datastore/?output=all")

    def add(self, sent: Sent, wish: str) -> str:
        """Keep an image that was sent under a name; the id of its case. The same bytes under the same name are one case.

        Raises
        ------
        Conflict : another image has that name.
        BadInput : it cannot be read.
        """
        with self._lock:
            name = safe_id(wish) if wish else ""
            if name and name in self.store.ids():
                if _same(self.store.case(name).source_files, sent.path):
                    return name
                raise Conflict("another image has this name", "image", "Give the volume another name and send it again")
            return self.store.add([sent], name)[0]


def _same(files: Sequence[Path], sent: Path) -> bool:
    """Whether a case is the one file that was sent."""
    return len(files) == 1 and files[0].is_file() and sha256_file(files[0]) == sha256_file(sent)
