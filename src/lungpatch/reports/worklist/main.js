// Wires the list, the viewer and the controls together.

const narrow = matchMedia("(max-width: 900px)");
const TABS = ["tab-list", "tab-outside", "tab-made"];

function openViewer() {
  document.body.classList.toggle("viewing", narrow.matches);
  if (narrow.matches) byId("viewer-title").focus();
  viewer.layout();
}

function closeViewer() {
  if (!document.body.classList.contains("viewing")) return;
  document.body.classList.remove("viewing");
  byId("grid").focus();
  list.draw();
}

list.onSelect = (record) => {
  viewer.show(record);
  const position = list.positionOf(record);
  byId("position").textContent = position < 0 ? "" : `${position + 1} of ${list.records.length}`;
  byId("previous").disabled = position <= 0;
  byId("next").disabled = position < 0 || position >= list.records.length - 1;
  const following = list.records[position + 1];
  if (record && following?.views) new Image().src = `worklist/${following.views}.view.jpg`;
};

function update({ reveal = true } = {}) {
  list.show(chooseRecords());
  const kept = list.positionOf(list.selected) >= 0;
  if (!kept) byId("grid").scrollTop = 0;
  list.select(kept ? list.selected : (list.records[0] ?? null), { reveal });
  count();
}

function plural(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

function count() {
  const inside = RECORDS.filter((record) => !OUTSIDE.has(record.status));
  const flagged = inside.filter(isFlagged).length;
  const read = RECORDS.filter((record) => verdictOf(record).verdict).length;
  const shown = list.records.length;
  const all = filters.outside ? RECORDS.length - inside.length : inside.length;
  byId("counts").textContent =
    `${plural(RECORDS.length, "image")}, ${flagged} flagged, ${read} read` +
    (shown < all ? `; ${shown} shown` : "");
  byId("empty").textContent = all ? "No image passes these filters." : "There are none.";
  byId("tab-list").lastElementChild.textContent = inside.length;
  byId("tab-outside").lastElementChild.textContent = RECORDS.length - inside.length;
  byId("export").disabled = verdicts.size === 0;
  const scored = inside.filter((record) => record.p !== null).length;
  describeRate(flagged, scored);
}

// The rate

const finest = MAKERS.length ? Math.min(...MAKERS.map((maker) => maker.finest_rate)) : null;
const levels = finest === null ? 0 : Math.round(1 / finest);

function setUpRate() {
  const slider = byId("rate");
  if (!MAKERS.length) {
    byId("rate-note").textContent =
      "No calibration is known (calibrations.json), so the rate cannot be moved.";
    for (const id of ["rate", "rate-reset"]) byId(id).disabled = true;
    return;
  }
  slider.min = 1;
  slider.max = Math.max(1, Math.floor(levels / 2));
  slider.step = 1;
  resetRate();
  slider.addEventListener("input", () => {
    // As p-values are computed, so that equal ones are equal to the last bit.
    rate = Number(slider.value) / levels;
    update({ reveal: false });
  });
  byId("rate-reset").addEventListener("click", () => {
    resetRate();
    update();
  });
}

function resetRate() {
  rate = null;
  const [decided = finest] = MAKERS.flatMap((maker) => maker.decided_rates);
  byId("rate").value = Math.round(decided * levels);
}

function describeRate(flagged, scored) {
  if (!MAKERS.length) return;
  const shown = Number(byId("rate").value) / levels;
  const value = formatPercent(shown);
  const words = rate === null ? decidedWords() : value;
  byId("rate-value").textContent = words;
  byId("rate").setAttribute("aria-valuetext", words);
  byId("rate-reset").disabled = rate === null;
  const ns = MAKERS.map((maker) => `n = ${maker.n} normal patients`).join("; ");
  const note = byId("rate-note");
  note.textContent =
    `${flagged} of ${scored} flagged. Calibrated on ${ns}; finest rate ${formatPercent(finest)}. `;
  if (rate !== null) {
    note.append("To keep it: ");
    note.append(element("code", "", `lungpatch decide FOUND --false-alarm-rate ${rounded(rate)}`));
  }
}

function decidedWords() {
  const rates = [...new Set(MAKERS.flatMap((maker) => maker.decided_rates))];
  return rates.length === 1 ? `${formatPercent(rates[0])}, as decided` : "as decided";
}

// Rounded upwards, since a rate just below a level would be that of the level before.
function rounded(value) {
  const digits = 10 ** Math.max(4, Math.ceil(Math.log10(levels)) + 1);
  return Math.min(0.5, Math.ceil(value * digits - 1e-9) / digits);
}

// Filters and order

function setUpStatus() {
  const select = byId("status");
  const known = Object.keys(STATUS_WORDS).filter((each) => OUTSIDE.has(each) === filters.outside);
  select.replaceChildren(new Option("any", ""));
  for (const status of known) select.append(new Option(STATUS_WORDS[status], status));
}

function readFilters() {
  filters.terms = textForSearch(byId("search").value).split(/\s+/).filter(Boolean);
  for (const key of ["status", "flagged", "side", "zone", "read"]) filters[key] = byId(key).value;
  update();
}

function setUpFilters() {
  const form = byId("filters");
  form.addEventListener("input", readFilters);
  form.addEventListener("reset", () => setTimeout(readFilters));
  form.addEventListener("submit", (event) => event.preventDefault());
}

function showOrder() {
  for (const header of document.querySelectorAll("[data-sort]")) {
    const isKey = header.dataset.sort === order.key;
    header.setAttribute("aria-sort", isKey ? (order.descending ? "descending" : "ascending") : "none");
  }
}

function setUpOrder() {
  for (const header of document.querySelectorAll("[data-sort]")) {
    header.firstElementChild.addEventListener("click", () => {
      const key = header.dataset.sort;
      // First what a reader looks for: the lowest p-values, the highest scores.
      if (order.key === key) order.descending = !order.descending;
      else Object.assign(order, { key, descending: key === "score" || key === "boxes" });
      showOrder();
      list.selected = null;
      update();
    });
  }
  showOrder();
}

// Tabs

function openTab(id) {
  for (const each of TABS) {
    byId(each).setAttribute("aria-selected", each === id);
    byId(each).tabIndex = each === id ? 0 : -1;
  }
  const isMade = id === "tab-made";
  byId("panel-made").hidden = !isMade;
  byId("panel-list").hidden = isMade;
  if (isMade) return;
  byId("panel-list").setAttribute("aria-labelledby", id);
  filters.outside = id === "tab-outside";
  for (const label of document.querySelectorAll("#filters .scored")) label.hidden = filters.outside;
  byId("rate-panel").hidden = filters.outside;
  setUpStatus();
  readFilters();
}

function setUpTabs() {
  for (const id of TABS) byId(id).addEventListener("click", () => openTab(id));
  byId("tab-list").parentElement.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const now = TABS.indexOf(event.target.id);
    if (!step || now < 0) return;
    const id = TABS[(now + step + TABS.length) % TABS.length];
    openTab(id);
    byId(id).focus();
    event.preventDefault();
  });
}

function showHowItWasMade() {
  const panel = byId("panel-made");
  panel.append(element("p", "", DATA.research_use));
  for (const maker of MAKERS) {
    panel.append(element("h2", "", "Pipeline"));
    const facts = element("dl");
    addFact(facts, "Pipeline", bdi(maker.pipeline));
    addFact(facts, "lungpatch", maker.version);
    addFact(facts, "Images", maker.images);
    addFact(facts, "Calibration", `${maker.n} normal patients (${maker.method})`);
    addFact(facts, "Finest rate", formatPercent(maker.finest_rate));
    addFact(facts, "Decided by", maker.rules.join(", "));
    addFact(facts, "Threshold", maker.thresholds.map((each) => formatNumber(each, 4)).join(", "));
    addFact(facts, "Colours", `anomaly scores ${formatNumber(maker.low, 3)} to ${formatNumber(maker.high, 3)}`);
    addFact(facts, "Key", maker.key);
    panel.append(facts);
  }
  if (!MAKERS.length) panel.append(element("p", "", "No calibration is known (calibrations.json)."));
  panel.append(element("h2", "", "Results"));
  const facts = element("dl");
  addFact(facts, "Decided on", DATA.date);
  addFact(facts, "Page by", `lungpatch ${DATA.version}`);
  const statuses = Object.keys(STATUS_WORDS).map((status) => {
    const number = RECORDS.filter((record) => record.status === status).length;
    return number ? `${number} ${STATUS_WORDS[status]}` : null;
  });
  addFact(facts, "Images", statuses.filter(Boolean).join(", "));
  addFact(facts, "Files", "detections.jsonl, detections.csv, calibrations.json");
  panel.append(facts);
}

// Layers, zoom and verdicts

const LAYERS = ["show-map", "show-boxes", "show-lungs", "shortcuts"];

function setUpLayers() {
  const settings = loadSettings();
  for (const id of LAYERS) byId(id).checked = settings[id] ?? true;
  byId("opacity").value = settings.opacity ?? 80;
  const changed = () => {
    viewer.applyLayers();
    const boxes = Object.fromEntries(LAYERS.map((id) => [id, byId(id).checked]));
    saveSettings({ ...boxes, opacity: Number(byId("opacity").value) });
  };
  for (const id of [...LAYERS, "opacity"]) byId(id).addEventListener("input", changed);
  viewer.applyLayers();
}

function setUpZoom() {
  const viewport = byId("viewport");
  byId("zoom-in").addEventListener("click", () => viewer.zoomBy(ZOOM_STEP));
  byId("zoom-out").addEventListener("click", () => viewer.zoomBy(1 / ZOOM_STEP));
  byId("zoom-fit").addEventListener("click", () => viewer.zoomTo(null));
  byId("zoom-native").addEventListener("click", () => viewer.zoomTo(1));
  const place = (event) => {
    const frame = viewport.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  };
  viewport.addEventListener(
    "wheel",
    (event) => {
      if (!viewer.size) return;
      event.preventDefault();
      viewer.zoomBy(ZOOM_STEP ** (-Math.sign(event.deltaY) / 2), ...place(event));
    },
    { passive: false },
  );
  viewport.addEventListener("dblclick", (event) => {
    viewer.zoomTo(viewer.zoom === null ? Math.max(1, 2 * viewer.fitZoom()) : null, ...place(event));
  });
  byId("stage").addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType === "touch") return;
    byId("stage").setPointerCapture(event.pointerId);
    byId("stage").classList.add("dragged");
  });
  byId("stage").addEventListener("pointermove", (event) => {
    if (!byId("stage").hasPointerCapture(event.pointerId)) return;
    viewport.scrollLeft -= event.movementX;
    viewport.scrollTop -= event.movementY;
  });
  byId("stage").addEventListener("lostpointercapture", () => {
    byId("stage").classList.remove("dragged");
  });
  byId("view").addEventListener("load", () => viewer.loaded());
  byId("view").addEventListener("error", () => viewer.failed());
  new ResizeObserver(() => viewer.layout()).observe(viewport);
}

function verdictChanged(change) {
  const { record } = viewer;
  if (!record) return;
  setVerdict(record, change);
  list.refresh(record);
  count();
}

function toggleVerdict(value) {
  if (!viewer.record) return;
  verdictChanged({ verdict: verdictOf(viewer.record).verdict === value ? "" : value });
  showVerdict(viewer.record);
}

function setUpVerdicts() {
  for (const radio of document.getElementsByName("verdict")) {
    radio.addEventListener("change", () => verdictChanged({ verdict: radio.value }));
  }
  byId("note").addEventListener("input", () => verdictChanged({ note: byId("note").value }));
  byId("export").addEventListener("click", exportVerdicts);
  addEventListener("storage", () => {
    loadVerdicts();
    list.redraw();
    count();
    if (viewer.record && document.activeElement !== byId("note")) showVerdict(viewer.record);
  });
}

// Keys

function click(id) {
  return () => byId(id).click();
}

function changeOpacity(step) {
  return () => {
    byId("opacity").value = Number(byId("opacity").value) + step;
    byId("opacity").dispatchEvent(new Event("input", { bubbles: true }));
  };
}

const KEYS = [
  [["j", "n"], "next image", () => list.move(1)],
  [["k", "p"], "previous image", () => list.move(-1)],
  [["+", "="], "zoom in", () => viewer.zoomBy(ZOOM_STEP)],
  [["-"], "zoom out", () => viewer.zoomBy(1 / ZOOM_STEP)],
  [["0"], "whole image", () => viewer.zoomTo(null)],
  [["1"], "pixel by pixel", () => viewer.zoomTo(1)],
  [["m"], "anomaly map on or off", click("show-map")],
  [["[", "]"], "map more transparent, less transparent", null],
  [["b"], "boxes on or off", click("show-boxes")],
  [["l"], "lungs on or off", click("show-lungs")],
  [["x"], "verdict: normal", () => toggleVerdict("normal")],
  [["a"], "verdict: abnormal", () => toggleVerdict("abnormal")],
  [["u"], "verdict: unsure", () => toggleVerdict("unsure")],
  [["t"], "write a note", () => byId("note").focus()],
  [["/"], "search by name", () => byId("search").focus()],
  [["?"], "this help", () => byId("help").showModal()],
];
const ACTIONS = new Map(KEYS.flatMap(([keys, , action]) => keys.map((key) => [key, action])));
ACTIONS.set("[", changeOpacity(-10)).set("]", changeOpacity(10));

const LIST_STEPS = {
  ArrowDown: () => 1,
  ArrowUp: () => -1,
  PageDown: () => Math.max(1, Math.floor(list.viewHeight() / ROW_HEIGHT)),
  PageUp: () => -Math.max(1, Math.floor(list.viewHeight() / ROW_HEIGHT)),
  Home: () => -list.records.length,
  End: () => list.records.length,
};

function setUpKeys() {
  for (const [keys, words] of KEYS) {
    const row = element("tr");
    const head = element("th");
    head.scope = "row";
    keys.forEach((key, index) => {
      if (index) head.append(" ");
      head.append(element("kbd", "", key.toUpperCase()));
    });
    row.append(head, element("td", "", words));
    byId("keys").append(row);
  }
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    const { target } = event;
    const writes = target.matches("textarea, select, input[type=search]");
    if (event.key === "Escape") {
      if (writes) target.blur();
      else closeViewer();
      return;
    }
    if (writes || !byId("shortcuts").checked) return;
    const action = ACTIONS.get(event.key.length === 1 ? event.key.toLowerCase() : event.key);
    if (!action) return;
    action();
    event.preventDefault();
  });
  byId("grid").addEventListener("keydown", (event) => {
    if (event.target !== byId("grid")) return;
    if (event.key === "Enter") openViewer();
    else if (LIST_STEPS[event.key]) list.move(LIST_STEPS[event.key]());
    else return;
    event.preventDefault();
  });
}

function setUpList() {
  let waiting = false;
  const draw = () => {
    waiting = false;
    list.draw();
  };
  byId("grid").addEventListener("scroll", () => {
    if (!waiting) requestAnimationFrame(draw);
    waiting = true;
  });
  byId("rows").addEventListener("click", (event) => {
    if (event.target.closest(".row")) openViewer();
  });
  new ResizeObserver(() => list.draw()).observe(byId("grid"));
  byId("back").addEventListener("click", closeViewer);
  byId("previous").addEventListener("click", () => list.move(-1));
  byId("next").addEventListener("click", () => list.move(1));
  narrow.addEventListener("change", () => document.body.classList.remove("viewing"));
}

function folderName() {
  const name = location.pathname.split("/").at(-2) ?? "";
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function start() {
  byId("folder").textContent = folderName();
  document.title = `Worklist: ${folderName()}`;
  if (!DATA) {
    warn("worklist/data.js is missing: copy the whole folder, or run lungpatch worklist again.");
    byId("viewer-title").firstChild.textContent = "No image chosen";
    return;
  }
  loadVerdicts();
  showHowItWasMade();
  setUpLayers();
  setUpZoom();
  setUpVerdicts();
  setUpTabs();
  setUpOrder();
  setUpFilters();
  setUpKeys();
  setUpList();
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  setUpRate();
  openTab("tab-list");
}

start();
