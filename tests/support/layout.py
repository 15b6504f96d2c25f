"""What a browser says of the texts of a page: which are cut, and which lie over each other."""

# Texts by their lines, cut down to what their scrolling ancestors let be seen; ancestors that hide
# without scrolling cut a text.
FAULTS = r"""
() => {
  const faults = [], lines = [], SLACK = 1.5;
  const isHidden = (style) => style.visibility === "hidden" || style.opacity === "0";
  const name = (element) => {
    const marks = [...element.classList].map((mark) => "." + mark).join("");
    return element.tagName.toLowerCase() + marks;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.nodeValue.trim(), parent = node.parentElement;
    if (text === "" || ["SCRIPT", "STYLE", "OPTION"].includes(parent.tagName)) continue;
    if (parent.closest("svg") || parent.closest(".unseen") || parent.closest(".skip")) continue;
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      if (box.width === 0 || box.height === 0) continue;
      let { left, right, top, bottom } = box, isSeen = true;
      for (let at = parent; at && at !== document.documentElement; at = at.parentElement) {
        const style = getComputedStyle(at);
        if (isHidden(style)) isSeen = false;
        if (style.overflowX === "visible" && style.overflowY === "visible") continue;
        const edge = at.getBoundingClientRect();
        const scrolls = (flow) => flow === "auto" || flow === "scroll";
        if (!scrolls(style.overflowX) && (left < edge.left - SLACK || right > edge.right + SLACK))
          if (bottom > edge.top && top < edge.bottom)
            faults.push(`cut: ${name(at)} "${text.slice(0, 40)}"`);
        left = Math.max(left, edge.left); right = Math.min(right, edge.right);
        top = Math.max(top, edge.top); bottom = Math.min(bottom, edge.bottom);
      }
      if (!isSeen || right - left < 1 || bottom - top < 1) continue;
      if (right > innerWidth + SLACK) faults.push(`beyond the screen: ${name(parent)} "${text}"`);
      // The line box of a text is higher than its letters.
      const letters = parseFloat(getComputedStyle(parent).fontSize);
      const inset = (box.height - Math.min(box.height, letters)) / 2;
      lines.push({ left, right, top: top + inset, bottom: bottom - inset, text, parent });
    }
  }
  lines.sort((a, b) => a.top - b.top);
  lines.forEach((a, i) => {
    for (let j = i + 1; j < lines.length && lines[j].top < a.bottom; j++) {
      const b = lines[j];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide < 2 || high < 2 || a.parent.closest("th") || b.parent.closest("th")) continue;
      const [one, other] = [a, b].map((l) => `${name(l.parent)} "${l.text.slice(0, 30)}"`);
      faults.push(`overlap: ${one} and ${other}`);
    }
  });
  if (document.documentElement.scrollWidth > innerWidth + SLACK)
    faults.push("the page scrolls sideways");
  return [...new Set(faults)];
}
"""
