/* Bifocal's own script: selecting a passage everywhere at once, the joining lines, the keyboard.
   It knows no science and no state of the library; the server is asked through `send`. */
() => {
  if (window.bifocal) return;
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const ns = "http://www.w3.org/2000/svg";
  const state = { pid: null, why: null, col: 0, timer: 0, walk: null, asked: "", kept: "", corpus: "" };

  /* -- to the server ---------------------------------------------------------------------- */
  function send(name, payload = {}) {
    if (window.bifocalTrigger) window.bifocalTrigger(`do_${name}`, payload);
  }

  /* -- the address: w library, v view, q question, c kept comparison, p passage, g its page, x experiment, i its
     inputs. What changes on the screen changes it; a reload, Back and a copied address bring it back. -------- */
  const before = new URLSearchParams(location.search);
  let following = false;  // while an address is brought to the screen
  const now = (key) => new URLSearchParams(location.search).get(key) || "";
  function address(changes, { push = true } = {}) {
    if (following) return;
    const url = new URL(location.href);
    Object.entries(changes).forEach(([key, value]) => {
      if (value) url.searchParams.set(key, value); else url.searchParams.delete(key);
    });
    if (url.href !== location.href) history[push ? "pushState" : "replaceState"](null, "", url);
  }
  function inLibrary(id) {
    const last = document.body.dataset.library, moved = last && last !== id, other = moved || (now("w") && now("w") !== id);
    address(other ? { w: id, q: "", c: "", p: "", g: "", x: "", i: "" } : { w: id }, { push: Boolean(moved) });
    if (other) state.asked = state.kept = "";
    document.body.dataset.library = id;  // from here on the server knows this page
  }
  async function until(ready, tries = 600) {
    for (; tries > 0; tries -= 1) {
      const found = ready();
      if (found) return found;
      await new Promise((done) => setTimeout(done, 100));
    }
    return null;
  }
  const answered = () => !document.body.classList.contains("busy") && $("#bf-columns .hit[data-pid]");
  const quietly = (act) => { following = true; try { act(); } finally { following = false; } };
  async function follow(wanted, { fresh = false } = {}) {
    const get = (key) => wanted.get(key) || "", start = location.search, same = () => location.search === start;
    if (get("q") && !get("c") && (fresh || get("q") !== state.asked)) quietly(() => ask(get("q")));
    if (get("p") && await until(answered) && same() && byPid(get("p")).length) {
      if (state.pid !== get("p") || !document.body.classList.contains("pane"))
        quietly(() => select(get("p"), { scroll: true }));
      const opened = () => { const pane = $("#bf-pane .pane"); return pane && pane.dataset.pid === get("p") && pane; };
      const pane = await until(opened, 100);
      if (pane && get("g") && pane.dataset.page !== get("g")) send("page", { pid: get("p"), page: +get("g") });
    } else if (!get("p")) quietly(closePane);
    if (!same()) return;  // the reader has gone on meanwhile
    quietly(() => view(get("v") || "compare"));
    if (get("x") && await laboratoryTab(get("x")) && get("i") && same()) send("study", { x: get("x"), i: get("i") });
  }
  addEventListener("popstate", () => {
    const wanted = new URLSearchParams(location.search), get = (key) => wanted.get(key) || "";
    // Another library, or an answer that has to go: as if the page were opened there.
    if ((get("w") && get("w") !== document.body.dataset.library) || get("c") !== state.kept || (!get("q") && state.asked)) location.reload();
    else follow(wanted);
  });

  /* -- selecting -------------------------------------------------------------------------- */
  const byPid = (pid) => $$("[data-pid]").filter((node) => node.dataset.pid === pid);
  function clearSelected() {
    $$(".sel").forEach((node) => node.classList.remove("sel"));
    state.pid = null;
  }
  function select(pid, { ask = true, scroll = false } = {}) {
    if (!pid) return;
    clearSelected();
    state.pid = pid;
    byPid(pid).forEach((node) => {
      if (node.matches(".hit, .pt, g.join")) node.classList.add("sel");
    });
    drawLines();
    aboutSelected();
    if (scroll) {
      const column = $(`.col[data-col="${state.col}"]`);
      const card = (column && $$(".hit.sel", column)[0]) || $$(".hit.sel")[0];
      if (card) {
        card.focus({ preventScroll: true });
        card.scrollIntoView({ block: "nearest" });
      }
    }
    if (ask) {
      state.why = null;
      // a passage of the map is no hit that a reload could find again
      if (now("v") !== "laboratory") address({ p: pid, g: "" }, { push: !document.body.classList.contains("pane") });
      openPane();
      clearTimeout(state.timer);
      state.timer = setTimeout(() => send("pick", { pid }), 90);
    }
  }
  /* What explains one passage never stands beside another; it is asked for once its page is there. */
  function aboutSelected() {
    const below = $("#bf-evidence"), whose = below && $("[data-about]", below);
    if (whose) below.classList.toggle("of-another", Boolean(state.pid) && whose.dataset.about !== state.pid);
    const pane = $("#bf-pane .pane");
    if (pane && pane.dataset.pid === state.pid && state.why !== state.pid && $("[data-act=evidence]", pane)) {
      state.why = state.pid;
      send("evidence", { pid: state.pid, brief: "1" });
    }
  }
  function openPane() {
    closeSidebar();
    const body = document.body.classList;
    const lexical = kindOf($(`.col[data-col="${state.col}"]`) || document.body) === "lex";
    const moved = !body.contains("pane") || body.contains("pane-lex") !== lexical;
    body.add("pane");
    body.toggle("pane-lex", lexical);
    if (moved) requestAnimationFrame(() => {
      // The columns have another width now: keep the chosen card where the eye is.
      const card = $(`.col[data-col="${state.col}"] .hit.sel`) || $(".hit.sel");
      if (card) card.scrollIntoView({ block: "nearest" });
      drawLines();
    });
  }
  function closePane() {
    if (document.body.classList.contains("pane")) address({ p: "", g: "" });
    document.body.classList.remove("pane", "pane-lex");
    linesSoon();
  }
  function hover(pid, on) {
    byPid(pid).forEach((node) => {
      if (node.matches(".hit, .pt, g.join")) node.classList.toggle("hov", on);
    });
  }

  /* -- joining lines ---------------------------------------------------------------------- */
  function end(kind, x, y) {
    const square = kind === "aut";
    const node = document.createElementNS(ns, square ? "rect" : "circle");
    if (square) {
      node.setAttribute("x", x - 3.5); node.setAttribute("y", y - 3.5);
      node.setAttribute("width", 7); node.setAttribute("height", 7);
    } else {
      node.setAttribute("cx", x); node.setAttribute("cy", y);
      node.setAttribute("r", kind === "lex" ? 2.5 : 3.8);
    }
    node.setAttribute("class", `end ${kind}`);
    return node;
  }
  function kindOf(card) { return kinds(card); }
  const kinds = (card) => ["dif", "aut"].find((kind) => card.classList.contains(kind)) || "lex";
  function drawLines() {
    $$(".columns-grid").forEach((grid) => {
      const svg = $("svg.lines", grid);
      if (!svg) return;
      svg.replaceChildren();
      if (getComputedStyle(svg).display === "none") return;
      const origin = grid.getBoundingClientRect();
      const columns = $$(".col", grid);
      const place = new Map();
      columns.filter((column) => column.offsetParent).forEach((column, index) => $$(".hit[data-pid]", column).forEach((card) => {
        const box = ($(".rank", card) || card).getBoundingClientRect();
        const outer = card.getBoundingClientRect();
        place.set(`${index}|${card.dataset.pid}`, {
          left: outer.left - origin.left + grid.scrollLeft, right: outer.right - origin.left + grid.scrollLeft,
          y: box.top + 13 - origin.top, rank: +card.dataset.rank, card,
        });
      }));
      for (let index = 0; index + 1 < columns.length; index += 1) {
        $$(".hit[data-pid]", columns[index]).forEach((card) => {
          const pid = card.dataset.pid;
          const from = place.get(`${index}|${pid}`);
          const to = place.get(`${index + 1}|${pid}`);
          if (!to) return;
          const group = document.createElementNS(ns, "g");
          const encoders = kindOf(from.card) !== "lex" && kindOf(to.card) !== "lex";
          group.setAttribute("class", encoders ? "join" : "join lexline");
          group.dataset.pid = pid;
          if (pid === state.pid) group.classList.add("sel");
          const x1 = from.right + 7, x2 = to.left - 7, bend = (x2 - x1) * 0.5;
          const path = document.createElementNS(ns, "path");
          path.setAttribute("d",
            `M${x1} ${from.y} C${x1 + bend} ${from.y} ${x2 - bend} ${to.y} ${x2} ${to.y}`);
          if (Math.abs(from.rank - to.rank) >= 3) path.setAttribute("class", "far");
          group.append(path, end(kindOf(from.card), x1, from.y), end(kindOf(to.card), x2, to.y));
          svg.append(group);
        });
      }
    });
  }
  let lineFrame = 0;
  const linesSoon = () => { cancelAnimationFrame(lineFrame); lineFrame = requestAnimationFrame(drawLines); };

  /* -- columns as tabs on a phone ----------------------------------------------------------- */
  function showColumn(index) {
    state.col = index;
    $$(".results").forEach((root) => {
      $$(".coltabs button", root).forEach((tab, at) => tab.setAttribute("aria-selected", at === index));
      $$(".col", root).forEach((column, at) => column.classList.toggle("shown", at === index));
    });
  }

  /* -- moving by keyboard --------------------------------------------------------------------- */
  function cards(onlyDifferent) {
    const column = $(`.view-now .col[data-col="${state.col}"]`) || $(`.col[data-col="${state.col}"]`);
    if (!column) return [];
    return $$(".hit[data-pid]", column).filter((card) => !onlyDifferent || card.dataset.differs);
  }
  function move(step, onlyDifferent) {
    const list = cards(false);
    if (!list.length) return;
    const at = list.findIndex((card) => card.dataset.pid === state.pid);
    if (!onlyDifferent) {
      const next = at < 0 ? (step > 0 ? 0 : list.length - 1) : at + step;
      if (list[next]) select(list[next].dataset.pid, { scroll: true });
      return;
    }
    for (let next = at < 0 ? (step > 0 ? 0 : list.length - 1) : at + step; list[next]; next += step) {
      if (list[next].dataset.differs) { select(list[next].dataset.pid, { scroll: true }); return; }
    }
  }
  const typing = (target) =>
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if ($("dialog[open]")) return;
      closePane();
      $$(".examples details[open]").forEach((node) => { node.open = false; });
      if (typing(event.target)) event.target.blur();
      return;
    }
    if (typing(event.target)) return;
    const visible = (selector) => $$(selector).find((node) => node.offsetParent !== null);
    if (event.key === "Enter" || event.key === " ") {
      const on = event.target.closest && event.target.closest("[data-act]");
      if (on && on.tagName !== "BUTTON") {
        event.preventDefault();
        if (on.classList.contains("sel") && event.key === "Enter") act(visible("[data-act=evidence]") || on, event);
        else act(on, event);
      } else if (!on && event.key === "Enter" && state.pid) {
        const why = visible("[data-act=evidence]");
        if (why) { event.preventDefault(); act(why, event); }
      }
      return;
    }
    const judge = visible("#bf-judge-card");
    if (judge && /^[0-3sb]$/.test(event.key)) {
      event.preventDefault();
      send("grade", { key: event.key });
      return;
    }
    const keys = {
      "/": () => { view("compare"); const box = $("#bf-query textarea"); if (box) { box.focus(); box.select(); } },
      j: () => (stepList(1) || move(1)), k: () => (stepList(-1) || move(-1)),
      n: () => (stepList(1) || move(1, true)), p: () => (stepList(-1) || move(-1, true)),
      "1": () => focusColumn(0), "2": () => focusColumn(1), "3": () => focusColumn(2),
      "[": () => state.walk !== null && walkTo(state.walk - 1),
      "]": () => state.walk !== null && walkTo(state.walk + 1),
      "?": help,
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  /* Lists outside the columns (found disagreements) are walked with the same keys. */
  function stepList(step) {
    const list = $$(".walk [data-act]").filter((node) => node.offsetParent !== null);
    if (!list.length) return false;
    const at = list.findIndex((node) => node.classList.contains("now"));
    const next = list[Math.max(0, Math.min(list.length - 1, at < 0 ? 0 : at + step))];
    list.forEach((node) => node.classList.toggle("now", node === next));
    next.focus();
    next.scrollIntoView({ block: "nearest" });
    return true;
  }
  /* A found disagreement opens side by side, and the next one is a key away from there. */
  const walked = () => $$(".walk [data-act=ask]");
  function walkTo(index) {
    const list = walked();
    if (!list[index]) return false;
    list.forEach((node, at) => node.classList.toggle("now", at === index));
    ask(list[index].dataset.text);
    showWalk(index, list.length);
    return true;
  }
  function showWalk(index, count) {
    state.walk = index;
    const place = $("#bf-summary");
    let bar = $("#bf-walk");
    if (index === null || !place) { if (bar) bar.remove(); return; }
    if (!bar) {
      bar = document.createElement("div");
      bar.id = "bf-walk"; bar.className = "bf walkbar";
      place.before(bar);
    }
    const button = (act, more, label, off) =>
      `<button class="link" data-act="${act}" ${more} ${off ? "disabled" : ""}>${label}</button>`;
    bar.innerHTML = `<span class="meta num">disagreement ${index + 1} of ${count}</span>`
      + button("walk", 'data-step="-1"', "\u2190 previous <kbd>[</kbd>", index === 0)
      + button("walk", 'data-step="1"', "next <kbd>]</kbd> \u2192", index + 1 === count)
      + button("view", 'data-view="disagree"', "back to the list", false);
    // where the query came from and who found that passage: else nobody knows what was right
    const told = walked()[index] && $(".meta", walked()[index]);
    if (told) { const copy = told.cloneNode(true); copy.classList.add("from"); bar.append(copy); }
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.closest && event.target.closest("#bf-query")) {
      showWalk(null);
      if (!event.shiftKey) asking(event.target.value);
    }
  }, true);
  function focusColumn(index) {
    showColumn(index);
    const list = cards(false);
    const same = list.find((card) => card.dataset.pid === state.pid) || list[0];
    if (same) { same.focus(); same.scrollIntoView({ block: "nearest" }); }
  }
  function help() {
    const dialog = $("#bf-help-dialog");
    if (dialog && !dialog.open) dialog.showModal();
  }

  /* -- views ------------------------------------------------------------------------------------ */
  function view(name) {
    const order = $$(".nav [data-view]").map((node) => node.dataset.view);
    const tabs = $$("#bf-views > .tab-wrapper [role=tab], #bf-views [role=tablist] [role=tab]");
    const at = order.indexOf(name);
    if (at >= 0 && tabs[at] && tabs[at].getAttribute("aria-selected") !== "true") tabs[at].click();
    $$(".nav [data-view]").forEach((node) => {
      if (node.dataset.view === name) node.setAttribute("aria-current", "page");
      else node.removeAttribute("aria-current");
    });
    if (name !== "compare") document.body.classList.remove("pane", "pane-lex");
    address({
      v: name === "compare" ? "" : name,
      ...(name === "compare" ? {} : name === "laboratory" ? { g: "" } : { p: "", g: "" }),
      ...(name === "laboratory" ? {} : { x: "", i: "" }),
    });
    linesSoon();
  }

  async function laboratoryTab(name) {
    // The tabs inside a view, and what is in them, are not there before they were opened once.
    const named = () => $$("#bf-lab-tabs [role=tab]").find((node) => node.textContent.trim() === name);
    const tab = await until(named);
    if (tab) tab.click();
    return until(() => $$('#bf-lab-tabs button[id$="-run"]').find((node) => node.offsetParent));
  }

  /* -- acting on a click -------------------------------------------------------------------------- */
  function setText(selector, value) {
    const box = $(`${selector} textarea, ${selector} input`);
    if (!box) return false;
    const proto = box.tagName === "TEXTAREA" ? HTMLTextAreaElement.prototype : HTMLInputElement.prototype;
    Object.getOwnPropertyDescriptor(proto, "value").set.call(box, value);
    box.dispatchEvent(new Event("input", { bubbles: true }));
    return true;
  }
  /* From the question to the first sign of its answer, what stands there is of another question. */
  let busyTimer = 0;
  function busy(on) {
    clearTimeout(busyTimer);
    document.body.classList.toggle("busy", on);
    if (on) busyTimer = setTimeout(() => busy(false), 15000);
  }
  const redrawn = (record) => record.target.closest && (record.target.closest("#bf-columns .bf")
    || (record.target.closest("#bf-columns") && [...record.addedNodes].some((node) => node.matches && node.matches(".bf"))));
  function asking(text) {
    if (!text.trim()) return;
    // The same question again may be answered by the very same page: no news would end the wait.
    busy(text !== state.asked || document.body.classList.contains("stale") || !$("#bf-columns .hit[data-pid]"));
    address({ q: text, v: "", c: "", p: "", g: "", x: "", i: "" });
    state.asked = text; state.kept = "";
  }
  function ask(text) {
    asking(text);
    view("compare");
    $$(".examples details[open]").forEach((node) => { node.open = false; });
    setText("#bf-query", text);
    send("ask", { text });
  }
  function act(node, event) {
    const data = node.dataset;
    const go = {
      pick: () => {
        const column = node.closest(".col");
        if (column) state.col = +column.dataset.col;
        select(data.pid);
      },
      page: () => {
        address({ g: data.page }, { push: false });
        send("page", { pid: state.pid || node.closest(".pane").dataset.pid, page: +data.page });
      },
      close: closePane,
      tab: () => showColumn(+data.index),
      ask: () => {
        const at = walked().indexOf(node);
        if (at >= 0) { walkTo(at); return; }
        showWalk(null);
        ask(data.text);
      },
      walk: () => walkTo(state.walk + +data.step),
      view: () => {
        if (data.text) setText("#bf-query", data.text);
        // after the field's own event, so that the view begins with this query
        setTimeout(() => { view(data.view); if (data.tab) laboratoryTab(data.tab); }, 0);
        closeSidebar();
      },
      equal: () => { view("compare"); send("equal", { ...data }); },
      help, theme,
      again: () => ask($("#bf-query textarea").value),
      "close-help": () => $("#bf-help-dialog").close(),
      remove: () => { if (confirm(`Remove ${data.name} from this library?`)) send("remove", { doc: data.doc }); },
      drop: () => { const input = $("#bf-drop input[type=file]"); if (input) input.click(); },
    };
    if (go[data.act]) go[data.act]();
    else send(data.act.replaceAll("-", "_"), { ...data });
    if (event && node.tagName !== "SUMMARY") event.stopPropagation();
  }
  document.addEventListener("click", (event) => {
    const node = event.target.closest && event.target.closest("[data-act]");
    if (node && !node.disabled) act(node, event);
    if (event.target.closest && event.target.closest("#bf-go")) { showWalk(null); asking($("#bf-query textarea").value); }
    const experiment = event.target.closest && event.target.closest("#bf-lab-tabs [role=tab]");
    if (experiment && now("x") !== experiment.textContent.trim()) address({ x: experiment.textContent.trim(), i: "" }, { push: false });
    if (event.target.closest && event.target.closest("#bf-apply")) {
      // What comes of it, progress or a word, stands above every view: out of sight from here.
      const above = $("#bf-work");
      if (above) setTimeout(() => above.scrollIntoView({ block: "start", behavior: "smooth" }), 250);
    }
    if (!event.target.closest || !event.target.closest(".examples"))
      $$(".examples details[open]").forEach((open) => { open.open = false; });
  });
  document.addEventListener("toggle", (event) => {
    if (event.target.open && event.target.closest && event.target.closest(".examples"))
      $$(".examples details[open]").forEach((open) => { if (open !== event.target) open.open = false; });
    linesSoon();
    reachScrollers();
  }, true);
  document.addEventListener("submit", (event) => {
    const form = event.target.closest(".ask-file");
    if (!form) return;
    event.preventDefault();
    const field = $("[name=answer]", form);
    send(form.dataset.ask, { token: form.dataset.token, answer: field.value });
    if (form.dataset.ask === "password") field.value = "";
  }, true);

  /* -- hovering ------------------------------------------------------------------------------------- */
  const tip = document.createElement("div");
  tip.className = "tip"; tip.hidden = true; tip.setAttribute("role", "tooltip");
  document.body.append(tip);
  document.addEventListener("pointerover", (event) => {
    const node = event.target.closest && event.target.closest("[data-pid]");
    if (node && node.matches(".hit, .pt")) hover(node.dataset.pid, true);
    const told = event.target.closest && event.target.closest("[data-tip]");
    if (told) { tip.textContent = told.dataset.tip; tip.style.whiteSpace = "pre-line"; tip.hidden = false; placeTip(event); }
  });
  document.addEventListener("pointermove", (event) => { if (!tip.hidden) placeTip(event); });
  document.addEventListener("pointerout", (event) => {
    const node = event.target.closest && event.target.closest("[data-pid]");
    if (node) hover(node.dataset.pid, false);
    if (event.target.closest && event.target.closest("[data-tip]")) tip.hidden = true;
  });
  function placeTip(event) {
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(event.clientX + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 18}px`;
  }

  /* -- theme ------------------------------------------------------------------------------------------- */
  function theme() {
    const dark = !document.body.classList.contains("dark");
    document.body.classList.toggle("dark", dark);
    try { localStorage.setItem("bifocal-theme", dark ? "dark" : "light"); } catch { /* private mode */ }
  }
  try {
    const kept = localStorage.getItem("bifocal-theme");
    if (kept && !new URLSearchParams(location.search).has("__theme"))
      document.body.classList.toggle("dark", kept === "dark");
  } catch { /* private mode */ }

  /* -- what the server asks of the page ------------------------------------------------------------------ */
  function run(command) {
    if (!command || !command.do) return;
    const known = {
      download: () => {
        const url = URL.createObjectURL(new Blob([command.text], { type: `${command.mime};charset=utf-8` }));
        const link = document.createElement("a");
        link.href = url; link.download = command.name;
        document.body.append(link); link.click(); link.remove();
        setTimeout(() => URL.revokeObjectURL(url), 10000);
      },
      link: () => {
        state.kept = command.comparison;
        state.asked = "";
        address({ w: command.library, c: command.comparison, q: "" });
      },
      at: () => address(command.to, { push: false }),
      view: () => view(command.view),
      query: () => setText("#bf-query", command.text),
      chosen: () => { const list = $(".map .listed"); if (list) list.innerHTML = command.html; reachScrollers(); },
    };
    if (known[command.do]) known[command.do]();
  }

  function closeSidebar() {
    const toggle = innerWidth < 1100 && $(".sidebar.open .toggle-button");
    if (toggle) toggle.click();
  }

  /* -- files dropped anywhere --------------------------------------------------------------------------- */
  /* Files chosen before the server knows this page wait until it does. */
  document.addEventListener("change", (event) => {
    if (document.body.dataset.library || !event.target.matches("#bf-drop input, #bf-folder input")) return;
    event.stopImmediatePropagation();
    until(() => document.body.dataset.library).then(() => event.target.dispatchEvent(new Event("change", { bubbles: true })));
  }, true);
  const withFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  const dropping = (on) => {
    const words = $(".adding");
    if (words) document.body.dataset.drop = words.dataset.drop;
    document.body.classList.toggle("dropping", on);
  };
  document.addEventListener("dragover", (event) => {
    if (withFiles(event)) { event.preventDefault(); dropping(true); }
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) dropping(false); });
  document.addEventListener("drop", (event) => {
    if (!withFiles(event)) return;
    event.preventDefault();
    dropping(false);
    const input = $("#bf-drop input[type=file]");
    if (!input || !event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });

  /* -- the map: its script comes with it ------------------------------------------------------------------ */
  function drawMap() {
    const map = $(".map");
    if (!map || map.querySelector("canvas").drawn === map.dataset.map) return;
    map.querySelector("canvas").drawn = map.dataset.map;
    if (!window.bifocalMap) {
      const script = document.createElement("script");
      script.textContent = atob(map.dataset.code);
      document.head.append(script);
    }
    window.bifocalMap(map, { send, select, tip, placeTip });
  }

  /* -- keeping up with what changes ------------------------------------------------------------------------ */
  let lastGrid = null, scrollers = 0;
  /* The library as its list of documents says it is: an answer is about the one it was asked of. */
  const corpus = () => ($("#bf-documents .bf") || { textContent: "" }).textContent;  // without the toolkit's clock
  /* What scrolls can be reached by key. */
  const reachScrollers = () => $$(".scroll-x, pre.exact").forEach((node) => {
    if (node.scrollWidth > node.clientWidth || node.scrollHeight > node.clientHeight) node.tabIndex = 0;
    else node.removeAttribute("tabindex");
  });
  new MutationObserver((records) => {
    // What this script draws itself is no news to it.
    if (records.every((record) => record.target.closest && record.target.closest("svg.lines, svg.over, .tip"))) return;
    if (document.body.classList.contains("busy") && records.some(redrawn)) { busy(false); state.corpus = corpus(); }
    const answer = $("#bf-columns .hit[data-pid]");
    if (!answer) state.corpus = "";
    else if (!state.corpus) state.corpus = corpus();
    document.body.classList.toggle("stale", Boolean(answer) && state.corpus !== corpus());
    const grid = $("#bf-columns .columns-grid");
    if (grid !== lastGrid) {
      lastGrid = grid;
      if (grid && !grid.classList.contains("skeleton")) {
        showColumn(Math.min(state.col, $$(".col", grid).length - 1));
        if (state.pid && !byPid(state.pid).some((node) => node.matches(".hit"))) { clearSelected(); closePane(); }
        else if (state.pid) select(state.pid, { ask: false });
      }
      if (grid) sizes.observe(grid);
    } else if (grid && !grid.classList.contains("skeleton")) {
      // The toolkit may renew the cards inside the grid it has: they forget what was chosen.
      const columns = $$(".col", grid);
      if (!columns[state.col]?.classList.contains("shown")) showColumn(Math.min(state.col, columns.length - 1));
      if (state.pid && !$(".hit.sel", grid) && byPid(state.pid).some((node) => node.matches(".hit"))) select(state.pid, { ask: false });
    }
    aboutSelected();
    drawMap();
    linesSoon();
    // A long list of choices is no stop of its own: it closes under the focus.
    $$(".options, ul[role=listbox]").forEach((node) => { node.tabIndex = -1; });
    clearTimeout(scrollers);
    scrollers = setTimeout(reachScrollers, 300);
  }).observe(document.body, { childList: true, subtree: true });
  const sizes = new ResizeObserver(linesSoon);
  addEventListener("resize", linesSoon);
  const scrolled = () => document.body.classList.toggle("scrolled", scrollY > 60);
  addEventListener("scroll", scrolled, { passive: true });
  document.fonts && document.fonts.ready.then(linesSoon);

  until(() => $("#bf-blank .blank, #bf-columns .results, #bf-columns .fail") && document.body.dataset.library).then(() => {
    state.kept = now("c");
    if (before.get("w") && before.get("w") !== document.body.dataset.library) return;  // of somebody else, or gone
    follow(before, { fresh: true });
  });
  window.bifocal = { send, select, run, view, ask, drawLines, inLibrary };
}
