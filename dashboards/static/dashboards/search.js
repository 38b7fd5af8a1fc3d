// Completion in every query field: names of fields, then values that occur. Without it the field is a plain text input.
(function () {
  "use strict";
  if (window.tracestoreSearch) return; // a page may include two query fields
  window.tracestoreSearch = true;

  const WAIT_MS = 120;
  const RECENT_KEPT = 12;
  const RECENT_SHOWN = 6;

  /** Queries that were run in this browser, newest first; `place` tells traces from logs. Storage may be denied. */
  const recent = {
    read(place) {
      try {
        const texts = JSON.parse(localStorage.getItem("queries:" + place));
        return Array.isArray(texts) ? texts.filter((text) => typeof text === "string") : [];
      } catch {
        return [];
      }
    },
    add(place, text) {
      const texts = [text, ...this.read(place).filter((other) => other !== text)].slice(0, RECENT_KEPT);
      try {
        localStorage.setItem("queries:" + place, JSON.stringify(texts));
      } catch {
        // No storage: nothing is remembered.
      }
    },
  };

  class Completion {
    constructor(root) {
      this.url = root.dataset.complete;
      this.input = root.querySelector("input");
      this.mirror = root.querySelector(".query__mirror");
      this.panel = root.querySelector(".query__panel");
      this.list = root.querySelector("[role=listbox]");
      this.problem = root.querySelector(".query__problem");
      this.items = [];
      this.start = 0;
      this.cursor = 0; // where it was when this was offered
      this.active = -1;
      this.request = null;
      this.timer = 0;
      this.dismissed = false;
      this.input.addEventListener("input", () => this.typed());
      this.input.addEventListener("focus", () => this.schedule());
      this.input.addEventListener("blur", () => this.close());
      this.input.addEventListener("scroll", () => this.follow());
      document.addEventListener("selectionchange", () => { if (this.items.length) this.fits(); });
      this.input.addEventListener("keydown", (event) => this.onKeydown(event));
      // mousedown, not click: the click would come after the field has lost its focus and the list is gone.
      this.panel.addEventListener("mousedown", (event) => {
        event.preventDefault();
        const option = event.target.closest("[role=option]");
        if (option) this.accept(Number(option.dataset.index));
        if (event.target.closest(".query__problem button")) this.mend();
      });
      if (this.input.form && this.input.value.trim() && location.search && !this.input.hasAttribute("aria-invalid")) {
        const asked = new URLSearchParams(location.search).get(this.input.name);
        if (asked === this.input.value) recent.add(this.url, asked.trim());
      }
      if (document.activeElement === this.input && this.input.value !== this.input.defaultValue) this.typed(); // before this was here
    }

    typed() {
      this.cursor = this.input.selectionStart; // what was offered for the letters before still fits
      this.dismissed = false;
      this.mark(null);
      this.schedule();
    }

    schedule() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.load(), WAIT_MS);
    }

    async load() {
      if (this.request) this.request.abort();
      const request = (this.request = new AbortController());
      const here = new URLSearchParams(location.search);
      const text = this.input.value;
      const cursor = this.input.selectionStart;
      const params = new URLSearchParams({ q: text, cursor: [...text.slice(0, cursor)].length });
      for (const name of ["start", "end"]) if (here.get(name)) params.set(name, here.get(name));
      try {
        const response = await fetch(this.url + "?" + params, { signal: request.signal });
        if (!response.ok) return;
        const body = await response.json();
        // An answer to what stood there before is of no use.
        if (request !== this.request || this.input.value !== text || document.activeElement !== this.input) return;
        if (this.input.selectionStart !== cursor) return this.schedule();
        this.mark(body.problem, cursor);
        this.show(toUnits(text, body.start), body.items);
      } catch {
        // Aborted by the next key, or no network: typing goes on without offers.
      }
    }

    /** Underline what is wrong and say why, unless it is still being written: at the end, or in parentheses not closed yet. */
    mark(problem, cursor = 0) {
      const text = this.input.value;
      const from = problem ? toUnits(text, problem.position) : 0;
      const to = problem ? Math.max(toUnits(text, problem.position + problem.length), from) : 0;
      const isOpen = to - from === 1 && "({".includes(text[from]);
      const unfinished = cursor === text.length && (isOpen || to >= text.trimEnd().length);
      const shown = problem && !unfinished ? problem : null;
      this.fix = shown && shown.suggestion ? { from, to, text: shown.suggestion } : null;
      this.mirror.replaceChildren();
      if (shown) {
        const mark = document.createElement("mark");
        mark.textContent = text.slice(from, to) || " ";
        this.mirror.append(text.slice(0, from), mark, text.slice(to));
      }
      const [message, button] = this.problem.children;
      message.textContent = shown ? shown.message : "";
      button.textContent = this.fix ? "Use " + this.fix.text : "";
      button.hidden = !this.fix;
      this.problem.hidden = !shown;
      this.follow();
      this.reveal();
    }

    mend() {
      const { from, to, text } = this.fix;
      this.input.setRangeText(text, from, to, "preserve"); // the cursor stays where the person writes
      this.typed();
    }

    follow() {
      this.mirror.scrollLeft = this.input.scrollLeft;
    }

    show(start, items) {
      if (this.dismissed) return;
      const typed = this.input.value.slice(start, this.input.selectionStart);
      if (items.length === 1 && items[0].insert === typed) items = [];
      if (!this.input.value.trim()) {
        const texts = recent.read(this.url).slice(0, RECENT_SHOWN);
        items = [...texts.map((text) => ({ label: text, insert: text, help: "recent", more: true })), ...items];
      }
      const chosen = this.items[this.active]; // in the list for what was typed before, which this one replaces
      this.start = start;
      this.cursor = this.input.selectionStart;
      this.items = items;
      this.list.replaceChildren(...items.map((item, index) => this.option(item, index)));
      this.list.hidden = items.length === 0;
      this.input.setAttribute("aria-expanded", String(items.length > 0));
      this.activate(items.findIndex((item) => chosen && item.insert === chosen.insert));
      this.reveal();
    }

    reveal() {
      this.panel.hidden = this.list.hidden && this.problem.hidden;
    }

    option(item, index) {
      const option = document.createElement("li");
      const label = document.createElement("code");
      const help = document.createElement("span");
      label.textContent = item.label;
      help.textContent = item.help.replaceAll("`", "");
      option.id = this.list.id + "-" + index;
      option.className = "query__offer";
      option.dataset.index = String(index);
      option.setAttribute("role", "option");
      option.append(label, help);
      return option;
    }

    activate(index) {
      this.active = index;
      [...this.list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
      if (index < 0) {
        this.input.removeAttribute("aria-activedescendant");
      } else {
        this.input.setAttribute("aria-activedescendant", this.list.children[index].id);
        this.list.children[index].scrollIntoView({ block: "nearest" });
      }
    }

    /** What is offered belongs to the word at the cursor: once that has moved away, ask for what fits there. */
    fits() {
      if (this.input.selectionStart === this.cursor) return true;
      this.close();
      this.schedule();
      return false;
    }

    accept(index) {
      if (!this.fits()) return;
      const item = this.items[index];
      const after = this.input.value.slice(this.input.selectionStart);
      const joint = item.more || /^[\s)}]/.test(after) ? "" : " ";
      const head = this.input.value.slice(0, this.start) + item.insert + joint;
      this.input.value = head + after;
      this.input.setSelectionRange(head.length, head.length);
      this.close();
      this.mark(null);
      if (item.more) this.schedule();
    }

    /** Whether the first offer adds to the letters before the cursor: Tab takes it, and else leaves the field. */
    firstCompletes() {
      const typed = this.input.value.slice(this.start, this.input.selectionStart).toLowerCase();
      const offers = this.items.map((item) => item.insert.toLowerCase());
      return typed !== "" && offers.length > 0 && offers[0].includes(typed) && !offers.includes(typed);
    }

    close() {
      clearTimeout(this.timer);
      if (this.request) this.request.abort();
      this.request = null;
      this.items = [];
      this.list.hidden = true;
      this.list.replaceChildren();
      this.panel.hidden = true;
      this.input.setAttribute("aria-expanded", "false");
      this.activate(-1);
    }

    onKeydown(event) {
      const count = this.items.length;
      if (event.key === "Escape" && !this.panel.hidden) {
        event.stopPropagation(); // the first Escape closes the list, the next leaves the field
        this.close();
        this.dismissed = true;
      } else if ((event.key === "ArrowDown" || (event.key === " " && event.ctrlKey)) && !count) {
        event.preventDefault();
        this.dismissed = false;
        this.load();
      } else if (event.key === "ArrowDown") {
        event.preventDefault();
        this.activate((this.active + 1) % count);
      } else if (event.key === "ArrowUp" && count) {
        event.preventDefault();
        this.activate((this.active <= 0 ? count : this.active) - 1);
      } else if ((event.key === "Enter" || (event.key === "Tab" && !event.shiftKey)) && this.active >= 0) {
        event.preventDefault();
        this.accept(this.active);
      } else if (event.key === "Tab" && !event.shiftKey && this.firstCompletes()) {
        event.preventDefault();
        this.accept(0);
      } else if (event.key === "Enter") {
        this.close();
      }
    }
  }

  /** The server counts characters, as people do; a text of JavaScript has two units for some. */
  function toUnits(text, characters) {
    return [...text].slice(0, characters).join("").length;
  }

  // A part of a page that htmx loads brings this script again, and fields may be there already.
  const completed = (window.completedQueries ??= new WeakSet());
  document.querySelectorAll("[data-query]").forEach((root) => {
    if (completed.has(root)) return;
    completed.add(root);
    new Completion(root);
  });

  // A preset of the time range takes along what is typed but not searched for yet.
  document.querySelectorAll("[data-search-form]").forEach((form) => {
    form.querySelectorAll("[data-range]").forEach((link) => {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        form.elements.start.value = link.dataset.range === "now-24h" ? "" : link.dataset.range;
        form.elements.end.value = "";
        form.requestSubmit();
      });
    });
    // Empty parameters would only lengthen the address.
    form.addEventListener("formdata", (event) => {
      for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
    });
  });
})();
