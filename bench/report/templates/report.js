// What a link or the address names is opened; on paper everything is.
const all = (what, where = document) => [...where.querySelectorAll(what)];
function reveal() {
  const target = document.getElementById(location.hash.slice(1));
  const fold = target && target.closest("details");
  if (fold) fold.open = true;
}
addEventListener("hashchange", reveal);
addEventListener("beforeprint", () => all("details").forEach(part => part.open = true));
reveal();

// What is pointed at, or reached by keyboard, says what it is.
const tell = document.getElementById("tell");
function say(what) {
  tell.hidden = !what;
  if (!what) return;
  tell.textContent = what.dataset.tell;
  const at = what.getBoundingClientRect();
  tell.style.left = Math.max(4, Math.min(at.left, innerWidth - tell.offsetWidth - 4)) + "px";
  tell.style.top = (at.top > tell.offsetHeight + 12 ? at.top - tell.offsetHeight - 6
    : at.bottom + 6) + "px";
}
for (const kind of ["pointerover", "focusin", "click"])
  addEventListener(kind, event => say(event.target.closest("[data-tell]")));
addEventListener("scroll", () => say(document.activeElement.closest("[data-tell]")), true);

// In a figure the arrow keys go from mark to mark.
function light(marks) {
  all(".on").forEach(mark => mark.classList.remove("on"));
  marks.forEach(mark => mark.classList.add("on"));
}
addEventListener("keydown", event => {
  if (event.key === "Escape") return say(null);
  const step = {ArrowRight: 1, ArrowLeft: -1, Enter: 0}[event.key];
  const marks = step !== undefined && event.target.matches("svg")
    ? all(".mark", event.target) : [];
  if (!marks.length) return;
  event.preventDefault();
  const now = marks.findIndex(mark => mark.classList.contains("on"));
  if (step === 0 && now >= 0) return lead(marks[now]);
  const next = marks[now < 0 ? (step < 0 ? marks.length - 1 : 0)
    : (now + step + marks.length) % marks.length];
  light([next]);
  next.scrollIntoView({block: "nearest", inline: "nearest"});
  say(next);
});

// Tables: a head sorts by its column, a row lights up its marks and a mark its rows.
const rows = [];
const number = cell => parseFloat(cell.textContent.replace(/[,%+]/g, ""));
for (const table of all("table")) {
  const heads = all("th", table), body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.ariaSort === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.ariaSort = down ? "descending" : "ascending";
      body.append(...[...body.rows].sort((one, two) => (down ? -1 : 1) * (
        number(one.cells[column]) - number(two.cells[column])
        || one.cells[column].textContent.localeCompare(two.cells[column].textContent))));
    });
  });
  const [batch, variant] = ["batch", "variant"].map(
    name => heads.findIndex(head => head.textContent === name));
  for (const row of batch < 0 ? [] : [...body.rows]) {
    const size = row.cells[batch].textContent;
    if (size) rows.push({row, size, name: variant < 0 ? null
      : `${row.cells[variant].textContent}, batch ${size}`});
  }
}
const named = name => all(".mark").filter(
  mark => mark.dataset.tell.startsWith(`${name}: `));
rows.filter(one => one.name).forEach(({row, name}) => {
  row.addEventListener("pointerenter", () => light(named(name)));
  row.addEventListener("pointerleave", () => light([]));
});
function lead(mark) {
  const name = mark.dataset.tell.split(": ")[0];
  const found = rows.filter(one => one.name === name).map(one => one.row);
  light(found);
  if (!found.length) return;
  found[0].closest("details").open = true;
  found[0].scrollIntoView({block: "center"});
}
all(".mark").forEach(mark => mark.addEventListener("click", () => lead(mark)));

// Rows of one batch size alone.
const sizes = [...new Set(rows.map(one => one.size))];
if (sizes.length > 1) {
  const label = document.createElement("label"), choice = document.createElement("select");
  choice.append(...["all", ...sizes].map(size => new Option(size)));
  label.append("Tables of batch size ", choice);
  document.querySelector("nav").append(label);
  choice.addEventListener("change", () => rows.forEach(({row, size}) =>
    row.hidden = choice.value !== "all" && size !== choice.value));
}
