// The dashboard in a real browser, on a server under load: everything it shows is there, the keyboard reaches everything, axe finds
// nothing, no other host is asked, the content security policy is never broken, nothing a client calls itself becomes markup.
//
//   npm ci --prefix test/browser
//   SERVER=target/debug/nats-server CHROMIUM=/usr/bin/chromium IMAGES=docs/images node test/browser/dashboard.mjs
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(join(process.env.MODULES ?? import.meta.dirname, "x.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const { SERVER = "target/debug/nats-server", CHROMIUM = "/usr/bin/chromium", IMAGES = "" } = process.env;
const [PORT, HTTP, LEAF, MOORING, ROUTE, GATEWAY] = [24222, 28222, 27422, 28223, 26222, 27222];

const folder = mkdtempSync(join(tmpdir(), "bulwark-browser-"));
const path = (name) => join(folder, name);
execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path("key.pem"), "-out", path("cert.pem"),
  "-days", "25", "-subj", "/CN=harbour.example", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], { stdio: "ignore" });
writeFileSync(path("harbour.conf"), `
server_name: harbour, listen: "127.0.0.1:${PORT}", http: "127.0.0.1:${HTTP}"
accounts {
  SHOP { jetstream: enabled, limits { messages_per_second: 4000 }, users [
    { user: clerk, password: c, permissions: { publish: ["orders.>", "_INBOX.>"], subscribe: ["orders.>", "_INBOX.>"] } }
    { user: desk, password: d } ] }
  BANK { jetstream: enabled, users [ { user: teller, password: t } ] }
  SYS { users [ { user: admin, password: a } ] }
}
system_account: SYS
jetstream { store_dir: "${path("data")}", cipher: aes, key: "a key for the picture", max_file: 200MB, max_mem: 50MB }
tls { cert_file: "${path("cert.pem")}", key_file: "${path("key.pem")}" }, allow_non_tls: true
leafnodes { listen: "127.0.0.1:${LEAF}" }
`);
const leaf = (name, user, password) => `server_name: ${name}, listen: "127.0.0.1:-1"
leafnodes { remotes [ { url: "nats://${user}:${password}@127.0.0.1:${LEAF}" } ] }\n`;
writeFileSync(path("island.conf"), leaf("island", "desk", "d"));
writeFileSync(path("reef.conf"), leaf("reef", "teller", "t"));
// A cluster of two, joined with another one.
const any = 'listen: "127.0.0.1:-1"';
writeFileSync(path("mooring.conf"), `server_name: mooring, ${any}, http: "127.0.0.1:${MOORING}"
cluster { name: coast, listen: "127.0.0.1:${ROUTE}" }
gateway { name: coast, listen: "127.0.0.1:${GATEWAY}" }\n`);
writeFileSync(path("quay.conf"), `server_name: quay, ${any}
cluster { name: coast, ${any}, routes: [ "nats://127.0.0.1:${ROUTE}" ] }
gateway { name: coast, ${any} }\n`);
writeFileSync(path("lagoon.conf"), `server_name: lagoon, ${any}
gateway { name: inland, ${any}, gateways: [ { name: coast, url: "nats://127.0.0.1:${GATEWAY}" } ] }\n`);

const children = [];
const finish = () => children.forEach((child) => child.kill("SIGKILL"));
process.on("exit", finish);
const start = (name) => children.push(spawn(SERVER, ["-c", path(name)], { stdio: "ignore" }));
const pause = (time) => new Promise((done) => setTimeout(done, time));

async function until(what, is) {
  for (let tries = 0; tries < 300; tries += 1) {
    if (await is().catch(() => false)) return;
    await pause(100);
  }
  throw new Error(`never: ${what}`);
}

function client(user, pass, name, first = "") {
  const socket = connect(PORT, "127.0.0.1");
  socket.on("error", () => {});
  socket.on("data", (data) => { if (data.includes("PING")) socket.write("PONG\r\n"); });
  socket.write(`CONNECT ${JSON.stringify({ user, pass, name, lang: "js", version: "1", verbose: false, headers: true })}\r\n${first}`);
  return socket;
}

const publish = (subject, body, reply = "") => `PUB ${subject} ${reply}${body.length}\r\n${body}\r\n`;
let failures = 0;
function check(what, is, detail = "") {
  console.log(`${is ? "ok  " : "FAIL"} ${what}${is ? "" : ` ${detail}`}`);
  failures += is ? 0 : 1;
}

const cells = (page, table) =>
  page.locator(`#${table} tbody tr`).evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.innerText)));

// Links are rows, and lines of the map.
async function onTheMap(what, page, wanted) {
  const links = new Set((await cells(page, "links-table")).map((row) => `${row[0]} ${row[1]}`));
  const named = new Set(await page.locator("svg.map text").allTextContents());
  for (const link of wanted) {
    check(`${what}: ${link} is a row and on the map`, links.has(link) && named.has(link.split(" ")[1]), [...links, ...named].join(", "));
  }
}

start("harbour.conf");
await until("the server is ready", async () => (await fetch(`http://127.0.0.1:${HTTP}/healthz`)).ok);
start("island.conf");
start("reef.conf");
["mooring.conf", "quay.conf", "lagoon.conf"].forEach(start);

// Load: two tenants, one of them over its limit; a stream; somebody who may not; a name that would like to be markup.
client("desk", "d", "warehouse", "SUB orders.> 1\r\n");
client("teller", "t", "<img src=x onerror=alert(1)>", "SUB pay.* 1\r\n");
const make = (name, subjects, storage) => publish(`$JS.API.STREAM.CREATE.${name}`, JSON.stringify({ name, subjects, storage }), "_INBOX.x ");
client("desk", "d", "setup", make("ORDERS", ["orders.>"], "file") + make("CARTS", ["carts.>"], "memory"));
client("teller", "t", "ledger", make("LEDGER", ["ledger.>"], "file"));
await pause(500);
const clerks = [0, 1, 2].map((number) => client("clerk", "c", `till ${number}`));
const tellers = [0, 1].map((number) => client("teller", "t", `counter ${number}`));
const load = setInterval(() => {
  clerks.forEach((clerk, at) => clerk.write(publish(`orders.new.${at}`, "x".repeat(120)).repeat(250)));
  tellers.forEach((teller) => teller.write(publish("pay.card", "y".repeat(64)).repeat(120) + publish("ledger.a", "z".repeat(200)).repeat(5)));
}, 100);
const intruder = setInterval(() => {
  clerks[0].write(publish("billing.invoice", "no"));
  client("eve", "guess", "eve");
}, 1700);
const admin = client("admin", "a", "admin");
admin.write(publish("$SYS.REQ.SERVER.PING.BAN", JSON.stringify({ user: "mallory", account: "BANK", seconds: 3600, reason: "credentials stolen" }), "_INBOX.x "));
admin.write(publish("$SYS.REQ.SERVER.PING.BAN", JSON.stringify({ address: "203.0.113.0/24", seconds: 900, reason: "guesses passwords" }), "_INBOX.x "));

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
for (const scheme of ["light", "dark"]) {
  const page = await browser.newPage({ colorScheme: scheme, viewport: { width: 1280, height: 1000 } });
  const foreign = [];
  const complaints = [];
  page.on("request", (request) => { if (!request.url().startsWith(`http://127.0.0.1:${HTTP}/`) && !request.url().startsWith("data:")) foreign.push(request.url()); });
  page.on("console", (message) => { if (message.type() === "error") complaints.push(message.text()); });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => { complaints.push("a dialog: something became markup"); dialog.dismiss(); });
  await page.goto(`http://127.0.0.1:${HTTP}/`);
  await page.waitForSelector("#connections-table tbody tr");
  await pause(scheme === "light" ? 40_000 : 20_000);
  const text = await page.innerText("main");
  for (const part of ["SHOP", "BANK", "warehouse", "<img src=x onerror=alert(1)>", "billing.invoice", "eve", "mallory", "203.0.113.0/24",
    "harbour.example", "aes", "before acknowledged", "island", "reef", "Held back"]) {
    check(`${scheme}: shows ${part}`, text.toLowerCase().includes(part.toLowerCase()));
  }
  const rows = new Map((await cells(page, "streams-table")).map((row) => [row[1], row.slice(2, 5).join(" ")]));
  for (const [stream, kept] of [["ORDERS", "file aes before acknowledged"], ["LEDGER", "file aes before acknowledged"], ["CARTS", "memory in memory no"]]) {
    check(`${scheme}: stream ${stream} is kept as ${kept}`, rows.get(stream) === kept, rows.get(stream));
  }
  await onTheMap(scheme, page, ["leaf island", "leaf reef"]);
  check(`${scheme}: plots have lines`, await page.locator("svg.plot path.line-0").evaluateAll((all) => all.every((one) => one.getAttribute("d").includes("L"))));
  check(`${scheme}: somebody is held back by a limit`, await page.locator("#accounts-table td.warn").count() > 0);
  if (IMAGES) await page.screenshot({ path: join(IMAGES, scheme === "light" ? "dashboard.png" : "dashboard-dark.png"), fullPage: true });

  // Keyboard: from the top, every link and button gets the focus, and it is seen.
  const wanted = await page.locator("a[href], button, select").count();
  const reached = new Set();
  await page.evaluate(() => document.activeElement.blur());
  for (let at = 0; at < wanted + 5; at += 1) {
    await page.keyboard.press("Tab");
    reached.add(await page.evaluate(() => [...document.querySelectorAll("a[href], button, select")].indexOf(document.activeElement)));
  }
  reached.delete(-1);
  check(`${scheme}: the keyboard reaches all of ${wanted}`, reached.size === wanted, `${reached.size}`);
  await page.focus("#pause");
  await page.keyboard.press("Enter");
  check(`${scheme}: Enter pauses, and it is said`, await page.getAttribute("#pause", "aria-pressed") === "true" && (await page.innerText("#state")) === "Paused.");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  check(`${scheme}: the focus is seen`, outline !== "none", outline);

  // The policy lets no script in, axe neither: it runs on a page that was read in past the policy, and looks at the same document.
  const lax = await browser.newContext({ bypassCSP: true, colorScheme: scheme });
  const looked = await lax.newPage();
  await looked.goto(`http://127.0.0.1:${HTTP}/`);
  await looked.waitForSelector("#connections-table tbody tr");
  await looked.evaluate(axe);
  const found = await looked.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }));
  const violations = found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join(", ")}`);
  check(`${scheme}: axe finds nothing in ${found.passes.length} rules`, violations.length === 0, violations.join("; "));
  await lax.close();

  check(`${scheme}: no other host is asked`, foreign.length === 0, foreign.join(" "));
  check(`${scheme}: no complaint of the browser`, complaints.length === 0, complaints.join("; "));
  await page.close();
}
const member = await browser.newPage();
await member.goto(`http://127.0.0.1:${MOORING}/`);
await member.waitForSelector("#links-table tbody tr");
await onTheMap("a cluster", member, ["route quay", "gateway inland"]);
await browser.close();
clearInterval(load);
clearInterval(intruder);
console.log(failures === 0 ? "The dashboard holds." : `${failures} checks failed.`);
process.exit(failures === 0 ? 0 : 1);
