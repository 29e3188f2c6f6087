// One experiment against another, case by case, with pictures.

const alone = EXPERIMENTS.length < 2; // then there is nothing to set its cases against

function scatter() {
  place("s-cases").hidden = alone && !scores(state.table);
  for (const part of [place("scatter"), place("first").closest(".controls")]) part.hidden = alone;
  const table = state.table, values = scores(table);
  if (!values) {
    put("scatter", absent());
    return void put("cases");
  }
  const names = DATA.cases[table.cases], [a, b] = [values[state.first], values[state.second]];
  const both = names.map((_, k) => k).filter((k) => known(a[k]) && known(b[k]));
  if (!both.length) {
    put("scatter", el("p", { class: "dim" }, "These two experiments share no case with a score."));
    return void put("cases");
  }
  put("scatter", ...(alone ? [] : square(table, names, both, a, b)));
  casesTable(table, names, both, a, b);
}

const pictured = (name) => {
  const found = DATA.pictures[name] || {};
  return Boolean(found[state.first] || found[state.second]);
};

function square(table, names, both, a, b) {
  const size = Math.min(room(place("scatter")), 500), left = 48, bottom = size - 42;
  const [low, high] = limits(both.flatMap((k) => [a[k], b[k]]));
  const x = scale(low, high, left, size - 8), y = scale(low, high, bottom, 8);
  const picture = draw("svg", { width: size, height: size, role: "img", class: "scatter",
    "aria-label": `${title(table)}: ${full(state.first)} across, ${full(state.second)} up` },
  axisBelow(x, low, high, 8, bottom, left, size, clip(full(state.first), size - left)),
  axisLeft(y, low, high, left, size - 8),
  draw("path", { class: "zero", d: `M${x(low)} ${y(low)}L${x(high)} ${y(high)}` }),
  draw("text", { class: "tick", x: left + 4, y: 6, "dominant-baseline": "hanging" }, clip(`\u2191 ${full(state.second)}`, size - left)));
  for (const k of both) {
    const better = (b[k] - a[k]) * (higher(table) ? 1 : -1) >= 0;
    const kind = pictured(names[k]) ? "dot" : "ring";
    picture.append(draw("circle", { class: `${kind} ${better ? "c0" : "c1"}${k === state.chosen ? " chosen" : ""}`,
      cx: x(a[k]), cy: y(b[k]), r: k === state.chosen ? 7 : 5, "data-case": k,
      "data-tip": `${names[k]}\n${score(a[k], table)} \u2192 ${score(b[k], table)} (${change(b[k] - a[k], table)}${unit(table)})` }));
  }
  const second = EXPERIMENTS[state.second].letter;
  const won = both.filter((k) => (b[k] - a[k]) * (higher(table) ? 1 : -1) > 0).length;
  return [picture, el("p", { class: "dim" }, `${second} is better in ${won} of ${several(both.length, "case")} (blue; the others orange). ` +
    "Filled: a picture is kept. A click shows the case.")];
}

function casesTable(table, names, both, a, b) {
  const rows = [...both].sort((one, two) => (alone ? (a[one] - a[two]) * (higher(table) ? 1 : -1)
    : Math.abs(b[two] - a[two]) - Math.abs(b[one] - a[one])));
  const [one, two] = [EXPERIMENTS[state.first].letter, EXPERIMENTS[state.second].letter];
  const value = (head, get, show) => ({ head, number: true, get, show: (k) => show(get(k), table) });
  put("cases", sortable("Cases", [
    { head: "case", name: true, get: (k) => names[k],
      show: (k) => el("button", { type: "button", onclick: () => choose(k) }, names[k]) },
    ...(alone ? [value(title(table), (k) => a[k], score)] : [
      value(`${two} \u2212 ${one}${unit(table)}`, (k) => b[k] - a[k], change),
      value(one, (k) => a[k], score), value(two, (k) => b[k], score)]),
    { head: "picture", get: (k) => (pictured(names[k]) ? "yes" : "") },
  ], rows, (k) => (k === state.chosen ? "chosen" : null)));
}

function choose(k, of) {
  if (of !== undefined && of !== state.first) state.second = of;
  state.chosen = k;
  redrawCases();
  const panel = place("case");
  panel.focus({ preventScroll: true });
  panel.scrollIntoView({ block: "nearest" });
}

function redrawCases() {
  for (const [id, key] of [["first", "first"], ["second", "second"]]) place(id).value = state[key];
  const holder = place("cases").querySelector(".wide"), top = holder ? holder.scrollTop : 0;
  scatter();
  boxes();
  caseCard();
  if (place("cases").querySelector(".wide")) place("cases").querySelector(".wide").scrollTop = top;
}

function caseCard() {
  const panel = place("case"), names = DATA.cases[state.table.cases];
  panel.hidden = state.chosen === null;
  if (panel.hidden) return;
  const name = names[state.chosen], both = [...new Set([state.first, state.second])];
  const rows = DATA.tables.filter((table) => scores(table) && DATA.cases[table.cases].includes(name)).map((table) => {
    const k = DATA.cases[table.cases].indexOf(name);
    return { table, values: both.map((i) => scores(table)[i][k]) };
  });
  const columns = [{ head: "metric", get: (row) => title(row.table), name: true }, ...both.map((i, at) => ({
    head: EXPERIMENTS[i].letter, number: true, get: (row) => row.values[at], show: (row) => score(row.values[at], row.table) }))];
  const differs = (row) => (row.values.every(known) ? row.values[1] - row.values[0] : null);
  if (both.length > 1) columns.push({ head: "difference", number: true, get: differs,
    show: (row) => (known(differs(row)) ? change(differs(row), row.table) + (row.table.unit ? ` ${row.table.unit}` : "") : "") });
  put(panel, el("h3", null, name), el("div", { class: "pair" }, ...both.map((i) => shot(name, i))),
    both.some((i) => (DATA.pictures[name] || {})[i])
      ? el("p", { class: "dim" }, "Error: blue missed, orange invented, pink confused.") : null,
    sortable("Scores of the case", columns, rows));
}

function shot(name, index) {
  const [address, run] = (DATA.pictures[name] || {})[index] || [];
  const caption = el("figcaption", null, badge(index), ` ${EXPERIMENTS[index].name}${run ? `, ${run}` : ""}`);
  const picture = address
    ? el("div", { class: "shot" }, el("img", { src: address, alt: `${name}: input, truth, prediction and error of ${full(index)}` }))
    : el("div", { class: "none" }, "No picture of this case was kept.");
  return el("figure", null, picture, caption);
}
