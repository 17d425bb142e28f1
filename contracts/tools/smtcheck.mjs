#!/usr/bin/env node
// Proves the assertions in test/proofs/*Arithmetic.sol, and that no arithmetic there overflows, with the SMTChecker
// that is part of solc. Fails unless every single one is proven.
//
// The solver is z3, called as a program: the one inside npm's solc needs threads, which WebAssembly lacks here.
// halmos brings it along: PYTHON_BIN is the folder that holds it, relative to contracts/ or absolute; default
// ../.venv/bin.
//
// The engine is "bmc": there are no loops in those files, so a bound on them leaves nothing out, and it is much faster
// than "chc". It is deprecated; the compiler's version is fixed.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const NAMES = ["Arithmetic", "EfficientArithmetic"];
const file = (name) => `test/proofs/${name}.sol`;
const SECONDS = 60; // per question
const z3 = join(resolve(ROOT, process.env.PYTHON_BIN ?? "../.venv/bin"), "z3");
if (!existsSync(z3)) {
  console.error(`smtcheck: ${z3} is missing. Install requirements-analysis.txt there, or set PYTHON_BIN.`);
  process.exit(127);
}

const read = (path) => readFileSync(join(ROOT, path), "utf8");
const scratch = mkdtempSync(join(tmpdir(), "smtcheck-"));
let questions = 0;

function ask(query) {
  const path = join(scratch, `${++questions}.smt2`);
  writeFileSync(path, query);
  const { error, stdout } = spawnSync(z3, ["-smt2", `-T:${SECONDS}`, path], { encoding: "utf8" });
  return error ? { error: error.message } : { contents: stdout };
}

const input = {
  language: "Solidity",
  sources: Object.fromEntries(NAMES.map((name) => [file(name), { content: read(file(name)) }])),
  settings: {
    modelChecker: {
      contracts: Object.fromEntries(NAMES.map((name) => [file(name), [name]])),
      engine: "bmc",
      solvers: ["smtlib2"],
      targets: ["assert", "overflow", "underflow", "divByZero"],
      showProvedSafe: true,
      showUnproved: true,
    },
    outputSelection: {},
  },
};
const solc = createRequire(import.meta.url)("solc");
const found = JSON.parse(
  solc.compile(JSON.stringify(input), {
    import: (path) => ({ contents: read(path.startsWith("@") ? `node_modules/${path}` : path) }),
    smtSolver: ask,
  }),
).errors;
rmSync(scratch, { recursive: true });

// Two notes say nothing about the proofs: that the engine is deprecated, and that there is assembly in a library
// (its results count as unknown, which can only make a proof fail).
const harmless = /engine of the SMTChecker is deprecated|unsupported language feature/;
const proven = found.filter(({ message }) => message.endsWith("check is safe!")).length;
const open = found.filter(({ severity, message }) => severity !== "info" && !harmless.test(message));
for (const { formattedMessage } of open) console.error(formattedMessage);
console.log(`smtcheck: ${proven} proven, ${open.length} not, ${questions} questions to z3`);
process.exit(open.length === 0 && proven > 0 ? 0 : 1);
