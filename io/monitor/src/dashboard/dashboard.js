// The dashboard: asks the documents of this server every two seconds and shows what they say. It keeps what it needs for
// the plots in memory, stores only the chosen theme, and asks no other host.
"use strict";

const BASE = document.documentElement.dataset.base;
const EVERY_MS = 2000;
const POINTS_MAX = 150;
const ROWS_MAX = 25;
const REFUSALS_MAX = 12;
// Until there are more, so few points fill a plot.
const POINTS_MIN = 20;

const byId = (id) => document.getElementById(id);
const kept = { time: [], series: new Map() };
let before = null;
let paused = false;
let timer = null;

// ---- Numbers and words

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

function scaled(value, units, step) {
  let unit = 0;
  while (value >= step && unit < units.length - 1) {
    value /= step;
    unit += 1;
  }
  return number.format(value) + units[unit];
}

const count = (value) => scaled(Number(value) || 0, ["", " k", " M", " G"], 1000);
const bytes = (value) => scaled(Number(value) || 0, [" B", " KiB", " MiB", " GiB", " TiB"], 1024);
const perSecond = (show) => (value) => show(value) + "/s";

// ---- Elements. Text is always set as text: nothing a client calls itself becomes markup.

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function drawn(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function table(caption, columns, rows) {
  if (rows.length === 0) return element("p", { class: "empty" }, "None.");
  const head = element("tr", {}, ...columns.map((column) =>
    element("th", { scope: "col", class: column.isNumber ? "number" : "" }, column.name)));
  const body = rows.map((row) => element("tr", {}, ...columns.map((column) => {
    const value = column.of(row);
    const classes = [column.isNumber ? "number" : "", column.mood ? column.mood(row) : ""].join(" ").trim();
    const text = value === undefined || value === null ? "" : String(value);
    return element("td", { class: classes }, ...(column.isLevel ? [level(column.isLevel(row))] : []), text);
  })));
  return element("table", {}, element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, ...body));
}

// A bar beside a number. What it shows is in the number already, so a screen reader passes it by.
function level(share) {
  const width = Math.round(Math.max(0, Math.min(1, share)) * 60);
  return drawn("svg", { class: "level", viewBox: "0 0 60 8", width: 60, height: 8, "aria-hidden": "true" },
    drawn("rect", { class: "level-all", width: 60, height: 8, rx: 4 }),
    drawn("rect", { class: "level-part", width, height: 8, rx: 4 }));
}

// A duration without its small change: 1h2m3.456789s is 1h2m.
function short(text) {
  const parts = String(text).match(/[\d.]+[a-zµ]+/g) || [];
  return parts.slice(0, 2).map((part) => part.replace(/(\d+)\.\d+/, "$1")).join("");
}

function show(id, content) {
  const place = byId(id);
  // What somebody is reading with the keyboard is not taken away.
  if (place.contains(document.activeElement)) return;
  place.replaceChildren(content);
}

// ---- Plots

const PLOTS = [
  { title: "Messages", unit: perSecond(count), lines: [["in", "in_msgs"], ["out", "out_msgs"]], isRate: true },
  { title: "Bytes", unit: perSecond(bytes), lines: [["in", "in_bytes"], ["out", "out_bytes"]], isRate: true },
  { title: "Connections", unit: count, lines: [["open", "connections"], ["subscriptions", "subscriptions"]] },
  { title: "Processor", unit: (value) => number.format(value) + " %", lines: [["share of one core", "cpu"]] },
  { title: "Memory", unit: bytes, lines: [["resident", "mem"]] },
  { title: "Round trip", unit: (value) => number.format(value) + " ms", lines: [["median", "rtt_median"], ["slowest", "rtt_slowest"]] },
];

function note(values) {
  kept.time.push(Date.now());
  if (kept.time.length > POINTS_MAX) kept.time.shift();
  for (const [key, value] of Object.entries(values)) {
    if (!kept.series.has(key)) kept.series.set(key, new Array(kept.time.length - 1).fill(null));
    const series = kept.series.get(key);
    series.push(value);
    if (series.length > POINTS_MAX) series.shift();
  }
}

// How far apart points are, and how many are missing before the first: a plot fills up from the right.
function scale(series) {
  const points = Math.max(series.length, POINTS_MIN);
  return [300 / (points - 1), points - series.length];
}

function path(series, top) {
  const [step, from] = scale(series);
  let text = "";
  let isDown = false;
  series.forEach((value, at) => {
    if (value === null || Number.isNaN(value)) {
      isDown = false;
      return;
    }
    const x = ((from + at) * step).toFixed(1);
    const y = (98 - 94 * value / top).toFixed(1);
    text += `${isDown ? "L" : "M"}${x} ${y}`;
    isDown = true;
  });
  return text;
}

// What lies under the first line, from its first known value to its last.
function area(series, top) {
  const known = series.map((value, at) => [value, at]).filter(([value]) => value !== null && !Number.isNaN(value));
  if (known.length < 2) return "";
  const [step, from] = scale(series);
  const x = (at) => ((from + at) * step).toFixed(1);
  const points = known.map(([value, at]) => `L${x(at)} ${(98 - 94 * value / top).toFixed(1)}`).join("");
  return `M${x(known[0][1])} 98${points}L${x(known.at(-1)[1])} 98Z`;
}

function plot({ title, unit, lines }) {
  const all = lines.map(([, key]) => kept.series.get(key) || []);
  const known = all.flat().filter((value) => value !== null && !Number.isNaN(value));
  const top = Math.max(...known, 1);
  const last = all.map((series) => series.at(-1) ?? 0);
  const words = lines.map(([name], at) => `${name} ${unit(last[at])}`).join(", ");
  const picture = drawn("svg", {
    class: "plot", viewBox: "0 0 300 100", preserveAspectRatio: "none", role: "img",
    "aria-label": `${title} of the last ${Math.round(Math.max(kept.time.length, POINTS_MIN) * EVERY_MS / 1000)} seconds: now ${words}; highest ${unit(top)}`,
  });
  for (const y of [4, 51, 98]) picture.append(drawn("line", { class: "grid", x1: 0, x2: 300, y1: y, y2: y }));
  picture.append(drawn("path", { class: "area", d: area(all[0], top) }));
  all.forEach((series, at) => picture.append(drawn("path", { class: `line-${at}`, d: path(series, top) })));
  const keys = lines.map(([name], at) =>
    element("span", { class: `key-${at}` }, name + " ", element("b", {}, unit(last[at]))));
  return element("figure", {}, element("figcaption", {}, element("span", {}, title), element("span", {}, "top " + unit(top))),
    picture, element("figcaption", {}, ...keys));
}

// ---- Sections

function overview(varz, trust) {
  const tiles = [
    ["Uptime", varz.uptime],
    ["Connections", count(varz.connections)],
    ["Subscriptions", count(varz.subscriptions)],
    ["Messages in", count(varz.in_msgs)],
    ["Messages out", count(varz.out_msgs)],
    ["Slow consumers", count(varz.slow_consumers), varz.slow_consumers > 0 ? "bad" : "good"],
    ["Refused logins", count(trust?.refused_logins ?? 0), trust?.refused_logins > 0 ? "bad" : "good"],
    ["Denied wishes", count(trust?.denials ?? 0), trust?.denials > 0 ? "bad" : "good"],
    ["Bans", count(trust?.bans?.length ?? 0), trust?.bans?.length > 0 ? "warn" : "good"],
  ];
  byId("tiles").replaceChildren(...tiles.map(([name, value, mood]) =>
    element("div", { class: mood || "" }, element("dt", {}, name), element("dd", {}, value))));
}

function accounts(statz) {
  const rows = (statz?.account_statz || []).sort((a, b) => b.conns - a.conns).slice(0, ROWS_MAX);
  show("accounts-table", table("Accounts with the most connections first", [
    { name: "Account", of: (row) => row.name || row.acc },
    { name: "Connections", of: (row) => count(row.conns), isNumber: true },
    { name: "Leaf nodes", of: (row) => count(row.leafnodes), isNumber: true },
    { name: "Subscriptions", of: (row) => count(row.num_subscriptions), isNumber: true },
    { name: "Messages in", of: (row) => count(row.received?.msgs), isNumber: true },
    { name: "Messages out", of: (row) => count(row.sent?.msgs), isNumber: true },
    { name: "Bytes in", of: (row) => bytes(row.received?.bytes), isNumber: true },
    { name: "Bytes out", of: (row) => bytes(row.sent?.bytes), isNumber: true },
    { name: "Held back by limits", of: (row) => row.held ? `${count(row.held.times)} times, ${short(row.held.time)}` : "", isNumber: true, mood: (row) => row.held ? "warn" : "" },
    { name: "Slow consumers", of: (row) => count(row.slow_consumers), isNumber: true, mood: (row) => row.slow_consumers > 0 ? "bad" : "" },
  ], rows));
}

function connections(connz) {
  show("connections-table", table(`${connz?.connections?.length ?? 0} of ${connz?.total ?? 0} connections`, [
    { name: "Id", of: (row) => row.cid, isNumber: true },
    { name: "Account", of: (row) => row.account },
    { name: "User", of: (row) => row.authorized_user },
    { name: "Name", of: (row) => row.name },
    { name: "Address", of: (row) => `${row.ip}:${row.port}` },
    { name: "TLS", of: (row) => row.tls_version || "no", mood: (row) => row.tls_version ? "good" : "" },
    { name: "Round trip", of: (row) => row.rtt ? short(row.rtt) : "", isNumber: true },
    { name: "Pending", of: (row) => bytes(row.pending_bytes), isNumber: true, mood: (row) => row.pending_bytes > 1048576 ? "warn" : "" },
    { name: "In", of: (row) => count(row.in_msgs), isNumber: true },
    { name: "Out", of: (row) => count(row.out_msgs), isNumber: true },
    { name: "Subscriptions", of: (row) => count(row.subscriptions), isNumber: true },
    { name: "Held back", of: (row) => row.held ? short(row.held) : "", isNumber: true, mood: (row) => row.held ? "warn" : "" },
    { name: "Uptime", of: (row) => row.uptime },
  ], connz?.connections || []));
}

function refusals(trust) {
  show("refusals-table", table("The newest first; the peer only heard the standard text", [
    { name: "Time", of: (row) => new Date(row.time).toLocaleTimeString() },
    { name: "What", of: (row) => row.class === "login" ? "login refused" : "denied" },
    { name: "Who", of: (row) => [row.account, row.user].filter(Boolean).join("/") },
    { name: "From", of: (row) => row.from },
    { name: "Wanted", of: (row) => row.what },
    { name: "Because", of: (row) => row.rule },
  ], (trust?.recent || []).slice(0, REFUSALS_MAX)));
}

function bans(trust) {
  const who = (row) => [row.address && `address ${row.address}`, row.user && `user ${row.user}`, row.account && `account ${row.account}`];
  show("bans-table", table("Bans in force, the newest first; they end by themselves", [
    { name: "Who", of: (row) => who(row).filter(Boolean).join(" of ") },
    { name: "Until", of: (row) => new Date(row.until).toLocaleString() },
    { name: "Why", of: (row) => row.reason },
    { name: "Kept out", of: (row) => `${count(row.refused)} times`, isNumber: true },
  ], (trust?.bans || []).slice(0, ROWS_MAX)));
}

function certificates(trust) {
  const mood = (row) => row.days_left < 7 ? "bad" : row.days_left < 30 ? "warn" : "good";
  show("certificates-table", table("Certificates of this server", [
    { name: "Listener", of: (row) => row.listener },
    { name: "Subject", of: (row) => row.subject },
    { name: "Not after", of: (row) => row.not_after },
    { name: "Days left", of: (row) => row.days_left, isNumber: true, mood, isLevel: (row) => Math.min(row.days_left / 90, 1) },
  ], [...(trust?.certificates || [])].sort((a, b) => a.days_left - b.days_left)));
}

function streams(jsz) {
  const rows = (jsz?.account_details || []).flatMap((account) =>
    (account.stream_detail || []).map((stream) => ({ account: account.name, ...stream })));
  rows.sort((a, b) => (b.state?.bytes || 0) - (a.state?.bytes || 0));
  const config = jsz?.config || {};
  const isOn = jsz && !jsz.disabled;
  const synced = config.sync_always ? "before acknowledged" : `every ${config.sync_interval / 1e9} s`;
  byId("storage").textContent = jsz && !jsz.disabled
    ? `Files ${bytes(jsz.storage)} of ${bytes(config.max_storage)}, memory ${bytes(jsz.memory)} of ${bytes(config.max_memory)}; ` +
      `sealed: ${config.cipher || "no"}; durable: ${synced}`
    : "JetStream is off.";
  if (isOn) byId("storage").textContent += `. ${count(jsz.streams)} streams, ${count(jsz.consumers)} consumers, ${count(jsz.messages)} messages.`;
  const meter = (name, used, all) => element("div", {}, element("span", {}, `${name} ${number.format(all > 0 ? 100 * used / all : 0)} %`), level(all > 0 ? used / all : 0));
  byId("storage-meters").replaceChildren(...(isOn ? [meter("Files", jsz.storage, config.max_storage), meter("Memory", jsz.memory, config.max_memory)] : []));
  const sealed = (row) => row.config?.storage === "memory" ? "in memory" : config.cipher || "no";
  const durable = (row) => row.config?.storage === "memory" ? "no" : row.config?.persist_mode === "async" ? "later" : synced;
  // A server that tells of totals only has no table to show.
  show("streams-table", isOn && rows.length === 0 ? document.createDocumentFragment() : table("The largest first", [
    { name: "Account", of: (row) => row.account },
    { name: "Stream", of: (row) => row.name },
    { name: "Storage", of: (row) => row.config?.storage },
    { name: "Sealed", of: sealed, mood: (row) => sealed(row) === "no" ? "warn" : sealed(row) === "in memory" ? "" : "good" },
    { name: "Durable", of: durable, mood: (row) => durable(row).startsWith("before") ? "good" : "warn" },
    { name: "Messages", of: (row) => count(row.state?.messages), isNumber: true },
    { name: "Bytes", of: (row) => bytes(row.state?.bytes), isNumber: true },
    { name: "First", of: (row) => row.state?.first_seq, isNumber: true },
    { name: "Last", of: (row) => row.state?.last_seq, isNumber: true },
    { name: "Consumers", of: (row) => count(row.state?.consumer_count), isNumber: true },
  ], rows.slice(0, ROWS_MAX)));
}

function links(varz, routez, gatewayz, leafz) {
  const rows = [
    ...(routez?.routes || []).map((link) => ({ ...link, kind: "route", name: link.remote_name || link.remote_id })),
    ...Object.entries(gatewayz?.outbound_gateways || {}).map(([name, gateway]) =>
      ({ ...(gateway.connection || {}), kind: "gateway", name })),
    ...(leafz?.leafs || []).map((link) => ({ ...link, kind: "leaf" })),
  ];
  const named = new Map(rows.map((row) => [`${row.kind} ${row.name}`, row]));
  show("map", rows.length === 0 ? document.createDocumentFragment() : map(varz.server_name, [...named.values()]));
  show("links-table", table("Links, each by its own rules", [
    { name: "Kind", of: (row) => row.kind },
    { name: "Peer", of: (row) => row.name },
    { name: "Account", of: (row) => row.account },
    { name: "Address", of: (row) => row.ip ? `${row.ip}:${row.port}` : "" },
    { name: "Round trip", of: (row) => row.rtt ? short(row.rtt) : "", isNumber: true },
    { name: "In", of: (row) => count(row.in_msgs), isNumber: true },
    { name: "Out", of: (row) => count(row.out_msgs), isNumber: true },
    { name: "Compression", of: (row) => row.compression },
  ], rows.slice(0, ROWS_MAX)));
}

function map(own, peers) {
  const words = peers.map((peer) => `${peer.kind} to ${peer.name}`).join(", ");
  const picture = drawn("svg", { class: "map", viewBox: "0 0 600 240", role: "img", "aria-label": `Links of ${own}: ${words}` });
  const place = (at) => {
    const angle = 2 * Math.PI * at / peers.length;
    return [300 + 220 * Math.cos(angle), 115 + 85 * Math.sin(angle)];
  };
  peers.forEach((peer, at) => {
    const [x, y] = place(at);
    picture.append(drawn("line", { class: peer.kind, x1: 300, y1: 115, x2: x, y2: y }));
  });
  const node = (x, y, name) => [drawn("circle", { cx: x, cy: y, r: 9 }), drawn("text", { x, y: y + 24 }, name)];
  peers.forEach((peer, at) => picture.append(...node(...place(at), String(peer.name).slice(0, 24))));
  picture.append(...node(300, 115, String(own).slice(0, 24)));
  return picture;
}

// ---- Asking

async function ask(name) {
  const answer = await fetch(`${BASE}/${name}`, { cache: "no-store", headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return answer.json();
}

const orNothing = (question) => question.catch(() => null);

function milliseconds(text) {
  const factors = { ns: 1e-6, "µs": 1e-3, us: 1e-3, ms: 1, s: 1000, m: 60000, h: 3600000 };
  const parts = [...String(text || "").matchAll(/([\d.]+)(ns|µs|us|ms|s|m|h)/g)];
  return parts.length === 0 ? null : parts.reduce((sum, [, value, unit]) => sum + Number(value) * factors[unit], 0);
}

function measure(varz, connz) {
  const now = { at: Date.now(), ...varz };
  const seconds = before ? (now.at - before.at) / 1000 : 0;
  const rate = (key) => seconds > 0 && now[key] >= before[key] ? (now[key] - before[key]) / seconds : null;
  const trips = (connz?.connections || []).map((row) => milliseconds(row.rtt)).filter((value) => value !== null);
  trips.sort((a, b) => a - b);
  note({
    in_msgs: rate("in_msgs"), out_msgs: rate("out_msgs"), in_bytes: rate("in_bytes"), out_bytes: rate("out_bytes"),
    connections: varz.connections, subscriptions: varz.subscriptions, cpu: varz.cpu, mem: varz.mem,
    rtt_median: trips.length ? trips[trips.length >> 1] : null, rtt_slowest: trips.length ? trips.at(-1) : null,
  });
  before = now;
}

async function round() {
  const sort = byId("connections-sort").value;
  try {
    const varz = await ask("varz");
    const [connz, statz, jsz, routez, gatewayz, leafz, trust] = await Promise.all([
      ask(`connz?auth=1&limit=${ROWS_MAX}&sort=${sort}`), ask("accstatz?unused=1"), ask("jsz?streams=1&config=1"),
      ask("routez"), ask("gatewayz"), ask("leafz"), ask("trustz"),
    ].map(orNothing));
    byId("server-name").textContent = varz.server_name;
    byId("server-version").textContent = `${varz.version}, id ${String(varz.server_id).slice(0, 12)}…`;
    document.title = `${varz.server_name} · Bulwark`;
    measure(varz, connz);
    overview(varz, trust);
    byId("plots").replaceChildren(...PLOTS.map(plot));
    accounts(statz);
    connections(connz);
    refusals(trust);
    bans(trust);
    certificates(trust);
    streams(jsz);
    links(varz, routez, gatewayz, leafz);
    say("");
  } catch (error) {
    say(`No answer from the server (${error.message}); asking again.`);
  }
  if (!paused) timer = setTimeout(round, EVERY_MS);
}

function say(trouble) {
  const state = byId("state");
  const text = trouble || (paused ? "Paused." : "Live, every two seconds.");
  state.classList.toggle("trouble", trouble !== "");
  // A screen reader hears changes only.
  if (state.textContent !== text) state.textContent = text;
}

// ---- Controls

byId("pause").addEventListener("click", () => {
  paused = !paused;
  byId("pause").setAttribute("aria-pressed", String(paused));
  clearTimeout(timer);
  if (paused) say("");
  else round();
});

byId("connections-sort").addEventListener("change", () => {
  clearTimeout(timer);
  round();
});

const THEMES = ["system", "light", "dark"];

function applyTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme}`;
}

let theme = THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "system";
applyTheme(theme);
byId("theme").addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  localStorage.setItem("theme", theme);
  applyTheme(theme);
});

round();
