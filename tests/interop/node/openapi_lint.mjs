// Redocly (npm): both OpenAPI documents, linted without a warning.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const { issuer } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const documents = [`${issuer}/admin/v1/openapi.json`, `${issuer}/api/openapi.json`];
const { status } = spawnSync(
  process.execPath,
  [here("node_modules/@redocly/cli/bin/cli.js"), "lint", "--config", here("redocly.yaml"), ...documents],
  { stdio: "inherit", env: { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" } },
);
process.exitCode = status ?? 1;
