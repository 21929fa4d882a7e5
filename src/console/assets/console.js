// The console's own script: copying, dialogs, live regions, the theme and the menu. Everything else works without it.
(() => {
  "use strict";

  const csrf = document.querySelector("meta[name=csrf]")?.content;
  const say = (text) => {
    const status = document.getElementById("live-status");
    if (status) status.textContent = text;
  };

  // htmx sends the token of forms with everything but reads.
  document.addEventListener("htmx:configRequest", (event) => {
    if (csrf) event.detail.headers["X-CSRF-Token"] = csrf;
  });

  // Copying.
  const confirmCopy = (button) => {
    button.classList.add("is-copied");
    say("Copied to the clipboard");
    clearTimeout(button.copiedTimer);
    button.copiedTimer = setTimeout(() => button.classList.remove("is-copied"), 2000);
  };
  const copyFailed = () => say("Copying failed. Select the text and copy it yourself.");

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      confirmCopy(button);
    } catch {
      copyFailed();
    }
  });

  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-copy-from]");
    if (!form) return;
    event.preventDefault();
    const text = fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) }).then((response) => {
      if (!response.ok || response.redirected) throw new Error("refused");
      return response.text();
    });
    try {
      // A promise keeps the permission of the click in browsers that bind it to the event.
      if (window.ClipboardItem) {
        await navigator.clipboard.write([
          new ClipboardItem({ "text/plain": text.then((value) => new Blob([value], { type: "text/plain" })) }),
        ]);
      } else {
        await navigator.clipboard.writeText(await text);
      }
      confirmCopy(form.querySelector("button"));
    } catch {
      copyFailed();
    }
  });

  // Dialogs. A link leads to the page with its dialog open; here the dialog is taken from that page and shown above this one.
  let opener = null;
  const show = (dialog, restore) => {
    dialog.removeAttribute("open");
    dialog.restore = restore;
    dialog.showModal();
    const first = dialog.querySelector("[autofocus], [aria-invalid=true], input:not([type=hidden]), select, textarea");
    (first ?? dialog.querySelector(".dialog-actions a, .dialog-actions button"))?.focus();
  };
  const close = (dialog) => {
    dialog.close();
  };

  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-dialog-link]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      try {
        const response = await fetch(link.href, { headers: { Accept: "text/html" } });
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const dialog = page.querySelector("dialog[data-dialog]");
        if (!dialog || response.redirected) throw new Error("no dialog");
        document.querySelectorAll("dialog[data-dialog]").forEach((old) => old.remove());
        opener = link;
        const adopted = document.importNode(dialog, true);
        document.getElementById("content").append(adopted);
        window.htmx?.process(adopted);
        show(adopted, link);
      } catch {
        location.assign(link.href);
      }
      return;
    }
    const closer = event.target.closest("[data-dialog-close]");
    const own = closer?.closest("dialog");
    if (own) {
      event.preventDefault();
      close(own);
    }
  });
  document.addEventListener("keydown", (event) => {
    // A link that acts as a button is used with the space bar too.
    if (event.key === " " && event.target.matches?.("a[role=button]")) {
      event.preventDefault();
      event.target.click();
    }
  });
  document.addEventListener(
    "close",
    (event) => {
      const dialog = event.target;
      if (!dialog.matches?.("dialog[data-dialog]")) return;
      const page = dialog.querySelector("[data-dialog-close]")?.href;
      // The address may be that of the page with the dialog open.
      if (page) history.replaceState(null, "", page);
      dialog.remove();
      opener?.focus();
    },
    true,
  );
  document.querySelectorAll("dialog[data-dialog][open]").forEach((dialog) => show(dialog, null));

  // The value of a color, beside its field.
  document.addEventListener("input", (event) => {
    const shown = event.target.id && document.querySelector(`[data-color-of="${CSS.escape(event.target.id)}"]`);
    if (shown) shown.textContent = event.target.value;
  });

  // A form is sent once.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-copy-from], [hx-get], [hx-post]") || form.method === "get") return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    form.querySelectorAll("button[type=submit]").forEach((button) => button.setAttribute("aria-busy", "true"));
  });
  window.addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-sent]").forEach((form) => {
      delete form.dataset.sent;
      form.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
    });
  });

  // Live regions: the server sends the markup of a part whenever it has changed.
  document.querySelectorAll("[data-live]").forEach((region) => {
    const source = new EventSource(region.dataset.live);
    region.querySelectorAll("[data-live-part]").forEach((part) => {
      source.addEventListener(part.dataset.livePart, (event) => {
        if (part.innerHTML !== event.data) {
          // The focus stays on the same link or button of the part.
          const controls = () => [...part.querySelectorAll("a, button")];
          const focused = controls().indexOf(document.activeElement);
          part.innerHTML = event.data;
          window.htmx?.process(part);
          controls()[focused]?.focus({ preventScroll: true });
        }
      });
    });
    window.addEventListener("pagehide", () => source.close());
  });

  // The theme and the width of the menu change at once; the form keeps the choice.
  const keep = (form) =>
    fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "manual" });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-theme-toggle]")) {
      event.preventDefault();
      delete form.dataset.sent;
      const dark = matchMedia("(prefers-color-scheme: dark)").matches;
      const root = document.documentElement;
      const next = (root.dataset.theme ?? (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
      root.dataset.theme = next;
      form.elements.theme.value = next;
      keep(form);
    }
    if (form.matches("[data-menu-toggle]")) {
      event.preventDefault();
      delete form.dataset.sent;
      const collapsed = document.body.dataset.menu !== "collapsed";
      if (collapsed) document.body.dataset.menu = "collapsed";
      else delete document.body.dataset.menu;
      form.elements.menu.value = collapsed ? "collapsed" : "open";
      form.querySelector("button").setAttribute("aria-expanded", String(!collapsed));
      keep(form);
    }
  });
})();
