"""The page's style sheet: system fonts, light and dark, one column on a phone."""

CSS = """
:root { color-scheme: light dark;
  --paper:#fcfbf9; --card:#fff; --ink:#1c1c1e; --muted:#66666b; --grid:#e5e3de;
  --ok:#2c7a4b; --alarm:#b3372c; --early:#66666b;
  --c1:#2563a8; --c2:#d9731a; --c3:#2f8f6b; --c4:#8a5fb0; --c5:#b8902a; --c6:#b9b7b2; }
@media (prefers-color-scheme: dark) { :root {
  --paper:#131315; --card:#1b1b1e; --ink:#e9e7e3; --muted:#a2a1a3; --grid:#333337;
  --ok:#6cc08b; --alarm:#f2857d; --early:#a2a1a3;
  --c1:#6ba6e8; --c2:#f09a4b; --c3:#62c4a0; --c4:#b893dc; --c5:#d8b65a; --c6:#55555a; } }
* { box-sizing:border-box; }
html { -webkit-text-size-adjust:100%; }
body { margin:0; background:var(--paper); color:var(--ink);
  font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif; }
main { max-width:1080px; margin:0 auto; padding:3rem 1.25rem 4rem; }
h1 { font-size:2rem; line-height:1.2; font-weight:650; letter-spacing:-.015em; margin:0 0 .3rem;
  overflow-wrap:anywhere; }
h2 { font-size:1.25rem; font-weight:650; letter-spacing:-.01em; margin:3.2rem 0 .6rem; }
h3 { font-size:1rem; font-weight:650; margin:0 0 .2rem; }
p { margin:0 0 .6rem; }
.lead,.note,figcaption,.log { color:var(--muted); }
.note { font-size:.9rem; max-width:44rem; }
.facts { display:flex; flex-wrap:wrap; gap:1rem 2.4rem; margin:1.6rem 0; padding:0; }
.facts dt { font-size:.8rem; color:var(--muted); }
.facts dd { margin:0; font-size:1.2rem; font-weight:600; font-variant-numeric:tabular-nums; }
.verdict { border-left:4px solid var(--early); background:var(--card); padding:.8rem 1.1rem;
  border-radius:0 8px 8px 0; font-weight:600; margin:1.4rem 0; overflow-wrap:anywhere; }
.verdict.ok { border-color:var(--ok); } .verdict.attention { border-color:var(--alarm); }
.checks,.events { list-style:none; margin:0; padding:0; }
.checks li { display:grid; grid-template-columns:1.6rem 1fr; padding:.5rem 0;
  border-top:1px solid var(--grid); }
.checks li:first-child { border-top:0; }
.sign { font-weight:700; } .ok .sign { color:var(--ok); }
.attention .sign { color:var(--alarm); } .early .sign { color:var(--early); }
.checks .found { color:var(--muted); } .checks .do { margin:.2rem 0 0; font-size:.92rem; }
.events li { padding:.4rem 0; overflow-wrap:anywhere; }
.events b { color:var(--alarm); font-variant-numeric:tabular-nums; }
figure { margin:0; } figcaption { font-size:.88rem; margin-top:.4rem; }
figcaption b { color:var(--ink); font-weight:600; }
img { display:block; width:100%; height:auto; border-radius:4px; }
.last { display:grid; grid-template-columns:repeat(3,1fr); gap:1.2rem; }
/* Larger images need more room than the text has. */
.last.fine { width:min(calc(100vw - 2.5rem),1640px); margin-left:50%; transform:translateX(-50%); }
.last.of-2 { grid-template-columns:repeat(2,1fr); max-width:720px; }
.last.of-2.fine { max-width:none; width:auto; margin-left:0; transform:none; }
.last.clips { grid-template-columns:1fr; }
.last figure:only-child { grid-column:1/-1; }
.time { display:grid; grid-template-columns:repeat(2,1fr); gap:1.6rem 2rem; }
.time.of-2 { grid-template-columns:repeat(4,1fr); gap:1.4rem 1.2rem; }
.time .pair { display:grid; grid-auto-flow:column; grid-auto-columns:1fr; gap:.5rem; }
.curve { display:grid; grid-template-columns:minmax(0,1.35fr) minmax(0,1fr); gap:.4rem 2.2rem;
  padding:1.6rem 0; border-top:1px solid var(--grid); }
.curve svg { display:block; width:100%; height:auto; overflow:visible; margin-top:.5rem; }
.curve text { font-family:inherit !important; fill:var(--muted) !important; }
.curve .text { font-size:.92rem; } .curve .text p:first-child { color:var(--muted); }
.legend { display:flex; flex-wrap:wrap; gap:.1rem 1.1rem; font-size:.85rem; color:var(--muted); }
.legend span { white-space:nowrap; }
.legend i { display:inline-block; width:.8rem; height:.25rem; border-radius:2px;
  margin-right:.4rem; vertical-align:middle; }
code,pre { font:.86em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace; }
p code,.do code { background:color-mix(in srgb,var(--ink) 7%,transparent); border-radius:4px;
  padding:.08em .3em; white-space:nowrap; }
pre { background:var(--card); border:1px solid var(--grid); border-radius:8px; margin:0 0 1rem;
  padding:.7rem .9rem; overflow-x:auto; }
pre.log { white-space:pre-wrap; overflow-wrap:anywhere; }
.settings { columns:2; column-gap:2.5rem; font-size:.88rem; }
.settings div { display:flex; justify-content:space-between; gap:1rem; break-inside:avoid;
  padding:.22rem 0; border-bottom:1px solid var(--grid); }
.settings span { text-align:right; font-variant-numeric:tabular-nums; overflow-wrap:anywhere; }
.settings .changed { color:var(--alarm); font-weight:600; }
.settings small { display:block; font-weight:400; color:var(--muted); }
summary { cursor:pointer; margin:1rem 0 .6rem; }
footer { margin-top:3rem; font-size:.85rem; color:var(--muted); overflow-wrap:anywhere; }
@media (max-width:720px) {
  main { padding:1.8rem 1rem 3rem; } h1 { font-size:1.6rem; } h2 { margin-top:2.4rem; }
  .last.fine { width:auto; margin-left:0; transform:none; }
  .last,.last.of-2,.time,.curve { grid-template-columns:minmax(0,1fr); }
  .time.of-2 { grid-template-columns:repeat(2,1fr); } .settings { columns:1; }
  .facts { gap:.8rem 1.6rem; } .facts dd { font-size:1.05rem; } }
@media print { body { background:#fff; } .curve,figure { break-inside:avoid; } }
"""
