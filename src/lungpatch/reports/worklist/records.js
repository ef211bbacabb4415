// The records, and what is chosen of them.

const byId = (id) => document.getElementById(id);

const STATUS_WORDS = {
  ok: "scored",
  no_lungs: "no lungs found",
  no_patches: "too little lung",
  out_of_scope: "out of scope",
  error: "failed",
};
const OUTSIDE = new Set(["out_of_scope", "error"]);

const DATA = window.LUNGPATCH_WORKLIST ?? null;
const MAKERS = DATA?.makers ?? [];

function textForSearch(text) {
  return text.normalize("NFC").toLowerCase();
}

function makeRecords(columns) {
  return columns.image.map((image, index) => {
    const parts = image.split(/[/\\]/);
    // In large archives the names of the files begin with a folder.
    const name = columns.name[index]?.split("/").pop() ?? null;
    const file = parts.pop() || image;
    // Devices call all their files alike; the name of the results is unique.
    const label = name !== null && !file.startsWith(name) ? name : file;
    const regions = (columns.regions[index] ?? []).map(([text, sides, zones]) => ({
      text, sides, zones,
    }));
    return {
      index, image, label, regions,
      folder: parts.join("/"),
      search: textForSearch(`${image}\n${name ?? ""}`),
      maker: MAKERS[columns.maker[index]] ?? null,
      status: columns.status[index],
      why: columns.why[index],
      score: columns.score[index],
      p: columns.p[index],
      decided: columns.flagged[index],
      threshold: columns.threshold[index],
      regionThreshold: columns.region_threshold[index],
      boxes: columns.boxes[index] ?? [],
      boxPs: columns.box_p_values[index] ?? [],
      summary: columns.summary[index] ?? [],
      reading: columns.reading[index] ?? [],
      views: columns.views[index],
      overlay: columns.overlay[index],
      uids: columns.uids[index] ?? [],
      seconds: columns.seconds[index],
    };
  });
}

const RECORDS = DATA ? makeRecords(DATA.columns) : [];

// null: as the records say.
let rate = null;

function isFlagged(record) {
  if (rate === null) return record.decided;
  return record.p === null ? null : record.p <= rate;
}

const filters = { outside: false, terms: [], status: "", flagged: "", side: "", zone: "", read: "" };

function passes(record) {
  if (OUTSIDE.has(record.status) !== filters.outside) return false;
  if (filters.status && record.status !== filters.status) return false;
  if (!filters.terms.every((term) => record.search.includes(term))) return false;
  if (filters.read && (verdictOf(record).verdict || "unread") !== filters.read) return false;
  if (filters.outside) return true;
  if (filters.flagged && isFlagged(record) !== (filters.flagged === "yes")) return false;
  if (!filters.side && !filters.zone) return true;
  return record.regions.some(
    ({ sides, zones }) =>
      (!filters.side || sides.includes(filters.side)) &&
      (!filters.zone || zones.includes(filters.zone)),
  );
}

const order = { key: "p", descending: false };

const collator = new Intl.Collator("en", { numeric: true });
const byName = (a, b) => collator.compare(a.label, b.label) || a.index - b.index;
const VALUES = { p: (r) => r.p, score: (r) => r.score, boxes: (r) => r.boxes.length };

function compare(a, b) {
  const sign = order.descending ? -1 : 1;
  if (order.key === "label") return sign * byName(a, b);
  const value = VALUES[order.key];
  const [left, right] = [value(a), value(b)];
  // What has no value comes last in both directions.
  if ((left === null) !== (right === null)) return left === null ? 1 : -1;
  if (left !== right && left !== null) return sign * (left - right);
  if (a.score !== b.score && a.score !== null && b.score !== null) return b.score - a.score;
  return byName(a, b);
}

function chooseRecords() {
  return RECORDS.filter(passes).sort(compare);
}

function formatNumber(value, digits) {
  return value === null ? "" : String(Number(value.toPrecision(digits)));
}

function formatP(p) {
  if (p === null) return "";
  return p >= 0.1 ? p.toFixed(2) : p >= 0.001 ? p.toFixed(3) : p.toPrecision(1);
}

function formatPercent(fraction) {
  return `${Number((100 * fraction).toPrecision(fraction < 0.1 ? 2 : 3))} %`;
}
