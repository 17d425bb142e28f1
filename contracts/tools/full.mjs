#!/usr/bin/env node
// The parts that take long: fuzzing and invariants at full depth, and the proofs. full-run.json records which of them
// have run, and a hash over sources, tests and tools. Where the hash is the same, the gate runs the tests at normal
// depth and no proofs; where it differs, it runs everything.
//
//   node tools/full.mjs                    runs every part and records each that passes (`make prove`)
//   node tools/full.mjs PART...            runs only these, and records them
//   node tools/full.mjs --gate PART...     for the gate: at normal depth or not at all where recorded, else in full
//   node tools/full.mjs --check            exits 1, and says why, where a part is not recorded for these sources

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const RECORD = join(ROOT, "full-run.json");
const INVARIANTS = "test/Invariants.t.sol";
// What each part runs: in full, and what is left of it where it is recorded.
const PARTS = {
  tests: {
    full: { command: ["tools/forge", "test", "--no-match-path", INVARIANTS], profile: "ci" },
    normal: { command: ["tools/forge", "test", "--no-match-path", INVARIANTS] },
  },
  invariants: {
    full: { command: ["tools/forge", "test", "--match-path", INVARIANTS], profile: "ci" },
    normal: { command: ["tools/forge", "test", "--match-path", INVARIANTS] },
  },
  smtcheck: { full: { command: ["node", "tools/smtcheck.mjs"] } },
  halmos: { full: { command: ["tools/halmos"] } },
};
// Mutations change the sources for a moment, and their list changes no other part.
const IGNORED = new Set(["tools/mutate", "tools/mutants.json"]);
const FILES = ["foundry.toml", "package.json", "package-lock.json", "requirements-analysis.txt"];

function* files(folder) {
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* files(path);
    else yield path;
  }
}

function fingerprint() {
  const hash = createHash("sha256");
  const paths = [...["src", "test", "tools"].flatMap((name) => [...files(join(ROOT, name))]), ...FILES.map((name) => join(ROOT, name))];
  for (const path of paths) {
    const name = relative(ROOT, path).replaceAll("\\", "/");
    if (IGNORED.has(name)) continue;
    const content = readFileSync(path);
    hash.update(`${name}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex");
}

const recorded = () => (existsSync(RECORD) ? JSON.parse(readFileSync(RECORD, "utf8")) : {});

function run({ command, profile }) {
  const environment = profile ? { ...process.env, FOUNDRY_PROFILE: profile } : process.env;
  const started = Date.now();
  const [program, ...rest] = command;
  const { error, status } = spawnSync(program, rest, { cwd: ROOT, env: environment, stdio: "inherit" });
  if (error) console.error(`full: ${program}: ${error.message}`);
  return { passed: !error && status === 0, seconds: Math.round((Date.now() - started) / 1000) };
}

function runInFull(name) {
  const before = fingerprint();
  const { passed, seconds } = run(PARTS[name].full);
  if (!passed) {
    console.error(`full: ${name} failed`);
    process.exit(1);
  }
  if (fingerprint() !== before) {
    console.error(`full: a file changed while ${name} ran; nothing is recorded`);
    process.exit(1);
  }
  console.log(`full: ${name} passed in ${seconds} s`);
  return { sha256: before, date: new Date().toISOString().slice(0, 10), seconds, command: PARTS[name].full.command.join(" "), ...(PARTS[name].full.profile && { profile: PARTS[name].full.profile }) };
}

const options = process.argv.slice(2).filter((one) => one.startsWith("--"));
const named = process.argv.slice(2).filter((one) => !one.startsWith("--"));
const names = named.length > 0 ? named : Object.keys(PARTS);
const unknown = [...names.filter((name) => !(name in PARTS)), ...options.filter((one) => !["--gate", "--check"].includes(one))];
if (unknown.length > 0) {
  console.error(`full: no part or option ${unknown.join(", ")}; the parts are ${Object.keys(PARTS).join(", ")}`);
  process.exit(2);
}
const record = recorded();
const now = fingerprint();
const known = (name) => record[name]?.sha256 === now;

if (options.includes("--check")) {
  const missing = names.filter((name) => !known(name));
  for (const name of missing) {
    const why = name in record ? `is recorded for other sources (of ${record[name].date})` : "was never recorded";
    console.error(`full: ${name} ${why}; \`make prove\` runs and records it`);
  }
  process.exit(missing.length > 0 ? 1 : 0);
}
for (const name of names) {
  if (!options.includes("--gate")) {
    const made = runInFull(name);
    writeFileSync(RECORD, `${JSON.stringify({ ...recorded(), [name]: made }, null, 2)}\n`);
  } else if (!known(name)) {
    runInFull(name); // not recorded: a gate writes nothing
  } else if (PARTS[name].normal) {
    console.log(`full: ${name} ran in full on ${record[name].date} for these sources; now at normal depth`);
    if (!run(PARTS[name].normal).passed) process.exit(1);
  } else {
    console.log(`full: ${name} ran on ${record[name].date} for these sources; \`make prove\` runs it again`);
  }
}
