"""A hub of one repository on this machine, as far as downloads need one: commits, file lists, files, and refusals."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REFUSALS = {"owner/gated": (403, "GatedRepo"), "owner/missing": (401, "RepoNotFound")}


class Hub:
    """What the server serves, and what it was asked for.

    Attributes:
        directory: the files of `owner/model` at COMMIT, which `main` stands for.
        endpoint: the server's address.
        downloaded: names of the files that were sent.
    """

    def __init__(self, directory: Path, endpoint: str) -> None:
        self.directory = directory
        self.endpoint = endpoint
        self.downloaded: list[str] = []

    def environment(self, home: Path) -> dict[str, str]:
        """Environment variables of a process that uses this hub and a cache of its own."""
        return {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_TOKEN": "",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }


@contextmanager
def serving(directory: Path, also: Sequence[str] = ()) -> Iterator[Hub]:
    """Serve a model directory as `owner/model`.

    Args:
        also: names that the list of files has besides; each is a file "{}".
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            api = parts[0] == "api"
            repository = "/".join(parts[2:4] if api else parts[:2])
            if repository in REFUSALS or repository != "owner/model":
                self.refuse(*REFUSALS.get(repository, (404, "RepoNotFound")))
            elif api:
                self.describe(parts[4:])
            else:
                self.send(parts[3], "/".join(parts[4:]))

        do_HEAD = do_GET

        def describe(self, parts: list[str]) -> None:
            """`revision/R`: the commit; `tree/R`: the files."""
            if parts[1] not in ("main", COMMIT):
                self.refuse(404, "RevisionNotFound")
                return
            files = sorted(file for file in directory.iterdir() if file.is_file())
            names = [*(file.name for file in files), *also]
            if parts[0] == "revision":
                answer = {"id": "owner/model", "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
            else:
                answer = [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": etag(file)}
                    for file in files
                ]
                answer += [{"type": "file", "path": name, "size": 2, "oid": "0"} for name in also]
            self.answer(json.dumps(answer).encode(), {"Content-Type": "application/json"})

        def send(self, revision: str, name: str) -> None:
            file = directory / name
            if name.endswith(tuple(part.rsplit("/", 1)[-1] for part in also)):
                self.answer(b"{}", {"ETag": '"0"', "X-Repo-Commit": COMMIT})
                return
            if revision not in ("main", COMMIT):
                self.refuse(404, "RevisionNotFound")
            elif not file.is_file():
                self.refuse(404, "EntryNotFound")
            else:
                if self.command == "GET":
                    hub.downloaded.append(name)
                self.answer(file.read_bytes(), {"ETag": f'"{etag(file)}"', "X-Repo-Commit": COMMIT})

        def refuse(self, status: int, code: str) -> None:
            self.answer(b"{}", {"X-Error-Code": code, "X-Error-Message": code}, status)

        def answer(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = Hub(directory, f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def etag(file: Path) -> str:
    """A hash that changes with the file."""
    return hashlib.sha1(file.read_bytes()).hexdigest()
