"""TLS of a node's port and towards its destinations. Knows certificates; TLS 1.2 is the least that is spoken."""

from __future__ import annotations

import ssl

from voxloom.errors import BadInput
from voxloom.serve.node.settings import ClientTls, ServerTls


def server_context(tls: ServerTls | None) -> ssl.SSLContext | None:
    """What the node's port shows, and asks of peers where ``clients`` is given (BadInput for files that are none)."""
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.cert, tls.key)
        if tls.clients is not None:
            context.load_verify_locations(tls.clients)
            context.verify_mode = ssl.CERT_REQUIRED
    except (ssl.SSLError, OSError) as error:
        raise BadInput(f"cannot be used for TLS ({error.strerror or error})", tls.cert, "Give PEM files") from None
    return context


def client_context(tls: ClientTls | None) -> ssl.SSLContext | None:
    """What a destination must show, and what it is shown (BadInput for files that are none)."""
    if tls is None:
        return None
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)
    except (ssl.SSLError, OSError) as error:
        raise BadInput(
            f"cannot be used for TLS ({error.strerror or error})", tls.ca or tls.cert, "Give PEM files"
        ) from None
    return context
