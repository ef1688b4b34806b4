"""The page of ``voxloom serve``: HTML, JavaScript modules and CSS that a browser runs as they lie here, offline.

Knows where its files are, under which policy a browser may run them, and which NiiVue is vendored. Does not know HTTP.
"""

from __future__ import annotations

from pathlib import Path

#: Folder of the page: ``index.html`` belongs to ``/``, everything else to ``/page/...``.
STATIC = Path(__file__).with_name("static")

#: Content-Security-Policy: everything from the own origin; ``data:`` and ``blob:`` for NiiVue's fonts and for downloads.
CSP = (
    "default-src 'self'; img-src 'self' data: blob:; connect-src 'self' data: blob:; style-src 'self'; "
    "script-src 'self'; worker-src 'self' blob:; frame-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'self'"
)

#: Vendored parts: path below :data:`STATIC` to SHA-256. NiiVue 0.69.0, `npm pack @niivue/niivue@0.69.0`, and its licence.
VENDORED = {
    "vendor/niivue.umd.js": "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af",
    "vendor/LICENSE.niivue.txt": "604be23eceeef93996165e2cd46eefd4d713f98f1b4a5414ab109516dc1b30bf",
}
