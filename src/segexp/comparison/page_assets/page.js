// Curves, marginal effects and cost; then the page as a whole.

function meanLine(runs, column) {
  const sums = new Map();
  for (const [, at, , lines] of runs) (lines[column] || []).forEach((value, k) => {
    if (!known(value)) return;
    const epoch = DATA.curves.epochs[at][k], [sum, count] = sums.get(epoch) || [0, 0];
    sums.set(epoch, [sum + value, count + 1]);
  });
  const least = runs.length / 2; // where fewer runs are left, their mean would jump
  return [...sums].filter(([, [, count]]) => count >= least).map(([epoch, [sum, count]]) => [epoch, sum / count])
    .sort((one, two) => one[0] - two[0]);
}

function curvePlot(holder, heading, columns, log) {
  const list = shown().filter((i) => !state.off.has(i)), names = DATA.curves.names;
  const series = list.flatMap((i) => {
    const runs = DATA.curves.runs.filter((run) => run[0] === i);
    return columns.map((column) => ({ i, column, mean: meanLine(runs, column), thin: !state.lines.runs || runs.length < 2 ? []
      : runs.filter((run) => run[3][column]).map(([, at, , lines]) => lines[column].map((v, k) => [DATA.curves.epochs[at][k], v])) }));
  }).filter((one) => one.mean.length);
  holder.append(el("h3", null, heading));
  if (!series.length) return void holder.append(el("p", { class: "dim" }, "Nothing is chosen."));
  const to = log ? (v) => (known(v) && v > 0 ? Math.log10(v) : null) : (v) => v;
  const points = series.flatMap((one) => [one.mean, ...one.thin].flat());
  const width = room(holder), left = 52, bottom = 250;
  const last = Math.max(2, ...points.map(([epoch]) => epoch)), [low, high] = limits(points.map(([, v]) => to(v)));
  const x = scale(1, last, left, width - 10), y = scale(low, high, bottom, 8);
  const path = (line) => {
    const kept = line.filter(([, v]) => known(to(v))).map(([epoch, v]) => `${x(epoch).toFixed(1)} ${y(to(v)).toFixed(1)}`);
    return kept.length > 1 ? `M${kept.join("L")}` : kept.length ? `M${kept[0]}h3` : "M0 0";
  };
  const picture = draw("svg", { width, height: bottom + 40, role: "img", "aria-label": heading },
    axisBelow(x, 1, last, 8, bottom, left, width, "epoch", 1), axisLeft(y, low, high, left, width - 10, log ? (v) => short(10 ** v, 2) : null));
  const dashed = (one) => (names[one.column].startsWith("train/") ? " dashed" : "");
  for (const one of series) picture.append(draw("g", { class: color(one.i), "data-tip": `${full(one.i)}\n${names[one.column]}` },
    ...one.thin.map((line) => draw("path", { class: `thin${dashed(one)}`, d: path(line) })),
    draw("path", { class: `mean${dashed(one)}`, d: path(one.mean) }), draw("path", { class: "catch", d: path(one.mean) })));
  holder.append(picture);
}

function curves() {
  const { names, runs, stride } = DATA.curves;
  place("s-curves").hidden = !runs.length;
  if (!runs.length) return;
  const losses = names.map((_, k) => k).filter((k) => /^(train|val)\/loss$/.test(names[k]) && state.lines[names[k].split("/")[0]]);
  const others = names.map((_, k) => k).filter((k) => !/^(train|val)\/loss$/.test(names[k]));
  const switches = { train: "train loss (dashed)", val: "validation loss", runs: "single runs (thin)", log: "log scale of loss" };
  put("lines", ...Object.entries(switches).map(([key, text]) => el("label", { class: "tick" },
    el("input", { type: "checkbox", checked: state.lines[key], "data-line": key, onchange: (event) => {
      state.lines[key] = event.target.checked;
      curves();
      place("lines").querySelector(`[data-line=${key}]`).focus();
    } }), text)),
  el("div", { class: "chips" }, ...shown().map((i) => el("button", { type: "button", "data-chip": i, "aria-pressed": String(!state.off.has(i)),
    onclick: () => {
      if (!state.off.delete(i)) state.off.add(i);
      curves();
      place("lines").querySelector(`[data-chip="${i}"]`).focus();
    } }, badge(i), ` ${clip(EXPERIMENTS[i].name, 220)}`))));
  const holders = [el("div"), ...others.map(() => el("div"))];
  put("curves", ...holders);
  curvePlot(holders[0], "Loss, mean over runs", losses, state.lines.log);
  others.forEach((k, at) => curvePlot(holders[at + 1], `${names[k]}, mean over runs`, [k], false));
  if (stride > 1) holders[0].append(el("p", { class: "dim" }, `Every ${stride}th epoch is drawn.`));
}

function marginals() {
  place("s-marginals").hidden = !DATA.marginals.length;
  if (!DATA.marginals.length) return;
  const table = DATA.tables[0], most = 20;
  put("marginal-note", `Each value's mean ${title(table)} over all other settings, minus the mean of all values, 95 % interval.`);
  const holders = DATA.marginals.map(() => el("div"));
  put("marginals", ...holders);
  DATA.marginals.forEach((item, at) => {
    const numbers = item.rows.every((row) => row.value !== "" && Number.isFinite(Number(row.value)));
    const ordered = numbers ? [...item.rows].sort((one, two) => one.value - two.value) : item.rows;
    const rows = ordered.slice(0, most).map((row) => {
      const [value, low, high] = row.effect.map((v) => (known(v) ? v * table.scale : v));
      const tip = `${row.value || "(none)"}: mean ${score(row.mean[0], table)}, ${several(row.experiments, "experiment")}`;
      return { label: `${row.value || "(none)"}  ${score(row.mean[0], table)}`, tip, color: "c0", value, low, high,
        sure: known(low) && (low > 0 || high < 0) };
    });
    intervals(holders[at], item.key, rows, `effect on ${title(table)}${unit(table)}`, true);
    if (item.rows.length > most) holders[at].append(el("p", { class: "dim" }, `The first ${most} of ${item.rows.length} values.`));
    if (!item.matched) holders[at].append(el("p", { class: "dim" },
      "Not all values were tried with the same other settings: they do not compare alone."));
  });
}

const COSTS = { minutes: "minutes of training", parameters: "parameters", multiply_adds: "multiply-adds of a patch",
  peak_memory_mib: "peak memory (MiB)", energy_wh: "energy (Wh)" };
const measured = Object.keys(COSTS).filter((key) => EXPERIMENTS.some((item) => item.cost[key] > 0));

function cost() {
  const some = EXPERIMENTS.length > 1 && measured.length > 0;
  place("s-cost").hidden = !some;
  if (!some) return;
  const table = state.table, key = state.cost, of = (i) => EXPERIMENTS[i].cost[key];
  const list = filtered().filter((i) => of(i) > 0 && known(table.means[i][0])), holder = put("cost");
  if (!list.length) return;
  const worth = (i) => table.means[i][0] * (higher(table) ? 1 : -1);
  const order = [...list].sort((one, two) => of(one) - of(two) || worth(two) - worth(one));
  const front = order.filter((i, at) => order.slice(0, at).every((j) => worth(j) < worth(i)));
  const log = of(order[order.length - 1]) / of(order[0]) > 20;
  const to = (i) => (log ? Math.log10(of(i)) : of(i));
  const width = Math.min(room(holder), 900), left = 52, bottom = 320;
  const [low, high] = limits(list.map(to)), [least, most] = limits(list.map((i) => table.means[i][0]));
  const x = scale(low, high, left + 6, width - 24), y = scale(least, most, bottom, 14);
  const picture = draw("svg", { width, height: bottom + 40, role: "img", "aria-label": `${title(table)} against ${COSTS[key]}` },
    axisBelow(x, low, high, 8, bottom, left, width, COSTS[key] + (log ? ", powers of 10" : "")),
    axisLeft(y, least, most, left, width - 10),
    draw("path", { class: "front", d: front.map((i, at) => (at ? `H${x(to(i))}V` : `M${x(to(i))} `) + y(table.means[i][0])).join("") }));
  for (const i of list) picture.append(draw("g", { class: color(i), "data-tip": `${full(i)}\n${title(table)} ${score(table.means[i][0], table)}, ` +
    `${COSTS[key]} ${of(i).toLocaleString("en", { maximumSignificantDigits: 4 })}` },
  draw("circle", { class: front.includes(i) ? "solid" : "hollow", cx: x(to(i)), cy: y(table.means[i][0]), r: 6 }),
  list.length <= 30 || front.includes(i)
    ? draw("text", { class: "label", x: x(to(i)) + 9, y: y(table.means[i][0]) - 6 }, EXPERIMENTS[i].letter) : null));
  holder.append(picture, el("p", { class: "dim" }, `Filled and joined: the Pareto front of ${title(table)} and ${COSTS[key]}: ${front.map((i) => EXPERIMENTS[i].letter).join(", ")}.`));
}

function verdict() {
  const table = DATA.tables[0], sentences = table.sentences, best = ranked(EXPERIMENTS.keys())[0];
  const [value, low, high, cases] = table.means[best], own = (v) => score(v, table), interval = range(low, high, own);
  const top = `${EXPERIMENTS.length > 2 ? `${higher(table) ? "Highest" : "Lowest"} mean` : "Mean"} ${title(table)}: ${full(best)} with ${own(value)}` +
    `${interval ? `, 95 % interval ${interval}` : ""}, on ${several(cases, "case")}.`;
  const list = (some) => el("ul", { class: "plain" }, ...some.map(([i, text]) => el("li", null, badge(i), el("span", null, sentence(text)))));
  if (sentences.length < 2) return void put("verdict", el("p", null, sentences.length ? sentence(sentences[0][1]) : top));
  const most = sentences.length > 8 ? 5 : 8, rest = sentences.slice(most);
  put("verdict", el("p", null, top), el("p", null, `Each against the baseline ${full(DATA.baseline)}, the best mean first:`), list(sentences.slice(0, most)),
    rest.length ? el("details", null, el("summary", null, `${several(rest.length, "more sentence")}`), list(rest)) : null);
}

function heading() {
  const runs = EXPERIMENTS.reduce((sum, item) => sum + item.runs, 0), many = new Set(DATA.cases.flat()).size;
  put("facts", `${DATA.made} \u00b7 ${several(runs, "run")} \u00b7 ${several(EXPERIMENTS.length, "experiment")} \u00b7 ${several(many, "case")}`);
  verdict();
  place("warnings").hidden = !DATA.warnings.length;
  put("warnings", el("strong", null, "Before you believe it"), el("ul", null, ...DATA.warnings.map((text) => el("li", null, sentence(text)))));
  const words = new Map(DATA.tables.map((table) => [table.metric, table.protocol]));
  put("protocol", el("dl", null, ...[...words].flatMap(([name, text]) => [el("dt", null, name), el("dd", null, text || "not given")])));
  put("foot", `Made by segexp ${DATA.version}`, DATA.command ? el("span", null, " with ", el("code", null, DATA.command)) : "", ".");
}

function selects() {
  const options = (id, pairs, value) => { put(id, ...pairs.map(([key, text]) => el("option", { value: key }, text))).value = value; };
  const metrics = [...new Set(DATA.tables.map((table) => table.metric))], classes = [...new Set(DATA.tables.map((table) => table.class))];
  options("metric", metrics.map((name, k) => [k, name]), 0);
  options("class", classes.map((name, k) => [k, name === null ? "mean over classes" : name]), 0);
  place("class").parentNode.hidden = classes.length < 2;
  for (const id of ["metric", "class"]) place(id).addEventListener("change", () => {
    const [metric, label] = [metrics[place("metric").value], classes[place("class").value]];
    const name = state.chosen === null ? null : DATA.cases[state.table.cases][state.chosen];
    state.table = DATA.tables.find((table) => table.metric === metric && table.class === label);
    state.chosen = name === null ? null : DATA.cases[state.table.cases].indexOf(name);
    if (state.chosen === -1) state.chosen = null;
    redraw();
  });
  const everyone = EXPERIMENTS.map((item, i) => [i, `${item.letter} ${item.name}`]);
  state.second = ranked(EXPERIMENTS.keys()).find((i) => i !== DATA.baseline) ?? DATA.baseline;
  for (const id of ["first", "second"]) {
    options(id, everyone, state[id]);
    place(id).addEventListener("change", () => { state[id] = Number(place(id).value); redrawCases(); });
  }
  state.cost = measured[0];
  options("cost-of", measured.map((key) => [key, COSTS[key]]), state.cost);
  place("cost-of").addEventListener("change", () => { state.cost = place("cost-of").value; cost(); });
}

function redraw() {
  const count = filtered().length;
  place("none").hidden = count > 0;
  place("more").hidden = count <= FIRST;
  place("more").lastElementChild.textContent = `plots show all ${count}, not the best ${FIRST}`;
  for (const node of document.querySelectorAll(".which")) node.textContent = title(state.table);
  for (const part of [experimentsTable, differencesTable, scoresTable, forest, curves, positions, reliability, marginals, cost, setsTable, redrawCases]) part();
}

function theme() {
  const dark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { place("theme").textContent = dark() ? "Light" : "Dark"; };
  place("theme").addEventListener("click", () => { document.documentElement.dataset.theme = dark() ? "light" : "dark"; name(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();
}

function tips() {
  const tip = place("tip");
  document.addEventListener("pointermove", (event) => {
    const found = event.target.closest("[data-tip]");
    tip.hidden = !found;
    if (!found) return;
    tip.textContent = found.dataset.tip;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : event.clientY + 18}px`;
  });
  document.addEventListener("click", (event) => {
    const found = event.target.closest("[data-case]");
    if (found) choose(Number(found.dataset.case), found.dataset.of === undefined ? undefined : Number(found.dataset.of));
  });
}

heading();
selects();
theme();
tips();
place("filter").addEventListener("input", () => { state.filter = place("filter").value; redraw(); });
place("all").addEventListener("change", () => { state.all = place("all").checked; redraw(); });
redraw();
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return; // a phone hides its bar: the height alone changed
  width = innerWidth;
  redraw();
});
