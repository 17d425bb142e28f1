// Runs a Foundry tool straight from the npm package that holds its native binary. The package for another
// platform may not be among the dependencies; then FORGE_BIN or ANVIL_BIN can name a binary of one's own.
//
// Node cannot replace its own process by another, so signals and the exit code are passed on by hand.
"use strict";

const { existsSync } = require("node:fs");
const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const { join, resolve } = require("node:path");

const ROOT = resolve(__dirname, "..");
const ARCH = { x64: "amd64", arm64: "arm64" };

function binary(tool) {
  const own = process.env[`${tool.toUpperCase()}_BIN`];
  if (own) return own;
  const platform = `${process.platform}-${ARCH[process.arch] ?? process.arch}`;
  const name = process.platform === "win32" ? `${tool}.exe` : tool;
  return join(ROOT, "node_modules", "@foundry-rs", `${tool}-${platform}`, "bin", name);
}

exports.run = function run(tool) {
  const path = binary(tool);
  if (!existsSync(path)) {
    console.error(`${tool}: ${path} is missing. Run \`npm ci\` in ${ROOT}.`);
    console.error(`If it has no package for this platform, set ${tool.toUpperCase()}_BIN to a ${tool} 1.7.1.`);
    process.exit(127);
  }
  // foundry.toml names the compiler by a relative path, which forge resolves against the folder it is
  // started in. The absolute path makes `tools/forge --root ...` work from anywhere.
  const env = { ...process.env, FOUNDRY_SOLC: process.env.FOUNDRY_SOLC ?? join(__dirname, "solc") };
  const child = spawn(path, process.argv.slice(2), { stdio: "inherit", env });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => child.kill(signal));
  }
  child.on("error", (error) => {
    console.error(`${tool}: ${error.message}`);
    process.exit(126);
  });
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
};
