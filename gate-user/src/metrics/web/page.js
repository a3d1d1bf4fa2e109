"use strict";
// Everything that comes from the gate gets into the page as text of a node, or as a number: names are other people's.

const EVERY_MS = 2000; // between two looks
const PATIENCE_MS = 8000; // for an answer
const SLOWEST_MS = 30000; // between two looks at a daemon that does not answer
const SVG = "http://www.w3.org/2000/svg";
const TITLES = {
  pools: "pools", reasons: "reasons", classes: "classes", countries: "countries", relays: "relays", interfaces: "interfaces",
  answers: "answers", unsent: "answers that failed to leave", shown: "tags shown", limits: "limits", prefixes: "prefixes", sources: "sources",
};
const WELL = { ok: "ok", open: "bad", absent: "bad" };
const DASHES = ["", "7 3", "2 3", "9 3 2 3", "12 4", "5 2 1 2", "1 4"];

const $ = (id) => document.getElementById(id);

function node(name, attributes, ...children) {
  const it = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) it.setAttribute(key, value);
  it.append(...children.filter((child) => child !== null));
  return it;
}

function drawn(name, attributes, text) {
  const it = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) it.setAttribute(key, value);
  if (text !== undefined) it.textContent = text;
  return it;
}

const named = (text) => node("bdi", {}, text);
const whole = (count) => count.toLocaleString("en-US");
const time = (at) => new Date(at).toISOString().slice(0, 19).replace("T", " ");
const clock = (at, seconds) => new Date(at).toISOString().slice(11, seconds ? 19 : 16);

function rate(value) {
  if (value === null) return "–";
  if (value === 0) return "0";
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (value >= 10 * size || (size > 1e3 && value >= size)) return (value / size).toPrecision(3) + " " + unit;
  }
  return value < 10 ? value.toFixed(value < 1 ? 2 : 1) : Math.round(value).toString();
}

function age(at, now) {
  const days = Math.floor((Date.parse(now) - Date.parse(at)) / 86400000);
  return days === 1 ? "1 day old" : days + " days old";
}

// The documents that were read last, and those before.
let now = null;
let before = null;
let hour = null;
let failures = 0;
let hourDue = 0;

function rowsOf(shown, kind) {
  const table = shown?.tables.find((it) => it.kind === kind);
  return new Map((table?.rows ?? []).map((row) => [row.name + "\n" + row.role, row]));
}

// Packets a second between the last two documents; nothing where there are no two.
function rates(kind) {
  const seconds = before && (Date.parse(now.at) - Date.parse(before.at)) / 1000;
  const known = rowsOf(before, kind);
  const known_kind = before?.tables.some((it) => it.kind === kind);
  return (row, count) => {
    const old = known.get(row.name + "\n" + row.role);
    // What was not among the rows with most packets is not known.
    if (!(seconds > 0) || failures > 0 || !known_kind || (!old && before.tables.find((it) => it.kind === kind).left_out > 0)) return null;
    const then = old ? count(old) : 0;
    const packets = count(row);
    // A gate that was loaded anew counts from nothing.
    return (packets < then ? packets : packets - then) / seconds;
  };
}

function showState() {
  const state = now.state ?? "unknown";
  $("state").textContent = state;
  $("state").className = "state " + (WELL[state] ?? "warn");
  document.title = "gate: " + state;
  const force = now.generation ? "generation " + now.generation.number + " · " : "";
  $("about").textContent = force + time(now.at) + " UTC · gate " + now.version;
  $("problems").replaceChildren(...now.problems.map((text) => node("li", {}, named(text))));
  $("attribution").textContent = now.attribution.join(" ");
}

function showTiles() {
  const all = now.tables.find((it) => it.kind === "all")?.rows[0];
  if (!all) return $("tiles").replaceChildren();
  const of = rates("all");
  $("tiles").replaceChildren(...now.verdicts.map((verdict, index) => node("div", { "data-verdict": verdict },
    node("dt", {}, verdict),
    node("dd", {}, node("span", { class: "rate" }, rate(of(all, (row) => row.verdicts[index]))), node("span", { class: "unit" }, " a second")),
    node("dd", { class: "total" }, node("span", { class: "all" }, whole(all.verdicts[index])), node("span", { class: "unit" }, " in all")),
  )));
}

function showTables() {
  const tables = now.tables.filter((it) => it.kind !== "all" && it.rows.length > 0);
  $("tables").replaceChildren(...tables.map((table) => {
    const of = rates(table.kind);
    const split = table.rows.some((row) => row.verdicts.some((it) => it !== null));
    const limited = table.rows.some((row) => row.over_limit !== null);
    const words = split ? now.verdicts : [];
    const head = ["", "a second", table.kind === "limits" ? "in all" : "packets", ...words, ...(limited ? ["over limit"] : [])];
    const cell = (word, count) => node("td", { class: count ? "part" : "part none", "data-word": word }, count === null ? "–" : whole(count));
    const rows = table.rows.map((row) => node("tr", { "data-kind": table.kind },
      node("th", { scope: "row" }, named(row.name), row.role ? " " + row.role : null),
      node("td", { class: "rate" }, rate(of(row, (it) => it.packets))),
      node("td", { class: "all" }, whole(row.packets)),
      ...words.map((word, index) => cell(word, row.verdicts[index])),
      limited ? cell("over limit", row.over_limit) : null,
    ));
    const more = table.left_out > 0 ? " (" + table.left_out + " more: gate counters --by " + table.kind + ")" : "";
    return node("table", {},
      node("caption", {}, TITLES[table.kind] ?? table.kind, node("span", { class: "unit" }, more)),
      node("thead", {}, node("tr", {}, ...head.map((text) => node("th", { scope: "col" }, text)))),
      node("tbody", {}, ...rows));
  }));
}

function showGeneration() {
  const force = now.generation;
  const facts = force ? [
    ["in force", "generation " + force.number],
    ["loaded", time(force.loaded_at)],
    ["configuration", force.config],
    ["sha256", force.config_sha256],
    ["way back", force.previous === null ? "none" : "generation " + force.previous],
    ...(force.confirm_until ? [["taken back", time(force.confirm_until) + " unless confirmed"]] : []),
    ...now.observed.map((text) => ["observed", text]),
    ...(now.listening ? [["events", "somebody listens, " + now.listening]] : []),
  ] : [];
  $("force").replaceChildren(...facts.flatMap(([word, text]) => [node("dt", {}, word), node("dd", {}, named(text))]));
  $("began").textContent = (now.reloads.length ? "Those" : "None") + " since the daemon began, " + time(now.since);
  $("reloads").replaceChildren(...now.reloads.map((it) => node("li", { "data-ended": it.ended },
    time(it.at) + " · " + it.ended + " (" + it.by + ")" + (it.generation === null ? "" : " · generation " + it.generation),
    it.why === null ? null : node("div", { class: "aside" }, named(it.why)))));
}

function showParts() {
  $("interfaces").replaceChildren(...now.interfaces.map((it) => {
    const generic = it.mode === "generic" && it.wanted === "auto" ? " (the driver has no native XDP)" : "";
    return node("li", { "data-state": it.state }, named(it.name), " · " + it.role + " · " + it.state + (it.mode ? " · " + it.mode + generic : ""));
  }));
  $("databases").replaceChildren(...now.databases.map((it) => node("li", {},
    named(it.path), " · ", named(it.type), " · built " + time(it.built) + ", " + age(it.built, now.at) + " · " + it.countries + " countries")));
}

// A number at or above `most` that reads well, and is a multiple of four.
function reach(most) {
  if (most <= 0) return 1;
  const size = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 6, 8, 10].map((it) => it * size).find((it) => it >= most);
}

function ticks(begin, end, most) {
  const step = [10, 30, 60, 300, 600, 1200].map((it) => it * 1000).find((it) => (end - begin) / it <= most) ?? 1200000;
  const found = [];
  for (let at = Math.ceil(begin / step) * step; at <= end; at += step) found.push(at);
  return { at: found, seconds: step < 60000 };
}

function chart(kind, title) {
  const series = hour[kind];
  const label = title + ", packets a second";
  const figure = node("figure", { "data-chart": kind }, node("figcaption", {}, label));
  if (series.length === 0) {
    figure.append(node("p", { class: "empty" }, hour.ends.length ? "no packets" : "not yet: the first step is not over"));
    return figure;
  }
  const last = hour.ends.length - 1;
  const values = series.map((it) => it.packets.map((packets, index) => packets * 1000 / hour.lengths[index]));
  const legend = node("ul", { class: "legend" });
  const svg = drawn("svg", { role: "img", "aria-label": label + ": " + series.map((it) => it.name ?? "others").join(", ") });
  figure.append(svg, legend);
  const readings = series.map((it, index) => {
    const line = drawn("svg", { "aria-hidden": "true" });
    line.append(drawn("path", { class: "line c" + index, d: "M0 6H40", "stroke-dasharray": DASHES[index] }));
    const value = node("span", { class: "value" });
    legend.append(node("li", {}, line, node("b", {}, letter(index)), node("span", { class: "name" }, named(it.name ?? "others")), value));
    return value;
  });
  const read = (index) => readings.forEach((it, number) => { it.textContent = rate(values[number][index]) + (index === last ? "" : " at " + clock(hour.ends[index], true)); });
  read(last);
  // The size is known once it is in the page.
  figure.draw = () => paint(svg, values, read);
  return figure;
}

const letter = (index) => String.fromCharCode(65 + index);

function paint(svg, values, read) {
  const width = svg.clientWidth;
  const height = svg.clientHeight;
  if (width < 60 || height < 40) return;
  const [left, right, upper, lower] = [44, width - 16, 8, height - 20];
  const last = hour.ends.length - 1;
  const end = hour.ends[last];
  const begin = Math.min(hour.ends[0] - hour.lengths[0], end - 60000);
  const most = reach(Math.max(...values.flat()));
  const x = (at) => left + (at - begin) / (end - begin) * (right - left);
  const y = (value) => lower - value / most * (lower - upper);
  svg.setAttribute("viewBox", "0 0 " + width + " " + height);
  svg.replaceChildren();
  for (const part of [0, 0.5, 1]) {
    svg.append(drawn("line", { class: "grid", x1: left, x2: right, y1: y(part * most), y2: y(part * most) }));
    svg.append(drawn("text", { x: left - 6, y: y(part * most) + 4, "text-anchor": "end" }, rate(part * most)));
  }
  const marks = ticks(begin, end, width < 420 ? 4 : 6);
  for (const at of marks.at) {
    svg.append(drawn("line", { class: "grid", x1: x(at), x2: x(at), y1: lower, y2: lower + 4 }));
    const anchor = x(at) > right - 20 ? "end" : "middle";
    svg.append(drawn("text", { x: x(at), y: height - 4, "text-anchor": anchor }, clock(at, marks.seconds)));
  }
  // Where the chart has no room for the number of another generation, its line is there.
  let room = right;
  for (const it of now.reloads.filter((it) => it.ended === "loaded")) {
    const at = x(Date.parse(it.at));
    if (at < left || at > right) continue;
    svg.append(drawn("line", { class: "force", x1: at, x2: at, y1: upper, y2: lower, "data-generation": it.generation }));
    const begins = at - 3 - 8 * String(it.generation).length;
    if (at - 3 > room || begins < left) continue;
    room = begins;
    svg.append(drawn("text", { class: "force", x: at - 3, y: upper + 8, "text-anchor": "end" }, String(it.generation)));
  }
  const letters = [];
  values.forEach((of, index) => {
    let path = "";
    of.forEach((value, at) => {
      // A step that does not begin where the one before it ended follows a gap.
      const follows = at > 0 && hour.ends[at] - hour.lengths[at] - hour.ends[at - 1] < 2000;
      if (!follows) path += "M" + x(hour.ends[at] - hour.lengths[at]).toFixed(1) + " " + y(value).toFixed(1);
      path += "L" + x(hour.ends[at]).toFixed(1) + " " + y(value).toFixed(1);
    });
    svg.append(drawn("path", { class: "line c" + index, d: path, "stroke-dasharray": DASHES[index] }));
    letters.push({ index, at: y(of[last]) });
  });
  // Letters of lines that end at one place stand above each other.
  letters.sort((a, b) => a.at - b.at);
  letters.forEach((it, number) => { it.at = Math.max(it.at, number ? letters[number - 1].at + 11 : upper + 4); });
  const over = letters.length ? letters[letters.length - 1].at - lower : 0;
  for (const it of letters) {
    svg.append(drawn("text", { class: "letter c" + it.index, x: right + 4, y: Math.max(upper + 4, it.at - Math.max(0, over)) + 4 }, letter(it.index)));
  }
  const cursor = drawn("line", { class: "cursor", y1: upper, y2: lower, visibility: "hidden" });
  svg.append(cursor);
  svg.onpointermove = (event) => {
    const at = begin + (event.offsetX - left) / (right - left) * (end - begin);
    const found = hour.ends.findIndex((it) => it >= at);
    const index = found < 0 ? last : found;
    cursor.setAttribute("x1", x(hour.ends[index]));
    cursor.setAttribute("x2", x(hour.ends[index]));
    cursor.setAttribute("visibility", "visible");
    read(index);
  };
  svg.onpointerleave = () => {
    cursor.setAttribute("visibility", "hidden");
    read(last);
  };
}

function showHour() {
  const first = hour.ends.length ? hour.ends[0] - hour.lengths[0] : null;
  $("since").textContent = "Steps of " + hour.step_seconds + " seconds; the daemon keeps an hour" + (first === null ? "" : ", and has what came since " + clock(first, true) + " UTC")
    + ". An upright line is a generation as it came into force.";
  const figures = [["verdicts", "Verdicts"], ["classes", "Classes"], ["countries", "Countries, tagged"]].map(([kind, title]) => chart(kind, title));
  $("charts").replaceChildren(...figures);
  for (const figure of figures) figure.draw?.();
}

function showStale() {
  const stale = $("stale");
  stale.hidden = failures < 2;
  const since = now ? "since " + time(now.at) + " UTC" : "yet";
  stale.textContent = "No new data " + since + ": the daemon does not answer. Verdicts go on without it; gate status says more.";
}

async function get(path) {
  const answer = await fetch(path, { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new Error(path + ": " + answer.status);
  return answer.json();
}

async function look() {
  try {
    const read = await get("/status.json");
    if (read.at !== now?.at) {
      before = failures === 0 ? now : null;
      now = read;
    }
    failures = 0;
    showState();
    showTiles();
    showTables();
    showGeneration();
    showParts();
    if (Date.now() >= hourDue) {
      hour = await get("/history.json");
      hourDue = Date.now() + hour.step_seconds * 1000;
      showHour();
    }
  } catch {
    failures += 1;
    if (now && failures === 2) {
      showTiles();
      showTables();
    }
  }
  showStale();
}

// One look at a time, at no fixed moment, so that many pages do not look at once, and none while nobody sees it.
async function follow() {
  for (;;) {
    if (!document.hidden) await look();
    const pause = Math.min(EVERY_MS * 2 ** Math.min(failures, 8), SLOWEST_MS);
    await new Promise((done) => setTimeout(done, pause * (0.75 + Math.random() / 2)));
  }
}

addEventListener("resize", () => { if (hour) showHour(); });
follow();
