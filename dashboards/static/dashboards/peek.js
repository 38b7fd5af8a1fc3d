// The preview of a trace beside the list: opened by a click on a row or p, follows j and k, its trace stands in the address.
(function () {
  "use strict";
  const { onKey, list } = window.tracestore;
  const peek = document.getElementById("peek");
  if (!list || !peek) return;

  const { layout } = list;
  const page = layout.closest(".page");
  const body = document.getElementById("peek-body");
  const edge = document.getElementById("peek-edge");
  const openLink = document.getElementById("peek-open");
  const WAIT_MS = 90; // who holds j down wants the row where it stops
  const WIDTH = { least: 25, most: 70, step: 5, usual: 50 };
  let shown = body.dataset.trace || "";
  let timer = 0;
  let isLeaving = false; // the address goes back, which takes the browser a moment
  let next = ""; // the trace that was asked for in it

  const isOpen = () => !peek.hidden;

  function address(traceId) {
    const params = new URLSearchParams(location.search);
    params.delete("arrived");
    if (traceId) params.set("peek", traceId);
    else params.delete("peek");
    return location.pathname + (params.size ? "?" + params : "");
  }

  /** Make the page show `traceId`, "" for no preview; the address is the caller's. */
  function draw(traceId) {
    const wasOpen = isOpen();
    shown = traceId;
    peek.hidden = !traceId;
    page.classList.toggle("page--peek", Boolean(traceId));
    clearTimeout(timer);
    if (!traceId) return;
    if (!wasOpen) body.replaceChildren(document.getElementById("peek-waiting").content.cloneNode(true));
    const row = list.find(traceId);
    openLink.href = row ? row.querySelector(".trace-row__link").href : document.body.dataset.root + "/traces/" + encodeURIComponent(traceId);
    body.setAttribute("aria-busy", "true");
    timer = setTimeout(() => {
      window.htmx.ajax("GET", document.body.dataset.root + "/traces/" + encodeURIComponent(traceId) + "/peek", { source: body, target: body, swap: "innerHTML" });
    }, wasOpen ? WAIT_MS : 0);
  }

  function open(traceId) {
    if (isLeaving) next = traceId;
    if (isLeaving || traceId === shown) return;
    const isFirst = !isOpen();
    draw(traceId);
    history[isFirst ? "pushState" : "replaceState"](isFirst ? { peek: true } : history.state, "", address(traceId));
    list.selected()?.scrollIntoView({ block: "nearest" }); // the table has become narrower
  }

  function close() {
    if (!isOpen()) return;
    draw("");
    if (history.state?.peek) {
      isLeaving = true;
      history.back();
    } else history.replaceState(null, "", address(""));
    list.selected()?.querySelector("a").focus({ preventScroll: true });
  }

  addEventListener("popstate", () => {
    draw(new URLSearchParams(location.search).get("peek") || "");
    isLeaving = false;
    if (next) open(next);
    next = "";
  });
  body.addEventListener("htmx:afterSwap", () => {
    body.removeAttribute("aria-busy");
    body.scrollTop = 0;
  });
  // What cannot be loaded says so (app.js) where it would have stood, and not beside the trace before.
  for (const failure of ["htmx:sendError", "htmx:responseError"]) {
    body.addEventListener(failure, () => body.replaceChildren(document.getElementById("peek-waiting").content.cloneNode(true)));
  }

  document.addEventListener("traceselect", (event) => { if (isOpen()) open(event.detail); });
  document.addEventListener("click", (event) => {
    const link = event.target.closest(".trace-row__link");
    // Enter makes a click as well, without a count: it goes to the page. So do new tabs and windows.
    if (!link || event.defaultPrevented || event.detail === 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    const row = link.closest(".trace-row");
    list.select(row);
    open(row.dataset.trace);
  });
  peek.addEventListener("click", (event) => {
    const action = event.target.closest("[data-peek]")?.dataset.peek;
    if (action === "close") close();
    else if (action) list.move(action === "next" ? 1 : -1);
  });
  onKey("p", () => {
    if (isOpen()) close();
    else if (list.selected()) open(list.selected().dataset.trace);
    else {
      list.move(1);
      if (list.selected()) open(list.selected().dataset.trace);
    }
  });
  onKey("Escape", () => {
    if (layout.classList.contains("traces--drawer")) list.toggleFacets();
    else close();
  });

  // --- Its width: in steps that the style sheet knows, so that the server sends the page as it was left
  function resize(percent) {
    const width = Math.min(WIDTH.most, Math.max(WIDTH.least, Math.round(percent / WIDTH.step) * WIDTH.step));
    page.dataset.peekWidth = String(width);
    edge.setAttribute("aria-valuenow", String(width));
    document.cookie = "peek=" + width + "; path=/; max-age=31536000; samesite=lax";
  }

  edge.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    edge.setPointerCapture(event.pointerId);
    edge.classList.add("peek__edge--held");
  });
  edge.addEventListener("pointermove", (event) => {
    if (edge.hasPointerCapture(event.pointerId)) resize((100 * (innerWidth - event.clientX)) / innerWidth);
  });
  edge.addEventListener("lostpointercapture", () => edge.classList.remove("peek__edge--held"));
  edge.addEventListener("dblclick", () => resize(WIDTH.usual));
  edge.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: WIDTH.step, ArrowRight: -WIDTH.step }[event.key];
    if (!step) return;
    event.preventDefault();
    resize(Number(page.dataset.peekWidth) + step);
  });

  const row = shown && list.find(shown);
  if (row) list.select(row);
})();
