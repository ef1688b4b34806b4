"""Counts for Prometheus, in its text format (version 0.0.4), and a small port that gives them.

Knows names and numbers; labels are names of the settings, never of patients.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: What each name counts; names that end with ``_total`` only grow.
HELP = {
    "voxloom_node_instances_total": "Instances that were answered, by what became of them",
    "voxloom_node_bytes_total": "Bytes of instances that were kept",
    "voxloom_node_associations_total": "Associations, by how they began or ended",
    "voxloom_node_predictions_total": "Predictions, by outcome",
    "voxloom_node_sends_total": "Results that were offered to a destination, by outcome",
    "voxloom_node_series": "Series in the queue, by state",
    "voxloom_node_tasks": "Results in the queue, by state",
    "voxloom_node_oldest_seconds": "Age of the oldest result that is not finished",
    "voxloom_node_disk_free_bytes": "Bytes free where the queue lies",
    "voxloom_node_associations_open": "Associations that are open now",
}
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counters since the start, and gauges that are asked when somebody looks."""

    def __init__(self, gauges: Callable[[], Iterable[tuple[str, Mapping[str, str], float]]]) -> None:
        self._gauges = gauges
        self._counts: Counter[tuple[str, Labels]] = Counter()
        self._lock = threading.Lock()

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[name, tuple(sorted(labels.items()))] += amount  # type: ignore[assignment]

    def value(self, name: str, **labels: str) -> float:
        """What a counter stands at."""
        return self._counts[name, tuple(sorted(labels.items()))]

    def text(self) -> str:
        """All of it as Prometheus reads it."""
        with self._lock:
            found = [(name, labels, float(value)) for (name, labels), value in self._counts.items()]
        found += [(name, tuple(sorted(labels.items())), value) for name, labels, value in self._gauges()]
        lines = []
        for name, words in HELP.items():
            lines += [f"# HELP {name} {words}.", f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}"]
            lines += [f"{name}{_braces(labels)} {value:.15g}" for one, labels, value in sorted(found) if one == name]
        return "\n".join(lines) + "\n"


def _braces(labels: Labels) -> str:
    def safe(text: str) -> str:
        return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

    return "{" + ",".join(f'{name}="{safe(value)}"' for name, value in labels) + "}" if labels else ""


def serve_metrics(host: str, port: int, text: Callable[[], str]) -> ThreadingHTTPServer:
    """Answer ``/metrics`` and ``/health`` on a port of its own, from a thread; ``shutdown`` and ``server_close`` end it."""

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "voxloom", ""

        def do_GET(self) -> None:
            found = {"/metrics": text, "/health": lambda: "ok\n"}.get(self.path)
            body = (found() if found else "not found\n").encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is logged of a look at numbers."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="node-metrics", daemon=True).start()
    return server
