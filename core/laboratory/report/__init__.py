"""One comparison as one HTML file that opens anywhere and explains itself.

No script, no request to anywhere (a strict Content-Security-Policy says so to the browser), pictures
drawn as SVG inside. Every text from a document, a query or a file name is escaped in one place.
"""

from core.laboratory.report.markup import escape
from core.laboratory.report.page import html_report
from core.laboratory.report.passages import PagePicture
from core.laboratory.report.pictures import page_pictures
from core.laboratory.report.plots import rank_picture, score_plot

__all__ = ["PagePicture", "escape", "html_report", "page_pictures", "rank_picture", "score_plot"]
