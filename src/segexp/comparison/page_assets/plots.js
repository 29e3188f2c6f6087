// Plots as SVG, drawn to the width that there is.

const ROW = 26; // px

function scale(low, high, from, to) {
  const wide = high - low || Math.abs(high) || 1;
  return (value) => from + ((value - low) / wide) * (to - from);
}

function ticks(low, high, about, least = 0) {
  const rough = Math.max((high - low) / about, least) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + step / 1e6; i += 1) found.push(i * step);
  return { found, show: (value) => minus(value.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)))) };
}

function limits(values, extra = []) {
  const all = [...values, ...extra].filter(known);
  if (!all.length) return [0, 1];
  const low = all.reduce((one, two) => Math.min(one, two)), high = all.reduce((one, two) => Math.max(one, two));
  const pad = (high - low || Math.abs(high) || 1) * 0.04;
  return [low - pad, high + pad];
}

const clip = (text, px) => (text.length * 6.7 <= px ? text : `${text.slice(0, Math.max(1, Math.floor(px / 6.7) - 1))}\u2026`);
const room = (node) => Math.max(260, node.clientWidth || node.parentNode.clientWidth);

function axisBelow(x, low, high, top, bottom, left, width, name, least) {
  const { found, show } = ticks(low, high, Math.max(4, (width - left) / 80), least);
  return draw("g", null,
    ...found.map((value) => draw("path", { class: "grid", d: `M${x(value)} ${top}V${bottom}` })),
    ...found.map((value) => draw("text", { class: "tick", x: x(value), y: bottom + 15, "text-anchor": "middle" }, show(value))),
    draw("text", { class: "tick", x: (left + width) / 2, y: bottom + 32, "text-anchor": "middle" }, name));
}

function axisLeft(y, low, high, left, right, show) {
  const given = ticks(low, high, 5);
  return draw("g", null, ...given.found.flatMap((value) => [
    draw("path", { class: "grid", d: `M${left} ${y(value)}H${right}` }),
    draw("text", { class: "tick", x: left - 6, y: y(value) + 4, "text-anchor": "end" }, (show || given.show)(value))]));
}

// Rows of an estimate with its interval: {label, tip, color, value, low, high, sure}.
function intervals(holder, heading, rows, name, zero) {
  const width = room(holder), left = Math.min(230, width * 0.36), bottom = rows.length * ROW + 6;
  const [low, high] = limits(rows.flatMap((row) => [row.value, row.low, row.high]), zero ? [0] : []);
  const x = scale(low, high, left + 8, width - 12);
  const picture = draw("svg", { width, height: bottom + 40, role: "img", "aria-label": heading },
    axisBelow(x, low, high, 0, bottom, left, width, name),
    zero ? draw("path", { class: "zero", d: `M${x(0)} 0V${bottom}` }) : null);
  rows.forEach((row, i) => {
    const y = i * ROW + ROW / 2 + 2;
    picture.append(draw("text", { class: "label", x: 0, y: y + 4, "data-tip": row.tip }, clip(row.label, left - 6)));
    if (!known(row.value)) return;
    picture.append(draw("g", { class: row.color, "data-tip": row.tip },
      known(row.low) && known(row.high) ? draw("path", { class: "bar", d: `M${x(row.low)} ${y}H${x(row.high)}M${x(row.low)}` +
        ` ${y - 4}v8M${x(row.high)} ${y - 4}v8` }) : null,
      draw("circle", { class: row.sure ? "solid" : "hollow", cx: x(row.value), cy: y, r: 5 }),
      draw("rect", { x: left, y: y - ROW / 2, width: width - left, height: ROW, fill: "transparent" })));
  });
  holder.append(el("h3", null, heading), picture);
}

function forest() {
  const table = state.table, list = shown();
  const own = (value) => score(value, table), differs = (value) => change(value, table);
  const [means, pairs] = [el("div"), el("div")];
  put("forest", ...(list.length ? [means, EXPERIMENTS.length > 1 ? pairs : null] : []));
  if (!list.length) return;
  const label = (i) => `${EXPERIMENTS[i].letter} ${EXPERIMENTS[i].name}`;
  intervals(means, "Mean, 95 % interval", list.map((i) => {
    const [value, low, high] = table.means[i];
    return { label: label(i), color: color(i), value, low, high, sure: true,
      tip: `${full(i)}\n${own(value)} (${range(low, high, own)})` };
  }), title(table), false);
  const others = list.filter((i) => table.pairs[i]);
  if (!others.length) return;
  intervals(pairs, `Difference to ${full(DATA.baseline)}, 95 % interval`, others.map((i) => {
    const [value, low, high, , p] = table.pairs[i].map((v, k) => (k < 3 && known(v) ? v * table.scale : v));
    return { label: label(i), color: color(i), value, low, high, sure: known(p) && p <= 0.05,
      tip: `${full(i)} \u2212 ${EXPERIMENTS[DATA.baseline].letter}\n${differs(table.pairs[i][0])}${unit(table)}, p (Holm) ${chance(p)}` };
  }), `${title(table)}${unit(table)}, ${table.better} is better`, true);
  pairs.append(el("p", { class: "dim" }, "Filled: p after Holm's correction is at most 0.05."));
}

function reliability() {
  const classes = Object.keys(DATA.reliability), list = shown();
  place("s-reliability").hidden = !classes.length;
  const legend = el("p", null, ...list.flatMap((i) => [badge(i), ` ${EXPERIMENTS[i].name} `]));
  put("legend", legend);
  put("reliability", ...classes.map((name) => {
    const holder = el("div", null, el("h3", null, name));
    holder.append(diagonal(name, list.filter((i) => DATA.reliability[name][i]), Math.min(room(place("reliability")), 430)));
    return holder;
  }));
}

function diagonal(name, list, size) {
  const left = 44, bottom = size - 42, x = scale(0, 1, left, size - 10), y = scale(0, 1, bottom, 8);
  const picture = draw("svg", { width: size, height: size, role: "img", "aria-label": `Reliability diagram of ${name}` },
    axisBelow(x, 0, 1, 8, bottom, left, size, "probability"), axisLeft(y, 0, 1, left, size - 10),
    draw("text", { class: "tick", x: left + 4, y: 10, "dominant-baseline": "hanging" }, "\u2191 share of pixels"),
    draw("path", { class: "zero", d: `M${x(0)} ${y(0)}L${x(1)} ${y(1)}` }));
  for (const i of list) {
    const points = DATA.reliability[name][i], most = Math.max(...points.map((point) => point[2]));
    const radius = (pixels) => 2 + 4 * Math.log10(1 + (9 * pixels) / most);
    picture.append(draw("g", { class: color(i) },
      draw("path", { class: "mean", d: points.map(([p, share], k) => `${k ? "L" : "M"}${x(p)} ${y(share)}`).join("") }),
      ...points.map(([p, share, pixels]) => draw("circle", { class: "solid", cx: x(p), cy: y(share), r: radius(pixels),
        "data-tip": `${full(i)}\nprobability ${short(p, 3)}, share ${short(share, 3)}, ${several(pixels, "pixel")}` }))));
  }
  return picture;
}

function positions() {
  const classes = Object.keys(DATA.positions);
  place("s-positions").hidden = !classes.length;
  put("positions", ...classes.map((name) => {
    const holder = el("div", null, el("h3", null, name));
    holder.append(along(name, shown().filter((i) => DATA.positions[name][i]), Math.min(room(place("positions")), 430)));
    return holder;
  }));
}

function along(name, list, width) {
  const left = 44, bottom = 210, x = scale(0, 100, left, width - 12), y = scale(0, 1, bottom, 8);
  const picture = draw("svg", { width, height: bottom + 40, role: "img", "aria-label": `Dice along the slices of ${name}` },
    axisBelow(x, 0, 100, 8, bottom, left, width, "% of the slices, from the first"), axisLeft(y, 0, 1, left, width - 12));
  for (const i of list) {
    const points = DATA.positions[name][i].map((dice, k) => [10 * k + 5, dice]).filter(([, dice]) => known(dice));
    picture.append(draw("g", { class: color(i) },
      draw("path", { class: "mean", d: points.map(([at, dice], k) => `${k ? "L" : "M"}${x(at)} ${y(dice)}`).join("") || "M0 0" }),
      ...points.map(([at, dice]) => draw("circle", { class: "solid", cx: x(at), cy: y(dice), r: 4,
        "data-tip": `${full(i)}\n${at - 5} to ${at + 5} % of the slices: Dice ${short(dice, 3)}` }))));
  }
  return picture;
}

const quantile = (sorted, share) => {
  const at = (sorted.length - 1) * share, below = Math.floor(at);
  return sorted[below] + (at - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
};

const absent = () => el("p", { class: "dim" },
  "Scores of single cases of this metric were left out to keep the page small: compare with --metric to have them.");

function boxes() {
  const table = state.table, values = scores(table), list = shown();
  if (!values || !list.length) return void put("boxes", values ? null : absent());
  const names = DATA.cases[table.cases], holder = put("boxes");
  const tall = 38, width = room(holder), left = Math.min(230, width * 0.3), bottom = list.length * tall + 4;
  const [low, high] = limits(list.flatMap((i) => values[i]));
  const x = scale(low, high, left + 8, width - 12);
  const picture = draw("svg", { width, height: bottom + 40, role: "img", "aria-label": `Scores of cases, ${title(table)}` },
    axisBelow(x, low, high, 0, bottom, left, width, title(table)));
  const every = list.length * names.length <= 8000; // else only the points beyond the whiskers
  list.forEach((i, row) => picture.append(box(i, values[i], names, x, row * tall + tall / 2, left, every)));
  holder.append(picture, el("p", { class: "dim" }, "Box: quartiles and median; whiskers: the farthest case within 1.5 box lengths." +
    (every ? " Each point is a case, the mean of its runs; a click shows it." : " Points: cases beyond the whiskers.")));
}

function box(i, values, names, x, y, left, every) {
  const sorted = values.filter(known).sort((one, two) => one - two);
  const group = draw("g", { class: color(i) },
    draw("text", { class: "label", x: 0, y: y + 4, "data-tip": full(i) }, clip(`${EXPERIMENTS[i].letter} ${EXPERIMENTS[i].name}`, left - 6)));
  if (!sorted.length) return group;
  const [q1, q2, q3] = [0.25, 0.5, 0.75].map((share) => quantile(sorted, share));
  const inside = sorted.filter((v) => v >= q1 - 1.5 * (q3 - q1) && v <= q3 + 1.5 * (q3 - q1));
  const ends = [inside[0], inside[inside.length - 1]];
  group.append(
    draw("path", { class: "bar", d: `M${x(ends[0])} ${y}H${x(q1)}M${x(q3)} ${y}H${x(ends[1])}` }),
    draw("rect", { class: "box", x: x(q1), y: y - 11, width: Math.max(1, x(q3) - x(q1)), height: 22 }),
    draw("path", { class: "bar", d: `M${x(q2)} ${y - 11}V${y + 11}` }));
  values.forEach((value, k) => {
    if (!known(value) || !(every || value < ends[0] || value > ends[1])) return;
    const off = (((k * 0.618034) % 1) - 0.5) * 20; // spread so that points do not hide each other
    group.append(draw("circle", { class: k === state.chosen ? "dot chosen" : "dot", cx: x(value), cy: y + off, r: 3,
      "data-tip": `${names[k]}\n${full(i)}: ${score(value, state.table)}`, "data-case": k, "data-of": i }));
  });
  return group;
}
