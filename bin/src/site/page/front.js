"use strict";

const NAMES = { "http/1.0": "HTTP/1.0", "http/1.1": "HTTP/1.1", h2: "HTTP/2", h3: "HTTP/3" };
const milliseconds = (value) => (value < 10 ? value.toFixed(1) : Math.round(value)) + " ms";

// What the browser says of how this page came.
function timing() {
  const [entry] = performance.getEntriesByType("navigation");
  if (!entry) return;
  const list = document.getElementById("timing");
  const add = (text) => list.appendChild(document.createElement("li")).textContent = text;
  const name = NAMES[entry.nextHopProtocol] || entry.nextHopProtocol;
  if (name) add("your browser says " + name);
  const connecting = entry.connectEnd - entry.connectStart;
  add(connecting > 0 ? "connected in " + milliseconds(connecting) : "on a connection that was open already");
  add("first byte after " + milliseconds(entry.responseStart - entry.requestStart));
  list.hidden = false;
  if (document.getElementById("protocol").dataset.protocol === "HTTP/3") {
    document.getElementById("advice").textContent =
      "QUIC carried it: one UDP connection, encrypted from its first packet, and no stream waits for another's losses.";
  }
}

async function echo(say) {
  const times = [];
  for (let round = 0; round < 20; round += 1) {
    const text = "message " + round + " of " + Math.random();
    const began = performance.now();
    const response = await fetch("/echo", { method: "POST", body: text, headers: { "content-type": "text/plain" } });
    if (await response.text() !== text) throw new Error("something else came back");
    times.push(performance.now() - began);
    say(round + 1 + " of 20");
  }
  times.sort((one, other) => one - other);
  say("median " + milliseconds((times[9] + times[10]) / 2) + ", fastest " + milliseconds(times[0]) + ", slowest " + milliseconds(times[19]));
}

async function download(say) {
  const began = performance.now();
  const response = await fetch("/bytes/16M", { cache: "no-store" });
  const reader = response.body.getReader();
  let count = 0;
  let said = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    count += value.length;
    if (performance.now() - said > 100) {
      said = performance.now();
      say((count / 1048576).toFixed(1) + " MiB");
    }
  }
  const seconds = (performance.now() - began) / 1000;
  say((count / 1048576).toFixed(0) + " MiB in " + milliseconds(seconds * 1000) + ", " + (count * 8 / seconds / 1e6).toFixed(0) + " Mbit/s");
}

function socket(say) {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const socket = new WebSocket("wss://" + location.host + "/ws");
    let opened = 0;
    let sent = 0;
    socket.onopen = () => {
      opened = performance.now() - began;
      sent = performance.now();
      socket.send("to be, or not to be");
    };
    socket.onmessage = (event) => {
      say("“" + event.data + "” came back after " + milliseconds(performance.now() - sent) + "; open after " + milliseconds(opened));
      socket.close(1000);
      resolve();
    };
    socket.onerror = () => reject(new Error("no WebSocket; the browser's console says why"));
  });
}

const TRIALS = { echo, download, socket };
for (const button of document.querySelectorAll("button[data-try]")) {
  button.addEventListener("click", async () => {
    const output = button.parentElement.querySelector("output");
    const say = (text) => { output.textContent = text; };
    output.className = "";
    button.disabled = true;
    try {
      await TRIALS[button.dataset.try](say);
    } catch (error) {
      output.className = "bad";
      say("failed: " + error.message);
    }
    button.disabled = false;
  });
}
for (const origin of document.querySelectorAll("[data-origin]")) origin.textContent = location.origin;
// The entry of a page is complete when the page is.
addEventListener("load", () => setTimeout(timing, 0));
