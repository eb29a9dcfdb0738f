// node run.mjs BROWSER SCREENS DEMO.json[,DEMO.json…] [--figures] [WORDS…]: runs all walks, or those whose names contain one
// of the words, in one lane for each of these servers.

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { measure } from "./figures.mjs";
import { openBrowser, runAll } from "./harness.mjs";

// In this order, because the last one changes the demo user's password.
const FILES = ["guide", "shell", "token", "form", "refusals", "settings", "memory", "time", "keyboard", "looks", "assets", "screens", "account"];

const [executable, screens, demoFiles, ...rest] = process.argv.slice(2);
const open = async (file) => ({
  browser: await openBrowser(executable),
  demo: JSON.parse(await readFile(file, "utf8")),
  log: join(dirname(file), "../log"),
});
const lanes = await Promise.all(demoFiles.split(",").map(open));
let failed;
try {
  if (rest.includes("--figures")) {
    failed = await measure(lanes[0].browser, lanes[0].demo);
  } else {
    for (const file of FILES) await import(`./walks/${file}.mjs`);
    failed = await runAll({ lanes, screens, words: rest });
  }
} finally {
  for (const { browser } of lanes) await browser.close();
}
process.exitCode = failed > 0 ? 1 : 0;
