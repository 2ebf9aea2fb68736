"""Layout and wiring of the page. `build_app` places components; `handlers` has their work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo import api, security, style, texts
from demo.choosing import Choosing
from demo.experiments import Experiments
from demo.fetching import Fetching
from demo.handlers import Handlers
from demo.importing import Importing
from demo.judging import Judging
from demo.presenters import frame
from demo.toolkit import gr, share_queue
from demo.views import (
    compare,
    disagree,
    encoders,
    figures,
    judge,
    laboratory,
    pairing,
    runs,
    sidebar,
)
from demo.views.wiring import PRIVATE, Shared, bridge, html_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from demo.services import Services

VISITOR_KEY = "bifocal-visitor"
LIBRARY_KEY = "bifocal-library"  # the last one opened: a reload comes back to it
# Only hides the id from a glance: it is the id itself, 144 random bits, that keeps others out.
VISITOR_SECRET = "bifocal"  # noqa: S105  not a secret


def build_app(services: Services) -> gr.Blocks:
    """Return the page.

    Args:
        services: What it works on; see `Services`.
    """
    handlers = Handlers(services)
    experiments = Experiments(handlers)
    judging = Judging(handlers)
    choosing = Choosing(handlers)
    app: gr.Blocks
    with gr.Blocks(
        title=texts.NAME,
        analytics_enabled=False,
        fill_width=True,
    ) as app:
        # First, so that the public names are theirs and not those of the page's own events.
        api.add(handlers, choosing)
        visitor = gr.BrowserState("", storage_key=VISITOR_KEY, secret=VISITOR_SECRET)
        last = gr.BrowserState("", storage_key=LIBRARY_KEY, secret=VISITOR_SECRET)
        token = gr.State("")
        selected = gr.State("")
        link = bridge()
        command = gr.JSON(visible="hidden", elem_id="bf-command")
        # Closed for the toolkit: where there is room for it the style sheet shows it all the same.
        with gr.Sidebar(width=264, open=False, elem_id="bf-sidebar"):
            drop, documents = sidebar.build()
        html_part("bf-top", frame.brand(heading=True))
        html_part("bf-help", frame.help_dialog())
        offered = pairing.build()
        work = sidebar.build_work()
        with gr.Tabs(elem_id="bf-views"):
            with gr.Tab("Compare", render_children=True):
                query, go = compare.build_query()
                main = compare.build(go)
            with gr.Tab("Disagree", render_children=True):
                found = disagree.build()
            with gr.Tab("Laboratory", render_children=True) as lab_tab:
                lab = laboratory.build()
            with gr.Tab("Judge", render_children=True) as judge_tab:
                judged = judge.build()
            with gr.Tab("Benchmarks", render_children=True) as benchmarks_tab:
                measured = figures.build_benchmarks(services)
            with gr.Tab("The paper", render_children=True) as paper_tab:
                paper = figures.build_paper()
            with gr.Tab("Settings", render_children=True):
                side = sidebar.build_settings(drop, documents, work)
                lenses = encoders.build(services)
                elsewhere = runs.build()
        with gr.Column(elem_id="bf-pane"):
            why = html_part("bf-evidence")
            pane = html_part("bf-page")
        picker = side.library
        shared = Shared(handlers, visitor, picker, side.pair, token, query, link, command)
        compare.wire(main, shared, compare.Pane(pane, why, selected), side.saved, experiments)
        disagree.wire(found, shared, experiments)
        figures.wire_paper(paper, paper_tab, services)
        figures.wire_benchmarks(measured, benchmarks_tab, shared)
        judge.wire(judged, shared, judging)
        judge_tab.select(_same, query, judged.query, **PRIVATE)
        enter = laboratory.wire(lab, shared, experiments)
        lab_tab.select(
            enter,
            [visitor, picker, token, selected, query],
            [lab.query, lab.document, lab.passage, lab.stop],
            **PRIVATE,
        )
        screen = [main.summary, main.columns, main.lower, token, main.blank]
        watched = sidebar.wire(side, shared, main.examples, screen)
        runs.wire(elsewhere, shared, Importing(handlers))
        pairing.wire(offered, shared, side, main.examples, Fetching(handlers), watched)
        encoders.wire(lenses, shared, side, main.examples, offered, choosing, watched)

        def arrive(visitor_id: Any, last_id: Any, request: gr.Request) -> tuple[Any, ...]:  # noqa: ANN401
            asked = dict(request.query_params)
            before = last_id if isinstance(last_id, str) else ""
            wanted_id = (str(asked.get("w", "")) or before)[:100]
            known, shown = handlers.libraries.arrive(visitor_id, wanted_id)
            # Nothing but a permalink writes the answer: a quick visitor may have one already.
            compared: tuple[Any, ...] = (gr.skip(),) * 4
            text = gr.skip()
            wanted = str(asked.get("c", ""))[:100]
            if wanted:
                opened = handlers.comparing.open_saved(known, shown.library_id, wanted)
                compared = compare.parts(opened)
                if opened.token:
                    text = handlers.sessions.shown(known, opened.token).comparison.query.text
            return known, *sidebar.screen_values(shown), *compared, shown.blank, text

        # In the browser alone: a reload right after the choice must find it kept.
        picker.change(None, picker, last, js=sidebar.IN_LIBRARY_JS, api_visibility="private")
        arrived = app.load(
            arrive,
            [visitor, last],
            [visitor, *sidebar.screen_outputs(side, shared, main.examples), *screen, query],
            **PRIVATE,
        )
        arrived.then(None, picker, last, js=sidebar.IN_LIBRARY_JS, api_visibility="private")
        picker.change(  # the arrival is the first change
            experiments.picture, [visitor, picker], main.live, concurrency_limit=2, **PRIVATE
        )
        arrived.then(
            watched,
            [visitor, picker],
            [side.progress, side.stop, *sidebar.screen_outputs(side, shared, main.examples)],
            concurrency_limit=64,
            **PRIVATE,
        )
    app.queue(
        max_size=services.limits.queue_size,
        default_concurrency_limit=services.limits.concurrency,
        api_open=False,
    )
    if services.hosted:
        share_queue(app._queue, handlers.sessions.visitor_in, most=services.limits.queue_share)
    return app


def _same(value: str) -> str:
    return value


def launch_options(
    services: Services,
    *,
    host: str = "127.0.0.1",
    port: int | None = 7860,
    allow_hosts: Sequence[str] = (),
    mcp: bool = False,
    blocked_paths: list[str] | None = None,
) -> dict[str, Any]:
    """Arguments of `Blocks.launch`: the toolkit's loose defaults, closed.

    Args:
        services: For its limits.
        host: Address to listen on.
        port: 0 or None picks a free one.
        allow_hosts: Names under which the server may be reached, besides ``host``.
        mcp: Also serve the verbs as MCP tools.
        blocked_paths: Folders that must never be served, the user's data folder among them.
    """
    limits = services.limits
    return {
        "server_name": host,
        "server_port": port or None,
        "share": False,
        "max_file_size": limits.upload_bytes,
        "allowed_paths": [],
        "blocked_paths": blocked_paths or [],
        "run_history": False,
        "enable_monitoring": False,
        "show_error": not services.hosted,
        "strict_cors": True,
        "state_session_capacity": 200,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": mcp,
        "footer_links": [],
        "favicon_path": str(style.STYLE_FOLDER / "favicon.svg"),
        "theme": style.theme(),
        "head": f"<style>{style.style_sheet()}</style>",
        "js": style.script(),
        "app_kwargs": {
            "lifespan": security.guarding(
                host=host,
                allow_hosts=allow_hosts,
                framed=services.hosted,
                body_bytes=limits.body_bytes,
                upload_bytes=limits.uploads_bytes
                if services.hosted
                else limits.files_per_upload * limits.upload_bytes,
                uploads=Path(gr.utils.get_upload_folder()),
                uploads_bytes=limits.uploads_bytes if services.hosted else None,
            )
        },
        "quiet": True,
        "_frontend": False,  # or it gives up on a busy machine that answers late
    }
