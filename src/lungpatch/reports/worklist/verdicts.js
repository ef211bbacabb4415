// A reader's own verdicts and notes: kept in the browser, exported as CSV.

// All pages from files share one storage, so the keys name this page.
const PREFIX = `lungpatch-worklist ${location.pathname} `;
const SETTINGS_KEY = "lungpatch-worklist settings";
const NO_VERDICT = Object.freeze({ verdict: "", note: "", read: "" });
const verdicts = new Map();

function warn(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = false;
}

function loadVerdicts() {
  verdicts.clear();
  try {
    for (let i = 0; i < localStorage.length; i += 1) {
      const key = localStorage.key(i);
      if (key.startsWith(PREFIX)) {
        verdicts.set(key.slice(PREFIX.length), parseVerdict(localStorage.getItem(key)));
      }
    }
  } catch {
    warn("This browser keeps nothing for this page: export your verdicts before you close it.");
  }
}

function parseVerdict(text) {
  try {
    const { verdict = "", note = "", read = "" } = JSON.parse(text);
    return { verdict: String(verdict), note: String(note), read: String(read) };
  } catch {
    return NO_VERDICT;
  }
}

function verdictOf(record) {
  return verdicts.get(record.image) ?? NO_VERDICT;
}

function setVerdict(record, change) {
  const now = { ...verdictOf(record), ...change, read: new Date().toISOString() };
  const isEmpty = !now.verdict && !now.note;
  if (isEmpty) verdicts.delete(record.image);
  else verdicts.set(record.image, now);
  try {
    if (isEmpty) localStorage.removeItem(PREFIX + record.image);
    else localStorage.setItem(PREFIX + record.image, JSON.stringify(now));
  } catch {
    warn("This browser cannot keep more: export your verdicts before you close the page.");
  }
}

function csvCell(value) {
  let text = value === null || value === undefined ? "" : String(value);
  // Spreadsheets would take it for a formula.
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function verdictsAsCsv() {
  const rows = [
    ["image", "status", "score", "p_value", "flagged", "false_alarm_rate", "verdict", "note", "read"],
  ];
  for (const record of RECORDS) {
    const { verdict, note, read } = verdictOf(record);
    if (verdict || note) {
      const flagged = isFlagged(record);
      rows.push([
        record.image, record.status, record.score, record.p, flagged, rate, verdict, note, read,
      ]);
    }
  }
  return rows.map((row) => `${row.map(csvCell).join(",")}\r\n`).join("");
}

function exportVerdicts() {
  // With a byte order mark, without which spreadsheets do not take it for UTF-8.
  const blob = new Blob(["\ufeff", verdictsAsCsv()], { type: "text/csv" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = "verdicts.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function loadSettings() {
  try {
    return JSON.parse(localStorage.getItem(SETTINGS_KEY)) ?? {};
  } catch {
    return {};
  }
}

function saveSettings(settings) {
  try {
    localStorage.setItem(SETTINGS_KEY, JSON.stringify(settings));
  } catch {
    // The page works without.
  }
}
