// The panel of the selected step on the trace page: loaded when the selection changes, its tabs, copying, filter of attributes.
(function () {
  "use strict";

  const T = window.tracestore.trace;
  const { page } = T;
  const panel = document.getElementById("panel");
  const panels = new Map(); // the last few, so that stepping back is instant
  let request = null;
  let timer = 0;
  let tab = "step";

  const holds = (id) => panel.querySelector('[data-span="' + CSS.escape(id) + '"]') !== null;

  document.addEventListener("trace:selected", (event) => {
    const id = event.detail.spanId;
    clearTimeout(timer);
    stopLoading(); // also if the panel holds this step: what is on its way belongs to another
    if (holds(id)) return;
    timer = setTimeout(() => load(id), panels.has(id) ? 0 : 70); // a held key passes many rows
  });

  function stopLoading() {
    if (request) request.abort();
    request = null;
    panel.removeAttribute("aria-busy");
  }

  async function load(id) {
    if (panels.has(id)) {
      show(panels.get(id));
      return;
    }
    const mine = new AbortController();
    request = mine;
    panel.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(page.dataset.url + "/spans/" + encodeURIComponent(id), {
        headers: { "HX-Request": "true", "HX-Current-URL": location.href },
        signal: mine.signal,
      });
      if (answer.headers.has("HX-Redirect")) {
        location.href = answer.headers.get("HX-Redirect");
        return;
      }
      if (!answer.ok && answer.status !== 404) throw new Error("The server answered " + answer.status + ".");
      const html = await answer.text();
      if (answer.ok) remember(id, html);
      if (request === mine) show(html);
    } catch (error) {
      if (error.name !== "AbortError") window.tracestore.show("This step could not be loaded. " + error.message, "error");
    } finally {
      if (request === mine) stopLoading();
    }
  }

  function remember(id, html) {
    if (html.length > 500000) return;
    panels.set(id, html);
    if (panels.size > 40) panels.delete(panels.keys().next().value);
  }

  function show(html) {
    const template = document.createElement("template");
    template.innerHTML = html; // our own escaped fragment; the policy lets no script of it run
    const focused = panel.contains(document.activeElement) && document.activeElement.id;
    panel.replaceChildren(template.content);
    window.htmx.process(panel);
    panel.scrollTop = 0;
    showTab(tab);
    say();
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    if (T.lead) reveal();
  }

  /** Who hears the page hears which step it is, and not all that the panel holds; rows of the tree are read out as they are. */
  function say() {
    const place = document.activeElement?.getAttribute("role") === "tree" ? -1 : T.selected;
    document.getElementById("step-said").textContent = place < 0 ? "" : T.describe(place);
  }

  /** On a phone the panel lies below the steps. Only once it holds the step: while its content changes, a scroll would stop. */
  function reveal() {
    T.lead = false;
    panel.scrollIntoView({ behavior: "smooth", block: "start" });
  }

  T.add({ lead() { if (T.lead && holds(T.selectedId)) reveal(); } });

  function showTab(name) {
    const wanted = panel.querySelector('[data-pane="' + name + '"]');
    if (!wanted) return;
    tab = name;
    panel.querySelectorAll("[data-pane]").forEach((pane) => { pane.hidden = pane !== wanted; });
    panel.querySelectorAll("[data-tab]").forEach((button) => {
      const on = button.dataset.tab === name;
      button.setAttribute("aria-selected", String(on));
      button.tabIndex = on ? 0 : -1;
    });
  }

  panel.addEventListener("click", (event) => {
    const tabButton = event.target.closest("[data-tab]");
    if (tabButton) showTab(tabButton.dataset.tab);
  });

  panel.addEventListener("keydown", (event) => {
    const button = event.target.closest("[data-tab]");
    if (!button || (event.key !== "ArrowLeft" && event.key !== "ArrowRight")) return;
    const buttons = [...panel.querySelectorAll("[data-tab]")];
    const next = buttons[(buttons.indexOf(button) + (event.key === "ArrowRight" ? 1 : buttons.length - 1)) % buttons.length];
    showTab(next.dataset.tab);
    next.focus();
    event.preventDefault();
    event.stopPropagation();
  });

  panel.addEventListener("input", (event) => {
    if (!event.target.matches("[data-filter-attributes]")) return;
    const wanted = event.target.value.toLowerCase();
    event.target.closest("[data-pane]").querySelectorAll("[data-attribute]").forEach((row) => {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
  });
})();
