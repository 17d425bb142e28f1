// The contract as the Python package ships it: ABI and bytecode, from forge's build.
//
//   node tools/artifact.mjs            writes the file
//   node tools/artifact.mjs --check    exits 1 when the file differs from the build
//
// Run `forge build` first (the npm scripts do).
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const NAME = "TradeFL";
const BUILD = join(ROOT, "out", `${NAME}.sol`, `${NAME}.json`);
const TARGET = resolve(ROOT, "..", "src", "tradefl", "settlement", "artifact", `${NAME}.json`);

function fail(message) {
  console.error(`artifact: ${message}`);
  process.exit(1);
}

function bytes(code, what) {
  // A library that still has to be linked shows up as __$...$__.
  if (!/^0x([0-9a-f]{2})+$/.test(code)) fail(`the ${what} is empty or not linked`);
  return code;
}

function artifact() {
  if (!existsSync(BUILD)) fail(`${relative(ROOT, BUILD)} is missing; run \`npm run build\``);
  const built = JSON.parse(readFileSync(BUILD, "utf8"));
  const { compiler, settings } = built.metadata;
  const bytecode = bytes(built.bytecode.object, "creation bytecode");
  return {
    contractName: NAME,
    compiler: compiler.version,
    evmVersion: settings.evmVersion,
    optimizerRuns: settings.optimizer.runs,
    abi: built.abi,
    bytecode,
    deployedBytecode: bytes(built.deployedBytecode.object, "deployed bytecode"),
    sha256: createHash("sha256").update(Buffer.from(bytecode.slice(2), "hex")).digest("hex"),
  };
}

function check(made) {
  if (!existsSync(TARGET)) fail(`${TARGET} is missing; run \`npm run artifact\``);
  const text = readFileSync(TARGET, "utf8");
  if (text === serialize(made)) return;
  let kept = {};
  try {
    kept = JSON.parse(text);
  } catch {
    fail(`${TARGET} is not JSON; run \`npm run artifact\``);
  }
  const differs = Object.keys(made).filter((key) => JSON.stringify(kept[key]) !== JSON.stringify(made[key]));
  fail(`${TARGET} differs from the build (${differs.join(", ") || "layout"}); run \`npm run artifact\``);
}

const serialize = (made) => `${JSON.stringify(made, null, 2)}\n`;

const made = artifact();
if (process.argv.includes("--check")) {
  check(made);
  console.log(`artifact: up to date, sha256 ${made.sha256}`);
} else {
  mkdirSync(dirname(TARGET), { recursive: true });
  writeFileSync(TARGET, serialize(made));
  console.log(`artifact: wrote ${TARGET}, sha256 ${made.sha256}`);
}
