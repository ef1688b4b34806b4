"""A hub of models on this machine: the few calls of Hugging Face's HTTP interface that pushing and pulling a run make."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


class Hub:
    """Repositories: commits (files by name) and tags (commit by name)."""

    def __init__(self) -> None:
        self.commits: dict[str, list[Files]] = {}
        self.tags: dict[str, dict[str, int]] = {}
        self.private: dict[str, bool] = {}
        self.url = ""

    def files(self, repo: str, revision: str) -> tuple[str, Files] | None:
        """Commit and files of a revision; None for one that is not there."""
        if revision in self.tags[repo]:
            number = self.tags[repo][revision]
        elif revision == "main":
            number = len(self.commits[repo]) - 1
        else:
            known = [commit_name(repo, n) for n in range(len(self.commits[repo]))]
            if revision not in known:
                return None
            number = known.index(revision)
        return commit_name(repo, number), self.commits[repo][number]


def commit_name(repo: str, number: int) -> str:
    return hashlib.sha1(f"{repo}{number}".encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""

    def answer(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for key, text in {
            "Content-Length": str(len(body)),
            "Content-Type": "application/json",
            **(headers or {}),
        }.items():
            self.send_header(key, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def lost(self, code: str) -> None:
        self.answer({"error": code}, 404, {"X-Error-Code": code})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts == ["api", "validate-yaml"]:
            self.answer({"errors": [], "warnings": []})
            return
        if parts[:3] == ["api", "repos", "create"]:
            about = json.loads(body)
            repo = f"{about.get('organization') or 'anna'}/{about['name']}"
            if repo in self.hub.commits:
                self.answer({"error": "exists", "url": f"{self.hub.url}/{repo}"}, 409)
                return
            self.hub.commits[repo], self.hub.tags[repo] = [{}], {}
            self.hub.private[repo] = about.get("private", about.get("visibility") == "private")
            self.answer({"url": f"{self.hub.url}/{repo}"})
            return
        repo, what = "/".join(parts[2:4]), parts[4]
        if what == "preupload":
            files = json.loads(body)["files"]
            found = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None} for f in files]
            self.answer({"files": found})
        elif what == "commit":
            files = dict(self.hub.commits[repo][-1])
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            self.hub.commits[repo].append(files)
            name = commit_name(repo, len(self.hub.commits[repo]) - 1)
            self.answer({"success": True, "commitOid": name, "commitUrl": f"{self.hub.url}/{repo}/commit/{name}"})
        elif what == "tag":
            self.hub.tags[repo][json.loads(body)["tag"]] = len(self.hub.commits[repo]) - 1
            self.answer({})
        else:
            self.answer({"error": self.path}, 400)

    def revision(self, parts: list[str]) -> str:
        """Of a path: /api/models/OWNER/NAME/revision/REVISION or /OWNER/NAME/resolve/REVISION/FILE."""
        if parts[0] != "api":
            return parts[3]
        return parts[5] if len(parts) > 5 else "main"

    def do_GET(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        repo = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        if repo not in self.hub.commits:
            self.lost("RepoNotFound")
        elif parts[0] == "api" and parts[4:5] == ["refs"]:
            tags = [
                {"name": t, "ref": f"refs/tags/{t}", "targetCommit": commit_name(repo, n)}
                for t, n in self.hub.tags[repo].items()
            ]
            self.answer({"branches": [], "tags": tags, "converts": []})
        elif (found := self.hub.files(repo, self.revision(parts))) is None:
            self.lost("RevisionNotFound")
        elif parts[0] == "api" and parts[4:5] == ["tree"]:
            entries = [
                {"type": "file", "path": n, "size": len(c), "oid": hashlib.sha1(c).hexdigest()}
                for n, c in found[1].items()
            ]
            self.answer(entries)
        elif parts[0] == "api":
            siblings = [{"rfilename": name} for name in found[1]]
            self.answer(
                {"id": repo, "sha": found[0], "siblings": siblings, "private": self.hub.private[repo], "tags": []}
            )
        else:
            self.send_file(found, "/".join(parts[4:]))

    def send_file(self, found: tuple[str, Files], name: str) -> None:
        if name not in found[1]:
            self.lost("EntryNotFound")
            return
        content = found[1][name]
        headers = {"X-Repo-Commit": found[0], "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        self.answer(content, 200, headers)

    do_HEAD = do_GET


@contextmanager
def hub() -> Iterator[Hub]:
    """A hub while the block runs."""
    made = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"hub": made}))
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
