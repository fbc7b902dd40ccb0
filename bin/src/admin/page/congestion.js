"use strict";
// Changes of congestion controllers. They need the token, which comes with the address of the page (#token=...), is kept
// in memory only, and leaves the address at once, so that neither a bookmark nor the history has it.
const control = (() => {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) history.replaceState(null, "", location.pathname);
  const $ = id => document.getElementById(id);
  let names = [];
  let last = null;

  const say = (text, failed) => {
    $("answer").textContent = text;
    $("answer").className = failed ? "failed" : "";
  };

  const ask = async (method, path, body) => {
    const headers = { "Authorization": `Bearer ${token}`, "Content-Type": "application/json" };
    const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.field ? `${said.field}: ${said.error}` : said.error);
    return said;
  };

  const attempt = async work => {
    try { await work(); } catch (error) { say(`refused: ${error.message}`, true); }
  };

  const remember = change => {
    last = change ?? null;
    $("undo").disabled = last === null;
    $("undo").textContent = last === null ? "undo" : `undo change ${last}`;
  };

  const options = select => {
    for (const { name, about } of names) {
      const option = document.createElement("option");
      option.value = option.textContent = name;
      option.title = about;
      select.append(option);
    }
    return select;
  };

  // What stands beside the controller of a connection: a choice and a button.
  const chooser = (id, present) => {
    if (!token || names.length === 0) return [];
    const select = options(document.createElement("select"));
    select.value = present;
    select.ariaLabel = `controller of connection ${id}`;
    const button = document.createElement("button");
    button.textContent = "set";
    button.addEventListener("click", () => attempt(async () => {
      const said = await ask("PUT", `/api/v1/connections/${id}/congestion`, { algorithm: select.value, by: "dashboard" });
      say(`connection ${id}: ${said.from} → ${said.to}; nothing is lost by it`);
      remember(said.change);
    }));
    return [select, button];
  };

  $("bulk").addEventListener("submit", event => {
    event.preventDefault();
    attempt(async () => {
      const body = { algorithm: $("many").value, percent: Number($("percent").value), by: "dashboard" };
      if ($("where").value) body.where = $("where").value;
      if (Number($("trial").value) > 0) body.trial_seconds = Number($("trial").value);
      const said = await ask("PUT", "/api/v1/congestion", body);
      const refused = said.refused_total ? `, ${said.refused_total} refused: ${said.refused[0].reason}` : "";
      say(`${said.changed} of ${said.matched} connections go on with ${said.algorithm}${refused}`, said.refused_total > 0);
      remember(said.change);
    });
  });

  $("undo").addEventListener("click", () => attempt(async () => {
    const said = await ask("DELETE", `/api/v1/congestion/changes/${last}?by=dashboard`);
    say(`change ${said.change} is taken back: ${said.undone} connections have again what they had` +
      (said.left ? `, ${said.left} had changed since` : ""));
    remember(null);
  }));

  const ready = (async () => {
    if (!token) {
      say("Only to look at: changes need the address with #token=, which the server prints on a terminal.");
      return;
    }
    try {
      names = (await (await fetch("/api/v1/congestion/algorithms")).json()).algorithms;
      options($("many"));
      $("bulk").hidden = false;
    } catch { say("the controllers cannot be listed", true); }
  })();

  return { chooser, ready };
})();
