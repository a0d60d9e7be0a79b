// What Sphinx's search gives for a match, and less for pages that are not for users: records of
// decisions, evidence, tests and changes come after guides, concepts and reference.
var Scorer = {
  score: ([docname, , , , score]) =>
    /^(internals|evidence|tests|changelog|contributing|architecture)/.test(docname)
      ? score - 20
      : score,
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
