"""Every sentence the page says by itself. Plain text: presenters escape it like anything else."""

from __future__ import annotations

from core.documents.plain import READ_WORDS

NAME = "Bifocal"

DATASET_NAMES = {
    "needle_pd": "Needle in a text (needle_pd)",
    "passkey_pd": "Passkey in a text (passkey_pd)",
    "qmsum": "Meetings by question (QMSum)",
    "rarb_arc_challenge": "Science questions (ARC challenge, RAR-b)",
    "scifact": "Scientific claims (SciFact)",
    "scitldr_test": "Papers by their one-line summary (SciTLDR)",
    "stacks_lemma_refs": "Lemmas that a statement's proof refers to (stacks_lemma_refs)",
    "theoremqa_theorems": "Theorems by problem (TheoremQA, BRIGHT)",
}
# Headings of measured figures that are no evaluation, as their files call them.
FIGURE_NAMES = {
    "pair-language": "The bundled pair as language models",
    "masked token loss": "loss on masked tokens, by share of the text that was masked",
    "next token loss": "loss on the next token",
    "unigram": "loss of word counts alone",
    "bench": "Speed and memory on the machine of the measurement",
}
SYSTEM_NAMES = {
    "bm25": "BM25, keywords",
    "rrf": "both encoders fused (RRF)",
}

VIEWS = (
    ("compare", "Compare"),
    ("disagree", "Disagree"),
    ("laboratory", "Laboratory"),
    ("judge", "Judge"),
    ("benchmarks", "Benchmarks"),
    ("paper", "The paper"),
    ("settings", "Settings"),
)

QUERY_PLACEHOLDER = "Ask the library\u2026"
COMPARE = "Compare"
EXAMPLES_LABEL = "Try"
GROUP_TITLES = {
    "lookup": "lookup",
    "paraphrase": "paraphrase",
    "long-range": "long-range",
    "reasoning": "reasoning",
}
DRAFTED = "drafted"
GROUP_HINTS = {
    "lookup": "The words of the query are in the passage.",
    "paraphrase": "The passage says it in other words.",
    "long-range": "What the passage means depends on an earlier page.",
    "reasoning": "Two steps of reasoning; query and answer share no words.",
}

BLANK_OWN = (
    "Ask your documents a question",
    "Both encoders read the same passages. You will see what each retrieves, where they part and "
    "by how much. Press / and type, or take a question drafted from your documents.",
)
BLANK_READING = (
    "Your documents are being read",
    "Progress and Stop are above. A question asked now is answered as soon as both encoders "
    "have embedded every passage.",
)
BLANK_LIBRARY = (
    "This library is empty",
    f"Drop files ({READ_WORDS}) anywhere on this page. Reading starts at once, and "
    "nothing leaves this computer.",
)
BLANK_LIBRARY_HOSTED = (
    "This library is empty",
    f"Drop files ({READ_WORDS}) anywhere on this page. Only you can see this library; "
    "it is removed {hours} hours after your last visit.",
)
PREPARING = "This library is being prepared; your question is asked as soon as its first passages are there."
LOADING_COMPARE = "Asking both encoders\u2026"
LOADING_FIRST = (
    "The first question takes a few seconds longer: the encoders are being loaded and checked."
)


WHY_PENDING = "Leaving out each sentence in turn\u2026"
STALE = "The library has changed since this was asked."
ASK_AGAIN = "Ask again"
EQUAL_NOTHING = "Ask a question first; it is then asked again at equal limits."
ASK_MANY = "No question yet? Let Bifocal draft them"


DROP_LABEL = "Drop files anywhere"
DROP_TITLE = f"{READ_WORDS}; a click chooses files"
DROP_NOW = "Drop them: they are read at once, and nothing leaves this computer"
FOLDER = "Add a folder"
FETCH_ASKING = "Asking the hub what this pair costs, and measuring this machine\u2026"
FETCH_HOW = (
    "Only config, tokenizer and safetensors files are fetched: no code, no pickle. Times are "
    "expected from a quick measurement of this machine. Until it is here the library works on with "
    "the present pair; Stop keeps what has arrived."
)
FETCH_HOW_HERE = (
    "The files are on this machine. Times are expected from a quick measurement of this machine."
)
FETCH_TAKE = "Download and use it"
FETCH_USE = "Use it"
FETCH_ON = "Go on with the download"
FETCH_AGAIN = "Try again"
FETCH_KEEP = "Stay with {pair}"
FETCH_CLOSE = "Close"
FETCH_STOPPED = "Stopped. What has arrived is kept, and the download goes on from there."
FETCHING = "Fetching {pair}"
RUNS_TITLE = "Runs from elsewhere"
RUNS_HOW = (
    "What another system found for the same questions, as a column: a TREC run, a CSV (query, "
    "document, page, score), mteb's predictions, or an export of Bifocal's. Choose the texts of its "
    "queries (.tsv or .jsonl) along with it if it has only ids. Documents are known by file name, "
    "so name pages as report.pdf#page=3."
)
RUNS_ADD = "Add a run"
RUNS_ADDED = "Added: {names}. Ask one of its questions to see the column."
RUNS_NONE = "None yet."
RUNS_NO_TEXTS = "The words of its queries are not known; give them as a .tsv or .jsonl file."
OFFICIAL_TITLE = "Official benchmarks"
OFFICIAL_NONE = (
    "None yet. `python -m core benchmark --tasks LEMBPasskeyRetrieval --pair PAIR` runs official "
    "tasks with mteb's own evaluator (extra [mteb]) and they appear here, with what the paper "
    "printed for the same task beside them."
)
OFFICIAL_HOW = (
    "Main score of each task in points, by mteb's own evaluator with the tasks' official prompts. "
    "On the right, apart, what the paper printed for the same task: other and far larger models, "
    "other token limits. Compare the columns on the left with each other; the paper's are there to "
    "know the scale."
)
OFFICIAL_HERE = "measured with mteb"
OFFICIAL_THERE = "printed in the paper, by its authors"
OFFICIAL_ADD = "Add mteb result files"
OFFICIAL_CHOOSE = "Choose the files"
OFFICIAL_MODEL = "Whose results (the files do not say)"
OFFICIAL_ADDED = "Added {count} of {model}."
KEPT_TITLE = "Kept runs"
KEPT_NONE = (
    "No evaluation is kept yet: look for disagreements under Disagree, press "
    "\u201cWhat the judgments say\u201d under Judge, or run "
    "`python -m core evaluate --beir FOLDER`, and it stands here."
)
KEPT_ONE = "One run is kept; the next evaluation that differs from it can be compared with it here."
KEPT_FIRST, KEPT_SECOND = "First run", "Second run"
KEPT_SAME = "Nothing differs between their identities."
KEPT_HOW = (
    "Second minus first, query by query. Brackets: 95 % interval over clusters of queries that "
    "share a relevant document."
)
KEPT_DECIDING = "The queries that decide"
STOP = "Stop"
LEFT = "about {time} left"
STOPPING = "Stopping after the step in hand\u2026"
STOPPED = "Stopped. What was finished is kept; go on whenever you like."
STOPPED_EARLY = "Stopped before anything was finished. Run it again whenever you like."
SAMPLE_UPLOADS = (
    "The sample library stays as it is: your files go into a library of your own, which is "
    "opened for you."
)
SAMPLE_FIXED = "The sample library stays as it is. Choose or make a library of your own."
SCANNED_ADVICE = "run OCR, for example ocrmypdf"
ENCODERS = "Encoders"
ENCODERS_CLOSED = (
    "Visitors of this server cannot add encoders: its owner has not allowed it. On your own "
    "machine you can add any folder or hub id."
)
ENCODER_ADDED = "was added. Choose it above as one of the two encoders or a further column."
ENCODER_REMOVED = "Removed. Its files and stored vectors stay."
OWN_ENCODER = (
    "A folder or hub id of Llama, Qwen2, Qwen3, GPT-2 or BERT shape (bge, e5, gte, MiniLM and the "
    "like), or the id of a known encoder to give it an adapter. Nothing in it is run: safetensors "
    "only, and its attention is proved when it is loaded."
)
OWN_ENCODER_HOSTED = (
    "A hub id of Llama, Qwen2, Qwen3, GPT-2 or BERT shape. Every visitor of this server will see "
    "it. Nothing in it is run: safetensors only, and its attention is proved when it is loaded."
)
SAME_ENCODERS = "Both are the same encoder; choose two."
WHICH_ENCODER = "Choose an encoder first."
FETCH_FIRST = "The pair has to be fetched first; see above the columns."
NO_OUTPUTS = "Its recipe has no quantised output."
NO_DIMENSIONS = "It was not trained for shorter embeddings."
NO_CENTRING = "Mean-centring is for raw language models."
PAIR_GONE = "(an encoder was removed)"
EMPTY_QUERY = "Type a question first."
SETTINGS_KEPT = "Settings kept. They hold from the next question on."
SAVED_NONE = "Nothing saved yet. After a comparison, press Save."
SAVED_NOTE = "Saved. The address in your browser now leads here."
LINK_GONE = "The link leads to a comparison that is not here (any more)."
LINK_GONE_NOW = "Ask a question above, or open one of the saved comparisons under Settings."

HELP_TITLE = "How to read this page"
HELP_TEXT = (
    "Two encoders of the same size, trained on the same data, read the same passages. One comes "
    "from a diffusion language model and sees each text in both directions; the other comes from "
    "an autoregressive model and reads left to right. BM25 matches keywords and knows neither.",
    "The large number is the rank. z says how unusual the score is for that encoder: standard "
    "deviations above queries and passages of different documents of this library. The percentile "
    "says the same as a share. The raw cosine is in the selected card; never compare it between encoders.",
    "Lines join the same passage across the columns. A click selects it everywhere and opens its "
    "page, with the hits of both encoders drawn in their colours.",
)
KEYS = (
    ("/", "go to the query"),
    ("Enter", "compare; on a selected hit: open the evidence"),
    ("j k", "next, previous hit"),
    ("n p", "next, previous disagreement"),
    ("[ ]", "previous, next query of the list under Disagree"),
    ("1 2 3", "go to a column"),
    ("Esc", "close the page"),
    ("?", "this help"),
)

DISAGREE_TITLE = "Which encoder for these documents, and where do they part?"
DISAGREE_INTRO = (
    "No query needed: Bifocal drafts queries from the library itself (headings, definitions, "
    "sentences turned into questions, whole paragraphs), asks every system each of them, says which "
    "finds the right passages better and by how much, and lists the queries on which the two "
    "encoders part most. A click opens the side-by-side view."
)
DISAGREE_BLANK = (
    "Nothing has been run yet. 300 queries take less than a minute on two cores; Stop keeps what is "
    "finished."
)
LAB_TITLE = "Laboratory"
LAB_INTRO = (
    "Why do the encoders differ? Five experiments on one passage or document of yours, and a map of all of them. Query and passage "
    "are taken from the hit selected in Compare; choose others here. Results are kept: the same "
    "inputs give the same picture at once."
)
JUDGE_TITLE = "Judge"
JUDGE_INTRO = (
    "Grade passages without knowing who found them. Judgments are stored on the file's characters, "
    "so they survive another chunking."
)
