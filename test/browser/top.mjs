// `nats top` on a server under load, as a picture: a terminal of tmux, its cells and colours as an SVG.
//
//   SERVER=target/release/nats-server NATS=target/release/nats IMAGE=docs/images/top.svg node test/browser/top.mjs
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { SERVER = "target/debug/nats-server", NATS = "target/debug/nats", IMAGE = "docs/images/top.svg", SECONDS = "75" } = process.env;
const [PORT, COLUMNS, ROWS] = [24322, 164, 20];
const URL = `nats://127.0.0.1:${PORT}`;
const folder = mkdtempSync(join(tmpdir(), "bulwark-top-"));
writeFileSync(join(folder, "harbour.conf"), `
server_name: harbour, listen: "127.0.0.1:${PORT}"
accounts {
  SHOP { users [ { user: till, password: x }, { user: warehouse, password: x }, { user: orders, password: x } ] }
  BANK { users [ { user: counter, password: x }, { user: ledger, password: x } ] }
  SYS { users [ { user: admin, password: x } ] }
}
system_account: SYS
`);

const children = [];
const session = `bulwark-top-${process.pid}`;
const tmux = (...words) => execFileSync("tmux", ["-L", session, ...words], { encoding: "utf8" });
process.on("exit", () => {
  children.forEach((child) => child.kill("SIGKILL"));
  try { tmux("kill-server"); } catch { /* it is gone */ }
});
const pause = (time) => new Promise((done) => setTimeout(done, time));
const start = (program, ...words) => children.push(spawn(program, words, { stdio: "ignore" }));

function client(user, name, first = "") {
  const socket = connect(PORT, "127.0.0.1");
  socket.on("error", () => {});
  socket.on("data", (data) => { if (data.includes("PING\r\n")) socket.write("PONG\r\n"); });
  socket.write(`CONNECT ${JSON.stringify({ user, pass: "x", name, lang: "js", version: "1", verbose: false })}\r\n${first}`);
  return socket;
}

start(SERVER, "-c", join(folder, "harbour.conf"));
await pause(1500);

// Subscribers of each tenant by `nats bench`; publishers that go on evenly, and others that come in waves.
const bench = (user, ...words) =>
  start(NATS, "--server", URL, "--user", user, "--password", "x", "--no-context", "--connection-name", `bench ${words[0]}`, "bench", ...words, "--no-progress");
bench("warehouse", "sub", "orders.new", "--clients", "2", "--msgs", "100000000");
bench("ledger", "sub", "pay.card", "--clients", "1", "--msgs", "100000000");
await pause(500);
client("warehouse", "picking list", "SUB orders.> 1\r\n");
const desks = [client("orders", "desk 1"), client("orders", "desk 2")];
const counter = client("counter", "counter");
const message = (subject, size) => `PUB ${subject} ${size}\r\n${"x".repeat(size)}\r\n`;
const tills = [0, 1, 2, 3].map((number) => client("till", `till ${number}`));
const begun = Date.now();
setInterval(() => {
  desks.forEach((desk) => desk.write(message("orders.new", 128).repeat(1500)));
  counter.write(message("pay.card", 64).repeat(1200));
  const wave = 1 + Math.sin((Date.now() - begun) / 6000);
  tills.forEach((till, at) => till.write(message(`orders.till.${at}`, 64).repeat(Math.round(wave * (120 + 90 * at)))));
}, 50);

tmux("-f", "/dev/null", "new-session", "-d", "-x", `${COLUMNS}`, "-y", `${ROWS}`,
  `${NATS} --server ${URL} --user admin --password x --no-context top connections`);
await pause(Number(SECONDS) * 1000);
const screen = tmux("capture-pane", "-e", "-p", "-N");
writeFileSync(IMAGE, svg(screen.split("\n").slice(0, ROWS)));
console.log(screen);
process.exit(0);

// The eight colours and their bright ones; a colour of the 256 is taken from its cube.
function palette(number) {
  const named = ["#1b1f24", "#e5534b", "#57ab5a", "#c69026", "#539bf5", "#b083f0", "#39c5cf", "#adbac7",
    "#636e7b", "#ff938a", "#6bc46d", "#daaa3f", "#6cb6ff", "#dcbdfb", "#56d4dd", "#f0f3f6"];
  if (number < 16) return named[number];
  if (number >= 232) return `rgb(${Array(3).fill(8 + 10 * (number - 232))})`;
  const step = (part) => [0, 95, 135, 175, 215, 255][part % 6];
  return `rgb(${[(number - 16) / 36, (number - 16) / 6, number - 16].map((part) => step(Math.floor(part)))})`;
}

// Runs of one look on a line: `[{ text, colour, bold }]`.
function runs(line) {
  const found = [];
  let look = {};
  for (const part of line.split(/(\x1b\[[0-9;]*m)/)) {
    const codes = part.match(/^\x1b\[([0-9;]*)m$/)?.[1].split(";").map(Number);
    if (!codes) {
      if (part) found.push({ text: part, ...look });
      continue;
    }
    for (let at = 0; at < codes.length; at += 1) {
      const code = codes[at];
      if (code === 0) look = {};
      else if (code === 1) look = { ...look, bold: true };
      else if (code === 39) look = { ...look, colour: undefined };
      else if (code >= 30 && code <= 37) look = { ...look, colour: palette(code - 30) };
      else if (code >= 90 && code <= 97) look = { ...look, colour: palette(code - 82) };
      else if (code === 38 && codes[at + 1] === 5) look = { ...look, colour: palette(codes[at += 2]) };
    }
  }
  return found;
}

function svg(lines) {
  const [wide, high, edge] = [8.4, 18, 16];
  const [width, height] = [COLUMNS * wide + 2 * edge, lines.length * high + 2 * edge];
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll(" ", "\u00a0");
  const drawn = lines.map((line, row) => {
    let column = 0;
    return runs(line.trimEnd()).map(({ text, colour, bold }) => {
      const [x, y] = [edge + column * wide, edge + row * high + 13];
      const cells = [...text].length;
      column += cells;
      if (!text.trim()) return "";
      const look = `${colour ? ` fill="${colour}"` : ""}${bold ? ' font-weight="bold"' : ""}`;
      return `<text x="${x.toFixed(1)}" y="${y}" textLength="${(cells * wide).toFixed(1)}"${look}>${escaped(text)}</text>`;
    }).join("");
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width.toFixed(1)} ${height}" width="${width.toFixed(1)}" height="${height}" role="img">
<title>nats top on a server under load</title>
<rect width="100%" height="100%" rx="8" fill="#1b1f24"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" fill="#cdd9e5">
${drawn.filter(Boolean).join("\n")}
</g>
</svg>
`;
}
