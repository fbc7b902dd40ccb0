"use strict";
// Asks once a second; rates are differences of the totals.
const SHOWN = 100;
const $ = id => document.getElementById(id);
let last = null;

const scaled = (value, step, units) => {
  let unit = 0;
  while (value >= step && unit < units.length - 1) { value /= step; unit += 1; }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
};
const bytes = value => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
const bits = value => scaled(value * 8, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"]);
const count = value => scaled(value, 1000, ["/s", "k/s", "M/s"]);
const time = seconds => seconds >= 1 ? `${seconds.toFixed(2)} s` : `${(seconds * 1000).toFixed(seconds < 0.01 ? 2 : 0)} ms`;

const cell = (text, number) => {
  const td = document.createElement("td");
  td.textContent = text;
  if (number) td.className = "n";
  return td;
};

const row = c => {
  const tr = document.createElement("tr");
  tr.append(cell(c.id), cell(c.role), cell(c.remote), cell(c.alpn), cell(c.state),
    cell(`${c.congestion.algorithm} (${c.congestion.state})`), cell(bytes(c.congestion.window_bytes), true),
    cell(bytes(c.congestion.bytes_in_flight), true), cell(time(c.smoothed_rtt_seconds), true),
    cell(bytes(c.totals.bytes_sent), true), cell(bytes(c.totals.bytes_received), true),
    cell(`${c.totals.packets_lost} of ${c.totals.packets_sent}`, true), cell(c.limited_by));
  return tr;
};

const show = (now, table) => {
  $("state").className = "";
  $("state").textContent = `${now.version} · ${now.ready ? "ready" : "draining"} · up ${Math.round(now.uptime_seconds)} s · ${now.listening.join(", ")}`;
  $("connections").textContent = now.connections;
  if (last && now.uptime_seconds > last.uptime_seconds) {
    const rate = name => (now[name] - last[name]) / (now.uptime_seconds - last.uptime_seconds);
    $("received").textContent = bits(rate("received_bytes"));
    $("sent").textContent = bits(rate("sent_bytes"));
    $("datagrams").textContent = `${count(rate("received_datagrams"))} / ${count(rate("sent_datagrams"))}`;
  }
  last = now;
  $("rows").replaceChildren(...table.connections.map(row));
  $("more").textContent = table.total > SHOWN ? `${SHOWN} of ${table.total} connections` : "";
};

const tick = async () => {
  try {
    const answers = await Promise.all([fetch("/api/v1/overview"), fetch(`/api/v1/connections?limit=${SHOWN}`)]);
    show(...await Promise.all(answers.map(answer => answer.json())));
  } catch {
    $("state").className = "lost";
    $("state").textContent = "the server does not answer";
    last = null;
  }
  setTimeout(tick, 1000);
};
tick();
