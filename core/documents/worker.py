"""The process that touches hostile files, of every format; no other process reads them.

It runs as a script of its own (``python -I worker.py``) and learns from its parent where to import
from. It never writes a file, never opens a socket, and holds itself to limits on memory and CPU
time. Its parent (`core.documents.process`) watches the clock and kills it on overrun.

Protocol over stdin and stdout, no pickle: every frame is one byte of kind, eight bytes of length
(big-endian), then that many bytes. Requests are JSON, each followed by a frame with the file.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
import sys
import threading
import time
from typing import IO, Any

FRAME_HEADER = struct.Struct(">cQ")

# Requests, JSON
CONFIGURE = b"C"  # path, memory_bytes
READ = b"R"  # name, password, limits, ocr; then a DATA frame
DRAW = b"W"  # name, password, limits, page_number, width_pixels; then a DATA frame
DATA = b"F"

# Answers
PROGRESS = b"p"  # JSON: done, total
DOCUMENT = b"d"  # what `core.documents.serialization` makes of a document
IMAGE = b"i"  # PNG
FAILED = b"e"  # JSON: error, its class in `core.errors` or how the reader failed; words

WATCH_SECONDS = 1.0


def limit_self(memory_bytes: int) -> None:
    """Give up rights that reading a file does not need, as far as the platform allows."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock and memory watch are what remains
        return
    limits = [
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ]
    for which, value in limits:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(which, (value, value))


def limit_cpu(cpu_seconds: int) -> None:
    """Allow this much more CPU time, counted from now (a warm worker reads many files)."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime) + cpu_seconds
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def watch_parent() -> None:
    """End this process when its parent is gone, even in the middle of a native call."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    if sys.platform != "win32":  # there the number never changes; a closed pipe has to do
        threading.Thread(target=watch, daemon=True).start()


def read_exactly(stream: IO[bytes], count: int) -> bytes:
    """Return ``count`` bytes; raises EOFError when the other side is gone."""
    content = stream.read(count)
    if len(content) != count:
        raise EOFError
    return content


def read_frame(stream: IO[bytes], max_bytes: int | None = None) -> tuple[bytes, bytes]:
    """Return kind and content of the next frame.

    Raises:
        EOFError: When the other side is gone.
        OverflowError: When the frame is longer than ``max_bytes``.
    """
    kind, length = FRAME_HEADER.unpack(read_exactly(stream, FRAME_HEADER.size))
    if max_bytes is not None and length > max_bytes:
        raise OverflowError(length)
    return kind, read_exactly(stream, length)


def write_frame(stream: IO[bytes], kind: bytes, content: bytes | dict[str, Any]) -> None:
    """Send one frame; a dictionary goes as JSON."""
    sent = json.dumps(content).encode() if isinstance(content, dict) else content
    stream.write(FRAME_HEADER.pack(kind, len(sent)))
    stream.write(sent)
    stream.flush()


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests until the pipe closes."""
    settings = json.loads(read_frame(requests)[1])
    for threads in ("OPENBLAS_NUM_THREADS", "OMP_THREAD_LIMIT"):  # these of tesseract
        os.putenv(threads, "1")  # they would count against the memory limit
    sys.path.extend(entry for entry in settings["path"] if entry not in sys.path)
    try:
        from core.documents import extraction
        from core.errors import CoreError
    except ImportError as exc:
        write_frame(answers, FAILED, {"error": "ImportError", "words": str(exc)})
        return
    limit_self(int(settings["memory_bytes"]))

    def report(done: int, total: int) -> None:
        write_frame(answers, PROGRESS, {"done": done, "total": total})

    while True:
        try:
            kind, content = read_frame(requests)
            data = read_frame(requests)[1]
        except EOFError:
            return
        request = json.loads(content)
        limit_cpu(int(request["limits"]["cpu_seconds"]))
        try:
            if kind == READ:
                document = extraction.document_bytes(data, report=report, **request)
                write_frame(answers, DOCUMENT, document)
            else:
                image = extraction.page_image(data, report=report, **request)
                write_frame(answers, IMAGE, image)
        except CoreError as exc:
            write_frame(answers, FAILED, {"error": type(exc).__name__, "words": str(exc)})
        except MemoryError:
            write_frame(answers, FAILED, {"error": "MemoryError", "words": ""})
        except Exception as exc:  # noqa: BLE001 - pypdf: what it raises is ours to catch
            write_frame(answers, FAILED, {"error": type(exc).__name__, "words": str(exc)[:300]})


def main() -> None:
    """Serve requests on stdin, answers on stdout."""
    # Native code that prints would break the protocol: it gets the null device instead.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    watch_parent()
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
