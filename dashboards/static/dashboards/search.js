// Completion in every query field: names of fields, then values that occur. Without it the field is a plain text input.
(function () {
  "use strict";
  if (window.tracestoreSearch) return; // a page may include two query fields
  window.tracestoreSearch = true;

  const WAIT_MS = 120;

  class Completion {
    constructor(root) {
      this.url = root.dataset.complete;
      this.input = root.querySelector("input");
      this.list = root.querySelector("[role=listbox]");
      this.items = [];
      this.start = 0;
      this.active = -1;
      this.request = null;
      this.timer = 0;
      this.input.addEventListener("input", () => this.schedule());
      this.input.addEventListener("focus", () => this.schedule());
      this.input.addEventListener("blur", () => this.close());
      this.input.addEventListener("keydown", (event) => this.onKeydown(event));
      // mousedown, not click: the click would come after the field has lost its focus and the list is gone.
      this.list.addEventListener("mousedown", (event) => {
        event.preventDefault();
        const option = event.target.closest("[role=option]");
        if (option) this.accept(Number(option.dataset.index));
      });
    }

    schedule() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.load(), WAIT_MS);
    }

    async load() {
      if (this.request) this.request.abort();
      this.request = new AbortController();
      const here = new URLSearchParams(location.search);
      const params = new URLSearchParams({ q: this.input.value, cursor: this.input.selectionStart });
      for (const name of ["start", "end"]) if (here.get(name)) params.set(name, here.get(name));
      try {
        const response = await fetch(this.url + "?" + params, { signal: this.request.signal });
        if (!response.ok) return;
        const body = await response.json();
        if (document.activeElement === this.input) this.show(body.start, body.items);
      } catch {
        // Aborted by the next key, or no network: typing goes on without offers.
      }
    }

    show(start, items) {
      const typed = this.input.value.slice(start, this.input.selectionStart);
      if (items.length === 1 && items[0].insert === typed) items = [];
      this.start = start;
      this.items = items;
      this.list.replaceChildren(...items.map((item, index) => this.option(item, index)));
      this.list.hidden = items.length === 0;
      this.input.setAttribute("aria-expanded", String(items.length > 0));
      this.activate(-1);
    }

    option(item, index) {
      const option = document.createElement("li");
      const label = document.createElement("code");
      const help = document.createElement("span");
      label.textContent = item.label;
      help.textContent = item.help;
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

    accept(index) {
      const item = this.items[index];
      const after = this.input.value.slice(this.input.selectionStart);
      const joint = item.more || after.startsWith(" ") || after.startsWith(")") ? "" : " ";
      const head = this.input.value.slice(0, this.start) + item.insert + joint;
      this.input.value = head + after;
      this.input.setSelectionRange(head.length, head.length);
      this.close();
      if (item.more) this.schedule();
    }

    close() {
      clearTimeout(this.timer);
      if (this.request) this.request.abort();
      this.items = [];
      this.list.hidden = true;
      this.list.replaceChildren();
      this.input.setAttribute("aria-expanded", "false");
      this.activate(-1);
    }

    onKeydown(event) {
      const count = this.items.length;
      if (event.key === "Escape" && count) {
        event.stopPropagation(); // the first Escape closes the list, the next leaves the field
        this.close();
      } else if (event.key === "ArrowDown" && count) {
        event.preventDefault();
        this.activate((this.active + 1) % count);
      } else if (event.key === "ArrowUp" && count) {
        event.preventDefault();
        this.activate((this.active <= 0 ? count : this.active) - 1);
      } else if ((event.key === "Enter" || (event.key === "Tab" && !event.shiftKey)) && this.active >= 0) {
        event.preventDefault();
        this.accept(this.active);
      } else if (event.key === "Enter") {
        this.close();
      }
    }
  }

  document.querySelectorAll("[data-query]").forEach((root) => new Completion(root));

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
