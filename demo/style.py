"""Style sheet, script and theme: everything the page looks like, all of it from this folder."""

from __future__ import annotations

from core.settings import ASSETS
from demo.toolkit import gr

STYLE_FOLDER = ASSETS / "style"
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Liberation Sans", "Arial")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def style_sheet() -> str:
    """Return the style sheet's text."""
    return (STYLE_FOLDER / "bifocal.css").read_text("utf-8")


def script() -> str:
    """Return the script: one function that the page calls when it has loaded."""
    text = (STYLE_FOLDER / "bifocal.js").read_text("utf-8")
    return text[text.index("() => {") :]


class SystemFont(gr.themes.Font):
    """A font that the reader's machine has: nothing to load, from anywhere."""


def theme() -> gr.themes.Base:
    """Return the toolkit's theme in Bifocal's paper and ink."""
    ink, paper = "#1d1c1a", "#fcfbf9"
    base = gr.themes.Base(
        primary_hue=gr.themes.colors.stone,
        secondary_hue=gr.themes.colors.stone,
        neutral_hue=gr.themes.colors.stone,
        font=[SystemFont(name) for name in SANS],
        font_mono=[SystemFont(name) for name in MONO],
        radius_size=gr.themes.sizes.radius_sm,
        spacing_size=gr.themes.sizes.spacing_sm,
    )
    return base.set(
        body_background_fill=paper,
        body_background_fill_dark="#16181b",
        body_text_color=ink,
        body_text_color_dark="#e9e6e0",
        body_text_color_subdued="#5d5a54",
        body_text_color_subdued_dark="#a9a59d",
        block_background_fill=paper,
        block_background_fill_dark="#16181b",
        block_border_width="0px",
        block_border_width_dark="0px",
        block_shadow="none",
        block_shadow_dark="none",
        block_label_background_fill=paper,
        block_label_background_fill_dark="#16181b",
        block_title_text_color="#5d5a54",
        block_title_text_color_dark="#a9a59d",
        block_title_text_weight="500",
        block_title_text_size="12.5px",
        border_color_primary="#dfdbd3",
        border_color_primary_dark="#34383d",
        input_background_fill=paper,
        input_background_fill_dark="#16181b",
        input_border_color="#c9c4ba",
        input_border_color_dark="#474c52",
        input_border_width="1px",
        background_fill_primary=paper,
        background_fill_primary_dark="#16181b",
        background_fill_secondary="#f4f2ed",
        background_fill_secondary_dark="#1e2125",
        panel_background_fill=paper,
        panel_background_fill_dark="#16181b",
        slider_color=ink,
        slider_color_dark="#e9e6e0",
        checkbox_background_color_selected=ink,
        checkbox_background_color_selected_dark="#e9e6e0",
        checkbox_label_background_fill="transparent",
        checkbox_label_background_fill_dark="transparent",
        checkbox_label_background_fill_selected="transparent",
        checkbox_label_background_fill_selected_dark="transparent",
        checkbox_label_text_color_selected=ink,
        checkbox_label_text_color_selected_dark="#e9e6e0",
        checkbox_label_border_color="#dfdbd3",
        checkbox_label_border_color_dark="#34383d",
        layout_gap="0px",
    )
