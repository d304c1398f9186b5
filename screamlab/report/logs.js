"use strict";
(() => {
  const LEVELS = ["emergency", "alert", "critical", "error", "warning", "notice", "information", "debug"];
  const rows = JSON.parse(document.getElementById("log-data").textContent);
  const place = name => document.getElementById("log-" + name);
  const [HOST, KIND, LEVEL, TEXT] = [1, 2, 4, 5];

  function offer(select, all, values) {
    select.append(new Option(all, ""));
    for (const [value, label] of values) select.append(new Option(label, value));
  }
  const distinct = column => [...new Set(rows.map(row => row[column]))].filter(Boolean).sort().map(name => [name, name]);
  offer(place("host"), "every host", distinct(HOST));
  offer(place("kind"), "every kind", distinct(KIND));
  offer(place("level"), "every level", LEVELS.slice(2, 7).map((name, at) => [at + 2, name + " or worse"]));

  function wanted() {
    const text = place("text").value;
    const expression = text.match(/^\/(.+)\/$/);
    let matches = () => true;
    try {
      const compiled = expression && new RegExp(expression[1], "i");
      const plain = text.toLowerCase();
      if (text) matches = row => compiled ? compiled.test(row[3] + " " + row[TEXT]) : (row[3] + " " + row[TEXT]).toLowerCase().includes(plain);
    } catch { /* half an expression, as it is typed */ }
    const [host, kind, level] = ["host", "kind", "level"].map(name => place(name).value);
    const [from, to] = ["from", "to"].map(name => place(name).value);
    return rows.filter(row =>
      (!host || row[HOST] === host || !row[HOST]) && (!kind || row[KIND] === kind) &&
      (!level || row[LEVEL] <= Number(level)) && (!from || row[0] >= Number(from)) &&
      (!to || row[0] <= Number(to)) && matches(row));
  }

  function show() {
    const found = wanted();
    place("count").textContent = `${found.length} of ${rows.length}`;
    place("rows").replaceChildren(...found.map(row => {
      const line = document.createElement("tr");
      line.className = row[LEVEL] <= 3 ? "bad" : row[LEVEL] === 4 ? "doubt" : "";
      for (const text of [row[0].toFixed(3), row[HOST], row[3], row[TEXT]]) line.insertCell().textContent = text;
      return line;
    }));
  }

  for (const name of ["text", "host", "kind", "level", "from", "to"]) place(name).addEventListener("input", show);
  // A closed view draws nothing.
  place("rows").closest("details").addEventListener("toggle", show, { once: true });
})();
