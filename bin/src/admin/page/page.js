"use strict";
// Asks once a second; rates are differences of the totals.
const SHOWN = 100;
const SAMPLES = 60;
const $ = id => document.getElementById(id);
let last = null;
const rows = new Map();

const scaled = (value, step, units) => {
  let unit = 0;
  while (value >= step && unit < units.length - 1) { value /= step; unit += 1; }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
};
const bytes = value => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
const bits = value => scaled(value * 8, 1000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"]);
const count = value => scaled(value, 1000, ["/s", "k/s", "M/s"]);
const time = seconds => seconds >= 1 ? `${seconds.toFixed(2)} s` : `${(seconds * 1000).toFixed(seconds < 0.01 ? 2 : 0)} ms`;

const svg = (name, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};

// The window over the last minute; a vertical line where another controller took over.
class Chart {
  constructor() {
    this.samples = [];
    this.element = svg("svg", { viewBox: `0 0 ${SAMPLES - 1} 20`, preserveAspectRatio: "none", role: "img" });
  }

  add(window, controller) {
    this.samples.push({ window, controller });
    if (this.samples.length > SAMPLES) this.samples.shift();
    const most = Math.max(...this.samples.map(sample => sample.window), 1);
    const x = index => SAMPLES - this.samples.length + index;
    const points = this.samples.map(({ window }, index) => `${x(index)},${(19 - 18 * window / most).toFixed(1)}`);
    const marks = [];
    for (let index = 1; index < this.samples.length; index += 1) {
      if (this.samples[index].controller !== this.samples[index - 1].controller) {
        marks.push(svg("line", { x1: x(index), x2: x(index), y1: 0, y2: 20 }));
      }
    }
    this.element.replaceChildren(...marks, svg("polyline", { points: points.join(" ") }));
    this.element.setAttribute("aria-label", `window over the last minute, at most ${bytes(most)}`);
  }
}

// A row stays as long as its connection: what is being chosen in it is not taken from under the pointer.
class Row {
  constructor(c) {
    this.element = document.createElement("tr");
    this.chart = new Chart();
    this.cells = Array.from({ length: 14 }, (_, index) => {
      const td = document.createElement("td");
      if ([6, 8, 9, 10, 11, 12].includes(index)) td.className = "n";
      return td;
    });
    this.controller = document.createElement("span");
    this.cells[5].append(this.controller, ...control.chooser(c.id, c.congestion.algorithm));
    this.cells[7].append(this.chart.element);
    this.element.append(...this.cells);
  }

  show(c) {
    const cc = c.congestion;
    const texts = [c.id, c.role, c.remote, c.alpn, c.state, null, bytes(cc.window_bytes), null, bytes(cc.bytes_in_flight),
      time(c.smoothed_rtt_seconds), bytes(c.totals.bytes_sent), bytes(c.totals.bytes_received),
      `${c.totals.packets_lost} of ${c.totals.packets_sent}`, c.limited_by];
    texts.forEach((text, index) => { if (text !== null) this.cells[index].textContent = text; });
    this.controller.textContent = `${cc.algorithm} (${cc.state})`;
    this.chart.add(cc.window_bytes, cc.algorithm);
  }
}

const fill = connections => {
  const here = new Set(connections.map(c => c.id));
  for (const [id, row] of rows) {
    if (!here.has(id)) { row.element.remove(); rows.delete(id); }
  }
  connections.forEach((c, place) => {
    let row = rows.get(c.id);
    if (!row) { row = new Row(c); rows.set(c.id, row); }
    row.show(c);
    const there = $("rows").children[place];
    if (there !== row.element) $("rows").insertBefore(row.element, there ?? null);
  });
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
  fill(table.connections);
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
control.ready.then(tick);
