"use strict";
// What all parts share: the data, the choices of the reader, elements, numbers in words.
const DATA = JSON.parse(document.getElementById("data").textContent);
const EXPERIMENTS = DATA.experiments;
const FIRST = 12; // experiments that a plot shows unless all are asked for
const state = { table: DATA.tables[0], filter: "", all: false, first: DATA.baseline, second: 0, chosen: null,
  sort: {}, off: new Set(), lines: { train: true, val: true, runs: EXPERIMENTS.length < 5, log: false }, cost: null };

const place = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Children that are text stay text, whatever they hold: nothing is ever parsed as HTML.
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function put(id, ...children) {
  const node = typeof id === "string" ? place(id) : id;
  node.replaceChildren(...children.filter((child) => child !== null));
  return node;
}

const badge = (index) => el("span", { class: `key ${color(index)}` }, EXPERIMENTS[index].letter);
const full = (index) => `${EXPERIMENTS[index].letter} (${EXPERIMENTS[index].name})`;
const several = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

// Numbers

const minus = (text) => text.replace("-", "\u2212");
const known = (value) => value !== null && value !== undefined;
const short = (value, digits = 4) => (known(value) ? minus(String(Number(value.toPrecision(digits)))) : "");
const amount = (value) => {
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
};
const decimal = (value) => (known(value) ? minus(Math.abs(value) < 1e5 ? value.toFixed(4) : value.toPrecision(5)) : "");
const scoreDigits = (table) => (table.scale === 100 ? 4 : 3);
const score = (value, table) => (known(value) ? minus(value.toFixed(scoreDigits(table))) : "");
const change = (value, table) => {
  if (!known(value)) return "";
  const text = (value * table.scale).toFixed(table.scale === 100 ? 2 : 3);
  return minus((value > 0 ? "+" : "") + text);
};
const range = (low, high, show) => (known(low) && known(high) ? `${show(low)} to ${show(high)}` : "");
const chance = (p) => (known(p) ? (p < 0.0001 ? "< 0.0001" : p.toFixed(4)) : "");

const title = (table) => table.metric + (table.class === null ? "" : `, ${table.class}`);
const unit = (table) => (table.unit ? ` (${table.unit})` : "");
const higher = (table) => table.better === "higher";

// Scores of cases lie packed as 16-bit numbers: score = low + step * number, 65535 = none.
const unpacked = new Map();
function scores(table) {
  if (table.scores === null) return null;
  if (!unpacked.has(table)) {
    const text = atob(table.scores);
    const many = DATA.cases[table.cases].length;
    const value = (i) => {
      const number = text.charCodeAt(2 * i) + 256 * text.charCodeAt(2 * i + 1);
      return number === 65535 ? null : table.low + table.step * number;
    };
    unpacked.set(table, EXPERIMENTS.map((_, row) => Array.from({ length: many }, (_, i) => value(row * many + i))));
  }
  return unpacked.get(table);
}

// Which experiments are shown

const about = EXPERIMENTS.map((item, index) =>
  [item.letter, item.name, ...DATA.differences.map((row) => `${row.key}=${row.values[index]}`)].join(" ").toLowerCase());
const letters = new Set(EXPERIMENTS.map((item) => item.letter));

function matches(index) {
  const words = state.filter.split(/\s+/).filter(Boolean);
  if (words.length && words.every((word) => letters.has(word))) return words.includes(EXPERIMENTS[index].letter);
  return words.every((word) => about[index].includes(word.toLowerCase()));
}

const filtered = () => EXPERIMENTS.map((_, index) => index).filter(matches);

function ranked(indices, table = state.table) {
  const worth = (index) => {
    const value = table.means[index][0];
    return known(value) ? (higher(table) ? -value : value) : Infinity;
  };
  return [...indices].sort((one, two) => (worth(one) === worth(two) ? one - two : worth(one) < worth(two) ? -1 : 1));
}

// There are eight colors: the baseline and the best have their own, the others share them.
const rank = new Map([DATA.baseline, ...ranked(EXPERIMENTS.keys()).filter((index) => index !== DATA.baseline)]
  .map((index, at) => [index, at]));
const color = (index) => `c${(EXPERIMENTS.length > 8 ? rank.get(index) : index) % 8}`;

// The best ones, and the baseline with them, in order of their scores.
function shown() {
  const order = ranked(filtered());
  if (state.all || order.length <= FIRST) return order;
  const best = order.slice(0, FIRST);
  if (!order.includes(DATA.baseline) || best.includes(DATA.baseline)) return best;
  return [...best.slice(0, -1), DATA.baseline];
}
