"use strict";

const picture = document.getElementById("picture");
const { tiles, delay, columns, rows, side } = Object.fromEntries(
  Object.entries(picture.dataset).map(([name, value]) => [name, Number(value)]));
const NAMES = { "http/1.0": "HTTP/1.0", "http/1.1": "HTTP/1.1", h2: "HTTP/2", h3: "HTTP/3", "": "not told" };
// An address that nobody has asked for is in no cache.
const turn = Date.now().toString(36);
const time = document.getElementById("time");
const counts = document.getElementById("counts");

performance.setResourceTimingBufferSize(tiles + 100);
// Edges that are shared leave no seams, whatever a tile's size in pixels is.
picture.style.aspectRatio = columns + " / " + rows;
picture.style.gridTemplate = "repeat(" + rows + ", 1fr) / repeat(" + columns + ", 1fr)";

const seconds = (value) => (value < 1000 ? Math.round(value) + " ms" : (value / 1000).toFixed(2) + " s");
const isTile = (entry) => entry.name.includes("/demo/tile/") && entry.name.endsWith("t=" + turn);

let done = 0;
let failed = 0;
const began = performance.now();
const ticking = setInterval(() => {
  time.textContent = seconds(performance.now() - began);
  counts.textContent = done + " of " + tiles + " tiles";
}, 100);

for (let index = 0; index < tiles; index += 1) {
  const image = new Image(side, side);
  image.alt = "";
  image.onload = () => arrived();
  image.onerror = () => { failed += 1; arrived(); };
  image.src = "/demo/tile/" + index + ".png?n=" + tiles + "&delay=" + delay + "&t=" + turn;
  picture.appendChild(image);
}

function arrived() {
  done += 1;
  if (done < tiles) return;
  clearInterval(ticking);
  const elapsed = performance.now() - began;
  time.textContent = seconds(elapsed);
  // The last entry is written after the last event.
  setTimeout(() => report(elapsed), 50);
}

function report(elapsed) {
  const entries = performance.getEntriesByType("resource").filter(isTile);
  const protocols = new Map();
  for (const entry of entries) protocols.set(entry.nextHopProtocol, (protocols.get(entry.nextHopProtocol) || 0) + 1);
  const parts = [...protocols].map(([name, count]) => count + " over " + (NAMES[name] || name));
  if (failed) parts.push(failed + " failed");
  parts.push(Math.round(tiles / elapsed * 1000) + " tiles a second");
  counts.textContent = parts.join(", ");
  document.body.dataset.finished = "yes";
  draw(entries);
  addEventListener("resize", () => draw(entries));
}

function draw(entries) {
  const canvas = document.getElementById("waterfall");
  const style = getComputedStyle(document.documentElement);
  const colours = { "http/1.1": "--h1", h2: "--h2", h3: "--h3" };
  const scale = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const first = Math.min(...entries.map((entry) => entry.startTime));
  const last = Math.max(...entries.map((entry) => entry.responseEnd));
  const margin = 8;
  const x = (at) => margin + (at - first) / (last - first || 1) * (width - 2 * margin);
  const bar = (height - 2 * margin) / entries.length;
  entries.forEach((entry, index) => {
    const y = margin + index * bar;
    const thick = bar < 2 ? bar : bar * 0.8;
    const asked = entry.requestStart || entry.startTime;
    context.fillStyle = style.getPropertyValue(colours[entry.nextHopProtocol] || "--soft");
    context.globalAlpha = 0.25;
    context.fillRect(x(entry.startTime), y, Math.max(x(asked) - x(entry.startTime), 0.5), thick);
    context.globalAlpha = 1;
    context.fillRect(x(asked), y, Math.max(x(entry.responseEnd) - x(asked), 1), thick);
  });
}
