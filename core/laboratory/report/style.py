"""What the report looks like, and that it may ask nobody for anything."""

from __future__ import annotations

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c1c1c;--soft:#5c5c5c;--line:#dedede;--wash:#f6f6f4;
--a:#0072b2;--a-ink:#005a8e;--b:#d55e00;--b-ink:#a84a00;--mark:#fff3c4}
@media (prefers-color-scheme:dark){:root{--paper:#161616;--ink:#ececec;--soft:#a8a8a8;--line:#383838;
--wash:#202020;--a:#4aa8dd;--a-ink:#6fbbe6;--b:#f08a3c;--b-ink:#f5a566;--mark:#4a4012}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,
"Segoe UI",Roboto,"Noto Sans",sans-serif;font-variant-numeric:tabular-nums}
main{max-width:72rem;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.1rem;font-weight:600;color:var(--soft);margin:0 0 .75rem}
h2{font-size:1.15rem;margin:2.75rem 0 .6rem}
h3{font-size:1rem;margin:1.6rem 0 .4rem}
p{margin:.5rem 0;max-width:46rem}
small,.small{font-size:.84rem;color:var(--soft)}
.query{font-size:1.45rem;line-height:1.4;margin:0 0 1rem;padding:0;white-space:pre-wrap;
overflow-wrap:anywhere;max-width:52rem}
.query.long{font-size:1.05rem}
.summary{font-size:1.08rem}
.a{color:var(--a-ink)}.b{color:var(--b-ink)}
.dot{display:inline-block;width:.68em;height:.68em;margin-right:.4em;background:var(--soft)}
.dot.a{background:var(--a);border-radius:50%}.dot.b{background:var(--b)}
.columns{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:2rem}
ol.hits{list-style:none;margin:0;padding:0}
ol.hits li{display:grid;grid-template-columns:2.2rem 1fr;gap:.4rem;padding:.55rem 0;
border-top:1px solid var(--line)}
.rank{font-size:1.25rem;font-weight:600;line-height:1.3}
a{color:inherit;text-decoration-color:var(--soft);text-underline-offset:2px}
ul.systems{list-style:none;padding:0}
.text,.name{overflow-wrap:anywhere}
.snippet{display:-webkit-box;-webkit-line-clamp:3;-webkit-box-orient:vertical;overflow:hidden}
.tag{font-size:.78rem;border:1px solid var(--line);border-radius:.6rem;padding:0 .45rem;
white-space:nowrap;color:var(--soft)}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.35rem .7rem .35rem 0;border-bottom:1px solid var(--line);
vertical-align:top;overflow-wrap:anywhere}
td.n,th.n{text-align:right;white-space:nowrap}
.scroll{overflow-x:auto}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--wash);padding:.7rem .8rem;
font:.84rem/1.5 ui-monospace,Menlo,Consolas,monospace;margin:.4rem 0;max-height:24rem;overflow:auto}
details{margin:.4rem 0}summary{cursor:pointer}
article{padding:.9rem 0;border-top:1px solid var(--line)}
article p.text{white-space:pre-line;max-width:52rem}
svg{max-width:100%;height:auto;display:block;font:12px system-ui,sans-serif}
svg text{fill:var(--ink)}svg .soft{fill:var(--soft)}
.axis{stroke:var(--line);stroke-width:1}.zero{stroke:var(--soft);stroke-dasharray:3 3}
.cloud{fill:var(--soft);opacity:.28}.pa{fill:var(--a)}.pb{fill:var(--b)}
.both{fill:var(--a);stroke:var(--b);stroke-width:2.5}
.same{stroke:var(--soft)}.move{stroke:var(--ink)}.link{fill:none;opacity:.75;stroke-width:1.6}
.stub{stroke-dasharray:2 4;opacity:.7;stroke-width:1.4}.stub.a{stroke:var(--a)}.stub.b{stroke:var(--b)}
.warn{border-left:3px solid var(--ink);padding-left:.8rem}
img{max-width:100%;height:auto;border:1px solid var(--line);display:block}
.sheet{position:relative;margin:1rem 0;max-width:44rem}
.sheet svg{position:absolute;left:0;top:0;width:100%;height:auto;max-height:none}
.sheet figcaption{font-size:.84rem;color:var(--soft);margin-top:.3rem;overflow-wrap:anywhere}
.box{fill:none;stroke-width:1.4}.box.a{stroke:#0072b2}.box.b{stroke:#d55e00}
@media print{details{display:block}pre{max-height:none}article{break-inside:auto}.sheet{break-inside:avoid}}
"""
