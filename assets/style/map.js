/* The map: two projections of one library, drawn point by point. Comes with the first map and not before. */
window.bifocalMap = (root, page) => {
  const $$ = (selector) => [...root.querySelectorAll(selector)];
  const bytes = (name) => Uint8Array.from(atob(root.dataset[name]), (char) => char.charCodeAt(0));
  const places = new Uint16Array(bytes("places").buffer), owners = new Uint16Array(bytes("owners").buffer);
  const shared = bytes("shared"), spans = new Uint32Array(bytes("spans").buffer);
  const data = JSON.parse(root.dataset.map), count = owners.length;
  const canvases = $$("canvas"), over = root.querySelector("svg.over"), said = root.querySelector(".said");
  const first = root.querySelector(".listed").innerHTML;
  const views = canvases.map(() => ({ x: 0, y: 0, scale: 1 }));  // what is seen: its corner, how much nearer
  const images = [null, null];
  let chosen = null, lasso = null, under = -1, frame = 0;
  const pid = (at) => `${data.documents[owners[at]][0]}:${[0, 1].map((end) => String(spans[2 * at + end]).padStart(8, "0")).join("-")}`;

  /* Unit square to the picture's own pixels, and where a point stands there. */
  const onto = (side, x, y, size) => [(x - views[side].x) * views[side].scale * size, (y - views[side].y) * views[side].scale * size];
  const at = (side, point, size) => onto(side, places[4 * point + 2 * side] / 65535, places[4 * point + 2 * side + 1] / 65535, size);

  /* -- points: pixels of an image, each a small disc ------------------------------------------------------ */
  function disc(radius, size) {  // of each pixel around its middle: the way there, how much of it is covered
    const steps = [], covers = [], edge = Math.ceil(radius), least = count > 20000 ? 0.5 : 0.08;
    for (let y = -edge; y <= edge; y += 1) for (let x = -edge; x <= edge; x += 1) {
      const cover = Math.min(1, radius + 0.5 - Math.hypot(x, y));
      if (cover > least) { steps.push(y * size + x); covers.push(least === 0.5 ? 255 : Math.round(cover * 255)); }
    }
    return { steps: Int32Array.from(steps), covers: Uint8Array.from(covers), edge };
  }
  function colours() {
    const style = getComputedStyle(root), pencil = document.createElement("canvas").getContext("2d");
    return [...Array(data.coloured + 1).keys(), "faint"].map((name) => {
      pencil.fillStyle = style.getPropertyValue(`--doc-${name}`).trim();
      const [red, green, blue] = [1, 3, 5].map((from) => parseInt(pencil.fillStyle.slice(from, from + 2), 16));
      return (blue << 16) | (green << 8) | red;
    });
  }
  function paint(side, palette) {
    const canvas = canvases[side], ratio = Math.min(2, devicePixelRatio || 1), size = Math.round(canvas.clientWidth * ratio);
    if (!size) return;
    if (canvas.width !== size) { canvas.width = size; canvas.height = size; images[side] = null; }
    const pencil = canvas.getContext("2d"), image = images[side] || (images[side] = pencil.createImageData(size, size));
    const pixels = new Uint32Array(image.data.buffer);
    pixels.fill(0);
    const radius = (count > 20000 ? 0.9 : count > 4000 ? 1.6 : count > 600 ? 2.6 : 3.6) * ratio * Math.min(2.2, views[side].scale ** 0.35);
    const { steps, covers, edge } = disc(radius, size), faint = palette[data.coloured + 1];
    const { x, y, scale } = views[side], step = (scale * size) / 65535, left = x * scale * size, top = y * scale * size;
    for (const above of [false, true]) {  // the chosen ones lie on top, or those with a colour
      for (let point = 0, from = 2 * side; point < count; point += 1, from += 4) {
        if ((chosen ? chosen[point] === 1 : owners[point] < data.coloured) !== above) continue;
        const across = (places[from] * step - left) | 0, down = (places[from + 1] * step - top) | 0;
        if (across < edge || down < edge || across >= size - edge || down >= size - edge) continue;
        const colour = chosen && !above ? faint : palette[owners[point] < data.coloured ? owners[point] + 1 : 0];
        const middle = down * size + across;
        for (let dot = 0; dot < steps.length; dot += 1) {
          const cover = covers[dot], pixel = middle + steps[dot];
          if (cover === 255 || pixels[pixel] >>> 24 < cover) pixels[pixel] = (cover << 24) | colour;
        }
      }
    }
    pencil.putImageData(image, 0, 0);
  }

  /* -- over them: lines, the question and its hits, the lasso --------------------------------------------- */
  function sketch() {
    const origin = over.getBoundingClientRect(), boxes = canvases.map((canvas) => canvas.getBoundingClientRect());
    const parts = [], size = boxes[0].width;
    const stand = ([x, y], side) => x >= 0 && y >= 0 && x <= size && y <= size && [x + boxes[side].left - origin.left, y + boxes[side].top - origin.top];
    const both = (point) => [0, 1].map((side) => stand(at(side, point, size), side));
    const round = (number) => number.toFixed(1);
    const line = (point, kind) => {
      const [one, two] = both(point);
      if (one && two) parts.push(`<line class="${kind}" x1="${round(one[0])}" y1="${round(one[1])}" x2="${round(two[0])}" y2="${round(two[1])}"/>`);
      [one, two].forEach((end) => end && parts.push(`<circle class="${kind}" cx="${round(end[0])}" cy="${round(end[1])}" r="5"/>`));
    };
    let lines = 0;
    for (let point = 0; point < count && lines < data.listed; point += 1)
      if (chosen ? chosen[point] : shared[point] < 255) { line(point, "join"); lines += 1; }
    data.hits.forEach(([point, ...ranks]) => both(point).forEach((place, side) => {
      if (!place) return;
      const own = ranks[side] <= data.most, [x, y] = place.map(round);
      parts.push(`<circle class="hit${own ? " own" : ""}" cx="${x}" cy="${y}" r="${own ? 8 : 6}"/>`);
      if (own) parts.push(`<text class="rank" x="${x}" y="${+y + 4}">${ranks[side]}</text>`);
    }));
    data.query.forEach((query, side) => {
      const place = query && stand(onto(side, ...query, size), side);
      if (place) parts.push(`<path class="query" d="M${place[0] - 7} ${place[1] - 7}l14 14m0 -14l-14 14"/>`);
    });
    if (under >= 0) line(under, "under");
    if (lasso) {
      const corner = [boxes[lasso.side].left - origin.left, boxes[lasso.side].top - origin.top];
      parts.push(`<polygon class="lasso" points="${lasso.path.map(([x, y]) => `${round(x + corner[0])},${round(y + corner[1])}`).join(" ")}"/>`);
    }
    over.innerHTML = parts.join("");  // numbers alone: no text from a file is in it
  }
  function draw(...sides) {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      if (sides.length) { const palette = colours(); sides.forEach((side) => paint(side, palette)); }
      sketch();
    });
  }
  const whole = () => draw(0, 1);

  /* -- choosing ------------------------------------------------------------------------------------------- */
  function choose(points, words) {
    chosen = null;
    const list = root.querySelector(".listed");
    if (points) {
      chosen = new Uint8Array(count);
      points.forEach((point) => { chosen[point] = 1; });
      list.replaceChildren();
      page.send("chosen", { x: "map", i: JSON.stringify(data.inputs), ids: points.slice(0, data.listed).map(pid).join(" ") });
    } else list.innerHTML = first;
    said.textContent = words || "";
    whole();
  }
  const every = (test) => { const found = []; for (let point = 0; point < count; point += 1) if (test(point)) found.push(point); return found; };
  const counted = (points) => `${points.length.toLocaleString("en")} passage${points.length === 1 ? "" : "s"} chosen${points.length > data.listed ? `; ${data.listed} with the fewest common neighbours are listed` : ""}.`;
  function inside({ side, path }) {
    const size = canvases[side].clientWidth;
    const [low, high] = [0, 1].map((axis) => [Math.min(...path.map((one) => one[axis])), Math.max(...path.map((one) => one[axis]))]);
    return every((point) => {
      const [x, y] = at(side, point, size);
      if (x < low[0] || x > low[1] || y < high[0] || y > high[1]) return false;
      let within = false;
      path.forEach(([x1, y1], index) => {
        const [x2, y2] = path[(index || path.length) - 1];
        if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) within = !within;
      });
      return within;
    });
  }
  function nearestTo(side, [x, y]) {
    const size = canvases[side].clientWidth;
    let best = -1, least = 100;  // within 10 pixels
    for (let point = 0; point < count; point += 1) {
      const [across, down] = at(side, point, size), far = (across - x) ** 2 + (down - y) ** 2;
      if (far < least) { best = point; least = far; }
    }
    return best;
  }

  /* -- mouse, finger and buttons -------------------------------------------------------------------------- */
  function zoom(side, by, [x, y] = [0.5, 0.5]) {  // around a place of the picture, in shares of it
    const seen = views[side], scale = Math.min(60, Math.max(1, seen.scale * by));
    const keep = (corner, share) => Math.min(1 - 1 / scale, Math.max(0, corner + share / seen.scale - share / scale));
    Object.assign(seen, { x: keep(seen.x, x), y: keep(seen.y, y), scale });
  }
  const drawing = () => root.querySelector("[data-do=lasso]").getAttribute("aria-pressed") === "true";
  const place = (event) => { const box = event.target.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  canvases.forEach((canvas, side) => {
    let start = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      start = place(event);
      if (drawing()) lasso = { side, path: [start] };
    });
    canvas.addEventListener("pointermove", (event) => {
      const here = place(event);
      if (start && lasso) { lasso.path.push(here); draw(); return; }
      if (start) {
        const size = canvas.clientWidth, seen = views[side], most = 1 - 1 / seen.scale;
        ["x", "y"].forEach((axis, index) => { seen[axis] = Math.min(most, Math.max(0, seen[axis] - (here[index] - start[index]) / size / seen.scale)); });
        start = here;
        draw(side);
        return;
      }
      const found = nearestTo(side, here);
      if (found !== under) {
        under = found;
        page.tip.hidden = under < 0;
        if (under >= 0) page.tip.textContent = `${data.documents[owners[under]][1]}\n${shared[under] < 255 ? `${shared[under]} of ${data.neighbours} common neighbours` : "neighbours not counted"}`;
        page.tip.style.whiteSpace = "pre-line";
        draw();
      }
      if (under >= 0) page.placeTip(event);
    });
    const leave = () => { page.tip.hidden = true; if (under >= 0) { under = -1; draw(); } };
    canvas.addEventListener("pointerleave", leave);
    const end = (event) => {
      const drawn = lasso, from = start, here = place(event);
      lasso = start = null;
      if (event.type === "pointercancel" || !from) { draw(); return; }
      const far = drawn && Math.max(...drawn.path.map(([x, y]) => Math.hypot(x - from[0], y - from[1])));
      if (drawn && far > 6) {
        const points = inside(drawn);
        choose(points.length ? points : null, points.length ? counted(points) : "No passage in there.");
      } else if (Math.hypot(here[0] - from[0], here[1] - from[1]) < 6) {
        const found = nearestTo(side, here);
        if (found >= 0) page.select(pid(found)); else draw();
      }
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;  // else the page scrolls
      event.preventDefault();
      zoom(side, Math.exp(-event.deltaY / 200), place(event).map((one) => one / canvas.clientWidth));
      draw(side);
    }, { passive: false });
  });
  const deeds = {
    lasso: (button) => { button.setAttribute("aria-pressed", !drawing()); root.classList.toggle("drawing", drawing()); },
    in: () => views.forEach((_, side) => zoom(side, 1.6)),
    out: () => views.forEach((_, side) => zoom(side, 1 / 1.6)),
    all: () => views.forEach((_, side) => zoom(side, 0)),
    none: () => choose(null),
  };
  root.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do], [data-doc]");
    if (!button) return;
    const pressed = button.getAttribute("aria-pressed") === "true";
    if (button.dataset.doc || button.dataset.do === "none") $$("[data-doc]").forEach((one) => one.setAttribute("aria-pressed", false));
    if (button.dataset.do) deeds[button.dataset.do](button);
    else if (pressed) choose(null);
    else {
      const points = every((point) => owners[point] === +button.dataset.doc);
      button.setAttribute("aria-pressed", true);
      choose(points, counted(points));
    }
    whole();
  });
  root.addEventListener("pointerover", (event) => {
    const row = event.target.closest("[data-at]");
    if (row && under !== +row.dataset.at) { under = +row.dataset.at; draw(); }
    else if (!row && under >= 0 && event.target.tagName !== "CANVAS") { under = -1; draw(); }
  });
  // A finger scrolls the page until it is asked to draw.
  if (matchMedia("(pointer: coarse)").matches) root.querySelector("[data-do=lasso]").setAttribute("aria-pressed", false);
  root.classList.toggle("drawing", drawing());
  const sizes = new ResizeObserver(whole), themes = new MutationObserver(() => (root.isConnected ? whole() : (themes.disconnect(), sizes.disconnect())));
  canvases.forEach((canvas) => sizes.observe(canvas));
  themes.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  whole();
};
