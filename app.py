"""Start Bifocal. Reads arguments and environment once, joins the parts, serves the page.

Also the entry of a Hugging Face Space. ``python app.py --help`` lists the options.
"""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

# Before the toolkits are imported: they read these once, and nothing leaves this machine.
os.environ.update(
    GRADIO_ANALYTICS_ENABLED="False",
    HF_HUB_DISABLE_TELEMETRY="1",
    DO_NOT_TRACK="1",
    TOKENIZERS_PARALLELISM="false",  # its threads and the PDF workers' forks do not mix
    # A folder of its own, in the user's choice where there is one: what is in it may be swept.
    GRADIO_TEMP_DIR=tempfile.mkdtemp(
        prefix="bifocal-uploads-",
        dir=next(filter(os.path.isdir, [os.environ.get("GRADIO_TEMP_DIR", "")]), None),
    ),
)

import core
from core.encoders.catalogue import CATALOGUE_FILE, Catalogue
from core.encoders.pins import PINS_FILE, Pins
from core.encoders.pool import EncoderPool, load_encoder
from core.encoders.tokens import neutral_counter
from core.errors import CoreError
from core.evaluation.mteb_adapter import RESULTS_FOLDER
from core.settings import ASSETS, DEFAULT_PAIR, MEBIBYTE, ExtractionLimits
from core.visitors import Visitors
from demo.options import AppOptions, parse
from demo.services import PageLimits, Services
from demo.ui import build_app, launch_options

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from core.encoders.encoder import LoadedEncoder

CLOSE_SECONDS = 5.0
M_ARENA_MAX = -8  # of malloc.h
MOST_FILES = 65_536  # open at once: 64 visitors take 1,000, which is all that is common
_COMPLETION = ("--install-completion", "--show-completion")
logger = logging.getLogger("bifocal")


def data_folder(options: AppOptions) -> Path:
    """Folder of the libraries: the one of ``--data``, or the user's own data folder."""
    if options.data is not None:
        return options.data.expanduser().resolve()
    if options.hosted:
        return Path(tempfile.gettempdir()) / "bifocal-visitors"
    from platformdirs import user_data_path

    return user_data_path("bifocal", appauthor=False)


@cache
def _counter() -> object:
    return neutral_counter(ASSETS, folder=DEFAULT_PAIR)


def count_tokens(texts: Sequence[str]) -> Sequence[int]:
    """Count tokens with the bundled tokenizer, read when first needed."""
    return _counter()(texts)  # type: ignore[operator, no-any-return]  # cache() hides the type


def encoder_loader(environment: Mapping[str, str]) -> Callable[..., LoadedEncoder]:
    """Loader of encoders: on a ZeroGPU Space they run in lent GPU calls."""
    if environment.get("SPACES_ZERO_GPU", "").lower() not in {"1", "t", "true"}:
        return load_encoder
    # There and nowhere else, and before torch, whose CUDA it takes over.
    import spaces  # type: ignore[import-untyped]

    from core.encoders.zero_gpu import loader  # imports torch

    return loader(spaces.GPU)


def make_visitors(
    options: AppOptions, *, load: Callable[..., LoadedEncoder] = load_encoder
) -> Visitors:
    """Return the visitors' libraries and the encoders behind them."""
    pool = EncoderPool(
        assets=ASSETS,
        device=options.device,
        offline=options.offline,
        threads=options.threads,
        load=load,
        pins=Pins(data_folder(options) / PINS_FILE),
    )
    return Visitors(
        data_folder(options),
        pool=pool,
        count_tokens=count_tokens,
        assets=ASSETS,
        limits=ExtractionLimits(file_bytes=options.upload_mebibytes * MEBIBYTE),
        hosted=options.hosted,
        keep_hours=options.keep_hours,
    )


def make_services(options: AppOptions, visitors: Visitors) -> Services:
    """Return the parts of the program that the page works on."""
    catalogue = Catalogue(data_folder(options) / CATALOGUE_FILE, visitors.pool)
    problem = catalogue.register()
    if problem:
        logger.warning("Encoders that were added are left out. %s", problem)
    return Services(
        visitors=visitors,
        catalogue=catalogue,
        version=core.__version__,
        benchmarks=ASSETS / "benchmarks",
        official=None if options.hosted else data_folder(options) / RESULTS_FOLDER,
        runs=None if options.hosted else data_folder(options),
        limits=PageLimits(upload_bytes=options.upload_mebibytes * MEBIBYTE),
        # The server's own folders are not for visitors, and an added encoder is seen by all.
        adding=not options.hosted or options.visitor_encoders,
    )


def prepare_process() -> None:
    """Have freed memory used again, and open as many files as the system lets a program open.

    glibc keeps eight heaps a core, and each job is a new thread. Where a platform has neither,
    nothing happens.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, 2)
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def warm_up(visitors: Visitors, *, leaving: threading.Event) -> None:
    """Prepare the sample library behind the page, then the encoders, then missing vectors.

    Args:
        visitors: Whose libraries they are.
        leaving: Set when the program ends: libraries are closed then, and that is no failure.
    """
    try:
        visitors.prepare()
        visitors.pool.warm(
            spec.encoder_id for spec in visitors.pool.registry.specs_of(DEFAULT_PAIR)
        ).join()
        visitors.complete()
    except CoreError:
        if not leaving.is_set():
            logger.exception("The sample library could not be made ready")


def main(arguments: Sequence[str]) -> int:
    """Serve the page until interrupted; returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    prepare_process()
    try:
        options = parse(arguments, os.environ)
        if options.offline:
            os.environ["HF_HUB_OFFLINE"] = "1"
        visitors = make_visitors(options, load=encoder_loader(os.environ))
        services = make_services(options, visitors)
    except CoreError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"The data folder cannot be used ({error}). Choose another with --data.",
            file=sys.stderr,
        )
        return 1
    for name in ("NO_PROXY", "no_proxy"):  # the page asks itself whether it is up, by no proxy
        local = f"localhost,127.0.0.1,::1,{options.host}"
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), local)))
    leaving = threading.Event()
    threading.Thread(
        target=partial(warm_up, visitors, leaving=leaving), name="bifocal-start", daemon=True
    ).start()
    app = build_app(services)
    launched = launch_options(
        services,
        host=options.host,
        port=options.port,
        allow_hosts=options.allow_host,
        mcp=options.mcp,
        blocked_paths=[str(data_folder(options))],
    )
    launched["inbrowser"] = options.open
    try:
        _server, url, _share = app.launch(prevent_thread_lock=True, **launched)
        print(f"Bifocal {core.__version__} is at {url}  (Ctrl+C ends it)", flush=True)
        app.block_thread()
    except OSError as error:
        print(f"{error}\nChoose another port, for example --port 0.", file=sys.stderr)
        return 1
    finally:
        # Long work may hold a library for a while. A workspace survives being left at any moment,
        # so nobody who pressed Ctrl+C is kept waiting for it.
        leaving.set()
        closing = threading.Thread(target=visitors.close, name="bifocal-close", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)
    return 0


def leave(code: int) -> NoReturn:
    """End the process and its PDF workers now, and delete the uploads it made room for.

    A thread may be inside torch at this moment. Were the interpreter taken down around it in the
    ordinary way, C++ would call that an error and abort.
    """
    import psutil  # only here

    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            child.kill()
    shutil.rmtree(os.environ["GRADIO_TEMP_DIR"], ignore_errors=True)  # made above
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(arguments: Sequence[str]) -> NoReturn:
    """Serve the page and end the process."""
    # A script that starts programs in the background has them ignore Ctrl+C; this one heeds it.
    # Whatever ends services (SIGTERM) is to leave as little behind.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        ended = main(arguments)
    except KeyboardInterrupt:  # before the page was up
        ended = 0
    leave(ended)


def command() -> None:
    """``bifocal``: a verb of the command line where one is named, the page otherwise."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        print(f"bifocal {core.__version__}")
    elif arguments and (not arguments[0].startswith("-") or arguments[0] in _COMPLETION):
        from core.cli import cli  # the page needs none of it

        cli(prog_name="bifocal")
    else:
        run(arguments)


if __name__ == "__main__":
    run(sys.argv[1:])
