// The agent graph: numbers of what is pointed at, a first tap that shows them instead of leaving, tables that sort and unfold, and
// finding by name.
(function () {
  "use strict";
  const section = document.getElementById("agents");
  if (!section) return;
  section.addEventListener("htmx:afterSettle", () => {
    section.setAttribute("aria-busy", "false");
    const first = firstNode();
    center(first);
    first?.setAttribute("tabindex", "0");
  });
  let shown = null;

  /** Where the runs begin: of the nodes most to the left that with most calls, which is the first of them in the document. */
  function firstNode() {
    const left = (node) => Math.round(node.getBoundingClientRect().left);
    return [...section.querySelectorAll(".graph__node")].reduce((first, node) => (first && left(first) <= left(node) ? first : node), null);
  }

  /** The drawing scrolls within its frame: sideways, and on a phone up and down. */
  function center(node) {
    if (!node) return;
    const canvas = document.getElementById("agents-canvas");
    const [box, frame] = [node.getBoundingClientRect(), canvas.getBoundingClientRect()];
    canvas.scrollTop += box.top - frame.top - canvas.clientHeight / 2;
    canvas.scrollLeft += (box.left + box.right) / 2 - frame.left - canvas.clientWidth / 2;
  }

  function hide() {
    section.querySelectorAll(".is-shown").forEach((element) => element.classList.remove("is-shown"));
    const card = document.getElementById("graph-card");
    if (card) card.hidden = true;
    shown = null;
  }

  function show(link, withLink) {
    const row = document.getElementById(link.dataset.row);
    const card = document.getElementById("graph-card");
    if (!row || !card) return;
    hide();
    shown = link;
    link.classList.add("is-shown");
    row.classList.add("is-shown");
    const title = document.createElement("strong");
    const list = document.createElement("dl");
    const names = [];
    row.querySelectorAll("td").forEach((cell) => {
      if (["Name", "From", "To"].includes(cell.dataset.label)) return names.push(cell.textContent.trim());
      const term = document.createElement("dt");
      const value = document.createElement("dd");
      term.textContent = cell.dataset.label;
      value.textContent = cell.textContent.trim();
      return list.append(term, value);
    });
    title.textContent = names.join(" ");
    card.replaceChildren(title, list);
    if (withLink) {
      const open = document.createElement("a");
      open.className = "btn btn--small";
      open.href = link.getAttribute("href");
      open.textContent = "Open these traces";
      card.append(open);
    }
    card.hidden = false;
  }

  section.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const link = event.target.closest("[data-row]");
    if (link) show(link, false);
    else if (shown && !event.target.closest("#graph-card")) hide();
  });
  section.addEventListener("focusin", (event) => {
    const link = event.target.closest("[data-row]");
    if (link) show(link, false);
  });
  // The drawing, which may have hundreds of links, is one stop for Tab; arrow keys go on from there.
  section.addEventListener("keydown", (event) => {
    const link = event.target.closest(".graph a");
    const next = link && !event.ctrlKey && !event.metaKey && !event.altKey ? neighbour(link, event.key) : undefined;
    if (next === undefined) return;
    event.preventDefault();
    if (!next) return; // the end of the road
    link.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });

  /** The node or line that an arrow key leads to: null when there is none, undefined for another key. */
  function neighbour(link, key) {
    const isForth = key === "ArrowRight" || key === "ArrowDown";
    const side = isForth ? "to" : "from";
    if (key === "ArrowRight" || key === "ArrowLeft") {
      if (link.dataset[side]) return section.querySelector(`.graph [data-row="node-${link.dataset[side]}"]`);
      return section.querySelector(`.graph [data-${isForth ? "from" : "to"}="${link.dataset.row.slice(5)}"]`);
    }
    if (key !== "ArrowDown" && key !== "ArrowUp") return undefined;
    const beside = [...section.querySelectorAll(link.dataset.from ? `.graph [data-from="${link.dataset.from}"]` : ".graph__node")];
    if (!link.dataset.from) { // by columns, each from above
      const places = new Map(beside.map((node) => [node, node.getBoundingClientRect()]));
      beside.sort((one, other) => Math.round(places.get(one).left - places.get(other).left) || places.get(one).top - places.get(other).top);
    }
    return beside[beside.indexOf(link) + (isForth ? 1 : -1)] || null;
  }

  let isTouch = false;
  section.addEventListener("pointerdown", (event) => { isTouch = event.pointerType === "touch"; });
  section.addEventListener("click", (event) => {
    const link = event.target.closest("[data-row]");
    if (link && isTouch && event.detail > 0) {
      event.preventDefault();
      show(link, true);
      return;
    }
    const button = event.target.closest(".sort");
    if (button) sort(button.closest("th"));
    const more = event.target.closest("[data-agents-more]");
    if (more) {
      const table = more.closest(".agents__table");
      table.classList.remove("agents__table--folded");
      table.querySelector("tbody a").focus({ preventScroll: true }); // the button is gone
    }
  });

  // What is looked for alone stands in the tables; in the drawing all else fades, and the first of it comes into sight.
  section.addEventListener("input", (event) => {
    if (!event.target.matches("[data-agents-find]")) return;
    const wanted = event.target.value.trim().toLowerCase();
    const isFound = (row) => [...row.querySelectorAll("[data-name]")].some((name) => name.textContent.toLowerCase().includes(wanted));
    section.classList.toggle("agents__graph--finding", wanted !== "");
    section.querySelectorAll(".agents__table tbody tr").forEach((row) => { row.hidden = !isFound(row); });
    section.querySelectorAll(".graph [data-row]").forEach((link) => {
      link.classList.toggle("is-faint", document.getElementById(link.dataset.row).hidden);
    });
    const count = section.querySelectorAll('tr[id^="node-"]:not([hidden])').length;
    section.querySelector("[data-agents-found]").textContent = wanted ? (count ? count + " found" : "none") : "";
    center(section.querySelector(".graph__node:not(.is-faint)"));
  });
  section.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !event.target.matches("[data-agents-find]") || !event.target.value) return;
    event.target.value = "";
    event.target.dispatchEvent(new Event("input", { bubbles: true }));
  });
  window.tracestore.onKey("Escape", hide);

  function sort(head) {
    const table = head.closest("table");
    const column = [...head.parentElement.children].indexOf(head);
    const isNumber = head.classList.contains("num");
    const direction = head.getAttribute("aria-sort") === (isNumber ? "descending" : "ascending") ? "reverse" : "first";
    const ascending = isNumber === (direction === "reverse");
    head.parentElement.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const body = table.tBodies[0];
    const value = (row) => {
      const cell = row.children[column];
      if (!isNumber) return cell.textContent.trim();
      return cell.dataset.value === "" ? -Infinity : Number(cell.dataset.value);
    };
    const rows = [...body.rows].sort((one, other) => {
      const a = value(one);
      const b = value(other);
      const order = isNumber ? (a < b ? -1 : a > b ? 1 : 0) : a.localeCompare(b);
      return ascending ? order : -order;
    });
    body.append(...rows);
  }
})();
