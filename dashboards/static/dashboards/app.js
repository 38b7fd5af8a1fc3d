// What every page needs: theme, menu, help, copy buttons, keyboard. Pages add their own shortcuts with `tracestore.onKey`.
// Runs before the page is there, so that no click is lost while the larger scripts are on their way.
(function () {
  "use strict";

  const keys = new Map(); // "j" or "g t" -> function(event)
  let prefix = "";
  let prefixAt = 0;

  function isTyping(target) {
    return target instanceof Element && target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable=true]") !== null;
  }

  /** Run `action` on a key ("j") or two in a row ("g t") outside text fields; the first character may be any printable one. */
  function onKey(combination, action) {
    keys.set(combination, action);
  }

  function show(text, kind) {
    const toast = document.createElement("div");
    toast.className = "callout" + (kind ? " callout--" + kind : "");
    toast.textContent = text;
    document.getElementById("toasts").append(toast);
    setTimeout(() => toast.remove(), 5000);
  }

  function currentTheme() {
    const chosen = document.documentElement.dataset.theme;
    return chosen || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  }

  const actions = {
    theme() {
      const next = currentTheme() === "dark" ? "light" : "dark";
      document.documentElement.dataset.theme = next;
      // A cookie, so that the server sends the page in the right theme and nothing flashes.
      document.cookie = "theme=" + next + "; path=/; max-age=31536000; samesite=lax";
      document.dispatchEvent(new CustomEvent("themechange", { detail: next }));
    },
    menu(button) {
      const open = document.getElementById("topbar-nav").classList.toggle("topbar__nav--open");
      button.setAttribute("aria-expanded", String(open));
    },
    help() {
      const dialog = document.getElementById("shortcuts");
      if (!dialog || dialog.open) return;
      dialog.querySelectorAll("dt[data-needs]").forEach((keys) => { keys.hidden = keys.nextElementSibling.hidden = !document.querySelector(keys.dataset.needs); });
      dialog.showModal();
    },
    "close-dialog"(button) {
      button.closest("dialog").close();
    },
    /** Show what a narrow window leaves out of a list, and go on from the first of it. */
    more(button) {
      const list = button.closest("[data-more]");
      const hidden = [...list.querySelectorAll(":scope > *, tr")].find((item) => item !== button && !item.checkVisibility());
      list.classList.add("is-whole");
      const next = hidden?.querySelector("a, button") || hidden;
      if (next === hidden) hidden?.setAttribute("tabindex", "-1"); // it has nothing of its own to go on from
      next?.focus({ preventScroll: true });
    },
    unfold(button) {
      const folded = button.closest("[data-text]").classList.toggle("text--folded");
      button.textContent = folded ? "Show all" : "Show less";
    },
    "copy-value"(button) {
      button.dataset.copy = button.closest("[data-attribute]").querySelector("pre").textContent;
      actions.copy(button);
    },
    "copy-times"(button) {
      const url = new URL(location.href);
      for (const name of ["start", "end"]) url.searchParams.set(name, button.dataset[name]);
      url.searchParams.delete("live"); // nothing new comes into a range that has ended
      button.dataset.copy = url.href;
      actions.copy(button);
    },
    async copy(button) {
      const source = button.dataset.copyFrom ? document.querySelector(button.dataset.copyFrom) : null;
      const text = source ? source.textContent : button.dataset.copy;
      try {
        await navigator.clipboard.writeText(text);
        show("Copied", "ok");
      } catch {
        // No clipboard over plain HTTP on another machine: select the text, so that Ctrl-C copies it.
        if (source) getSelection().selectAllChildren(source);
        show("Press Ctrl-C to copy", "");
      }
    },
  };

  // Buttons that wait for scripts which are still on their way are clicked again once all have run.
  let early = [];
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[type=button]");
    if (!early || !button || actions[button.dataset.action]) return;
    event.stopImmediatePropagation(); // or one of two scripts would answer twice
    early.push(button);
  }, true);
  document.addEventListener("DOMContentLoaded", () => setTimeout(() => { // htmx and the pages start on the same event
    const clicked = early;
    early = null;
    clicked.forEach((button) => button.click());
  }));

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-action]");
    if (button && actions[button.dataset.action]) {
      event.preventDefault();
      actions[button.dataset.action](button);
    }
    if (event.target instanceof HTMLDialogElement) event.target.close(); // its backdrop
    document.querySelectorAll("details.menu[open]").forEach((menu) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      document.querySelectorAll("details.menu[open]").forEach((menu) => {
        menu.open = false;
        menu.querySelector("summary").focus();
      });
      const menu = document.querySelector("[data-action=menu][aria-expanded=true]");
      if (menu) {
        actions.menu(menu);
        menu.focus();
      }
      if (isTyping(event.target)) event.target.blur();
      else if (keys.has("Escape")) keys.get("Escape")(event);
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    const combined = prefix && event.timeStamp - prefixAt < 1500 ? prefix + " " + event.key : event.key;
    const action = keys.get(combined) || keys.get(event.key);
    prefix = event.key.length === 1 && !action ? event.key : "";
    prefixAt = performance.now(); // not the time of the event: on a busy page that is long ago
    if (action) {
      if (action(event) !== false) event.preventDefault();
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    // Of tabs that are wider than a phone the open one shows.
    document.querySelectorAll(".page-tabs [aria-current=page]").forEach((tab) => { tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - 40; });
    document.querySelectorAll("[data-key]").forEach((link) => onKey(link.dataset.key, () => link.click()));
  });
  onKey("?", actions.help);
  onKey("/", () => {
    const field = document.querySelector("[data-search]");
    if (!field) return false;
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
    return true;
  });

  /** What was to be replaced by the answer would otherwise look as if it were still on its way. Returns whether it offers to try again. */
  function giveUpWaiting({ target, requestConfig, xhr }) {
    const wasBusy = target.hasAttribute("aria-busy");
    target.removeAttribute("aria-busy");
    const place = target.matches(".trace-more") ? target.querySelector("td") : target.querySelector(".skeleton, .volume__waiting") ? target : null;
    if (!place) return target.matches(".fragment-error") && target.querySelector("button") !== null;
    const note = document.createElement("p");
    note.className = "muted fragment-error";
    note.textContent = "Could not be loaded" + (xhr.status ? ": the server answered " + xhr.status : "") + ". ";
    const again = document.createElement("button");
    again.type = "button";
    again.className = "btn btn--small";
    again.textContent = "Try again";
    const waiting = [...place.childNodes];
    again.addEventListener("click", () => {
      place.replaceChildren(...waiting);
      if (wasBusy) target.setAttribute("aria-busy", "true");
      htmx.ajax(requestConfig.verb, requestConfig.path, { source: requestConfig.elt });
    });
    note.append(again);
    place.replaceChildren(note);
    return true;
  }

  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  });
  document.addEventListener("htmx:responseError", (event) => {
    const offersAgain = giveUpWaiting(event.detail);
    if (!offersAgain && event.detail.xhr.status !== 422) show("The server answered " + event.detail.xhr.status + ". Reload the page to try again.", "error");
  });
  // What polls rests while nobody looks.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const trigger = event.detail.elt.getAttribute("hx-trigger") || "";
    if (document.hidden && trigger.startsWith("every ")) event.preventDefault();
  });
  // Nor does it replace what is being pressed: the click would be lost. The next answer is not far.
  let pressed = null;
  addEventListener("pointerdown", (event) => { if (event.button === 0) pressed = event.target; }, true);
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => setTimeout(() => { pressed = null; }), true); // the click comes first
  document.addEventListener("htmx:beforeSwap", (event) => {
    const trigger = event.detail.requestConfig.elt.getAttribute("hx-trigger") || "";
    if (trigger.startsWith("every ") && isPressed(event.detail.target)) event.detail.shouldSwap = false;
  });
  let offline = false; // fragments poll: say it once, not every few seconds
  document.addEventListener("htmx:sendError", (event) => {
    giveUpWaiting(event.detail);
    if (!offline) show("The server cannot be reached.", "error");
    offline = true;
  });
  document.addEventListener("htmx:afterOnLoad", () => { offline = false; });

  /** Give a list its keys: j and k select the next and previous row, Enter opens the first link of the selected one. */
  function walkRows(rows, onSelect = () => {}) {
    let selected = null;

    function select(row) {
      if (!row) return;
      if (selected) selected.removeAttribute("aria-selected");
      selected = row;
      row.setAttribute("aria-selected", "true");
      row.querySelector("a").focus({ preventScroll: true });
      row.scrollIntoView({ block: "nearest" });
      onSelect(row);
    }

    function move(step) {
      const all = rows();
      const at = all.indexOf(selected);
      select(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step))]);
    }

    onKey("j", () => move(1));
    onKey("k", () => move(-1));
    onKey("Enter", (event) => {
      if (!selected || event.target.closest("a, button, summary")) return false; // the focused thing does it itself
      selected.querySelector("a").click();
      return true;
    });
    onKey("r", () => location.reload());
    return { move, select, selected: () => selected, replace: (row) => { selected = row; } };
  }

  const isPressed = (element) => element.contains(pressed);

  window.tracestore = { onKey, walkRows, show, isTyping, isPressed, currentTheme, actions };
})();
