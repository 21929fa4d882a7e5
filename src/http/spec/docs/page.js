// The live documentation: Swagger UI with two fields to authorize by, and the document of whoever is authorized.
"use strict";

(() => {
  const place = document.getElementById("swagger-ui");
  const standing = document.getElementById("standing");
  const { document: address, usage } = place.dataset;
  const dummy = "00000000-0000-0000-0000-000000000000";

  // Swagger UI has a dark dress of its own; the page around it follows the system by its style sheet.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const dress = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", dress);
  dress();

  // A button beside each value that is ready to copy.
  for (const value of document.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy ${value.previousElementSibling.textContent}`);
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(value.firstElementChild.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    value.append(button);
  }

  // The headers that the visitor authorized with, and their values.
  const headers = () => {
    const authorized = Object.values(ui.authSelectors.authorized().toJS());
    return Object.fromEntries(authorized.map(({ schema, value }) => [schema.name, String(value ?? "").trim()]));
  };

  // Shows the document anew with the visitor's keys, which brings the account's custom fields, and says whether the keys
  // are right: the document is anybody's, the usage is not. An answer that a later question has overtaken is dropped.
  let asked = 0;
  const reload = async () => {
    const mine = ++asked;
    const keys = headers();
    const count = Object.keys(keys).length;
    const get = (path) => fetch(path, { headers: keys, cache: "no-store" }).catch(() => null);
    const [shown, account] = await Promise.all([get(address), count === 2 ? get(usage) : null]);
    const text = shown?.ok ? await shown.text() : null;
    if (mine !== asked) return;
    if (text) ui.specActions.updateSpec(text);
    standing.textContent =
      count === 0 ? ""
      : count === 1 ? "One of the two headers is missing: authorize with both."
      : account?.status === 401 ? "These credentials were not accepted. Check them under Authorize."
      : !text || !account?.ok ? "Your account’s own fields could not be loaded. Authorize again to retry."
      : keys["X-Public-ID"] === dummy ? "Authorized with the test credentials: answers are sample data."
      : "Authorized. The documentation shows your account’s own fields.";
    standing.className = count === 0 || (text && account?.ok) ? "" : "wrong";
  };

  const follow = (original) => (payload) => {
    const done = original(payload);
    void reload();
    return done;
  };

  // Whatever proxy stands between, calls go to where this page came from.
  const toThisHost = (request) => {
    const address = new URL(request.url, location.href);
    request.url = location.origin + address.pathname + address.search;
    return request;
  };

  // Both headers in one form.
  const together = (original) => (...state) => {
    const forms = original(...state);
    return forms?.size > 1 ? forms.take(1).map(() => forms.reduce((all, one) => all.merge(one))) : forms;
  };

  // Other names of an operation come last; of one path, reading before writing.
  const methods = ["get", "post", "put", "delete"];
  const order = (one, other) => {
    const place = (operation) => [Number(operation.getIn(["operation", "deprecated"]) ?? false),
      operation.get("path"), methods.indexOf(operation.get("method"))];
    const [a, b] = [place(one), place(other)];
    const at = a.findIndex((part, index) => part !== b[index]);
    return at < 0 ? 0 : a[at] < b[at] ? -1 : 1;
  };

  // One field per header, called as the header is. A secret is not shown while it is typed.
  const field = ({ React }) => class HeaderField extends React.Component {
    render() {
      const { name, schema, authorized, onChange } = this.props;
      const header = schema.get("name");
      const change = (event) => onChange({ name, schema, value: event.target.value });
      const h = React.createElement;
      const input = () => h("input", {
        id: `header-${header}`, type: /secret/i.test(header) ? "password" : "text", onChange: change,
        autoComplete: "off", autoCapitalize: "off", spellCheck: false,
      });
      return h("div", { className: "header-field" },
        h("label", { htmlFor: `header-${header}` }, header),
        authorized.get(name) ? h("p", null, "Entered") : input());
    }
  };

  const ui = SwaggerUIBundle({
    url: address,
    domNode: place,
    deepLinking: true,
    docExpansion: "list",
    operationsSorter: order,
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    persistAuthorization: false,
    validatorUrl: null,
    requestInterceptor: toThisHost,
    presets: [SwaggerUIBundle.presets.apis],
    plugins: [(system) => ({
      components: { apiKeyAuth: field(system) },
      statePlugins: {
        auth: {
          wrapActions: { authorize: follow, logout: follow },
          wrapSelectors: { definitionsToAuthorize: together },
        },
      },
    })],
  });
})();
