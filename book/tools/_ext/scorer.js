// How the search ranks what it finds: the page that defines a term first, then chapters, then the API.
const DEFINING = {
  "softmax": "notebooks/01_softmax",
  "cross-entropy": "notebooks/01_softmax",
  "input gradient": "notebooks/02_attacks",
  "projection": "notebooks/02_attacks",
  "gradient masking": "notebooks/03_honest",
  "worst case": "notebooks/03_honest",
  "non-me": "notebooks/04_scores",
  "k-density": "notebooks/04_scores",
  "label smoothing": "notebooks/07_drs_loss",
  "temperature": "notebooks/13_stronger_attacks",
};
const asked = (new URLSearchParams(location.search).get("q") ?? "").trim().toLowerCase();

var Scorer = {
  score: ([page, title, anchor, description, score]) => {
    if (DEFINING[asked] === page) return score + 100;
    if (page.startsWith("notebooks/")) return score + 8;
    return page.startsWith("book/api/") || page === "book/bibliography" ? score - 8 : score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: {0: 15, 1: 5, 2: -5},
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
