// Screenshots of every page and state, for people to look at. They test nothing.

import { mkdir } from "node:fs/promises";
import { walk } from "../harness.mjs";
import { STATES } from "../states.mjs";

const refused = ["401 /api/auth/advanceAuth", "400 /api/tokenSet", "404 /nothing"];
const LOOKS = {
  light: { colorScheme: "light", viewport: { width: 1280, height: 800 } },
  dark: { colorScheme: "dark", viewport: { width: 1280, height: 800 } },
  narrow: { colorScheme: "light", viewport: { width: 320, height: 640 } },
};

for (const [look, context] of Object.entries(LOOKS)) {
  walk(`every page has its picture, ${look}`, { refused, context: { ...context, reducedMotion: "reduce" } }, async ({ page, demo, screens }) => {
    await mkdir(screens, { recursive: true });
    for (const [name, show] of Object.entries(STATES)) {
      await show(page, demo);
      await page.screenshot({ path: `${screens}/${name}-${look}.png`, fullPage: true, caret: "initial" });
    }
  });
}
