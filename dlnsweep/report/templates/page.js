
"use strict";
// Heads of columns become buttons, for the mouse and the keyboard alike.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const falls = head.getAttribute("aria-sort") === "ascending";
      for (const each of heads) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const keyed = [...body.rows].map((row) => {
        const cell = row.cells[column];
        const key = cell.dataset.key;
        const number = key === "inf" ? Infinity : key === "-inf" ? -Infinity : Number(key);
        return { row, text: cell.textContent, number: key === undefined ? null : number };
      });
      // What is empty stays below, whichever way the others go.
      const sign = falls ? -1 : 1;
      keyed.sort((a, b) => {
        if (a.number !== null && b.number !== null) return a.number === b.number ? 0 : a.number < b.number ? -sign : sign;
        if (a.number !== null || b.number !== null) return a.number !== null ? -1 : 1;
        if (!a.text !== !b.text) return a.text ? -1 : 1;
        return sign * a.text.localeCompare(b.text);
      });
      body.append(...keyed.map((each) => each.row));
    });
  });
}
// What is folded in is printed, too.
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details:not([open])")) {
    each.open = true;
    each.dataset.folded = "";
  }
});
addEventListener("afterprint", () => {
  for (const each of document.querySelectorAll("details[data-folded]")) each.open = false;
});
