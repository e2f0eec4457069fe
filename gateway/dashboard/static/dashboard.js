"use strict";

const KEY = "keelson.key";
const POLL_MS = 2000;
const LATE_MS = 6000;
const element = (id) => document.getElementById(id);
let answeredAt = null;
let timer = null;
// Of the question last asked: an answer to an earlier one, or after signing out, is not shown.
let turn = 0;

// Text is only ever set as text: nothing that came into the data can become markup.
function cell(row, text, kind = "", heading = false) {
  const made = document.createElement(heading ? "th" : "td");
  made.textContent = text === null || text === undefined ? "none" : String(text);
  if (heading) made.scope = "col";
  made.className = kind;
  row.append(made);
}

function table(place, caption, columns, rows) {
  const made = document.createElement("table");
  made.createCaption().textContent = caption;
  const head = made.createTHead().insertRow();
  for (const [title, kind] of columns) cell(head, title, kind, true);
  const body = made.createTBody();
  for (const values of rows) {
    const row = body.insertRow();
    values.forEach((value, index) => {
      const [text, kind] = Array.isArray(value) ? value : [value, columns[index][1]];
      cell(row, text, kind);
    });
  }
  element(place).replaceChildren(made);
}

function note(place, text, kind) {
  const made = document.createElement("p");
  made.className = kind;
  made.textContent = text;
  element(place).replaceChildren(made);
}

function section(place, answer, show) {
  if (answer.data === null) note(place, `unavailable: ${answer.unavailable}`, "bad");
  else show(answer.data);
}

const percent = (value) => `${(100 * value).toFixed(2)} %`;
const money = (text) => Number(text).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const moment = (text) => (text ? text.replace("T", " ").replace(/\.\d+Z$/, "Z") : "none");
const byLevel = { GREEN: "good", YELLOW: "warn", ORANGE: "warn", RED: "bad", BLACK: "bad" };
const byLedger = { current: "good", behind: "warn", risk_unreachable: "bad", journal_broken: "bad" };
const N = "number";

function show(data) {
  table("services", "each with what it needs", [["service"], ["state"], ["needs", "wide"]], data.services.map((service) => [
    service.name,
    [service.state.replace("_", " "), service.state === "ready" ? "good" : "bad"],
    [service.dependencies.map((each) => `${each.name}: ${each.ok ? "ok" : each.detail}`).join(", ") || service.detail, "wide"],
  ]));
  section("accounts", data.accounts, (accounts) => {
    const more = data.more_accounts ? "the newest; there are older ones" : "all accounts";
    table("accounts", more,
      [["account"], ["level"], ["why", "wide"], ["equity", N], ["realised", N], ["unrealised", N], ["fees", N], ["day's loss", N], ["drawdown", N], ["open orders", N]],
      accounts.map((account) => [
        `${account.account_id} (${account.base_currency})`, [account.risk_level, byLevel[account.risk_level]],
        [account.risk_level_reason, "wide"], money(account.equity), money(account.realised_pnl), money(account.unrealised_pnl), money(account.fees),
        percent(account.daily_loss), percent(account.drawdown), account.open_orders,
      ]));
    const held = accounts.flatMap((account) => account.positions
      .filter((position) => position.quantity !== "0").map((position) => [account.account_id, position]));
    if (held.length === 0) note("positions", "nothing is held", "quiet");
    else table("positions", "at their marks", [["account"], ["symbol"], ["quantity", N], ["average", N], ["mark", N], ["notional", N], ["unrealised", N]],
      held.map(([name, each]) => [name, each.symbol, each.quantity, each.average_price, each.mark_price, money(each.notional), money(each.unrealised_pnl)]));
  });
  // Nothing old stays where the answer is missing.
  if (data.accounts.data === null) note("positions", `unavailable: ${data.accounts.unavailable}`, "bad");
  section("decisions", data.counts, (counts) => {
    const reasons = Object.entries(counts.denied_by_reason).map(([reason, number]) => `${reason} ${number}`).join(", ");
    table("decisions", data.simulation_id ? `simulation ${data.simulation_id}` : "live accounts",
      [["approved", N], ["denied", N], ["reasons", "wide"], ["trades", N], ["days", N]],
      [[counts.approved, counts.denied, [reasons || "none", "wide"], counts.trades, counts.rollups]]);
  });
  section("feeds", data.feeds, (feeds) => table("feeds", "by source",
    [["source"], ["symbols", N], ["rows", N], ["warnings", N], ["critical", N], ["newest event"]],
    feeds.map((feed) => [feed.source, feed.symbols, feed.rows, feed.warning, [feed.critical, feed.critical ? "number bad" : N], moment(feed.last_ts_event)])));
  section("models", data.models, (models) => table("models", "in the registry", [["model"], ["version"], ["hash"], ["aliases"]],
    models.map((model) => [model.name, model.version, model.sha256.slice(0, 16), model.aliases.join(", ") || "none"])));
  section("ledger", data.ledger, (ledger) => table("ledger", "how far trades, closed days and decisions are counted",
    [["state"], ["why", "wide"], ["journal rows read", N], ["rows behind", N], ["last change"]],
    [[[ledger.state.replace("_", " "), byLedger[ledger.state]], [ledger.problem || "none", "wide"], ledger.cursor,
      ledger.lag === null ? "unknown" : ledger.lag, moment(ledger.updated_at)]]));
  section("trades", data.trades, (trades) => table("trades", "the newest first",
    [["time"], ["account"], ["strategy"], ["symbol"], ["side"], ["quantity", N], ["price", N], ["realised", N], ["confidence", N]],
    trades.map((trade) => [moment(trade.ts_event), trade.account_id, trade.strategy_id, trade.symbol, trade.side, trade.quantity,
      trade.price, money(trade.realised_pnl), trade.telemetry ? trade.telemetry.calibrated_confidence.toFixed(3) : "none"])));
  section("rollups", data.rollups, (rollups) => table("rollups", "the newest first",
    [["day"], ["account"], ["strategy"], ["approved", N], ["denied", N], ["trades", N], ["realised", N], ["win rate", N]],
    rollups.map((day) => [day.session_date, day.account_id, day.strategy_id || "all", day.orders_approved, day.orders_denied, day.trades,
      money(day.realised_pnl), day.win_rate.value === null ? day.win_rate.state.replace("_", " ") : percent(day.win_rate.value)])));
  const stops = data.kill_switches.data || [];
  const unknown = data.kill_switches.data === null ? `kill switches unknown: ${data.kill_switches.unavailable}` : "";
  element("stop").textContent = unknown || stops.map((each) => `STOPPED: ${each.scope} ${each.target || ""} (${each.reason})`).join("; ");
  element("stop").hidden = !unknown && stops.length === 0;
}

function age() {
  const place = element("age");
  if (answeredAt === null) { place.textContent = "not connected"; return; }
  const since = Date.now() - answeredAt;
  place.textContent = since < LATE_MS ? "up to date" : `no answer for ${Math.round(since / 1000)} s: what is shown is old`;
  place.classList.toggle("late", since >= LATE_MS);
}

function signIn(problem) {
  turn += 1;
  clearTimeout(timer);
  sessionStorage.removeItem(KEY);
  answeredAt = null;
  element("as-of").textContent = "";
  element("sign-in").hidden = false;
  element("board").hidden = true;
  element("sign-out").hidden = true;
  element("stop").hidden = true;
  element("sign-in-problem").textContent = problem;
  element("key").focus();
}

async function poll() {
  const mine = ++turn;
  clearTimeout(timer);
  const key = sessionStorage.getItem(KEY);
  if (!key) { signIn(""); return; }
  try {
    const answer = await fetch("/api/v1/dashboard", { headers: { Authorization: `Bearer ${key}` }, cache: "no-store" });
    const data = answer.ok ? await answer.json() : null;
    if (mine !== turn) return;
    if (answer.status === 401 || answer.status === 403) { signIn("This key is not accepted."); return; }
    if (data !== null) {
      show(data);
      answeredAt = Date.now();
      element("as-of").textContent = `as of ${moment(data.generated_at)}`;
      element("sign-in").hidden = true;
      element("board").hidden = false;
      element("sign-out").hidden = false;
    }
  } catch (error) {
    if (mine !== turn) return;
    console.warn("the dashboard does not answer", error);
  }
  age();
  timer = setTimeout(poll, POLL_MS);
}

element("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, element("key").value.trim());
  element("key").value = "";
  element("sign-in-problem").textContent = "";
  poll();
});
element("sign-out").addEventListener("click", () => signIn(""));
setInterval(age, 1000);
poll();
