// Our own style sheets against Chrome 109. What the plugin's tables do not know is listed by hand.
export default {
  plugins: ["stylelint-no-unsupported-browser-features"],
  rules: {
    "plugin/no-unsupported-browser-features": [
      true,
      { browsers: ["chrome 109"], severity: "error", ignore: ["extended-system-fonts"] }, // an unknown font falls back to the next
    ],
    "function-disallowed-list": ["color-mix", "oklch", "oklab", "lch", "lab", "color", "light-dark", "linear", "round", "mod", "rem", "sin", "cos"],
    "at-rule-disallowed-list": ["scope", "starting-style", "position-try", "view-transition"],
    "property-disallowed-list": ["anchor-name", "position-anchor", "text-wrap", "text-wrap-style", "field-sizing", "interpolate-size", "animation-timeline"],
    "declaration-property-value-disallowed-list": { "/^grid-template/": ["/subgrid/"], "font-style": ["italic", "oblique"], "font-synthesis": ["/weight|style/"] },
    "color-no-invalid-hex": true,
    "property-no-unknown": true,
    "unit-no-unknown": true,
    "block-no-empty": true,
    "declaration-block-no-duplicate-properties": true,
  },
};
