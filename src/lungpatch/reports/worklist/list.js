// The list: only the rows in view are in the document, so that any number scrolls smoothly.

const ROW_HEIGHT = 68;
const OVERSCAN = 6;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const list = {
  records: [],
  selected: null,
  drawn: new Map(),
  spare: [],
  onSelect: () => {},

  // Height of the part that rows are seen in, below the heads of the columns.
  viewHeight() {
    return byId("grid").clientHeight - byId("columns").offsetHeight;
  },

  show(records) {
    this.records = records;
    this.positions = new Map(records.map((record, position) => [record, position]));
    byId("rows").style.height = `${records.length * ROW_HEIGHT}px`;
    byId("grid").setAttribute("aria-rowcount", records.length + 1);
    byId("empty").hidden = records.length > 0;
    byId("grid").hidden = records.length === 0;
    this.redraw();
  },

  positionOf(record) {
    return this.positions.get(record) ?? -1;
  },

  redraw() {
    for (const row of this.drawn.values()) this.spare.push(row);
    this.drawn.clear();
    this.draw();
  },

  draw() {
    const { scrollTop } = byId("grid");
    const first = Math.max(0, Math.floor(scrollTop / ROW_HEIGHT) - OVERSCAN);
    const last = Math.min(
      this.records.length,
      Math.ceil((scrollTop + this.viewHeight()) / ROW_HEIGHT) + OVERSCAN,
    );
    for (const [position, row] of this.drawn) {
      if (position < first || position >= last) {
        this.drawn.delete(position);
        this.spare.push(row);
      }
    }
    for (let position = first; position < last; position += 1) {
      if (!this.drawn.has(position)) {
        const row = this.spare.pop() ?? makeRow();
        fillRow(row, this.records[position], position);
        this.drawn.set(position, row);
        if (!row.isConnected) byId("rows").append(row);
      }
    }
    for (const row of this.spare) row.remove();
    this.markSelected();
  },

  markSelected() {
    const position = this.positionOf(this.selected);
    for (const [each, row] of this.drawn) row.setAttribute("aria-selected", each === position);
    if (this.drawn.has(position)) {
      byId("grid").setAttribute("aria-activedescendant", this.drawn.get(position).id);
    } else {
      byId("grid").removeAttribute("aria-activedescendant");
    }
  },

  select(record, { reveal = true } = {}) {
    this.selected = record;
    if (reveal && record) this.reveal(this.positionOf(record));
    this.markSelected();
    this.onSelect(record);
  },

  reveal(position) {
    const grid = byId("grid");
    const top = position * ROW_HEIGHT;
    const bottom = top + ROW_HEIGHT - this.viewHeight();
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (bottom > grid.scrollTop) grid.scrollTop = bottom;
    this.draw();
  },

  move(steps) {
    if (!this.records.length) return;
    const position = this.positionOf(this.selected);
    const next = position < 0 ? 0 : position + steps;
    const clipped = Math.min(Math.max(next, 0), this.records.length - 1);
    if (clipped !== position) this.select(this.records[clipped]);
  },

  refresh(record) {
    const row = this.drawn.get(this.positionOf(record));
    if (row) fillRow(row, record, this.positionOf(record));
    this.markSelected();
  },
};

let rowCount = 0;

function makeRow() {
  const row = element("div", "row row-grid");
  row.id = `row-${(rowCount += 1)}`;
  row.setAttribute("role", "row");
  const cells = ["thumb", "image", "p number", "score number", "n-boxes number", "marks"].map(
    (className) => element("span", className),
  );
  for (const cell of cells) cell.setAttribute("role", "gridcell");
  const [thumb, image] = cells;
  const picture = element("img");
  picture.alt = "";
  picture.decoding = "async";
  picture.addEventListener("error", () => {
    picture.removeAttribute("src");
    picture.replaceWith("no image");
  });
  const name = element("bdi", "name");
  image.append(name, element("span", "words"));
  row.append(...cells);
  row.parts = { thumb, picture, name, words: image.lastChild, cells };
  row.addEventListener("click", () => list.select(row.record, { reveal: false }));
  return row;
}

function wordsOf(record) {
  if (record.why) return record.why;
  if (record.regions.length) {
    const more = record.regions.length - 1;
    return record.regions[0].text + (more ? `; and ${more} more` : "");
  }
  return record.summary.join("; ");
}

function fillRow(row, record, position) {
  const { thumb, picture, name, words, cells } = row.parts;
  row.record = record;
  row.style.transform = `translateY(${position * ROW_HEIGHT}px)`;
  row.setAttribute("aria-rowindex", position + 2);
  thumb.textContent = "";
  if (record.views) {
    const url = `worklist/${record.views}.thumbnail.jpg`;
    if (picture.getAttribute("src") !== url) {
      // Not the picture of another image, not even for a moment.
      picture.removeAttribute("src");
      picture.src = url;
    }
    thumb.append(picture);
  } else {
    thumb.textContent = "no image";
  }
  name.textContent = record.label;
  name.title = record.image;
  words.textContent = wordsOf(record);
  cells[2].textContent = formatP(record.p);
  cells[3].textContent = formatNumber(record.score, 4);
  cells[4].textContent = record.status === "ok" ? record.boxes.length : "";
  const marks = [];
  if (record.status !== "ok") marks.push(element("span", "chip", STATUS_WORDS[record.status]));
  if (isFlagged(record)) marks.push(element("span", "chip flagged", "flagged"));
  const { verdict, note } = verdictOf(record);
  if (verdict) marks.push(element("span", `chip ${verdict}`, verdict));
  else if (note) marks.push(element("span", "chip", "note"));
  cells[5].replaceChildren(...marks);
}
