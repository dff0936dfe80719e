"use strict";
(() => {
  const narrow = () => window.innerWidth < 600;
  const night = window.matchMedia("(prefers-color-scheme: dark)");
  // Figures are drawn for the paper that they are on; the form outlives a reload.
  night.addEventListener("change", () => window.location.reload());

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    dlnsweep: {
      // What the form says stands behind the # of the address, so that a reload finds it again.
      wanted: () => {
        // On a phone the figures, not the form, are what is seen first.
        const form = document.querySelector(".form details");
        if (form && narrow()) form.open = false;
        return [window.location.hash.slice(1), narrow(), night.matches];
      },
      kept: (address) => {
        if (typeof address === "string")
          window.history.replaceState(null, "", address ? "#" + address : window.location.pathname);
        return window.dash_clientside.no_update;
      },
      copied: async (clicks) => {
        if (!clicks) return window.dash_clientside.no_update;
        try {
          await navigator.clipboard.writeText(document.getElementById("toml").textContent);
          return "copied";
        } catch (refused) {
          return "not copied: the browser refuses";
        }
      },
    },
  });

  // Dash's lists call themselves list boxes and hold check boxes, what a drop-down opens has no
  // name, and the drop-down itself is named by its value alone and reached by way of a field that
  // is hidden: for a reader of screens, lists are check boxes, drop-downs have their label, and the
  // keyboard gets to them themselves.
  function named() {
    const open = document.querySelector("button.dash-dropdown[aria-expanded=true]");
    for (const dialog of document.querySelectorAll(".dash-dropdown-content[role=dialog]"))
      if (open && !dialog.hasAttribute("aria-labelledby"))
        dialog.setAttribute("aria-labelledby", "label-" + open.id);
    for (const list of document.querySelectorAll(".dash-options-list[role=listbox]"))
      list.removeAttribute("role");
    for (const option of document.querySelectorAll(".dash-options-list label[role=option]")) {
      option.removeAttribute("role");
      option.removeAttribute("aria-selected");
    }
    for (const button of document.querySelectorAll("button.dash-dropdown")) {
      const label = "label-" + button.id, names = button.getAttribute("aria-labelledby") || "";
      if (!names.split(" ").includes(label)) button.setAttribute("aria-labelledby", `${label} ${names}`);
      if (button.tabIndex < 0) button.tabIndex = 0;
    }
    for (const field of document.querySelectorAll(".dash-dropdown-focus-target"))
      if (field.tabIndex >= 0) field.tabIndex = -1;
  }

  new MutationObserver(named).observe(document.documentElement, {
    subtree: true, childList: true, attributes: true,
    attributeFilter: ["role", "aria-selected", "aria-labelledby", "aria-expanded", "tabindex"],
  });
})();
