"""A local HTTP server that speaks `_bulk` and misbehaves when told to."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class BulkServer:
    """Store documents by id; `behave(documents)` returns a status for each, an HTTP status for all, or "cut"."""

    def __init__(self, port: int = 0) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.requests = 0
        self.headers: list[dict[str, str]] = []
        self.behave: Callable[[list[dict[str, Any]]], Any] = lambda documents: [201] * len(documents)
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with server._lock:
                    server._answer(self, body)

            def log_message(self, *_: Any) -> None:
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def _answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.requests += 1
        self.headers.append({**dict(handler.headers), "path": handler.path})
        assert body.endswith(b"\n")
        rows = [json.loads(row) for row in body.decode().splitlines()]
        ids, documents = [row["create"]["_id"] for row in rows[::2]], rows[1::2]
        behaviour = self.behave(documents)
        if isinstance(behaviour, int):
            self._send(handler, behaviour, b"{}")
            return
        statuses = [201] * len(ids) if behaviour == "cut" else behaviour
        items = []
        for key, document, status in zip(ids, documents, statuses, strict=True):
            if status == 201:
                status = 409 if key in self.documents else 201
                self.documents.setdefault(key, document)
            item = {"status": status, "_id": key}
            if status == 400:
                item["error"] = {"type": "document_parsing_exception", "reason": "failed to parse"}
            items.append({"create": item})
        answer = json.dumps({"errors": True, "items": items}).encode()
        if behaviour == "cut":
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(answer)))
            handler.end_headers()
            handler.wfile.write(answer[: len(answer) // 2])
            handler.close_connection = True
            return
        self._send(handler, 200, answer)

    def _send(self, handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def numbers(self) -> list[int]:
        with self._lock:
            return [document["n"] for document in self.documents.values()]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
