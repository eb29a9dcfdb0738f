// node run.mjs DEMO.json BROWSER SCREENS [--figures] [WORDS…]: all walks, or those whose names hold one of the words.

import { readFile } from "node:fs/promises";
import { measure } from "./figures.mjs";
import { openBrowser, runAll } from "./harness.mjs";

// In this order: the last one changes the password of the demo's user.
const FILES = ["guide", "shell", "token", "form", "refusals", "settings", "memory", "time", "keyboard", "looks", "assets", "screens", "account"];

const [demoFile, executable, screens, ...rest] = process.argv.slice(2);
const demo = JSON.parse(await readFile(demoFile, "utf8"));
const browser = await openBrowser(executable);
let failed;
try {
  if (rest.includes("--figures")) {
    failed = await measure(browser, demo);
  } else {
    for (const file of FILES) await import(`./walks/${file}.mjs`);
    failed = await runAll({ browser, demo, screens, words: rest });
  }
} finally {
  await browser.close();
}
process.exitCode = failed > 0 ? 1 : 0;
