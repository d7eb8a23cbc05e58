// Where the time goes: in a step, in a job, and what that says.

import { el } from "../dom.js";
import { diagnosisSections } from "./diagnosis.js";
import { ledgerSections } from "./ledger.js";
import { phaseSection } from "./phases.js";

export const title = () => "Where the time goes";

export function render(run) {
  return el("div", {}, ledgerSections(run), phaseSection(run), diagnosisSections(run.analysis));
}
