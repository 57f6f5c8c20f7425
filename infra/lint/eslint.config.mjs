// Our own scripts against the oldest browser in hospitals: language level and browser functions of Chrome 109.
import compat from "eslint-plugin-compat";

// Newer than Chrome 109 and unknown to the plugin, which follows what it can resolve to a global.
const TOO_NEW = [
  "checkVisibility", "difference", "fromAsync", "getSetCookie", "groupBy", "hidePopover", "intersection", "isDisjointFrom", "isSubsetOf",
  "isSupersetOf", "isWellFormed", "moveBefore", "setHTMLUnsafe", "showPopover", "startViewTransition", "symmetricDifference", "togglePopover",
  "toReversed", "toSorted", "toSpliced", "toWellFormed", "union", "withResolvers",
];

export default [
  { ignores: ["**/vendor/**", "**/node_modules/**", "**/.venv/**"] },
  {
    ...compat.configs["flat/recommended"],
    files: ["**/*.js"],
    languageOptions: { ecmaVersion: 2022, sourceType: "script" }, // Chrome 109 has all of ES2022
    linterOptions: { reportUnusedDisableDirectives: "error" },
    settings: { browserslistOpts: { path: "." }, lintAllEsApis: true },
    rules: {
      ...compat.configs["flat/recommended"].rules,
      "no-restricted-properties": ["error", ...TOO_NEW.map((property) => ({ property, message: "not in Chrome 109" }))],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-unused-vars": ["error", { args: "none", caughtErrors: "none" }],
      "no-dupe-keys": "error",
      "no-unreachable": "error",
    },
  },
];
