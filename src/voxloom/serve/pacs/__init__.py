"""A PACS over DICOMweb (PS3.18): which series there are, their files, and results stored. Knows no run."""

from voxloom.serve.pacs.address import headers_of, pacs_address
from voxloom.serve.pacs.client import Found, Pacs, is_uid
from voxloom.serve.pacs.retry import PacsFailed, PacsRefused, Retry

__all__ = ["Found", "Pacs", "PacsFailed", "PacsRefused", "Retry", "headers_of", "is_uid", "pacs_address"]
