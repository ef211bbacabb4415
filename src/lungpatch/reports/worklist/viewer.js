// The viewer: one image on its native grid, and what was found in it on top.

const SVG = "http://www.w3.org/2000/svg";
const MIN_ZOOM = 0.01;
const MAX_ZOOM = 16;
const ZOOM_STEP = 1.25;

const viewer = {
  record: null,
  size: null, // native width and height; null while nothing is shown
  zoom: null, // screen pixels per native pixel; null: the whole image
  chosen: null, // index of the region that is marked

  show(record) {
    if (record && record === this.record) {
      byId("finding").replaceChildren(...findingOf(record));
      return;
    }
    this.record = record;
    this.size = null;
    this.zoom = null;
    this.chosen = null;
    const title = byId("viewer-title").firstChild;
    title.textContent = record ? record.label : "No image chosen";
    title.title = record ? record.image : "";
    // Never an image under the name of another: hidden until its own is there.
    byId("stage").hidden = true;
    byId("viewer-message").textContent = "";
    for (const id of ["map", "lungs", "view"]) byId(id).removeAttribute("src");
    byId("viewer").classList.toggle("unused", !record);
    showFindings(record);
    if (record) this.load(record);
    this.drawBoxes();
    this.drawColours();
    this.layout();
  },

  load(record) {
    if (!record.views) {
      byId("viewer-message").textContent =
        record.why ?? "No view of this image was written: detect it again, with overlays.";
      return;
    }
    const base = `worklist/${record.views}`;
    byId("view").alt = `Radiograph ${record.label}`;
    byId("view").src = `${base}.view.jpg`;
    byId("map").src = `${base}.map.png`;
    byId("lungs").src = `${base}.lungs.svg`;
  },

  loaded() {
    const { naturalWidth, naturalHeight } = byId("view");
    this.size = { width: naturalWidth, height: naturalHeight };
    byId("stage").hidden = false;
    this.drawBoxes();
    this.layout();
  },

  failed() {
    if (byId("view").hasAttribute("src")) {
      byId("viewer-message").textContent =
        "The file of this image is missing: copy the whole folder, or detect again.";
    }
  },

  fitZoom() {
    const { clientWidth, clientHeight } = byId("viewport");
    return Math.max(
      MIN_ZOOM, Math.min(clientWidth / this.size.width, clientHeight / this.size.height),
    );
  },

  layout() {
    const zooms = ["zoom-in", "zoom-out", "zoom-fit", "zoom-native"].map(byId);
    for (const button of zooms) button.disabled = !this.size;
    byId("zoom-value").textContent = "";
    if (!this.size) return;
    const zoom = this.zoom ?? this.fitZoom();
    byId("viewport").style.overflow = this.zoom === null ? "hidden" : "auto";
    byId("stage").style.width = `${Math.floor(this.size.width * zoom)}px`;
    byId("stage").style.height = `${Math.floor(this.size.height * zoom)}px`;
    byId("zoom-value").textContent = `${Math.round(100 * zoom)} %`;
  },

  // Keeps the point at (x, y) of the viewport where it is.
  zoomTo(zoom, x, y) {
    if (!this.size) return;
    const viewport = byId("viewport");
    const before = byId("stage").getBoundingClientRect();
    const frame = viewport.getBoundingClientRect();
    const clientX = frame.left + (x ?? viewport.clientWidth / 2);
    const clientY = frame.top + (y ?? viewport.clientHeight / 2);
    const u = (clientX - before.left) / before.width;
    const v = (clientY - before.top) / before.height;
    this.zoom = zoom === null ? null : Math.min(Math.max(zoom, MIN_ZOOM), MAX_ZOOM);
    this.layout();
    const after = byId("stage").getBoundingClientRect();
    viewport.scrollLeft += after.left + u * after.width - clientX;
    viewport.scrollTop += after.top + v * after.height - clientY;
  },

  zoomBy(factor, x, y) {
    if (this.size) this.zoomTo((this.zoom ?? this.fitZoom()) * factor, x, y);
  },

  drawBoxes() {
    const svg = byId("boxes");
    svg.replaceChildren();
    byId("labels").replaceChildren();
    if (!this.size) return;
    const { width, height } = this.size;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("preserveAspectRatio", "none");
    this.record.boxes.forEach(([row0, col0, row1, col1], index) => {
      const group = document.createElementNS(SVG, "g");
      if (index === this.chosen) group.setAttribute("class", "chosen");
      for (const kind of ["halo", "line"]) {
        const rect = document.createElementNS(SVG, "rect");
        const place = { x: col0, y: row0, width: col1 - col0, height: row1 - row0, class: kind };
        for (const [key, value] of Object.entries(place)) rect.setAttribute(key, value);
        group.append(rect);
      }
      svg.append(group);
      const label = element("span", index === this.chosen ? "chosen" : "", index + 1);
      label.style.left = `${(100 * col0) / width}%`;
      label.style.top = `${(100 * row0) / height}%`;
      if (row0 < 0.05 * height) label.classList.add("inside");
      byId("labels").append(label);
    });
  },

  drawColours() {
    const colours = byId("colours");
    const { record } = this;
    const maker = record?.maker;
    colours.hidden = !maker || record.score === null;
    if (colours.hidden) return;
    const [low, bar, high] = colours.children;
    low.textContent = formatNumber(maker.low, 3);
    high.textContent = formatNumber(maker.high, 3);
    bar.style.background = `linear-gradient(to right, ${DATA.colours.join(", ")})`;
    const threshold = record.regionThreshold;
    bar.firstChild.hidden = threshold === null;
    let words = `Colours from ${low.textContent} to ${high.textContent}`;
    if (threshold !== null) {
      const place = (threshold - maker.low) / (maker.high - maker.low);
      bar.firstChild.style.left = `${100 * Math.min(Math.max(place, 0), 1)}%`;
      words += `; the mark is the region threshold, ${formatNumber(threshold, 3)}`;
    }
    colours.title = words;
    colours.setAttribute("aria-label", words);
  },

  applyLayers() {
    const opacity = Number(byId("opacity").value);
    byId("opacity-value").textContent = `${opacity} %`;
    byId("map").style.opacity = opacity / 100;
    byId("map").hidden = !byId("show-map").checked;
    byId("lungs").hidden = !byId("show-lungs").checked;
    byId("boxes").toggleAttribute("hidden", !byId("show-boxes").checked);
    byId("labels").hidden = !byId("show-boxes").checked;
  },

  choose(index) {
    this.chosen = this.chosen === index ? null : index;
    for (const button of byId("regions").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", Number(button.dataset.index) === this.chosen);
    }
    this.drawBoxes();
  },
};

function findingOf(record) {
  const parts = [];
  const flagged = isFlagged(record);
  const word = flagged === null ? STATUS_WORDS[record.status] : flagged ? "flagged" : "not flagged";
  parts.push(element("span", flagged ? "chip flagged" : "chip other", word));
  if (record.p !== null) {
    parts.push(
      ` p = ${formatP(record.p)}: about ${formatPercent(record.p)} of normal images score as high. `,
    );
  }
  if (record.score !== null) parts.push(` Score ${formatNumber(record.score, 4)}.`);
  return parts;
}

function showFindings(record) {
  byId("finding").replaceChildren(...(record ? findingOf(record) : []));
  byId("regions").replaceChildren();
  byId("summary").textContent = "";
  byId("facts").replaceChildren();
  byId("verdict").disabled = !record;
  if (!record) return;
  record.regions.forEach(({ text }, index) => {
    const button = element("button");
    button.type = "button";
    button.dataset.index = index;
    button.setAttribute("aria-pressed", "false");
    const words = element("span", "", text);
    const p = record.boxPs[index];
    if (p !== undefined) words.append(" ", element("span", "p", `p = ${formatP(p)}`));
    button.append(element("span", "index", index + 1), words);
    button.addEventListener("click", () => viewer.choose(index));
    const item = element("li");
    item.append(button);
    byId("regions").append(item);
  });
  if (!record.regions.length) {
    // Why there is nothing to look at stands in its place.
    const why = record.views ? record.why : null;
    byId("summary").textContent = [why, ...record.summary].filter(Boolean).join("; ");
  }
  showFacts(record);
  showVerdict(record);
}

function addFact(terms, term, ...values) {
  if (values.every((value) => value === null || value === undefined || value === "")) return;
  const description = element("dd");
  description.append(...values);
  terms.append(element("dt", "", term), description);
}

function bdi(text) {
  return element("bdi", "", text);
}

function showFacts(record) {
  const facts = byId("facts");
  addFact(facts, "File", bdi(record.image));
  addFact(facts, "Status", STATUS_WORDS[record.status]);
  if (record.why) addFact(facts, "Reason", bdi(record.why));
  addFact(facts, "Threshold", formatNumber(record.threshold, 4));
  addFact(facts, "Region threshold", formatNumber(record.regionThreshold, 4));
  if (record.reading.length) addFact(facts, "Reading", bdi(record.reading.join("; ")));
  if (record.maker) addFact(facts, "Pipeline", bdi(record.maker.pipeline));
  DATA.uid_keywords.forEach((keyword, index) => addFact(facts, keyword, record.uids[index]));
  if (record.seconds !== null) addFact(facts, "Time", `${formatNumber(record.seconds, 2)} s`);
  if (record.overlay) {
    const link = element("a", "", "overlay");
    link.href = record.overlay;
    link.target = "_blank";
    addFact(facts, "Rendering", link);
  }
}

function showVerdict(record) {
  const { verdict, note } = verdictOf(record);
  for (const radio of document.getElementsByName("verdict")) radio.checked = radio.value === verdict;
  byId("note").value = note;
}
