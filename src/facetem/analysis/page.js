"use strict";
// Sorting: a click on a head sorts by it, another click turns the order round.
const table = document.getElementById("particles");
if (table) {
  const heads = [...table.tHead.rows[0].cells];
  const sortBy = (head) => {
    const column = heads.indexOf(head);
    const up = head.getAttribute("aria-sort") !== "ascending";
    const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
    const order = head.dataset.sort === "number"
      ? (a, b) => Number(key(a)) - Number(key(b))
      : (a, b) => key(a).localeCompare(key(b));
    const rows = [...table.tBodies[0].rows].sort(order);
    table.tBodies[0].append(...(up ? rows : rows.reverse()));
    for (const other of heads) if (other.dataset.sort) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
  };
  for (const head of heads.filter((h) => h.dataset.sort)) {
    head.addEventListener("click", () => sortBy(head));
    head.addEventListener("keydown", (e) => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); sortBy(head); } });
  }
}
// Pointing at a particle anywhere marks it everywhere.
const mark = (event, on) => {
  const found = event.target.closest("[data-p]");
  if (found) for (const e of document.querySelectorAll(`[data-p="${found.dataset.p}"]`)) e.classList.toggle("on", on);
};
document.addEventListener("mouseover", (event) => mark(event, true));
document.addEventListener("mouseout", (event) => mark(event, false));
const outlines = document.getElementById("outlines");
if (outlines) outlines.addEventListener("change", () => document.body.classList.toggle("bare", !outlines.checked));
