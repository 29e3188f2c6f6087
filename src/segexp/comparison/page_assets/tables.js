// Tables that sort when a head is clicked.

// Columns: {head, hint, get: row => value to sort by, show: row => text or element, number: bool, name: bool}.
function sortable(id, columns, rows, rowClass = () => null) {
  const body = el("tbody");
  const heads = columns.map((column, i) => el("th", { scope: "col", class: column.number ? "number" : column.pin ? "pin" : null },
    el("button", { type: "button", title: column.hint, onclick: () => turn(i) }, column.head)));
  const region = el("div", { class: "wide", role: "region", tabindex: 0, "aria-label": id },
    el("table", null, el("thead", null, el("tr", null, ...heads)), body));
  const compare = (one, two) => (typeof one === "number" && typeof two === "number" ? one - two
    : String(one).localeCompare(String(two), "en", { numeric: true }));

  function turn(i) {
    const now = state.sort[id];
    state.sort[id] = { column: i, down: now && now.column === i ? !now.down : Boolean(columns[i].number) };
    write();
  }

  function ordered() {
    const now = state.sort[id];
    if (!now || !columns[now.column]) return rows;
    const get = columns[now.column].get;
    const empty = (row) => !known(get(row)) || get(row) === "";
    return [...rows].sort((one, two) => (empty(one) || empty(two) ? empty(one) - empty(two)
      : (now.down ? -1 : 1) * compare(get(one), get(two))));
  }

  function write() {
    const now = state.sort[id];
    heads.forEach((head, i) => {
      if (now && now.column === i) head.setAttribute("aria-sort", now.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    put(body, ...ordered().map((row) => el("tr", { class: rowClass(row) }, ...columns.map((column) => {
      const cell = (column.show || column.get)(row);
      const text = cell instanceof Node ? cell.textContent : known(cell) ? String(cell) : "";
      const name = text.length > 36 ? "name long" : "name";
      return el("td", { class: column.number ? "number" : column.name ? name : column.pin ? "pin" : null },
        cell instanceof Node ? cell : text);
    }))));
  }

  write();
  return region;
}

const letterColumn = { head: "", hint: "letter", pin: true, get: (index) => index, show: badge };
const nameColumn = { head: "experiment", get: (index) => EXPERIMENTS[index].name, name: true };
const base = (index) => (index === DATA.baseline ? "base" : null);

// Without columns that have nothing to say about any experiment.
const withValues = (columns) => columns.filter((column) => !column.number || EXPERIMENTS.some((_, i) => known(column.get(i))));

function experimentsTable() {
  const cost = (key, head, hint, show) => ({ head, hint, number: true, get: (i) => EXPERIMENTS[i].cost[key],
    show: (i) => (known(EXPERIMENTS[i].cost[key]) ? show(EXPERIMENTS[i].cost[key]) : "") });
  const count = (key) => ({ head: key, number: true, get: (i) => EXPERIMENTS[i][key] });
  const headline = DATA.tables[0];
  const columns = [letterColumn, nameColumn,
    { head: headline.metric, hint: "mean over cases; more below", number: true, get: (i) => headline.means[i][0],
      show: (i) => score(headline.means[i][0], headline) },
    count("runs"), count("seeds"), count("folds"),
    cost("parameters", "parameters", "of the network", (value) => value.toLocaleString("en")),
    cost("minutes", "minutes", "of training, mean over runs", amount),
    cost("peak_memory_mib", "MiB", "peak memory, mean over runs", amount),
    cost("energy_wh", "Wh", "energy, mean over runs, where the driver tells it", amount),
    { head: "Pareto", hint: "no other is better in score, minutes and parameters at once",
      get: (i) => (EXPERIMENTS[i].pareto ? "yes" : "") }];
  put("experiments", sortable("Experiments", withValues(columns), filtered(), base));
}

function differencesTable() {
  place("s-differences").hidden = !DATA.differences.length;
  const wide = EXPERIMENTS.length > 6;
  const columns = wide
    ? [letterColumn, ...DATA.differences.map((row) => ({ head: row.key, get: (i) => row.values[i], name: true }))]
    : [{ head: "key", get: (row) => row.key, name: true },
      ...filtered().map((i) => ({ head: EXPERIMENTS[i].letter, get: (row) => row.values[i], name: true }))];
  put("differences", sortable("What differs in configuration", columns, wide ? filtered() : DATA.differences));
}

function scoresTable() {
  const table = state.table;
  const mean = (k) => (i) => table.means[i][k];
  const pair = (k) => (i) => (table.pairs[i] ? table.pairs[i][k] : null);
  const plain = (head, hint, get, show) => ({ head, hint, number: true, get, show: (i) => show(get(i)) });
  const own = (value) => score(value, table);
  const than = EXPERIMENTS[DATA.baseline].letter;
  const columns = [letterColumn, nameColumn, { head: "cases", number: true, get: mean(3) },
    plain("mean", "over cases, each the mean of its runs", mean(0), own),
    { head: "95 % interval", number: true, get: mean(1), show: (i) => range(mean(1)(i), mean(2)(i), own) },
    plain("sd cases", "standard deviation of the cases", mean(4), own),
    plain("sd seeds", "standard deviation of the means of the seeds", mean(5), own),
    plain("sd folds", "standard deviation of the means of the folds", mean(6), own)];
  if (EXPERIMENTS.length > 1) columns.push(
    plain(`\u2212 ${than}${unit(table)}`, "difference to the baseline, paired by case", pair(0), (v) => change(v, table)),
    { head: "95 % interval", hint: "of the difference", number: true, get: pair(1),
      show: (i) => range(pair(1)(i), pair(2)(i), (v) => change(v, table)) },
    plain("p (Holm)", "of the difference, corrected for the number of comparisons", pair(4), chance),
    plain("p signed-rank", "Wilcoxon, over cases, for the trained networks at hand", pair(5), chance),
    plain("p sign-flip", "permutation test over cases, for the trained networks at hand", pair(6), chance),
    plain("d_z", "mean difference in standard deviations of the cases' differences", pair(7), (v) => short(v, 3)));
  put("scores", el("p", { class: "dim" }, `${sentence(`${table.better} is better`)} ${table.protocol ? sentence(table.protocol) : ""}`),
    sortable("Scores", withValues(columns), filtered(), base));
  const words = table.sentences.filter(([index]) => matches(index));
  const list = el("ul", { class: "plain" }, ...words.map(([index, text]) => el("li", null, badge(index), el("span", null, sentence(text)))));
  put("sentences", words.length
    ? el("details", { open: words.length < 4 }, el("summary", null, `In words (${words.length})`), list) : null);
}

function setsTable() {
  const rows = DATA.sets.filter((row) => matches(row.experiment));
  place("s-sets").hidden = !rows.length;
  put("sets", sortable("Metrics of whole sets of cases", [{ head: "metric", get: (row) => row.metric, name: true },
    { head: "", hint: "letter", get: (row) => row.experiment, show: (row) => badge(row.experiment) },
    { head: "experiment", get: (row) => EXPERIMENTS[row.experiment].name, name: true },
    { head: "mean", number: true, get: (row) => row.mean, show: (row) => decimal(row.mean) },
    { head: "sd over runs", number: true, get: (row) => row.sd, show: (row) => decimal(row.sd) },
    { head: "runs", number: true, get: (row) => row.runs }], rows));
}
