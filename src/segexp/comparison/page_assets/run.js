// Tables sort by a click on a head; pictures grow by a click or Enter.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (row) => row.cells[column].textContent;
    const number = (text) => (text === "" ? Infinity : Number(text));
    const rows = [...table.tBodies[0].rows].sort((one, two) => {
      const [a, b] = [value(one), value(two)];
      const order = Number.isNaN(number(a)) || Number.isNaN(number(b))
        ? a.localeCompare(b, undefined, { numeric: true }) : number(a) - number(b);
      return up ? order : -order;
    });
    table.tBodies[0].append(...rows);
  }));
}
const large = document.getElementById("large");
for (const figure of document.querySelectorAll("figure.picture")) {
  const show = () => {
    const picture = figure.querySelector("img");
    large.querySelector("img").src = picture.src;
    large.querySelector("p").textContent = picture.alt;
    large.showModal();
  };
  figure.addEventListener("click", show);
  figure.addEventListener("keydown", (event) => { if (event.key === "Enter") show(); });
}
large.addEventListener("click", () => large.close());
