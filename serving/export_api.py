"""`GET /accounts/{account_id}/exports/{dataset}.{format}`: a token ─▶ bytes of the spool.

An entity tag names the bytes, so a range of one goes on where a broken answer ended (`If-Range`); a
newer version has another tag, and is answered whole. What another account has, and what nobody has,
is the same 404.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool

from ledger.errors import NotFoundError, NotPublishedError, RequestError
from ledger.export_jobs import find_job
from ledger.tokens import Token
from serving.exports import COMPRESSIONS, ExportRequest
from serving.gate import NOT_PUBLISHED, RETRY_SECONDS, Gate, Refused, asking_the_database
from serving.spool import Production, Spool, SpoolFullError

CHUNK = 1 << 18
POLL_SECONDS = 0.02
RETRY = {"retry-after": str(RETRY_SECONDS)}
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
_SUFFIXES = {suffix: name for name, suffix in COMPRESSIONS.items()}


class ExportApi:
    """The routes of exports."""

    def __init__(self, gate: Gate, spool: Spool, ledger: Engine) -> None:
        self._gate = gate
        self._spool = spool
        self._ledger = ledger

    def router(self) -> APIRouter:
        """Routes for the web application."""
        router = APIRouter()
        path = "/accounts/{account_id}/exports/{name}"
        router.add_api_route(path, self.file, methods=["GET", "HEAD"])
        router.add_api_route(f"{path}/manifest", self.manifest, methods=["GET"])
        router.add_api_route("/exports/jobs/{job_id}", self.job, methods=["GET"])
        return router

    async def file(
        self, account_id: str, name: str, request: Request, guard_formulas: bool = False
    ) -> Response:
        """The rows of one account, as a file."""
        try:
            wanted, production = await self._open(account_id, name, request, guard_formulas)
            return await self._answer(request, wanted, production)
        except Refused as error:
            return self._refused(request, error, account_id)

    async def manifest(
        self, account_id: str, name: str, request: Request, guard_formulas: bool = False
    ) -> Response:
        """Rows, hash, version and columns of a file; waits until it is written."""
        try:
            _, production = await self._open(account_id, name, request, guard_formulas)
            await _finished(production)
        except Refused as error:
            return self._refused(request, error, account_id)
        self._note(request, 200, account_id)
        return JSONResponse(production.manifest, headers={"etag": f'"{production.key}"'})

    async def job(self, job_id: str, request: Request) -> Response:
        """How far an export is."""
        try:
            token, _ = await self._gate.admit(_authorization(request), "export")
            with asking_the_database():
                job = await run_in_threadpool(find_job, self._ledger, job_id)
            if job is None or not _may_see(token, job["account_id"]):
                raise Refused(404, f"no export job {job_id!r}")
        except Refused as error:
            return self._refused(request, error, None)
        self._note(request, 200, job["account_id"])
        values = {
            key: value.isoformat() if hasattr(value, "isoformat") else value
            for key, value in job.items()
        }
        return JSONResponse(values)

    async def _open(
        self, account_id: str, name: str, request: Request, guard_formulas: bool
    ) -> tuple[ExportRequest, Production]:
        token, _ = await self._gate.admit(_authorization(request), "export")
        nobody = f"no account {account_id!r}"
        if not token.reads(account_id):
            raise Refused(404, nobody)
        dataset, _, suffix = name.partition(".")
        form, _, packed = suffix.partition(".")
        compression = _SUFFIXES.get(packed, packed) or None
        try:
            wanted = ExportRequest(dataset, account_id, form, compression, guard_formulas)
            with asking_the_database():
                return wanted, await run_in_threadpool(self._spool.open, wanted)
        except NotFoundError as error:
            raise Refused(404, str(error)) from error
        except RequestError as error:
            raise Refused(400, str(error)) from error
        except NotPublishedError as error:
            raise Refused(503, NOT_PUBLISHED, retry_after=str(RETRY_SECONDS)) from error
        except SpoolFullError as error:
            raise Refused(503, str(error), retry_after=str(RETRY_SECONDS)) from error

    async def _answer(
        self, request: Request, wanted: ExportRequest, production: Production
    ) -> Response:
        tag = f'"{production.key}"'
        version = production.key.partition("-")[0]
        headers = {
            "etag": tag,
            "accept-ranges": "bytes",
            "cache-control": "private, no-cache",
            "content-disposition": f'attachment; filename="{wanted.dataset}.{wanted.suffix}"',
            "x-publication-version": version,
        }
        if production.job is not None:
            headers["x-export-job"] = production.job.job_id
        if tag in request.headers.get("if-none-match", ""):
            self._note(request, 304, wanted.account_id)
            return Response(status_code=304, headers=headers)
        begin, end, status = 0, None, 200
        wished = _RANGE.match(request.headers.get("range", ""))
        if wished and request.headers.get("if-range", tag) == tag:
            await _finished(production)
            begin, end = _bounds(wished, production.size)
            headers["content-range"] = f"bytes {begin}-{end - 1}/{production.size}"
            status = 206
        elif production.manifest is not None:
            end = production.size
        if end is not None:
            headers["content-length"] = str(end - begin)
        if request.method == "HEAD":
            self._note(request, status, wanted.account_id)
            return Response(status_code=status, headers=headers, media_type=wanted.media_type)
        body = self._body(request, production, begin, end, status, wanted.account_id)
        return StreamingResponse(body, status, headers, wanted.media_type)

    async def _body(
        self,
        request: Request,
        production: Production,
        begin: int,
        end: int | None,
        status: int,
        account_id: str | None,
    ) -> AsyncIterator[bytes]:
        sent, index, position = 0, 0, 0
        production.users += 1
        try:
            while end is None or position < end:
                if not await _has_part(production, index):
                    break
                path, size, _ = production.parts[index]
                start = max(begin - position, 0)
                stop = size if end is None else min(size, end - position)
                if start < stop:
                    async for chunk in _slice(path, start, stop):
                        sent += len(chunk)
                        yield chunk
                position, index = position + size, index + 1
        finally:
            production.users -= 1
            rows = production.rows if begin == 0 and position >= production.size else None
            self._note(request, status, account_id, rows=rows, size=sent)

    def _refused(self, request: Request, error: Refused, account_id: str | None) -> Response:
        self._note(request, error.status, account_id)
        return JSONResponse({"error": str(error)}, error.status, error.headers)

    def _note(self, request: Request, status: int, account_id: str | None, **figures: Any) -> None:
        self._gate.note(request.url.path, status, _authorization(request), account_id, **figures)


def _authorization(request: Request) -> str:
    return request.headers.get("authorization", "")


def _may_see(token: Token, account_id: str | None) -> bool:
    return token.account_id is None or token.account_id == account_id


def _bounds(wished: re.Match[str], size: int) -> tuple[int, int]:
    first, last = wished.groups()
    if first:
        begin, end = int(first), min(int(last) + 1, size) if last else size
    else:
        begin, end = max(size - int(last or 0), 0), size
    if begin >= end:
        raise Refused(416, f"the file has {size} bytes", content_range=f"bytes */{size}")
    return begin, end


async def _finished(production: Production) -> None:
    while not production.is_over:
        await asyncio.sleep(POLL_SECONDS)
    if production.error is not None:
        raise Refused(503, f"the export failed: {production.error}", **RETRY)


async def _has_part(production: Production, index: int) -> bool:
    """Wait for a part; an export that fails breaks the answer, so that it is not taken as whole."""
    while index >= len(production.parts):
        if production.error is not None:
            raise RuntimeError(f"the export failed: {production.error}")
        if production.is_over:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True


async def _slice(path: Any, start: int, stop: int) -> AsyncIterator[bytes]:
    """Bytes of a part; the file is read where it does not hold up other requests."""
    file = await run_in_threadpool(path.open, "rb")
    try:
        file.seek(start)
        while start < stop:
            chunk = await run_in_threadpool(file.read, min(CHUNK, stop - start))
            if not chunk:
                raise RuntimeError("a part of the export is gone")
            start += len(chunk)
            yield chunk
    finally:
        file.close()
