"""Count a screen as a reader meets it: controls and words in sight, without the folded and the hidden."""

COUNTED = """() => {
  const seen = (node) => {
    const box = node.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && box.bottom > 0 && box.top < innerHeight
      && box.right > 0 && box.left < innerWidth
      && node.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  };
  const all = [...document.querySelectorAll(
    "button, a[href], input, textarea, select, summary, [role=button], [tabindex='0']")].filter(seen);
  const outer = all.filter((node) => !all.some((other) => other !== node && other.contains(node)));
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const words = outer.flatMap((node) => (node.placeholder || "").split(/\\s+/)).filter(Boolean);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (parent.matches("script, style, noscript") || !seen(parent)) continue;
    words.push(...walker.currentNode.textContent.split(/\\s+/).filter(Boolean));
  }
  return { controls: outer.length, words: words.length, said: words.join(" ") };
}"""
