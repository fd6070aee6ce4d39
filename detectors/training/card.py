"""The model card: docs/detectors.md is a pure function of the manifests, so its figures cannot drift from the models.

One rule: every rate is shown with its n and its 95% Wilson interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from detectors.base import FeatureSpec, Label, Manifest, Metric, Source
from detectors.training.user import PREFIX

_INTRO = """\
# Trained detectors

This page is the model card of the shipped models. It is written by `make train` from the manifests beside the models, and a
test fails when the two differ.

| score | first tier | second tier | says |
|---|---|---|---|
| `asks_code`, `asks_math`, `asks_fiction`, `asks_extraction`, `asks_check`, `asks_tool` | `prompt.onnx` | yes | what a user turn asks for |
| `harm` | `prompt.onnx` | yes | a user turn asks for something harmful; the maximum over all user turns |
| `distress` | `distress.onnx` | yes | the writer's own distress stands in a user turn |
| `refusal.present` | `response.onnx` | `refusal` | the answer declines, hard, softly or in part, whatever the reason |
| `rebuttal.denial` | `response.onnx` | `denial` | its opening denies or corrects what the prompt supposes, rightly or wrongly |
| `refusal.excused` | `manner.onnx` | `excused` | it declines for want of ability, input or remit, or to keep somebody's privacy |
| `rebuttal.suspicion` | `manner.onnx` | `suspicion` | it doubts the user's own material |
| `analytic.warm` | `manner.onnx` | `warm` | it acknowledges the person who writes |

None of them is a verdict. Exact checks (code blocks, tool calls against their schema, arithmetic), word lists and these scores
are weighed in `detectors/combine.py` and `detectors/rebuttal.py`; policies only threshold what comes out.

## How they work

The *first tier* reads what a verdict may hang on, in some 50 microseconds a text: linear models over hashed features. A text is
lower-cased, NFC-normalised and read as UTF-8 bytes; byte n-grams, words and word pairs (of an answer also its opening words once
more) are hashed to the rows of a table, and a probability is the sigmoid of their weighted sum. Table, sum and calibration are
inside the ONNX graph; the hashing is `detectors/features.py`, and a model refuses to load beside another version of it.

The *second tier*, `encoder.onnx`, reads English texts of which words and the first tier say too little, in some two
milliseconds, off the event loop: a transformer of six layers with 8-bit activations and 7-bit weights, one run for a prompt, for
a reply, or for both. It is fine-tuned on all its labels at once from {base}. Other languages have the first tier alone.

No pickle, no torch, no network, no GPU: onnxruntime, numpy and `tokenizers`.

## What they are not

- Small models on public data and own texts. They recognise wording more than meaning: an unusual paraphrase of a harmful request
  is missed, and a benign request in alarming words is suspected.
- `harm` is a gate for retries, not a moderation service. It is calibrated for its two ends (see its tables), not for your base
  rate: below the gate a refusal may be asked again, above the other end it is taken for justified, between it is a suspicion.
- `refusal.present` does not say that a refusal was wrong, `rebuttal.denial` not that a denial was.
- Scores of the other labels are calibrated for evenly frequent classes. They are not probabilities at your base rate.

## When a score is missing

- No user text; media parts (`harm` only); user text beyond the limits that was not read (`harm` only).
- First tier: a language without measured figures, or below the bar (area under the ROC curve of 0.65 on unseen texts of at
  least 30 of each class). The language is guessed from script and stop words; when nothing speaks for one, it is unknown, except in turns
  shorter than 40 characters beside a turn whose language is known.
- Second tier: a text that is not English, user turns of more than 8 runs of 62 tokens together. The first tier's score stands then.

"""
_OWN_ROWS = """\
# Trained detectors, with own rows

This page is the model card of models made by `python -m detectors.training --rows ...`, written from the manifests beside them.
They are not the shipped models: they learned from own rows, too.

- Own rows: {sources}. What they taught, and how many texts, stands under "Data sources"; their rates stand under their names.
- The rates of own rows are of models that had not seen the prompt, but other rows of the same file: they are optimistic about
  anything that is not like that file. Measure on rows that trained nothing, with `chunkguard eval --models`.
- Where the exchange files were not given, thresholds were picked on all unseen negatives instead of ordinary traffic, no source
  was held out, and shares of held-out, look-alike and ordinary texts are 0 of 0.

"""
_METHOD = """\
## How they were measured

- Trained on permissive rows only. Sources of other licence classes are marked `held-out` and were only measured.
- *Unseen* means: scored by a model that was not fitted on that source (cross-fit by source), or never fitted at all (held-out
  source). Four sources (`polyrefuse_outputs`, `polyrefuse_harmless`, `k_overrefusal`, `cyberseceval_frr`) alone hold both
  classes, or the code requests, of many languages; there the model had not seen the prompt, but had seen the source, so their
  figures are optimistic. The prompts of `polyrefuse_*` are translations of one another, which adds to that.
- A prompt that stands in a held-out source trains nothing. All classes were cut to one length before training.
- Own texts (`own_*`: written line by line for this project with the help of a language model, Apache-2.0, in
  `detectors/training/own`) are most of what teaches: classes are matched in topic, form and length, which no source offers.
  Figures on them say how well a line is told from others of the same hand (each tenth or fifth was left out), not how well new
  text is. No native speaker reviewed the other languages, and scenarios recur across languages.
- Own templates (`own_templates`) train; no figure is reported on them. They name products, formal words and sensitive words in
  ordinary requests. The demo's examples are not among them, but these families were written with the demo in view: its scores
  are no evidence, the held-out sources are.
- The second tier was measured as shipped, on English texts of held-out sources only. A tenth of the own lines calibrated it.
- Labels of many rows are heuristics or one model's reading; `cvalues_prompts` count as benign on a reading of a sample.
- The recipe of `harm` (which sources, weights, shortened copies, the two ends of its gate) was chosen with the unseen figures in
  sight; expect less on new sources. Nothing was tuned on `chunky_results_explorer`, the published mis-routed answers.

"""


def render(manifests: Mapping[str, Manifest]) -> str:
    """The whole card as markdown. Models that learned from a user's own rows say so first."""
    base = next((m.base for m in manifests.values() if m.base and m.features is None), "nothing")
    intro = _INTRO.replace("{base}", base)
    parts = [intro]
    own = sorted(
        {source.name for manifest in manifests.values() for source in manifest.sources if source.name.startswith(PREFIX)}
    )
    if own:
        parts = [_OWN_ROWS.format(sources=", ".join(f"`{name}`" for name in own)), intro[intro.index("## How they work") :]]
    parts += [_model(manifest) for manifest in manifests.values()]
    parts.append(_METHOD)
    parts += [_label_tables(manifest, label) for manifest in manifests.values() for label in manifest.labels]
    parts.append(_sources(manifests.values()))
    return "\n".join("".join(parts).rstrip().split("\n")) + "\n"


def _model(manifest: Manifest) -> str:
    lines = [
        f"## {manifest.file}",
        "",
        f"- revision {manifest.revision}, {manifest.bytes} bytes, sha256 `{manifest.sha256}`",
        *([f"- starts from {manifest.base}"] if manifest.base else []),
        *([f"- features: {_features(manifest.features)}"] if manifest.features is not None else []),
        f"- reads {_reads(manifest)}",
        "",
    ]
    return "\n".join(lines) + "\n"


def _features(features: FeatureSpec) -> str:
    orders = " and ".join(map(str, features.char_orders))
    opening = f", the first {features.opening_words} words again" if features.opening_words else ""
    return f"version {features.version}, {features.rows} rows, byte n-grams of {orders}, words, word pairs{opening}"


def _reads(manifest: Manifest) -> str:
    if manifest.limits.max_tokens:
        return f"at most {manifest.limits.max_tokens} tokens a run, the marks around them included"
    return _windows(manifest) if manifest.limits.window_bytes else _limits(manifest)


def _limits(manifest: Manifest) -> str:
    return f"the first {manifest.limits.head_bytes} and the last {manifest.limits.tail_bytes} bytes of a text"


def _windows(manifest: Manifest) -> str:
    limits = manifest.limits
    return (
        f"user turns from the newest on in windows of {limits.window_bytes} bytes, at most {limits.max_windows} windows and "
        f"{limits.max_bytes} bytes; a score is the maximum over the windows"
    )


def _label_tables(manifest: Manifest, label: Label) -> str:
    languages = ", ".join(label.languages)
    measured = ", ".join(f"{lang} {area:.2f}" for lang, area in label.areas.items())
    positives, look_alikes, ordinary = label.counted
    lines = [
        f"## {manifest.file}: {label.provides}",
        "",
        f"Answers {languages}. Area under the ROC curve by language, all unseen texts: {measured}.",
        "",
        f"Threshold {label.threshold}: picked for {label.false_positive_rate:.0%} of ordinary unseen texts.",
        "",
        "Share of unseen texts, of all languages, that reach a score:",
        "",
        f"| score | positives of held-out sources (n={positives}) | look-alikes (n={look_alikes}) | ordinary (n={ordinary}) |",
        "|---|---|---|---|",
    ]
    lines += [f"| {p.at} | {p.recall:.1%} | {p.look_alikes:.1%} | {p.ordinary:.1%} |" for p in label.curve]
    if label.shifts:
        shifts = ", ".join(f"{lang} {shift:+.2f}" for lang, shift in label.shifts.items())
        lines += ["", f"Added to the log-odds of a language, so that the gate holds in each: {shifts}."]
    gate = [metric for metric in manifest.metrics if metric.label == label.name and metric.kind.startswith("passed")]
    if gate:
        lines += ["", f"Below {gate[0].at}, where policies take a prompt for benign, of all held-out sources:", ""]
        lines += ["| language | class | share below | n | 95% interval |", "|---|---|---|---|---|"]
        lines += [_passed(metric) for metric in gate]
    lines += ["", f"At the threshold, by source and language{_note(manifest, label)}:", ""]
    lines += ["| source | language | use | measure | rate | n | 95% interval |", "|---|---|---|---|---|---|---|"]
    lines += [
        _metric(metric, manifest.sources) for metric in manifest.metrics if metric.label == label.name and metric not in gate
    ]
    return "\n".join(lines) + "\n\n"


def _passed(metric: Metric) -> str:
    kind = "positive" if metric.kind == "passed_positives" else "negative"
    return f"| {metric.language} | {kind} | {metric.hits / metric.n:.1%} | {metric.n} | {metric.low:.1%} - {metric.high:.1%} |"


def _note(manifest: Manifest, label: Label) -> str:
    return "" if set(label.areas) == set(label.languages) else " (languages that are not answered included)"


def _metric(metric: Metric, sources: Iterable[Source]) -> str:
    uses = [source.use for source in sources if source.name == metric.set]
    use = "held-out" if any(f"held-out {metric.label}" in use for use in uses) else "cross-fit"
    kind = "recall" if metric.kind == "recall" else "false positives"
    return (
        f"| {metric.set} | {metric.language} | {use} | {kind} | {metric.hits / metric.n:.1%} | {metric.n} "
        f"| {metric.low:.1%} - {metric.high:.1%} |"
    )


def _sources(manifests: Iterable[Manifest]) -> str:
    lines = ["## Data sources", "", "| source | licence | model | use | texts |", "|---|---|---|---|---|"]
    for manifest in manifests:
        for source in manifest.sources:
            lines.append(f"| {source.name} | {source.licence} | {manifest.name} | {source.use} | {source.rows} |")
    lines += ["", "Rows of the sources are not part of this project; only weights and figures made from them are."]
    return "\n".join(lines) + "\n"
